"""Which machine frame each page of the guest has: the kernel's own list of them, and the dump's.

The kernel's list is an array by pfn (mfn_list, mfn_count entries). A dump may hold no pfns at all, as those of Xen
3.0.4 by the hypervisor's own tools; then only the kernel's list knows them. Specified in: i86xpv/os/mach_startup and
xen_machdep of illumos.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, Gfn, Maddr, Mfn, Pfn
from vmdebug.errors import DebuggerError, ReadFailed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

WORD = 8
MAX_PAGES = 1 << 32  # 16 TiB


class FrameMap:
    """Machine frames to the guest's own numbers and back. Without a list of the kernel's, as the dump says."""

    def __init__(self, guest: "Illumos") -> None:
        self.guest = guest

    def pfn_of(self, gfn: Gfn) -> Pfn:
        """The guest's own number of a frame in a page-table entry; NotOfDomain if it has none."""
        target = self.guest.target
        said = Pfn(target.paddr_of(Maddr(gfn << PAGE_SHIFT)) >> PAGE_SHIFT)
        listed = None if target.image.about.translated else self._listed(said)
        if listed is None or int(listed) == gfn:
            return said
        return next(self._search(gfn), said)

    def mfn_of(self, pfn: Pfn) -> Mfn | None:
        """The machine frame of a page; None where the dump's own numbers are the pfns."""
        return None if self.guest.target.image.about.translated else self._listed(pfn)

    def read(self, pfn: Pfn, offset: int, size: int) -> bytes:
        """Bytes of one page of the guest."""
        mfn = self.mfn_of(pfn)
        if mfn is None:
            return self.guest.target.read_physical((pfn << PAGE_SHIFT) + offset, size)
        return self.guest.target.read_machine((mfn << PAGE_SHIFT) + offset, size)

    @cached_property
    def _list(self) -> tuple[int, int]:
        """Where the kernel's list lies, and how many entries it has; none where the kernel keeps no such list."""
        try:
            return self.guest.variable("mfn_list"), min(self.guest.variable("mfn_count"), MAX_PAGES)
        except DebuggerError:
            return 0, 0

    def _listed(self, pfn: int) -> Mfn | None:
        """The kernel's entry of a page."""
        start, count = self._list
        if not 0 <= pfn < count:
            return None
        try:
            return Mfn(int.from_bytes(self.guest.target.read(start + pfn * WORD, WORD), "little"))
        except ReadFailed:
            return None

    def _search(self, gfn: int) -> Iterator[Pfn]:
        """The pages that the kernel's list gives a machine frame, the lowest first."""
        start, count = self._list
        wanted = gfn.to_bytes(WORD, "little")
        for at, data in self.guest.target.kernel.each_readable(start, count * WORD):
            place = data.find(wanted)
            while place >= 0:
                if (at - start + place) % WORD == 0:
                    yield Pfn((at - start + place) // WORD)
                place = data.find(wanted, place + 1)
