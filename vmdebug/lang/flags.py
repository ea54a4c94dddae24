"""The words of a call as flags and arguments.

Words that start with `-` are options; letters combine, a value is attached or the next word; `--` and the first word
that is no option end them. Numeric values are expressions' numbers in the current radix.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vmdebug.dcmd import Flag
from vmdebug.errors import LanguageError, UsageError

Words = Sequence[str | int]


def split_flags(
    flags: Sequence[Flag], words: Words, number: Callable[[str], int]
) -> tuple[dict[str, Any], list[str | int]]:
    """The flags that were given and what is left; UsageError says what is wrong with the words."""
    known = {flag.letter: flag for flag in flags}
    found: dict[str, Any] = {}
    rest = list(words)
    while rest and isinstance(rest[0], str) and len(rest[0]) > 1 and rest[0][0] == "-":
        word = str(rest.pop(0))
        if word == "--":
            break
        letters = word[1:]
        while letters:
            flag = known.get(letters[0])
            if flag is None:
                raise UsageError(f"illegal option -- {letters[0]}")
            letters = letters[1:]
            if flag.value == "none":
                found[flag.letter] = True
            else:
                found[flag.letter] = _value(flag, letters, rest, number)
                break
    return found, rest


def _value(flag: Flag, attached: str, rest: list[str | int], number: Callable[[str], int]) -> str | int:
    if not attached and not rest:
        raise UsageError(f"option requires an argument -- {flag.letter}")
    value = attached or rest.pop(0)
    if flag.value == "text":
        if isinstance(value, int):
            raise UsageError(f"string argument required for -{flag.letter}")
        return value
    if isinstance(value, int):
        return value
    try:
        return number(value)
    except LanguageError as err:
        raise UsageError(f'invalid option for -{flag.letter}: "{value}"') from err


def each_word(words: Words) -> Iterator[str]:
    """The words that are text; UsageError at a number."""
    for word in words:
        if isinstance(word, int):
            raise UsageError(f"expected a word instead of {word:#x}")
        yield word
