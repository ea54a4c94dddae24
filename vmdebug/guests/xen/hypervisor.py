"""A Xen hypervisor that an image's page tables map. What its memory does not name, the user's file does.

Specified in: xen/include/asm-x86/config.h, where the hypervisor's image is mapped.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SIZE
from formats.image import Fact
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.base import Status
from vmdebug.guests.filetypes import caution_of, fact_of, shift_of, types_of
from vmdebug.guests.xen.domains import Hypervisor
from vmdebug.symbols.file import MovedPart, SymbolFile, build_id
from vmdebug.symbols.table import SymbolTable
from vmdebug.targets.target import Target
from vmdebug.types.source import EmptyTypes, TypeSource
from vmdebug.unwind.frames import Frame, each_frame

if TYPE_CHECKING:
    from vmdebug.types.typed import Objects

STARTS = (0xFFFF_82D0_4000_0000, 0xFFFF_82D0_8000_0000)  # XEN_VIRT_START since 4.10, and before
AREA = 1 << 30
ALIGNMENT = 1 << 21  # of where the image lies in machine memory
HEADER = struct.Struct("<III")  # magic, flags, checksum: the three add up to 0
HEADER_MAGIC = 0x1BAD_B002  # of a multiboot kernel, within its first page in Xen's case
MAX_NOTES = 4096
UNNAMED = "the hypervisor's names and types are in the file xen-syms of its build (--symbols FILE)"


class NotXen(DebuggerError):
    def __init__(self, found: str) -> None:
        super().__init__(f"not Xen: {found}")


class NoCpuStructures(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x}: the hypervisor's cpu structures are not known")


def find_image(target: Target) -> int:
    """Where the hypervisor's image begins; NotXen if vcpu 0's page tables map none."""
    for start in STARTS:
        try:
            span = next(target.kernel.each_span(start, start + AREA), None)
        except DebuggerError as err:
            raise NotXen(str(err)) from err
        if span and _is_image(target, span.start, start):
            return span.start
    raise NotXen(f"no multiboot image is mapped at {' or '.join(f'{start:#x}' for start in STARTS)}")


def _is_image(target: Target, text: int, start: int) -> bool:
    """True if a multiboot kernel begins there, as far into machine memory as into its area but for whole 2 MiB."""
    try:
        page, place = target.read(text, PAGE_SIZE), target.translate(text).paddr
    except ReadFailed:
        return False
    magic = struct.pack("<I", HEADER_MAGIC)
    at = page.find(magic)
    while 0 <= at <= PAGE_SIZE - HEADER.size:
        if at % 4 == 0 and sum(HEADER.unpack_from(page, at)) & 0xFFFF_FFFF == 0:
            return (place - (text - start)) % ALIGNMENT == 0
        at = page.find(magic, at + 1)
    return False


class Xen:
    """A hypervisor; `text` is where its image begins."""

    kind = "xen"
    modules: Sequence[str] = ()

    def __init__(self, target: Target, text: int) -> None:
        self.target = target
        self.text = text
        self.names: SymbolFile | None = None
        self.symbols = SymbolTable(why=UNNAMED)
        self.types: TypeSource = EmptyTypes(UNNAMED)

    def take(self, names: SymbolFile) -> None:
        """Have the symbols and types of the user's file."""
        self.names, names.taken = names, True
        if names.has_symbols:
            self.symbols = SymbolTable(main=MovedPart(names.part, shift_of(names, self.text)))
        self.types = types_of(names, pointer=self.target.word, shift=shift_of(names, self.text), variables={})

    @cached_property
    def build_id(self) -> bytes:
        """What names the hypervisor's build, out of its memory; empty where that is not known."""
        start = self.symbols.find("__note_gnu_build_id_start")
        stop = self.symbols.find("__note_gnu_build_id_end")
        if start is None or stop is None or not 0 < stop.value - start.value <= MAX_NOTES:
            return b""
        try:
            return build_id(self.target.read(start.value, stop.value - start.value))
        except ReadFailed:
            return b""

    @cached_property
    def objects(self) -> "Objects":
        """Its structures, by the names of their types."""
        from vmdebug.types.typed import Objects

        return Objects(self.types, self.target.read)

    def hypervisor(self) -> Hypervisor:
        """Its names and structures, by which domains are read."""
        return Hypervisor(self.symbols, self.objects)

    @property
    def physical(self) -> int:
        """The machine address of the area that the image is mapped in: xen_phys_start."""
        return self.target.translate(self.text).paddr - self.text % AREA

    @property
    def evidence(self) -> Sequence[Fact]:
        found = f"a multiboot image at {self.text:#x}, in machine memory from {self.physical:#x} on"
        facts = [Fact("guest", "xen", found)]
        if self.names is None:
            return [*facts, Fact("symbols", "none", UNNAMED)]
        if self.names.has_symbols:
            facts.append(Fact("symbols", str(len(self.names.part.all)), str(self.names.path)))
        return [*facts, fact_of(self.names, self.build_id)]

    @property
    def registers(self) -> Mapping[str, int]:
        return self.target.registers

    def status(self) -> Status:
        image = f"Xen hypervisor at {self.text:#x}, in machine memory from {self.physical:#x} on"
        return Status(extra=[("operating system", image)])

    def cpu_id(self, cpu: int) -> int:
        raise NoCpuStructures(cpu)

    def frames(self, registers: Mapping[str, int], arguments: bool = True) -> Iterator[Frame]:
        """The chain of frame pointers, as far as the hypervisor was built to keep one."""
        start = registers.get("rbp", 0), registers.get("rip", 0)
        return each_frame(self.target.read, *start, word=self.target.word)

    def cautions(self) -> Sequence[str]:
        return caution_of(self.names, self.build_id) if self.names else []

    def banner(self) -> Sequence[str]:
        return []
