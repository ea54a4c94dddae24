"""How a dcmd or walker is written down, and the registry that holds them.

A dcmd is a generator of rows. A row is a frozen dataclass: its fields are the keys of its JSON, its **first field
goes down a pipe**, and `text` says how a person reads it. The docstring is the help: its first line describes the
dcmd in lists, the rest is the text of `::help`. A walker is a generator of addresses.

    @dcmd("vtop", address="required", text=Text("virtual {vaddr:x} mapped to physical {paddr:x}"))
    def vtop(call: Call) -> Iterator[Translation]: ...

    @walker("proc")
    def proc(call: Call) -> Iterator[Vaddr]: ...

The docstring of a row's class says in lines `key: meaning` what its columns are. A module with `BUILT_IN = True` holds
dcmds of the language itself.

The session calls a dcmd once for each address of the stage before it (`call.addresses` has that one, or is empty when
no address was given); one that is `whole` gets them all at once. An error that it raises ends that call, not the list.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, Literal, NewType, Protocol, TypeVar

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, UsageError

if TYPE_CHECKING:
    from vmdebug.guests.base import Guest
    from vmdebug.targets.target import Target

Hex = NewType("Hex", int)  # a number that is shown in hex, also in JSON: a register, a word of memory, a mask
Row = Any  # a frozen dataclass; each dcmd has its own
Address = Literal["none", "optional", "required"]


class NotMine(DebuggerError):
    """Raised by a dcmd before its first row: an earlier definition of its name is to answer (mdb's NEXT)."""

    def __init__(self) -> None:
        super().__init__("no other definition of the command takes the call")


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
        """The text goes to a terminal, which may be given colours and bold."""
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


@dataclass
class Call:
    """One invocation of a dcmd or walker.

    `address` is the address given to this call, or None; `args` are the words behind the flags (an int where the user
    wrote `$[...]`); `count` is the repeat count as typed (the session repeats by itself unless the dcmd `repeats`).
    """

    session: "Sitting"
    dcmd: Dcmd | Walker
    address: int | None = None
    addresses: Sequence[int] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)
    args: Sequence[str | int] = ()
    count: int | None = None
    piped: bool = False  # the rows go into another stage
    kept: bool = False  # that takes them whole, not only their addresses
    from_pipe: bool = False  # the address came from another stage
    upstream: Iterator[Row] = field(default_factory=lambda: iter(()))  # for a `stream` dcmd, the rows before it
    origin: Dcmd | None = None  # for a `stream` dcmd, what made those rows; None behind a shell command
    text: Text | Lines | None = None  # set before the first row: how this call's rows are printed
    first: bool = True  # of the calls that a count or a pipe makes
    left: tuple[int, int] | None = field(default=None, init=False)  # what leave_dot() was told
    bound: dict[str, int] = field(default_factory=dict, init=False)  # what bind() was told

    @property
    def target(self) -> "Target":
        """The image's address spaces; NoTarget where there is none."""
        return self.session.target

    @property
    def guest(self) -> "Guest":
        """What is known of the kernel in the image; NoTarget where there is none."""
        return self.session.guest

    def addresses_in(self, rows: Iterable[Row]) -> Iterator[int]:
        """The addresses that rows pass on: of each its first field."""
        return self.session.addresses_in(rows)

    def warn(self, text: str) -> None:
        """Report what could not be done, and go on."""
        self.session.warn(text)

    def leave_dot(self, dot: int, increment: int = 0) -> None:
        """Set dot for what comes next, and how far `+` and a repeat count go from it."""
        self.left = dot, increment
        self.session.leave_dot(dot, increment)

    def bind(self, name: str, value: int) -> None:
        """Set a variable that goes in step with the rows: later stages see the value that their row came with."""
        self.session.bind(name, value)
        self.bound[name] = value

    def usage(self, text: str = "") -> UsageError:
        """The error for a wrong call: `raise call.usage("...")`."""
        return UsageError(text)

    def number(self, word: str | int) -> int:
        """A word as an expression in the current radix."""
        return word if isinstance(word, int) else self.session.evaluate(word)

    def walk(self, name: str, start: int | None = None) -> Iterator[int]:
        """The addresses that a walker gives."""
        return self.session.walk(name, start)


