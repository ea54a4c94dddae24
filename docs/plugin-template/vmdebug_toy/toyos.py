"""The toy kernel: a page at 0x1000 that says who it is, and a list of tasks.

    page    magic "TOYOS", the release, the address of the first task
    task    the address of the next one (0 in the last), its id, its name

Strings end in zero bytes, words have 64 bits.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence

from formats.image import Fact
from vmdebug.errors import DebuggerError
from vmdebug.guests.base import Status
from vmdebug.guests.memory import decode, each_link, read_word
from vmdebug.symbols.table import Part, Symbol, SymbolTable
from vmdebug.targets.target import Target
from vmdebug.types.source import EmptyTypes
from vmdebug.unwind.frames import Frame, each_frame

KIND = "toy"  # what dcmds name in guests=
PLACE, MAGIC = 0x1000, b"TOYOS\0\0\0"
PAGE = struct.Struct("<8s16sQ")
TASK = struct.Struct("<QQ16s")
MAX_TASKS = 1 << 16


class NoToy(DebuggerError):
    """What was looked for, where, and what was found: one of the reasons why a guest is not recognised."""

    def __init__(self, found: bytes) -> None:
        super().__init__(f"no toy kernel: {MAGIC.hex(' ')} is wanted at {PLACE:#x}, found {found.hex(' ')}")


class NoCpus(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x}: the toy kernel has no cpu structures")


def find(target: Target) -> "Toy":
    """The toy kernel in an image; NoToy or ReadFailed if there is none."""
    magic, release, first = PAGE.unpack(target.read(PLACE, PAGE.size))
    if magic != MAGIC:
        raise NoToy(magic)
    return Toy(target, decode(release), first)


class Toy:
    """What the debugger asks of a kernel (vmdebug.guests.base.Guest), and what this plug-in's own dcmds ask."""

    kind = KIND
    modules: Sequence[str] = ()

    def __init__(self, target: Target, release: str, first: int) -> None:
        self.target = target
        self.release = release
        self.first = first
        self.symbols = SymbolTable(main=Part("", [Symbol("toy_page", PLACE, PAGE.size, "OBJT")], complete=True))
        self.types = EmptyTypes("the toy kernel carries no types")

    def each_task(self) -> Iterator[int]:
        """The addresses of the tasks; BrokenList where the list has no end."""
        return each_link(lambda task: read_word(self.target.read, task), self.first, MAX_TASKS)

    def task(self, address: int) -> tuple[int, str]:
        """A task's id and name."""
        _, number, name = TASK.unpack(self.target.read(address, TASK.size))
        return number, decode(name)

    @property
    def evidence(self) -> Sequence[Fact]:
        return [Fact("guest", self.kind, f"its magic at {PLACE:#x}")]

    @property
    def registers(self) -> Mapping[str, int]:
        return self.target.registers

    def status(self) -> Status:
        return Status(release="toy", version=self.release, machine="toy")

    def cpu_id(self, cpu: int) -> int:
        raise NoCpus(cpu)

    def frames(self, registers: Mapping[str, int], arguments: bool = True) -> Iterator[Frame]:
        """The chain of frame pointers."""
        return each_frame(self.target.read, registers.get("rbp", 0), registers.get("rip", 0))

    def cautions(self) -> Sequence[str]:
        return []

    def banner(self) -> Sequence[str]:
        return [f"toy kernel {self.release}"]
