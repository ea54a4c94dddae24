"""Does a file without a header look like the memory of an x86 machine?

Two things are looked for. A PC's firmware leaves its interrupt vectors at address 0, most of them into the ROM, and the
size of base memory at 0x413. An operating system leaves page tables: a table whose every entry is empty or leads to
memory inside the file, then a second, third and fourth one like it below, down to a page. Neither occurs by chance in
other files. The first MiB is searched whole (the tables with which processors are started lie there), the rest, up to
a bound, for tables that map the top of the address space, where kernels live.

Hypervisors leave a hole for devices below 4 GiB, and some files leave it out: then what lies at the hole's start in
the file belongs to 4 GiB, and only page tables read that way lead anywhere.
Specified in: Intel SDM vol. 3, 4.5 and 20.1.4; the BIOS data area of the PC AT. Holes: MMIO_MEM_START of Firecracker's
arch/x86_64/layout.rs, MEM_32BIT_RESERVED_START of Cloud Hypervisor's arch/src/x86_64/layout.rs, pc_init1 and
pc_q35_init of QEMU, HVM_BELOW_4G_MMIO_START of Xen.
"""

import struct
from collections.abc import Iterator, Sequence

from formats.frames import PAGE_SHIFT, PAGE_SIZE
from formats.lazy import dataclass
from formats.source import Source

VECTORS = struct.Struct("<512H")  # offset and segment of each
ROM_SEGMENT = 0xC000
ENOUGH_VECTORS = 128
BASE_MEMORY_AT = 0x413
BASE_MEMORY = range(512, 641)  # KiB

ENTRIES8, ENTRIES4 = struct.Struct("<512Q"), struct.Struct("<1024I")
LOW_MEMORY = 1 << 20
SEARCHED = 256 << 20
MAX_CANDIDATES = 4096
MAX_TRIED = 16  # entries of one table that are followed down
MAX_TABLES = 1 << 13  # pages looked at as tables before the search ends, as it would in no real memory

PRESENT, WRITABLE, ACCESSED, LARGE = 1, 2, 1 << 5, 1 << 7
FRAME = 0x000F_FFFF_FFFF_F000
MMIO_MOST = 2 << 30  # devices that tables may map above memory

FOUR_GIB = 1 << 32
HOLES = {
    0x8000_0000: "QEMU q35",
    0xB000_0000: "QEMU q35",
    0xC000_0000: "QEMU pc, Cloud Hypervisor",
    0xD000_0000: "Firecracker",
    0xE000_0000: "QEMU pc",
    0xF000_0000: "Xen HVM",
}


@dataclass(frozen=True)
class Mode:
    """A kind of page table: its entries, the flags of one that leads to another table, how many tables deep."""

    name: str
    entries: struct.Struct
    frame: int
    reserved: int  # bits that no entry has
    depth: int


LONG = Mode("4-level", ENTRIES8, FRAME, 0x7FF << 52, 4)
PAE = Mode("PAE", ENTRIES8, FRAME, 0x7FF << 52, 2)
PLAIN = Mode("2-level", ENTRIES4, 0xFFFF_F000, 0, 2)


@dataclass(frozen=True)
class Evidence:
    """Why the file is taken for memory. `root` is the address of a top page table where one was found."""

    text: str
    mode: Mode | None = None
    root: int | None = None


def find_evidence(source: Source) -> Evidence | None:
    """The first thing that shows the file to be memory; None if there is nothing."""
    roots = (root for hole in holes_of(source) for root in each_root(Tables(source, hole)))
    tables, vectors = next(roots, None), _vectors(source)
    if tables:
        also = f", {vectors}" if vectors else ""
        return Evidence(f"{tables.text}{also}", tables.mode, tables.root)
    return Evidence(vectors) if vectors else None


def _vectors(source: Source) -> str:
    head = source.peek(0, BASE_MEMORY_AT + 2)
    if len(head) < BASE_MEMORY_AT + 2:
        return ""
    count = sum(segment >= ROM_SEGMENT for segment in VECTORS.unpack_from(head)[1::2])
    base = int.from_bytes(head[BASE_MEMORY_AT:], "little")
    if count < ENOUGH_VECTORS or base not in BASE_MEMORY:
        return ""
    return f"{count} interrupt vectors into the ROM at 0, {base} KiB of base memory at {BASE_MEMORY_AT:#x}"


