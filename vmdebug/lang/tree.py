"""Statements as data. Numbers and names keep their text: its meaning depends on the radix and symbols of the moment."""

from dataclasses import field

from formats.lazy import dataclass
from vmdebug.lang.tokens import ShellText


@dataclass(frozen=True)
class Number:
    """A number as written, with its prefix; one without is read in the current radix."""

    text: str


@dataclass(frozen=True)
class Name:
    """A symbol, or a number that begins with a letter where there is no such symbol."""

    text: str


@dataclass(frozen=True)
class Character:
    """A char constant with its quotes."""

    text: str


@dataclass(frozen=True)
class Here:
    """`.` dot, `+` the address after it, `^` the one before, `&` the last command's."""

    sign: str


@dataclass(frozen=True)
class Variable:
    name: str


@dataclass(frozen=True)
class Unary:
    """`-` `~` `#` `*` `%`, and the sized dereferences `*/i/` `%/i/`."""

    operator: str
    operand: "Expression"


@dataclass(frozen=True)
class Binary:
    operator: str
    left: "Expression"
    right: "Expression"


Expression = Number | Name | Character | Here | Variable | Unary | Binary
Argument = str | Expression  # a word, or the value of $[ ]


@dataclass(frozen=True)
class Invoke:
    """A dcmd with its words. `name` as the registry has it: without `::`, with `$` or `:` for those."""

    name: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class Assign:
    """`>name`; `modifier` is the letter of `>/i/name`."""

    modifier: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Quoted:
    """Text that a format list prints as it is."""

    text: str


Item = int | str | Quoted | Expression  # a count, a letter, text, or a computed count


@dataclass(frozen=True)
class Format:
    """A verb and its format list."""

    verb: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Write:
    verb: str
    letter: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Search:
    verb: str
    letter: str
    arguments: tuple[Argument, ...]


Command = Invoke | Assign | Format | Write | Search
Stage = Command | ShellText


@dataclass(frozen=True)
class Statement:
    """What one line, or a part up to `;`, says. Without stages it repeats the last command."""

    address: Expression | None = None
    count: Expression | None = None
    stages: tuple[Stage, ...] = ()
    line: int = field(default=1, compare=False)
    blank: bool = field(default=False, compare=False)  # an empty line (not what a comment or `;` leaves)
