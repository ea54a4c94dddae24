"""Page tables as the kernel keeps them: a hat for each address space, in it a hash of htables, one for each table.

An htable says which addresses its table maps, at which level, and in which frame it lies. Specified in:
i86pc/vm/htable.h, i86pc/vm/hat_i86.h, i86pc/vm/hat_pte.h of illumos.
"""

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, Gfn, Pfn
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.frames import FrameMap
from vmdebug.guests.memory import each_link
from vmdebug.paging import FRAME, LARGE, PRESENT
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

IN_HAT = 0x01  # HTABLE_VLP: the entries are kept in the hat itself
MAX_LEVELS = 8
MAX_BUCKETS = 1 << 20
MAX_CHAIN = 1 << 16
WORD = 8


class Unmapped(DebuggerError):
    def __init__(self, vaddr: int) -> None:
        super().__init__(f"Address {vaddr:x} is unmapped.")
        self.vaddr = vaddr


class NoHtable(DebuggerError):
    def __init__(self, vaddr: int, hat: int) -> None:
        super().__init__(f"{vaddr:x}: no htable of hat {hat:x} maps this address")


@dataclass(frozen=True)
class Entry:
    """The page-table entry of an address at one level, and the htable of its table."""

    level: int
    htable: int
    pte: int


@dataclass(frozen=True)
class Frame:
    """What an address maps to: the frame in the entry, and the guest's own number of it."""

    gfn: Gfn
    pfn: Pfn
    size: int
    entries: Sequence[Entry]


class PageTables:
    """The page tables of one address space, found through its hat."""

    def __init__(self, guest: "Illumos", space: int) -> None:
        self.guest = guest
        self.space = space  # the struct as
        self._frames = FrameMap(guest)
        self._failed: DebuggerError | None = None

    def find(self, vaddr: int) -> Frame:
        """What an address maps to; Unmapped if its lowest entry maps nothing, NoHtable if none is known."""
        entries = list(self._entries(vaddr))
        if not entries:
            raise self._failed or NoHtable(vaddr, int(self._hat))
        lowest = entries[0]
        if not lowest.pte & PRESENT:
            raise Unmapped(vaddr)
        if lowest.level and not lowest.pte & LARGE:
            raise NoHtable(vaddr, int(self._hat))
        shift = self._shifts[lowest.level]
        address = lowest.pte & FRAME & ~((1 << shift) - 1)
        gfn = Gfn(address >> PAGE_SHIFT)
        return Frame(gfn, self._frames.pfn_of(gfn), 1 << shift, entries)

    @property
    def machine(self) -> bool:
        """True if the entries hold machine frames."""
        return not self.guest.target.image.about.translated

    def _entries(self, vaddr: int) -> Iterator[Entry]:
        """The entries of an address, from the lowest level that has a table."""
        for level, shift in enumerate(self._shifts):
            above = self._shifts[level + 1] if level + 1 < len(self._shifts) else None
            base = vaddr >> above << above if above is not None else 0
            htable = self._tables.get((level, base))
            if htable is not None:
                index = (vaddr >> shift) % self._per_table
                yield Entry(level, htable, self._pte(htable, index))

    def _pte(self, address: int, index: int) -> int:
        htable = self.guest.objects.at("htable_t", address)
        if htable["ht_flags"] & IN_HAT and (kept := self._kept_in_hat):
            data = self.guest.target.read(kept + index * WORD, WORD)
        else:
            data = self._frames.read(Pfn(htable["ht_pfn"]), index * WORD, WORD)
        return int.from_bytes(data, "little")

    @cached_property
    def _hat(self) -> Typed:
        hat: Typed = self.guest.objects.at("hat_t", self.guest.objects.at("struct as", self.space)["a_hat"])
        return hat

    @property
    def _kept_in_hat(self) -> int | None:
        """Where a hat keeps the top entries of a small address space."""
        return next(
            (int(self._hat.refer_(name)) for name in ("hat_copied_ptes", "hat_vlp_ptes") if name in self._hat), None
        )

    @cached_property
    def _mmu(self) -> Typed:
        """What the kernel knows of the processor's tables."""
        mmu: Typed = self.guest.objects.at("struct hat_mmu_info", self.guest.symbol("mmu").value)
        return mmu

    @cached_property
    def _shifts(self) -> Sequence[int]:
        """The lowest address bit that each level translates, the last level first."""
        levels = min(self._mmu["max_level"] + 1, MAX_LEVELS)
        return [shift & 0x3F for shift in self._mmu["level_shift"][:levels]]

    @cached_property
    def _per_table(self) -> int:
        return max(int(self._mmu["ptes_per_table"]), 1)

    @cached_property
    def _tables(self) -> dict[tuple[int, int], int]:
        """The htable of each level and first address. Where a chain cannot be followed, the failure is kept."""
        found: dict[tuple[int, int], int] = {}
        follow = self.guest.follow("htable_t", "ht_next")
        for head in self._buckets():
            try:
                for address in each_link(follow, head, MAX_CHAIN):
                    htable = self.guest.objects.at("htable_t", address)
                    found.setdefault((htable["ht_level"], htable["ht_vaddr"]), address)
            except DebuggerError as err:
                self._failed = err
        return found

    def _buckets(self) -> Iterator[int]:
        """The first htable of each chain."""
        count = min(self._hat["hat_num_hash"], MAX_BUCKETS)
        data = self.guest.target.read(self._hat["hat_ht_hash"], count * WORD)
        return (head for (head,) in struct.iter_unpack("<Q", data) if head)