def holes_of(source: Source) -> Sequence[int | None]:
    """Where a hole below 4 GiB may begin that the file leaves out; None for no hole."""
    return [None, *(start for start in HOLES if start < source.size)]


def each_root(tables: "Tables") -> Iterator[Evidence]:
    """Every top page table that was found, those of the widest mode in low memory first."""
    for mode in (LONG, PAE, PLAIN):
        for paddr in range(0, min(LOW_MEMORY, tables.source.size), PAGE_SIZE):
            if tables.is_root(mode, paddr):
                yield Evidence(f"{mode.name} page tables from {paddr:#x} on", mode, paddr)
    for paddr in tables.each_kernel_root():
        if tables.is_root(LONG, paddr):
            yield Evidence(f"{LONG.name} page tables from {paddr:#x} on", LONG, paddr)


class Tables:
    """Page tables in a file whose bytes begin at address 0, and go on at 4 GiB from `hole` on."""

    def __init__(self, source: Source, hole: int | None = None) -> None:
        self.source = source
        self.hole = hole
        self.end = source.size if hole is None else source.size - hole + FOUR_GIB
        self._looked = 0
        self._dead: set[tuple[str, int, int]] = set()

    def is_root(self, mode: Mode, paddr: int) -> bool:
        """True if the page is a table, and one of its entries leads down through tables to a page."""
        return self._leads_down(mode, paddr, mode.depth, (paddr,))

    def holds(self, paddr: int) -> bool:
        """True if the file has the byte at that address."""
        return self._offset(paddr) is not None

    def entries(self, mode: Mode, paddr: int, depth: int) -> list[int] | None:
        """What a table `depth` levels above the pages holds, without empty entries; None if it cannot be a table."""
        offset = self._offset(paddr)
        page = b"" if offset is None else self.source.peek(offset, PAGE_SIZE)
        if len(page) < PAGE_SIZE:
            return None
        self._looked += 1
        found = []
        need = PRESENT | ACCESSED | (WRITABLE if depth > 1 else 0)
        never = mode.reserved | (LARGE if depth == LONG.depth else 0)
        for entry in mode.entries.unpack(page):
            if not entry:
                continue
            if entry & need != need or entry & never or entry & mode.frame >= self.end + MMIO_MOST:
                return None
            found.append(entry)
        return list(dict.fromkeys(found))

    def each_kernel_root(self) -> Iterator[int]:
        """Pages whose last entry could lead to a table of the kernel's own addresses."""
        import numpy as np

        pages = min(self.source.size, SEARCHED) >> PAGE_SHIFT
        table = np.frombuffer(self.source.view(0, pages << PAGE_SHIFT), dtype="<u8").reshape(pages, 512)
        last = table[:, 511]
        wanted = np.uint64(PRESENT | WRITABLE | ACCESSED)
        plain = (last & np.uint64(PRESENT | WRITABLE | ACCESSED | LARGE | LONG.reserved)) == wanted
        inside = (last & np.uint64(FRAME)) < np.uint64(self.end)
        for page in np.flatnonzero(plain & inside)[:MAX_CANDIDATES].tolist():
            yield page << PAGE_SHIFT

    def _leads_down(self, mode: Mode, paddr: int, depth: int, seen: tuple[int, ...]) -> bool:
        if (mode.name, paddr, depth) in self._dead or self._looked >= MAX_TABLES:
            return False
        below = self.entries(mode, paddr, depth) or []
        if depth == 1:
            return any(self.holds(entry & mode.frame) and entry & mode.frame not in seen for entry in below)
        for entry in below[-MAX_TRIED:]:
            target = entry & mode.frame
            if depth < mode.depth and entry & LARGE:
                if self.holds(target):
                    return True
            elif target not in seen and self._leads_down(mode, target, depth - 1, (*seen, target)):
                return True
        self._dead.add((mode.name, paddr, depth))
        return False

    def _offset(self, paddr: int) -> int | None:
        if self.hole is None or paddr < self.hole:
            return paddr if paddr < self.source.size else None
        offset = paddr - FOUR_GIB + self.hole
        return offset if self.hole <= offset < self.source.size else None
