"""How a dcmd or walker is written down, and what it gets when it is called.

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from formats.lazy import dataclass
from vmdebug.entries import Address, Dcmd, Flag, Hex, Lines, Row, Show, Text, Walker, columns
from vmdebug.errors import DebuggerError, UsageError
from vmdebug.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from vmdebug.guests.base import Guest
    from vmdebug.targets.target import Target
    from vmdebug.unwind.frames import Frame

__all__ = [
    "REGISTRY",
    "Address",
    "Call",
    "Dcmd",
    "Flag",
    "Hex",
    "Lines",
    "NotMine",
    "Registry",
    "Row",
    "Show",
    "Sitting",
    "Text",
    "Walker",
    "columns",
    "dcmd",
    "walker",
]


class NotMine(DebuggerError):
    """Raised by a dcmd before its first row: an earlier definition of its name is to answer (mdb's NEXT)."""

    def __init__(self) -> None:
        super().__init__("no other definition of the command takes the call")


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
    def registry(self) -> Registry: ...
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
    @property
    def process(self) -> int:
        """The process that commands look into, by its address or pid; 0 for the kernel."""
        ...

    @property
    def registers(self) -> Mapping[str, int]:
        """The representative registers of what commands look into."""
        ...

    def unwind(self, registers: Mapping[str, int], arguments: bool = True) -> "Iterator[Frame]":
        """The calls from some registers on, in what commands look into."""
        ...

    def enter(self, process: int) -> None:
        """Look into a process from now on, by its pid or the address of its structure; 0 is the kernel again."""
        ...

    def warn(self, text: str) -> None: ...
    def leave_dot(self, dot: int, increment: int = 0) -> None: ...
    def bind(self, name: str, value: int) -> None: ...
    def addresses_in(self, rows: Iterable[Row]) -> Iterator[int]: ...
    def evaluate(self, text: str) -> int: ...
    def walk(self, name: str, start: int | None = None) -> Iterator[int]: ...


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