class Sitting(Protocol):
    """What a dcmd may ask of its session."""

    radix: int
    dot: int

    @property
    def show(self) -> Show: ...
    @property
    def registry(self) -> "Registry": ...
    @property
    def word(self) -> int:
        """The size of a pointer."""
        ...

    @property
    def rows_only(self) -> bool:
        """The rows are wanted, not their text."""
        ...

    @property
    def target(self) -> "Target": ...
    @property
    def guest(self) -> "Guest": ...
    def warn(self, text: str) -> None: ...
    def leave_dot(self, dot: int, increment: int = 0) -> None: ...
    def bind(self, name: str, value: int) -> None: ...
    def addresses_in(self, rows: Iterable[Row]) -> Iterator[int]: ...
    def evaluate(self, text: str) -> int: ...
    def walk(self, name: str, start: int | None = None) -> Iterator[int]: ...


Entry = TypeVar("Entry", Dcmd, Walker)


class Loads(Protocol):
    """Imports modules of dcmds when they are needed."""

    def need(self, name: str) -> None:
        """Import what defines the name."""
        ...

    def all(self) -> None:
        """Import everything."""
        ...


class Registry:
    """Dcmds and walkers by name. Of several with one name, the last whose guests fit wins.

    A `loader` is asked for each name before it is looked up, and for all before they are listed.
    """

    loader: Loads | None = None

    def __init__(self) -> None:
        self._dcmds: dict[str, list[Dcmd]] = {}
        self._walkers: dict[str, list[Walker]] = {}

    def add(self, entry: Dcmd | Walker) -> None:
        if isinstance(entry, Dcmd):
            self._dcmds.setdefault(entry.name, []).append(entry)
        else:
            self._walkers.setdefault(entry.name, []).append(entry)

    def dcmd(self, name: str, guest: str | None = None) -> Dcmd | None:
        """The dcmd of that name for that kind of guest (or `module`name` scoped)."""
        self._need(name)
        return _pick(self._dcmds, name, guest)

    def walker(self, name: str, guest: str | None = None) -> Walker | None:
        self._need(name)
        return _pick(self._walkers, name, guest)

    def dcmds(self, guest: str | None = None) -> list[Dcmd]:
        """Every dcmd that fits the guest, by name."""
        self._need_all()
        found = (self.dcmd(name, guest) for name in sorted(self._dcmds))
        return [entry for entry in found if entry]

    def walkers(self, guest: str | None = None) -> list[Walker]:
        self._need_all()
        found = (self.walker(name, guest) for name in sorted(self._walkers))
        return [entry for entry in found if entry]

    def definitions(self, name: str) -> list[Dcmd | Walker]:
        """All that bear the name, the one that wins last."""
        self._need(name)
        return [*self._walkers.get(name, []), *self._dcmds.get(name, [])]

    def before(self, entry: Dcmd, guest: str | None = None) -> Dcmd | None:
        """The definition of the same name that this one hides from that kind of guest."""
        held = self._dcmds.get(entry.name, [])
        earlier = held[: held.index(entry)] if entry in held else []
        return next((each for each in reversed(earlier) if each.guests is None or guest in each.guests), None)

    def remove(self, module: str) -> bool:
        """Take away what a module defined; False if it defined nothing that can be taken away."""
        dcmds, walkers = _without(self._dcmds, module), _without(self._walkers, module)
        return dcmds or walkers

    def _need(self, name: str) -> None:
        """Have the modules of a name imported; all of them where none says that it defines the name."""
        bare = name.rpartition("`")[2]
        if self.loader is not None:
            self.loader.need(bare)
            if bare not in self._dcmds and bare not in self._walkers:
                self.loader.all()

    def _need_all(self) -> None:
        if self.loader is not None:
            self.loader.all()


