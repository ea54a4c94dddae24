"""What every kind of guest answers, whatever runs in it.

The kinds: illumos, linux, xen, unknown. A dcmd that knows one kind names it in `guests=` and takes the guest as that
kind's class; the rest use what stands here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from formats.image import Fact
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.symbols.table import SymbolTable
from vmdebug.targets.spaces import AddressSpace
from vmdebug.types.source import TypeSource
from vmdebug.unwind.frames import Frame


@dataclass(frozen=True)
class Status:
    """What `::status` shows of a guest. None is unknown; `extra` are further lines, a label and a text each."""

    nodename: str | None = None
    release: str | None = None
    version: str | None = None
    machine: str | None = None
    extra: Sequence[tuple[str, str]] = ()


class Guest(Protocol):
    """A kernel found in an image."""

    kind: str

    @property
    def symbols(self) -> SymbolTable:
        """The kernel's names; an empty table says in `why` why there are none."""
        ...

    @property
    def types(self) -> TypeSource:
        """The kernel's types; an empty source says in `why` why there are none."""
        ...

    @property
    def evidence(self) -> Sequence[Fact]:
        """What was found in memory, and what each piece rests on."""
        ...

    @property
    def modules(self) -> Sequence[str]:
        """The names of the kernel's modules, in load order."""
        ...

    def status(self) -> Status:
        """Who the guest is, as far as its memory says."""
        ...

    def cpu_id(self, cpu: int) -> int:
        """The number of the vcpu whose cpu structure lies at an address; DebuggerError if none does."""
        ...

    @property
    def registers(self) -> Mapping[str, int]:
        """The representative registers: those of a panic where the guest recorded one, else those of vcpu 0."""
        ...

    def frames(self, registers: Mapping[str, int], arguments: bool = True) -> Iterator[Frame]:
        """The calls from a point on, the innermost first. Without rip the point's own function is left out.

        Without `arguments` none are recovered.
        """
        ...

    def cautions(self) -> Sequence[str]:
        """What a user should know before believing answers, shown as warnings when the image is opened."""
        ...

    def banner(self) -> Sequence[str]:
        """Lines for the start of an interactive session."""
        ...


@runtime_checkable
class WithProcesses(Protocol):
    """A guest whose processes are known. A process is meant by its pid or the address of its structure."""

    def space_of_process(self, pid: int) -> AddressSpace:
        """The address space of a process; DebuggerError if there is no such process, or it has none."""
        ...

    def user_registers(self, pid: int) -> Mapping[str, int]:
        """What its first thread had in its registers when it last left user mode; empty where that is not known."""
        ...


@runtime_checkable
class WithLandmarks(Protocol):
    """A guest that gives values to the language's own variables: b d e m t thread."""

    def landmarks(self) -> Mapping[str, int]:
        """Base and size of the data (b, d), entry point (e), first word of the ELF header (m), size of the text (t),
        and the thread that panicked; what is not known is left out."""
        ...


@runtime_checkable
class WithSpaces(Protocol):
    """A guest whose address spaces are known by its own structures of them."""

    def space_at(self, address: int) -> AddressSpace:
        """The address space whose structure lies at an address; DebuggerError if none does."""
        ...


class NoSpaces(DebuggerError):
    def __init__(self, kind: str) -> None:
        super().__init__(f"address spaces are not known by their structures in a guest of kind {kind}")


def with_spaces(guest: Guest) -> WithSpaces:
    """The guest as one that knows its address spaces by their structures; NoSpaces if it does not."""
    if not isinstance(guest, WithSpaces):
        raise NoSpaces(guest.kind)
    return guest


@runtime_checkable
class WithWalks(Protocol):
    """A guest some of whose lists can be walked by the names that its kernel gave them."""

    def walks(self) -> Mapping[str, Callable[[], Iterator[int]]]:
        """By its name, what walks each of those lists, as far as they can be found."""
        ...


class NoProcesses(DebuggerError):
    def __init__(self, kind: str) -> None:
        super().__init__(f"the page tables of processes are not known in a guest of kind {kind}")


def with_processes(guest: Guest) -> WithProcesses:
    """The guest as one that knows its processes; NoProcesses if it does not."""
    if not isinstance(guest, WithProcesses):
        raise NoProcesses(guest.kind)
    return guest
