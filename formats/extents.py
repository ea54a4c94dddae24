"""Guest-physical memory as byte ranges of a file, and an Image over it.

For formats that say "these bytes of memory lie there" (ELF program headers and their like). Ranges may overlap, touch
and end inside a page; an index of whole pages is made once, so that a page is found by one bisection and served out of
the mapped file. Nothing here grows with the size of a range, only with their number.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from formats.errors import PageAbsent, PageExcluded, PageMissing
from formats.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Paddr, Pfn
from formats.image import About, Image, Note, PageState, Run, Vcpu
from formats.source import Buffer, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PHYSICAL_END = 1 << 52  # the most that x86 page tables can name
ZERO_PAGE = bytes(PAGE_SIZE)
CUT_OFF = "page lies past the end of the truncated file"


class Extent(NamedTuple):
    """`size` bytes of memory from `paddr` on, at `offset` in the file; no offset where the file has no bytes for them.

    An ABSENT extent is one that the file names but was cut off before.
    """

    paddr: int
    size: int
    offset: int | None
    state: PageState = PageState.PRESENT

    @property
    def end(self) -> int:
        return self.paddr + self.size

    def from_byte(self, paddr: int) -> "Extent":
        """The part that begins at `paddr`."""
        skipped = paddr - self.paddr
        return Extent(paddr, self.size - skipped, None if self.offset is None else self.offset + skipped, self.state)

    def follows(self, before: "Extent") -> bool:
        """True if this one continues `before` without a seam, in memory and in the file."""
        if self.state != before.state or self.paddr > before.end:
            return False
        if self.offset is None or before.offset is None:
            return self.offset is before.offset
        return self.offset - self.paddr == before.offset - before.paddr


def disjoint(extents: Iterable[Extent]) -> list[Extent]:
    """The same memory without overlaps, ascending, seamless neighbours made one.

    Of extents that overlap, those with bytes win over those without, then what begins first.
    """
    stored: list[Extent] = []
    others: list[Extent] = []
    for extent in extents:
        (stored if extent.offset is not None else others).append(extent)
    found = _joined(stored)
    if others:
        found += _outside(_joined(others), found)
        found.sort(key=itemgetter(0))
    return found


def _joined(extents: Iterable[Extent]) -> list[Extent]:
    found: list[Extent] = []
    for extent in sorted(extents, key=itemgetter(0)):
        last = found[-1] if found else None
        end = last.end if last else -1
        if not extent.size:
            continue
        if last is None or extent.paddr > end:
            found.append(extent)
        elif extent.follows(last):
            found[-1] = Extent(last.paddr, max(end, extent.end) - last.paddr, last.offset, last.state)
        elif extent.end > end:
            found.append(extent.from_byte(end))
    return found


def _outside(extents: Sequence[Extent], taken: Sequence[Extent]) -> list[Extent]:
    """The parts of extents without bytes that lie outside others; both ascend without overlaps."""
    found: list[Extent] = []
    at = 0
    for extent in extents:
        start = extent.paddr
        while at < len(taken) and taken[at].end <= start:
            at += 1
        here = at
        while start < extent.end:
            stop = min(taken[here].paddr, extent.end) if here < len(taken) else extent.end
            if start < stop:
                found.append(Extent(start, stop - start, None, extent.state))
            start = max(taken[here].end, stop) if here < len(taken) else extent.end
            here += 1
    return found


def clipped(extent: Extent, size: int) -> Iterator[Extent]:
    """The extent as far as a file of `size` bytes and x86's physical addresses reach; what the file lacks is ABSENT."""
    paddr, length, offset, state = extent
    if paddr + length > PHYSICAL_END:
        length = max(PHYSICAL_END - paddr, 0)
    if offset is None or offset + length <= size:
        if length:
            yield Extent(paddr, length, offset, state)
        return
    stored = max(size - offset, 0)
    if stored:
        yield Extent(paddr, stored, offset, state)
    yield Extent(paddr + stored, length - stored, None, PageState.ABSENT)


