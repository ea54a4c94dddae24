"""x86 page tables: which modes there are, and how an address goes down one of them.

Pure functions: the caller says where tables lie. Levels count from 1, the last (Intel numbers the top of four 4).
Specified in: Intel SDM vol. 3, chapter 4.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from formats.frames import Vaddr
from formats.source import Buffer
from vmdebug.errors import NotCanonical, NotMapped, ReadFailed, ReservedEntry

PRESENT, WRITABLE, USER, LARGE = 1 << 0, 1 << 1, 1 << 2, 1 << 7
ACCESSED, DIRTY, GLOBAL = 1 << 5, 1 << 6, 1 << 8
NX = 1 << 63
CR0_PG, CR4_PAE, CR4_LA57, EFER_LMA = 1 << 31, 1 << 5, 1 << 12, 1 << 10
FRAME = 0x000F_FFFF_FFFF_F000  # bits 51:12, SDM vol. 3, 4.5

PAE_TOP = 3  # the level whose entries say nothing of rights: their bits are reserved

ENTRY8, ENTRY4 = struct.Struct("<Q"), struct.Struct("<I")


class Mode(NamedTuple):
    """A paging mode. `shifts` gives the lowest address bit of each level's index, the top level first.

    `large` names the levels at which bit 7 makes a large page, `bits` how many address bits are translated,
    `canonical` whether the bits above must repeat the highest.
    """

    name: str
    shifts: tuple[int, ...]
    widths: tuple[int, ...]
    entry: struct.Struct
    bits: int
    canonical: bool
    large: frozenset[int]

    @property
    def levels(self) -> int:
        return len(self.shifts)

    def holds(self, vaddr: int) -> bool:
        """True if the address can be translated at all."""
        if not self.canonical:
            return 0 <= vaddr >> self.bits == 0
        upper = vaddr >> (self.bits - 1)
        return upper in (0, (1 << (65 - self.bits)) - 1)


MODES: Mapping[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("2-level", (22, 12), (10, 10), ENTRY4, 32, False, frozenset({2})),
        Mode("PAE", (30, 21, 12), (2, 9, 9), ENTRY8, 32, False, frozenset({2})),
        Mode("4-level", (39, 30, 21, 12), (9, 9, 9, 9), ENTRY8, 48, True, frozenset({2, 3})),
        Mode("5-level", (48, 39, 30, 21, 12), (9, 9, 9, 9, 9), ENTRY8, 57, True, frozenset({2, 3})),
    )
}


class Step(NamedTuple):
    """One entry on the way down: its level, its address in the tables' own space, its value."""

    level: int
    entry_at: int
    entry: int


class Walk(NamedTuple):
    """Where a walk ended: the address in the tables' own space, and the size of the page around it."""

    address: int
    size: int
    steps: tuple[Step, ...]


Table = Callable[[int], tuple[Buffer, int]]  # address of a table -> the buffer that holds it, and where


def walk(mode: Mode, root: int, vaddr: Vaddr, table: Table) -> Walk:
    """Go down the tables from `root`; NotMapped, NotCanonical or ReservedEntry say where it cannot go on."""
    if not mode.holds(vaddr):
        raise NotCanonical(vaddr, mode.name)
    steps = []
    at = root
    for level, shift, width in zip(range(mode.levels, 0, -1), mode.shifts, mode.widths, strict=True):
        offset = ((vaddr >> shift) & ((1 << width) - 1)) * mode.entry.size
        buffer, start = table(at)
        (entry,) = mode.entry.unpack_from(buffer, start + offset)
        steps.append(Step(level, at + offset, entry))
        if not entry & PRESENT:
            raise NotMapped(vaddr, level, entry, at + offset)
        if level > 1 and entry & LARGE:
            if level not in mode.large:
                raise ReservedEntry(vaddr, level, entry)
            return Walk(large_frame(mode, entry, shift) | (vaddr & ((1 << shift) - 1)), 1 << shift, tuple(steps))
        at = entry & FRAME
    return Walk(at | (vaddr & 0xFFF), 1 << 12, tuple(steps))


def large_frame(mode: Mode, entry: int, shift: int) -> int:
    """The address of a large page. With 4-byte entries bits 20:13 are address bits 39:32 (PSE-36)."""
    if mode.entry is ENTRY4:
        return (entry & 0xFFC0_0000) | ((entry >> 13 & 0xFF) << 32)
    return entry & FRAME & ~((1 << shift) - 1)


class Span(NamedTuple):
    """A run of virtual addresses mapped with the same rights. `executable` and `writable` combine all levels."""

    start: int
    end: int
    writable: bool
    executable: bool

    @property
    def size(self) -> int:
        return self.end - self.start


def each_span(mode: Mode, root: int, start: int, end: int, table: Table) -> Iterator[Span]:
    """The mapped runs between two canonical addresses of one half, rising.

    A table that is not in the image maps nothing. The work is bounded by the entries that the range has, so ask for no
    more than the guest can mean.
    """
    held: Part | None = None
    for part in _parts(mode, 0, root, (start, end, True, True), table):
        if held and held[1] == part[0] and held[2:] == part[2:]:
            held = held[0], *part[1:]
            continue
        if held:
            yield Span(*held)
        held = part
    if held:
        yield Span(*held)


Part = tuple[int, int, bool, bool]  # start, end, writable, executable


def _parts(mode: Mode, depth: int, at: int, above: Part, table: Table) -> Iterator[Part]:
    """The mapped parts of the range `above` under one table."""
    start, end, may_write, may_run = above
    shift, mask, level = mode.shifts[depth], (1 << mode.widths[depth]) - 1, mode.levels - depth
    try:
        buffer, place = table(at)
    except ReadFailed:
        return
    first, last = start >> shift & mask, (end - 1) >> shift & mask
    code = "Q" if mode.entry is ENTRY8 else "I"
    entries = struct.unpack_from(f"<{last - first + 1}{code}", buffer, place + first * mode.entry.size)
    low = start >> shift << shift
    rightless = level == PAE_TOP and not mode.canonical
    for entry in entries:
        high = low + (1 << shift)
        if entry & PRESENT:
            writable = rightless or entry & WRITABLE != 0
            part = max(low, start), min(high, end), may_write and writable, may_run and entry < NX
            if level == 1 or (entry & LARGE and level in mode.large):
                yield part
            elif not entry & LARGE:
                yield from _parts(mode, depth + 1, entry & FRAME, part, table)
        low = high
