"""Short names for command lines: ::alias $M."""

import re
from collections.abc import Iterator
from typing import cast

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Text, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.lang.aliases import ALIASES
from vmdebug.lang.flags import each_word
from vmdebug.lang.grammar import Parser
from vmdebug.lang.lexer import NAME
from vmdebug.session import Session

BUILT_IN = True


class BadAlias(DebuggerError):
    """An alias that cannot be made, or is none."""


@dataclass(frozen=True)
class Alias:
    """A name and the command line that it stands for.

    name: what is typed
    text: what it stands for
    """

    name: str
    text: str


@dcmd("$M", row=Alias, text=Text("{name:<20} {text}", head=f"{'MACRO':<20} NATIVE EQUIVALENT"))
def each_macro(call: Call) -> Iterator[Alias]:
    """list macro aliases

    What `$<name` runs where there is no macro file of that name: mdb's, and those that ::alias made.

    Example:
        $M
    """
    for name, text in {**ALIASES, **cast(Session, call.session).aliases}.items():
        yield Alias(name, text)


@dcmd(
    "alias",
    synopsis="[-d] [name [command]]",
    flags=(Flag("d", "take the alias away"),),
    row=Alias,
    text=Text("{name:<20} {text}", head=f"{'ALIAS':<20} COMMAND"),
)
def alias(call: Call) -> Iterator[Alias]:
    """define or list short names for commands

    Makes `::name` and `$<name` stand for a command line; it may be a whole pipeline, in quotes. It is given the address
    that stands before the name, and its rows go on in a pipe. Commands that exist are not replaced. Without a command
    shows what the name stands for, without a name all that were made. ~/.vmdebugrc is the place for those to keep.

    Example:
        ::alias idle "::walk thread | ::thread | ::where 'pri < 0'"; ::alias
    """
    session, words = cast(Session, call.session), list(each_word(call.args))
    if len(words) > 2 or ("d" in call.flags and len(words) != 1):
        raise call.usage()
    if len(words) == 2:
        _define(session, *words)
        return
    if words and words[0] not in session.aliases:
        raise BadAlias(f"{words[0]} is no alias")
    if "d" in call.flags:
        del session.aliases[words[0]]
        return
    for name in words or sorted(session.aliases):
        yield Alias(name, session.aliases[name])


def _define(session: Session, name: str, text: str) -> None:
    if not re.fullmatch(NAME, name):
        raise BadAlias(f"{name} cannot be the name of a command")
    if session.registry.dcmd(name, session.guest_kind):
        raise BadAlias(f"::{name} is a command already")
    for _ in Parser(text):  # what is wrong in it is told now
        pass
    session.aliases[name] = text
