"""A hat: what the kernel keeps of the page tables of one address space.

In it a hash of htables, one for each table: which addresses it maps, at which level, and in which frame it lies.
Specified in: i86pc/vm/htable.h, i86pc/vm/hat_i86.h, i86pc/vm/hat_pte.h of illumos.
"""

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, Gfn, Pfn, Vaddr
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.frames import FrameMap
from vmdebug.guests.memory import each_link
from vmdebug.paging import FRAME, LARGE, PRESENT
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

IN_HAT = 0x01  # HTABLE_VLP: the entries are kept in the hat itself
MAX_LEVELS, MAX_SHIFT = 8, 63
MAX_BUCKETS = 1 << 20
MAX_CHAIN = 1 << 16
MAX_HATS = 1 << 18
MAX_ENTRIES = 1 << 10
WORD = 8
CANONICAL = 1 << 47


class BadHtable(DebuggerError):
    def __init__(self, address: int, level: int) -> None:
        super().__init__(f"htable {address:x} says that it is of level {level}, which the processor does not have")


@dataclass(frozen=True)
class Htable:
    """The kernel's record of a page table: its level, 0 for the last one, the first address that it maps, its frame."""

    address: int
    level: int
    vaddr: Vaddr
    pfn: Pfn
    in_hat: bool


class Hat:
    """The page tables of one hat."""

    def __init__(self, guest: "Illumos", address: int) -> None:
        self.guest = guest
        self.address = address
        self.frames = FrameMap(guest)
        self.failed: DebuggerError | None = None  # why a chain of the hash could not be followed to its end

    @cached_property
    def tables(self) -> dict[tuple[int, int], Htable]:
        """The htable of each level and first address, as far as the hash can be followed."""
        found: dict[tuple[int, int], Htable] = {}
        follow = self.guest.follow("htable_t", "ht_next")
        for head in self._buckets():
            try:
                for address in each_link(follow, head, MAX_CHAIN):
                    table = self._htable(address)
                    found.setdefault((table.level, table.vaddr), table)
            except DebuggerError as err:
                self.failed = err
        return found

    def table(self, level: int, vaddr: int) -> Htable | None:
        """The table of a level that maps an address."""
        above = self.shifts[level + 1] if level + 1 < len(self.shifts) else None
        return self.tables.get((level, vaddr >> above << above if above is not None else 0))

    def entry(self, table: Htable, index: int) -> int:
        """One entry of a table."""
        return int.from_bytes(self._read(table, index * WORD, WORD), "little")

    def entries(self, table: Htable) -> Sequence[int]:
        """Every entry of a table; of one that is kept in the hat, those that the hat has room for."""
        count = self._count(table)
        return struct.unpack(f"<{count}Q", self._read(table, 0, count * WORD))

    def _count(self, table: Htable) -> int:
        return min(self.per_table, self._room) if table.in_hat else self.per_table

    def each_mapping(self, gfn: Gfn) -> Iterator[int]:
        """The addresses that map a frame, by the page-table entries of every table."""
        import numpy as np

        for table in self.tables.values():
            shift = self.shifts[table.level]
            entries = np.frombuffer(self._read(table, 0, self._count(table) * WORD), dtype="<u8")
            needed = PRESENT | LARGE if table.level else PRESENT
            mapping = entries & needed == needed
            same = (entries & FRAME) >> shift == gfn >> shift - PAGE_SHIFT
            for index in np.flatnonzero(mapping & same):
                yield self.vaddr_of(table, int(index)) + (gfn << PAGE_SHIFT) % (1 << shift)

    def vaddr_of(self, table: Htable, index: int, level: int | None = None) -> Vaddr:
        """The first address that an entry maps, in a table of its own level or of another."""
        vaddr = table.vaddr + (index << self.shifts[table.level if level is None else level])
        return Vaddr((vaddr + CANONICAL) % (2 * CANONICAL) - CANONICAL & (1 << 64) - 1)

    @cached_property
    def shifts(self) -> Sequence[int]:
        """The lowest address bit that each level translates, the last level first."""
        levels = min(self._mmu["max_level"] + 1, MAX_LEVELS)
        return [min(max(shift, PAGE_SHIFT), MAX_SHIFT) for shift in self._mmu["level_shift"][:levels]]

    @cached_property
    def per_table(self) -> int:
        return min(max(int(self._mmu["ptes_per_table"]), 1), MAX_ENTRIES)

    def _htable(self, address: int) -> Htable:
        htable = self.guest.objects.at("htable_t", address)
        level, flags = htable["ht_level"], htable["ht_flags"]
        if not 0 <= level < len(self.shifts):
            raise BadHtable(address, level)
        in_hat = bool(flags & IN_HAT and self._kept)
        return Htable(address, level, Vaddr(htable["ht_vaddr"]), Pfn(htable["ht_pfn"]), in_hat)

    def _read(self, table: Htable, offset: int, size: int) -> bytes:
        if table.in_hat and self._kept:
            return self.guest.target.read(self._kept + offset, size)
        return self.frames.read(table.pfn, offset, size)

    @cached_property
    def _record(self) -> Typed:
        hat: Typed = self.guest.objects.at("hat_t", self.address)
        return hat

    @cached_property
    def _copies(self) -> str | None:
        """The member that keeps the top entries of a small address space."""
        return next((name for name in ("hat_copied_ptes", "hat_vlp_ptes") if name in self._record), None)

    @property
    def _kept(self) -> int | None:
        return int(self._record.refer_(self._copies)) if self._copies else None

    @property
    def _room(self) -> int:
        """How many entries a hat has room for."""
        return len(self._record[self._copies]) if self._copies else 0

    @cached_property
    def _mmu(self) -> Typed:
        """What the kernel knows of the processor's tables."""
        mmu: Typed = self.guest.objects.at("struct hat_mmu_info", self.guest.symbol("mmu").value)
        return mmu

    def _buckets(self) -> Iterator[int]:
        """The first htable of each chain."""
        count = min(self._record["hat_num_hash"], MAX_BUCKETS)
        data = self.guest.target.read(self._record["hat_ht_hash"], count * WORD)
        return (head for (head,) in struct.iter_unpack("<Q", data) if head)


def each_hat(guest: "Illumos") -> Iterator[Hat]:
    """Every hat, the kernel's own first."""
    kernel = guest.objects.at("struct as", guest.symbol("kas").value)["a_hat"]
    for address in each_link(guest.follow("hat_t", "hat_next"), int(kernel), MAX_HATS):
        yield Hat(guest, address)
