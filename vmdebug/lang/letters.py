"""The format letters: one table of what each is, how big, how wide and how it is shown.

`::formats` is generated from it, the format commands obey it. A size of POINTER is the target's own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from formats.lazy import dataclass
from vmdebug.dcmd import Show
from vmdebug.lang import values
from vmdebug.lang.numbers import signed

POINTER = -1
VARIABLE = -2
What = Literal["value", "bits", "text", "code", "layout", "write", "match"]


@dataclass(frozen=True)
class Letter:
    """A letter. `show` makes the text of a value of `size` bytes; `wide` fields are those whose text fills them."""

    letter: str
    size: int
    width: int
    description: str
    show: Callable[[int, Show], str] | None = None
    what: What = "value"

    def bytes(self, word: int) -> int:
        """How many bytes one value takes."""
        return word if self.size == POINTER else max(self.size, 0)

    def line(self, word: int = 8) -> str:
        """What `::formats` says of it."""
        if self.size == VARIABLE:
            return f"{self.letter} - {self.description} (variable size)"
        size = self.bytes(word)
        return f"{self.letter} - {self.description}" + (f" ({size} byte{'s' * (size != 1)})" if size else "")


def _hex(value: int, _: Show) -> str:
    return f"{value:x}"


def _radix(value: int, show: Show) -> str:
    return show.number(value)


def _symbol(value: int, show: Show) -> str:
    return show.symbol(value)


def _decimal(value: int, _: Show) -> str:
    return str(value)


def _octal(value: int, _: Show) -> str:
    return values.octal(value)


def _signed(bits: int) -> Callable[[int, Show], str]:
    return lambda value, _: str(signed(value, bits))


def _signed_octal(bits: int) -> Callable[[int, Show], str]:
    return lambda value, _: values.octal(signed(value, bits))


TABLE = (
    Letter("+", VARIABLE, 0, "increment dot by the count", what="layout"),
    Letter("-", VARIABLE, 0, "decrement dot by the count", what="layout"),
    Letter("B", 1, 8, "hexadecimal int", _hex),
    Letter("C", 1, 0, "character using C character notation", what="text"),
    Letter("D", 4, 16, "decimal signed int", _signed(32)),
    Letter("E", 8, 21, "decimal unsigned long long", _decimal),
    Letter("F", 8, 0, "double", lambda value, _: values.float64(value)),
    Letter("G", 8, 23, "octal unsigned long long", lambda value, _: f"{value:o}"),
    Letter("H", 4, 16, "swap bytes and shorts", lambda value, _: values.swapped(value, 4)),
    Letter("I", VARIABLE, 0, "address and disassembled instruction", what="code"),
    Letter("J", 8, 16, "hexadecimal long long", _hex),
    Letter("K", POINTER, 16, "hexadecimal uintptr_t", _hex),
    Letter("L", 4, 0, "match int", what="match"),
    Letter("M", 8, 0, "match long long", what="match"),
    Letter("N", 0, 0, "newline", what="layout"),
    Letter("O", 4, 16, "octal unsigned int", _octal),
    Letter("P", POINTER, 19, "symbol", _symbol),
    Letter("Q", 4, 16, "octal signed int", _signed_octal(32)),
    Letter("R", 8, 64, "binary int", lambda value, _: f"{value:b}"),
    Letter("S", VARIABLE, 0, "string using C string notation", what="text"),
    Letter("T", 0, 0, "horizontal tab", what="layout"),
    Letter("U", 4, 16, "decimal unsigned int", _decimal),
    Letter("V", 1, 8, "decimal unsigned int", _decimal),
    Letter("W", 4, 16, "write default radix unsigned int", _radix, "write"),
    Letter("X", 4, 16, "hexadecimal int", _hex),
    Letter("Y", 4, 24, "decoded time32_t", lambda value, _: values.date32(value)),
    Letter("Z", 8, 16, "write hexadecimal long long", _hex, "write"),
    Letter("^", VARIABLE, 0, "decrement dot by increment * count", what="layout"),
    Letter("a", 0, 0, "dot as symbol+offset", what="layout"),
    Letter("b", 1, 8, "octal unsigned int", _octal),
    Letter("c", 1, 0, "character", what="text"),
    Letter("d", 2, 8, "decimal signed short", _signed(16)),
    Letter("e", 8, 21, "decimal signed long long", _signed(64)),
    Letter("f", 4, 0, "float", lambda value, _: values.float32(value)),
    Letter("g", 8, 24, "octal signed long long", lambda value, _: values.signed_octal(signed(value))),
    Letter("h", 2, 8, "swap bytes", lambda value, _: values.swapped(value, 2)),
    Letter("i", VARIABLE, 0, "disassembled instruction", what="code"),
    Letter("j", 8, 0, "jazzed-up binary int", what="bits"),
    Letter("l", 2, 0, "match short", what="match"),
    Letter("n", 0, 0, "newline", what="layout"),
    Letter("o", 2, 8, "octal unsigned short", _octal),
    Letter("p", POINTER, 19, "symbol", _symbol),
    Letter("q", 2, 8, "octal signed short", _signed_octal(16)),
    Letter("r", 0, 0, "whitespace", what="layout"),
    Letter("s", VARIABLE, 0, "raw string", what="text"),
    Letter("t", 0, 0, "horizontal tab", what="layout"),
    Letter("u", 2, 8, "decimal unsigned short", _decimal),
    Letter("v", 1, 8, "write decimal signed int", _signed(8), "write"),
    Letter("w", 2, 8, "write default radix unsigned short", _radix, "write"),
    Letter("x", 2, 8, "hexadecimal short", _hex),
    Letter("y", 8, 24, "decoded time64_t", lambda value, _: values.date64(value)),
    Letter("z", VARIABLE, 0, "write integer of the size of the symbol's type", what="write"),
)
LETTERS: Mapping[str, Letter] = {letter.letter: letter for letter in TABLE}
SHOWN_BY_VALUE = frozenset("=@")  # the verbs behind which a write letter shows a value


def find_letter(char: str, verb: str) -> Letter | None:
    """The letter that a verb's format list may hold, None where that is none."""
    letter = LETTERS.get(char)
    if letter is None or letter.what == "match":
        return None
    if letter.what == "write" and (verb not in SHOWN_BY_VALUE or letter.show is None):
        return None
    return letter


def width_of(letter: Letter, text: str) -> int:
    """The field's width: a value that fills it is followed by a blank."""
    return letter.width + 1 if letter.width and len(text) == letter.width and letter.letter in "JKRZ" else letter.width


def each_format(word: int = 8) -> Iterator[str]:
    """The lines of `::formats`, in ASCII order."""
    return (letter.line(word) for letter in TABLE)
