"""Types among the words of a command: `struct foo` is two words, everything else is one."""

from collections.abc import Sequence

from vmdebug.errors import Abort, DebuggerError, UsageError
from vmdebug.types.model import Type
from vmdebug.types.source import TAGS, TypeSource

Words = Sequence[str | int]


def take_name(words: Words) -> tuple[str, Words]:
    """The name of the type that the words begin with, and the words behind it; UsageError where there is none."""
    if not words or not isinstance(words[0], str):
        raise UsageError
    first = words[0]
    if first not in TAGS:
        return first, words[1:]
    if len(words) == 1:
        raise Abort(f"{first} is not a valid type")
    if not isinstance(words[1], str):
        raise UsageError
    return f"{first} {words[1]}", words[2:]


def take_type(types: TypeSource, words: Words) -> tuple[Type, str, Words]:
    """The type that the words begin with, its name as it was asked for, and the words behind it."""
    name, rest = take_name(words)
    return types.find(name), name, rest


def need_type(types: TypeSource, words: Words) -> tuple[Type, str, Words]:
    """As `take_type`; a type that is not known ends the pipeline."""
    try:
        return take_type(types, words)
    except Abort:
        raise
    except DebuggerError as err:
        raise Abort(str(err)) from err