class PageIndex:
    """Which whole pages disjoint extents cover, by bisection; pages that an extent's edge cuts are `mixed`."""

    def __init__(self, extents: Sequence[Extent]) -> None:
        self.extents = extents
        self.mixed: dict[int, list[Extent]] = {}
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.bases: list[int | None] = []  # where pfn 0 would lie in the file
        self.states: list[PageState] = []
        for extent in extents:
            paddr, size, offset, state = extent
            end = paddr + size
            first, last = -(-paddr >> PAGE_SHIFT), end >> PAGE_SHIFT
            if first < last:
                self.starts.append(first)
                self.ends.append(last)
                self.bases.append(None if offset is None else offset - paddr)
                self.states.append(state)
            if (paddr | end) & PAGE_MASK:
                self._add_mixed(extent)

    def _add_mixed(self, extent: Extent) -> None:
        """Notes the pages at the edges of an extent that are not wholly inside it."""
        first, last = extent.paddr >> PAGE_SHIFT, extent.end >> PAGE_SHIFT
        if extent.paddr & PAGE_MASK:
            self.mixed.setdefault(first, []).append(extent)
        if extent.end & PAGE_MASK and not (last == first and extent.paddr & PAGE_MASK):
            self.mixed.setdefault(last, []).append(extent)

    def each_run(self) -> Iterator[Run]:
        """Every page, in runs of one state, ascending."""
        whole = zip(self.starts, self.ends, self.states, strict=True)
        runs = [Run(Pfn(start), end - start, state) for start, end, state in whole]
        runs += [Run(Pfn(pfn), 1, self.state_of_mixed(pfn)) for pfn in self.mixed]
        runs.sort(key=lambda run: run.pfn)
        waiting: Run | None = None
        for run in runs:
            if waiting and run.pfn == waiting.pfn + waiting.count and run.state == waiting.state:
                waiting = Run(waiting.pfn, waiting.count + run.count, run.state)
                continue
            if waiting:
                yield waiting
            waiting = run
        if waiting:
            yield waiting

    def state_of_mixed(self, pfn: int) -> PageState:
        """A page with some bytes in the file is present."""
        states = [extent.state for extent in self.mixed[pfn]]
        return PageState.PRESENT if PageState.PRESENT in states else states[0]


class ExtentImage(Image):
    """Pages by their place in disjoint extents."""

    def __init__(
        self, source: Source, about: About, extents: Sequence[Extent], vcpus: Sequence[Vcpu], notes: Sequence[Note]
    ) -> None:
        super().__init__(source, about, vcpus, notes)
        self._index = PageIndex(extents)
        self._starts, self._ends, self._bases = self._index.starts, self._index.ends, self._index.bases

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        at = bisect_right(self._starts, pfn) - 1
        if at < 0 or pfn >= self._ends[at]:
            return self._locate_mixed(pfn)
        base = self._bases[at]
        if base is None:
            return self._without_bytes(pfn, self._index.states[at])
        return self.source.page(base + (pfn << PAGE_SHIFT))

    def read(self, paddr: Paddr, size: int) -> bytes:
        pfn = paddr >> PAGE_SHIFT
        at = bisect_right(self._starts, pfn) - 1
        if at >= 0 and paddr + size <= self._ends[at] << PAGE_SHIFT:
            base = self._bases[at]
            if base is not None:
                return self.source.read(base + paddr, size)
        return super().read(paddr, size)

    def places(self, pfns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        import numpy as np

        starts, ends, bases, stored = self._columns
        if not len(starts):
            return np.full(len(pfns), -1)
        at = np.searchsorted(starts, pfns, "right") - 1
        inside = (at >= 0) & (pfns < ends[at]) & stored[at]
        return np.where(inside, bases[at] + (pfns << PAGE_SHIFT), -1)

    @cached_property
    def _columns(self) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]":
        """The index as arrays: starts, ends, bases, and whether there are bytes."""
        import numpy as np

        bases = np.array([base or 0 for base in self._bases], np.int64)
        stored = np.array([base is not None for base in self._bases], np.bool_)
        return np.array(self._starts, np.int64), np.array(self._ends, np.int64), bases, stored

    def runs(self) -> Iterator[Run]:
        return (run for run in self._index.each_run() if run.state != PageState.ABSENT)

    def state(self, pfn: Pfn) -> PageState:
        at = bisect_right(self._starts, pfn) - 1
        if at >= 0 and pfn < self._ends[at]:
            return self._index.states[at]
        return self._index.state_of_mixed(pfn) if pfn in self._index.mixed else PageState.ABSENT

    def _locate_mixed(self, pfn: Pfn) -> tuple[Buffer, int]:
        if pfn not in self._index.mixed:
            raise PageAbsent(pfn)
        state = self._index.state_of_mixed(pfn)
        if state != PageState.PRESENT:
            return self._without_bytes(pfn, state)
        page = bytearray(PAGE_SIZE)
        start = pfn << PAGE_SHIFT
        for extent in self._index.mixed[pfn]:
            if extent.offset is not None:
                begin, end = max(extent.paddr, start), min(extent.end, start + PAGE_SIZE)
                page[begin - start : end - start] = self.source.read(extent.offset + begin - extent.paddr, end - begin)
        return bytes(page), 0

    def _without_bytes(self, pfn: Pfn, state: PageState) -> tuple[Buffer, int]:
        if state == PageState.ZERO:
            return ZERO_PAGE, 0
        if state == PageState.EXCLUDED:
            raise PageExcluded(pfn)
        raise PageMissing(pfn, CUT_OFF)