def _without(table: Mapping[str, list[Entry]], module: str) -> bool:
    found = False
    for entries in table.values():
        kept = [each for each in entries if each.module != module or (isinstance(each, Dcmd) and each.built_in)]
        found = found or len(kept) < len(entries)
        entries[:] = kept
    return found


def _pick(table: Mapping[str, list[Entry]], name: str, guest: str | None) -> Entry | None:
    """The last definition that fits; one that names the guest's kind goes before one for all."""
    module, _, bare = name.rpartition("`")
    found = [entry for entry in reversed(table.get(bare, [])) if not module or entry.module == module]
    for fits in (lambda entry: guest in (entry.guests or ()), lambda entry: entry.guests is None):
        if entry := next(filter(fits, found), None):
            return entry
    return None


COLUMN = re.compile(r"^(\w+): (.+(?:\n +.+)*)$", re.MULTILINE)
REGISTRY = Registry()  # filled when dcmd modules are imported


def dcmd(
    name: str | Sequence[str],
    *,
    address: Address = "none",
    synopsis: str = "",
    text: Text | Lines | None = None,
    flags: Sequence[Flag] = (),
    row: type | None = None,
    guests: Sequence[str] | None = None,
    whole: bool = False,
    raw: bool = False,
    repeats: bool = False,
    stream: bool = False,
    passes: bool = False,
    registry: Registry = REGISTRY,
) -> Callable[[Callable[[Call], Iterator[Row] | None]], Callable[[Call], Iterator[Row] | None]]:
    """Register the function as a dcmd of that name; several names are several ways to call it.

    Without a synopsis one is made of the flags. `guests` limits it to kinds of guest. How it is called:

    whole      once, with all addresses
    stream     once, with the rows of the stage before in `call.upstream`, as they come; it may stop asking
    passes     with that, and gives of those rows: they are printed, and named in JSON, as by the dcmd that made them
    repeats    it obeys `call.count` by itself
    raw        it reads its words by itself, too
    """

    def register(run: Callable[[Call], Iterator[Row] | None]) -> Callable[[Call], Iterator[Row] | None]:
        summary, _, rest = inspect.cleandoc(run.__doc__ or "").partition("\n")
        words = synopsis or _synopsis(flags)
        module = run.__module__.rpartition(".")[2]
        for each in [name] if isinstance(name, str) else name:
            entry = Dcmd(
                each,
                run,
                address,
                words,
                text,
                flags,
                row,
                summary.rstrip("."),
                rest.strip(),
                module,
                guests,
                whole,
                raw,
                repeats or raw,
                stream,
                bool(run.__globals__.get("BUILT_IN")),
                passes,
            )
            registry.add(entry)
        return run

    return register


def columns(row: type) -> Iterator[tuple[str, str]]:
    """The keys of a row's JSON, each with what its docstring says of it in a line `key: meaning`."""
    told = dict(COLUMN.findall(inspect.cleandoc(row.__doc__ or "")))
    for each in fields(row):
        if not each.name.startswith("_"):
            yield each.name.lower(), told.get(each.name, "")


def walker(
    name: str,
    *,
    start: Address = "none",
    guests: Sequence[str] | None = None,
    registry: Registry = REGISTRY,
) -> Callable[[Callable[[Call], Iterator[int]]], Callable[[Call], Iterator[int]]]:
    """Register the function as a walker of that name."""

    def register(run: Callable[[Call], Iterator[int]]) -> Callable[[Call], Iterator[int]]:
        summary = inspect.cleandoc(run.__doc__ or "").partition("\n")[0].rstrip(".")
        registry.add(Walker(name, run, start, summary, run.__module__.rpartition(".")[2], guests))
        return run

    return register


def _synopsis(flags: Sequence[Flag]) -> str:
    plain = "".join(flag.letter for flag in flags if flag.value == "none")
    valued = [f"[-{flag.letter} {flag.name or flag.value}]" for flag in flags if flag.value != "none"]
    return " ".join(([f"[-{plain}]"] if plain else []) + valued)
