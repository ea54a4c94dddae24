"""Translation by the kernel's own record of the page tables of an address space."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, Gfn, Pfn
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.hats import Hat
from vmdebug.paging import FRAME, LARGE, PRESENT

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos


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

    @cached_property
    def hat(self) -> Hat:
        return Hat(self.guest, int(self.guest.objects.at("struct as", self.space)["a_hat"]))

    def find(self, vaddr: int) -> Frame:
        """What an address maps to; Unmapped if its lowest entry maps nothing, NoHtable if none is known."""
        entries = list(self._entries(vaddr))
        if not entries:
            raise self.hat.failed or NoHtable(vaddr, self.hat.address)
        lowest = entries[0]
        if not lowest.pte & PRESENT:
            raise Unmapped(vaddr)
        if lowest.level and not lowest.pte & LARGE:
            raise NoHtable(vaddr, self.hat.address)
        shift = self.hat.shifts[lowest.level]
        address = lowest.pte & FRAME & ~((1 << shift) - 1)
        gfn = Gfn(address >> PAGE_SHIFT)
        return Frame(gfn, self.hat.frames.pfn_of(gfn), 1 << shift, entries)

    @property
    def machine(self) -> bool:
        """True if the entries hold machine frames."""
        return not self.guest.target.image.about.translated

    def _entries(self, vaddr: int) -> Iterator[Entry]:
        """The entries of an address, from the lowest level that has a table."""
        for level, shift in enumerate(self.hat.shifts):
            table = self.hat.table(level, vaddr)
            if table is not None:
                yield Entry(level, table.address, self.hat.entry(table, (vaddr >> shift) % self.hat.per_table))
