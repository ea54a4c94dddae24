"""What every reader gives: pages by pfn and their state, saved vcpus, notes, evidence.

A reader subclasses Image and fills in how to find a page. Reading across pages, counting and the meaning of a
missing page are the same for all and stand here. Sizes are in bytes, frames in pages of 4 KiB.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING

from formats.errors import PageExcluded, PageMissing
from formats.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Gfn, Mfn, Paddr, Pfn
from formats.lazy import dataclass
from formats.pagecache import PageCache
from formats.source import Buffer, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NO_FRAME = (1 << 64) - 1  # Xen's mark for "no frame here" in every table of frame numbers


class PageState(Enum):
    """What the image knows of a page."""

    PRESENT = "present"
    ZERO = "zero"  # known to be zero without stored bytes
    EXCLUDED = "excluded"  # existed, left out by the dumping program
    ABSENT = "absent"  # the image has no such page


@dataclass(frozen=True)
class Run:
    """`count` pages from `pfn` on that share one state."""

    pfn: Pfn
    count: int
    state: PageState


@dataclass(frozen=True)
class Note:
    """A note of the image: who wrote it, which type, its bytes."""

    owner: str
    type: int
    data: bytes
    name: str = ""


@dataclass(frozen=True)
class Vcpu:
    """The saved state of one virtual processor.

    Names in `registers` are the 64-bit ones (rax, rip, cs, cr3, fs_base, gs_base, kernel_gs_base, efer ...), also for a
    32-bit guest; a register that the format does not save is not in it. `root` is the address of the top page
    table in the space that page-table entries speak (machine addresses under Xen PV), `user_root` the same of a
    separate user half.
    """

    id: int
    bits: int
    registers: Mapping[str, int]
    root: int | None = None
    user_root: int | None = None
    flags: int = 0


@dataclass(frozen=True)
class Fact:
    """One thing the reader found, and what it rests on."""

    name: str
    value: str
    evidence: str = ""


@dataclass(frozen=True)
class About:
    """What a reader says of the whole image.

    `paging` names the mode ("2-level", "PAE", "4-level", "5-level") where the format fixes it, else None.
    `bits` is the width of the guest's registers as the format knows it. `translated` is true when page tables
    hold pfns, false when they hold mfns.
    """

    format: str
    description: str
    bits: int
    translated: bool = True
    paging: str | None = None
    domain: bool = False  # a hypervisor's dump of one domain
    facts: Sequence[Fact] = ()
    warnings: Sequence[str] = field(default_factory=tuple)


class Image(ABC):
    """A guest's memory and vcpus as a file holds them. Opening one reads headers only."""

    cache: PageCache | None = None  # of a format whose pages must be made, by decompression for one

    def __init__(self, source: Source, about: About, vcpus: Sequence[Vcpu] = (), notes: Sequence[Note] = ()) -> None:
        self.source = source
        self.about = about
        self.vcpus = vcpus
        self.notes = notes

    @property
    def name(self) -> str:
        return self.source.name

    @abstractmethod
    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        """The buffer that holds the page and where in it the page begins; PageMissing if there is none."""

    @abstractmethod
    def runs(self) -> Iterator[Run]:
        """Every page that the image knows of, in runs of one state, by rising pfn."""

    def state(self, pfn: Pfn) -> PageState:
        """What the image knows of one page."""
        try:
            self.locate(pfn)
        except PageExcluded:
            return PageState.EXCLUDED
        except PageMissing:
            return PageState.ABSENT
        return PageState.PRESENT

    def read(self, paddr: Paddr, size: int) -> bytes:
        """Exactly `size` bytes of guest-physical memory; PageMissing at the first page that is not there."""
        offset = paddr & PAGE_MASK
        buffer, start = self.locate(Pfn(paddr >> PAGE_SHIFT))
        if offset + size <= PAGE_SIZE:
            return buffer[start + offset : start + offset + size]
        parts = [buffer[start + offset : start + PAGE_SIZE]]
        done = PAGE_SIZE - offset
        while done < size:
            buffer, start = self.locate(Pfn((paddr + done) >> PAGE_SHIFT))
            parts.append(buffer[start : start + min(PAGE_SIZE, size - done)])
            done += PAGE_SIZE
        return b"".join(parts)

    def pfn_of(self, gfn: Gfn) -> Pfn:
        """The pfn behind a frame number of a page table; MfnUnknown if it is none of the guest's."""
        return Pfn(gfn)

    def locate_gfn(self, gfn: Gfn) -> tuple[Buffer, int]:
        """`locate` for a frame number of a page table."""
        return self.locate(self.pfn_of(gfn))

    def places(self, pfns: "NDArray[np.int64]") -> "NDArray[np.int64] | None":
        """Where in the source many pages begin, -1 where only `locate` knows; None where pages have to be made."""
        return None

    def places_of_gfns(self, gfns: "NDArray[np.int64]") -> "NDArray[np.int64] | None":
        """`places` for frame numbers of page tables, -1 where only `locate_gfn` knows."""
        return self.places(gfns) if self.about.translated else None

    def mfn_of(self, pfn: Pfn) -> Mfn | None:
        """The machine frame of a pfn, None where the image stores no such map; PageAbsent for an unknown pfn."""
        return None

    def tally(self) -> Mapping[PageState, int]:
        """How many pages are in each state."""
        counts: Counter[PageState] = Counter()
        for run in self.runs():
            counts[run.state] += run.count
        return counts

    @property
    def end(self) -> Pfn:
        """One more than the highest pfn of the image."""
        return Pfn(max((run.pfn + run.count for run in self.runs()), default=0))
