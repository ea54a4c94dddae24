"""What a dcmd and a walker are: their entries in the registry, and the parts of one (a flag, a text, a row's columns).

Who writes a dcmd imports these names from vmdebug.dcmd.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, NewType, Protocol

from formats.lazy import dataclass

if TYPE_CHECKING:
    from vmdebug.dcmd import Call

Hex = NewType("Hex", int)  # a number that is shown in hex, also in JSON: a register, a word of memory, a mask
Row = Any  # a frozen dataclass; each dcmd has its own
Address = Literal["none", "optional", "required"]
COLUMN = re.compile(r"^(\w+): (.+(?:\n +.+)*)$", re.MULTILINE)


class Show(Protocol):
    """How values become text in this session: names of addresses, the radix."""

    @property
    def piped(self) -> bool:
        """The text goes into a pipe: bare values, no heads."""
        ...

    @property
    def width(self) -> int | None:
        """Where format commands wrap; None where they do not, as in a shell's pipe."""
        ...

    @property
    def wrap(self) -> int | None:
        """Where every other line wraps, if the user wants that."""
        ...

    @property
    def terminal(self) -> bool:
        """The text goes to a terminal."""
        ...

    @property
    def colour(self) -> bool:
        """The text goes to a terminal that may be given colours and bold."""
        ...

    def symbol(self, address: int) -> str:
        """`name+0xoff`, or hex with 0x where no symbol covers the address (mdb's %a)."""
        ...

    def symbol_or_empty(self, address: int) -> str:
        """`name+0xoff`, or nothing (mdb's %A)."""
        ...

    def number(self, value: int, *, signed: bool = False, prefix: bool = False) -> str:
        """The value in the current radix (mdb's %r, %R; `prefix` is %#r)."""
        ...


Lines = Callable[[Iterable[Row], Show], Iterator[str]]


@dataclass(frozen=True)
class Text:
    """One line a row: a format template over the row's fields, and a head printed once above the first.

    Beyond Python's own format specs a field takes `a` (symbol), `A` (symbol or nothing), `r` and `R` (current radix),
    each after an optional alignment and width: `{pc:a}`, `{addr:<16A}`. A None is shown as `missing`.
    """

    line: str
    head: str = ""
    missing: str = "-"


@dataclass(frozen=True)
class Flag:
    """An option of a dcmd: a letter, and what its value is. `number` values are read in the current radix."""

    letter: str
    help: str
    value: Literal["none", "number", "text"] = "none"
    name: str = ""  # what the value is called in the synopsis


@dataclass(frozen=True)
class Dcmd:
    """A dcmd as the registry holds it."""

    name: str
    run: Callable[["Call"], Iterator[Row] | None]
    address: Address
    synopsis: str
    text: Text | Lines | None
    flags: Sequence[Flag]
    row: type | None
    summary: str
    help: str
    module: str
    guests: Sequence[str] | None = None
    whole: bool = False
    raw: bool = False
    repeats: bool = False
    stream: bool = False
    built_in: bool = False
    passes: bool = False

    @property
    def usage(self) -> str:
        """The usage line as mdb words it."""
        mark = {"none": "", "optional": "[address]", "required": "address"}[self.address]
        dollar = self.name[0] in "$:"
        shown = f"{mark}{self.name}" if dollar else f"{mark}::{self.name}"
        return f"Usage: {shown} {self.synopsis}".rstrip()


@dataclass(frozen=True)
class Walker:
    """A walker as the registry holds it. `start` says whether it takes or needs a starting address."""

    name: str
    run: Callable[["Call"], Iterator[int]]
    start: Address
    summary: str
    module: str
    guests: Sequence[str] | None = None


def columns(row: type) -> Iterator[tuple[str, str]]:
    """The keys of a row's JSON, each with what its docstring says of it in a line `key: meaning`."""
    told = dict(COLUMN.findall(inspect.cleandoc(row.__doc__ or "")))
    for each in fields(row):
        if not each.name.startswith("_"):
            yield each.name.lower(), told.get(each.name, "")
