"""All of an address space in large pieces, for whoever looks at every byte of it.

Page tables are decoded a table at a time, each only a few times for each level at which it is found, so that tables
which name each other, or a thousand times the same one, cost no more than others. Frames that follow each other are
read together; pages that the image does not hold are passed over.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, starmap
from typing import TYPE_CHECKING, NamedTuple

from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Gfn, Paddr, Vaddr
from formats.image import Image, PageState
from formats.source import Buffer
from vmdebug import paging
from vmdebug.errors import DebuggerError
from vmdebug.targets.spaces import AddressSpace, FlatSpace

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

CHUNK = 1 << 20  # bytes: what is copied and then looked at should still lie in the processor's cache
CHUNK_PAGES = CHUNK >> PAGE_SHIFT
MAX_VISITS = 4  # Linux under Xen maps its image and memory as a whole with the same tables; no kernel does more
MANY_TIMES = 16  # kernels map a page two or three times over, and share the tables where they map one more often
ALWAYS = 1 << 16  # pages that may be mapped however small the image is


class MappedTooOften(DebuggerError):
    def __init__(self, vaddr: int, pages: int) -> None:
        super().__init__(
            f"{vaddr:x}: the search ends here: the page tables map the {pages} pages of the image more than "
            f"{MANY_TIMES} times over, which no kernel does (-a goes on from an address)"
        )
        self.vaddr = vaddr


class Piece(NamedTuple):
    """Bytes that follow each other, and the address of the first."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        return self.address + len(self.data)


class Extent(NamedTuple):
    """Pages that follow each other both in virtual addresses and in frame numbers."""

    vaddr: int
    gfn: int
    pages: int


def each_piece(memory: AddressSpace | Image, start: int, end: int, zeros: bool = True) -> Iterator[Piece]:
    """What can be read from `start` up to `end` of an address space, or of an image's physical memory, rising.

    Without `zeros`, only the first and the last page are given of a run that is known to be zero.
    """
    image = memory if isinstance(memory, Image) else memory.image
    first, last = start & ~PAGE_MASK, end + PAGE_MASK & ~PAGE_MASK
    known = KnownPages(image, zeros)
    if isinstance(memory, Image | FlatSpace):
        parts = known.each_part(first, first >> PAGE_SHIFT, last - first >> PAGE_SHIFT)
    elif image.about.translated:
        extents = joined(Tables(memory).each_extent(first, last))
        parts = chain.from_iterable(starmap(known.each_part, extents))
    else:
        parts = _each_frame(known, joined(Tables(memory).each_extent(first, last)))
    return map(partial(_clipped, start, end), _gathered(parts))


def _clipped(start: int, end: int, piece: Piece) -> Piece:
    if start <= piece.address and piece.end <= end:
        return piece
    low = max(start, piece.address)
    return Piece(low, piece.data[low - piece.address : max(end - piece.address, 0)])


class KnownPages:
    """The pages that an image can give, as runs, and how many of them may still be asked for."""

    def __init__(self, image: Image, zeros: bool) -> None:
        self.image = image
        self.total = 0
        self._starts, self._ends, self._zero = array("Q"), array("Q"), bytearray()
        self._zeros = zeros
        for run in image.runs():
            if run.state in (PageState.PRESENT, PageState.ZERO):
                self._starts.append(run.pfn)
                self._ends.append(run.pfn + run.count)
                self._zero.append(run.state is PageState.ZERO)
                self.total += run.count
        self._left = max(ALWAYS, self.total * MANY_TIMES)

    def spend(self, vaddr: int, pages: int) -> None:
        """Count pages that are mapped at an address; MappedTooOften once they are more than any kernel's tables map."""
        self._left -= pages
        if self._left < 0:
            raise MappedTooOften(vaddr, self.total)

    def each_part(self, address: int, pfn: int, count: int) -> Iterator[Piece]:
        """What the image holds of `count` pages from a pfn on, the first of them at an address."""
        shift = address - (pfn << PAGE_SHIFT)
        for first, last, zero in self._each_run(pfn, pfn + count):
            self.spend(shift + (first << PAGE_SHIFT), last - first)
            if zero:
                yield from self._each_zero(shift, first, last)
            else:
                chunks = (range(at, min(at + CHUNK_PAGES, last)) for at in range(first, last, CHUNK_PAGES))
                yield from chain.from_iterable(map(partial(self._stored, shift), chunks))

    def _each_run(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        at = bisect_right(self._ends, first)
        while at < len(self._starts) and self._starts[at] < last:
            yield max(first, self._starts[at]), min(last, self._ends[at]), self._zero[at]
            at += 1

    def _each_zero(self, shift: int, first: int, last: int) -> Iterator[Piece]:
        if not self._zeros and last - first > 2:
            for pfn in (first, last - 1):
                yield Piece(shift + (pfn << PAGE_SHIFT), bytes(PAGE_SIZE))
            return
        nothing = bytes(min(last - first << PAGE_SHIFT, CHUNK))
        for pfn in range(first, last, CHUNK_PAGES):
            size = min(last - pfn << PAGE_SHIFT, CHUNK)
            yield Piece(shift + (pfn << PAGE_SHIFT), nothing if size == len(nothing) else nothing[:size])

    def _stored(self, shift: int, pfns: range) -> list[Piece]:
        """Pages in one piece; in halves where one of them cannot be read after all, and is left out."""
        try:
            data = self.image.read(Paddr(pfns[0] << PAGE_SHIFT), len(pfns) << PAGE_SHIFT)
        except PageMissing:
            half = len(pfns) // 2
            return self._stored(shift, pfns[:half]) + self._stored(shift, pfns[half:]) if half else []
        return [Piece(shift + (pfns[0] << PAGE_SHIFT), data)]


class Tables:
    """The page tables of one address space."""

    def __init__(self, space: AddressSpace) -> None:
        self._image = space.image
        self._mode = space.mode
        self._root = space.root
        self._visits: Counter[tuple[int, int, int, int]] = Counter()

    def each_extent(self, start: int, end: int) -> Iterator[Extent]:
        """What is mapped between two addresses of one half, both of whole pages, rising."""
        return self._below(0, self._root, start, end)

    def _below(self, depth: int, at: int, start: int, end: int) -> Iterator[Extent]:
        """What one table maps of a range; nothing if that range of it was seen often enough at this level."""
        shift, width = self._mode.shifts[depth], self._mode.widths[depth]
        base = start >> shift + width << shift + width
        key = depth, at, start - base, end - base
        if start >= end or self._visits[key] >= MAX_VISITS:
            return
        self._visits[key] += 1
        first, last = start - base >> shift, end - base - 1 >> shift
        entries = self._entries(at, first, last - first + 1)
        if entries is None:
            return
        low = base + (first << shift)
        if depth + 1 == self._mode.levels:
            yield from _each_run(entries, low)
            return
        for index, entry in _each_present(entries):
            vaddr = low + (index << shift)
            part = max(vaddr, start), min(vaddr + (1 << shift), end)
            if not entry & paging.LARGE:
                yield from self._below(depth + 1, entry & paging.FRAME, *part)
            elif self._mode.levels - depth in self._mode.large:
                yield self._large(*part)

    def _large(self, start: int, end: int) -> Extent:
        walk = paging.walk(self._mode, self._root, Vaddr(start), self._table)
        return Extent(start, walk.address >> PAGE_SHIFT, end - start >> PAGE_SHIFT)

    def _entries(self, at: int, first: int, count: int) -> "NDArray[Any] | None":
        """Entries of a table; None where the image does not have it, or it would not end with its page."""
        import numpy as np

        size = self._mode.entry.size
        if (at & PAGE_MASK) + (first + count) * size > PAGE_SIZE:
            return None
        try:
            buffer, start = self._table(at)
        except (MfnUnknown, PageMissing):
            return None
        return np.frombuffer(buffer, dtype=f"<u{size}", count=count, offset=start + first * size)

    def _table(self, at: int) -> tuple[Buffer, int]:
        buffer, start = self._image.locate_gfn(Gfn(at >> PAGE_SHIFT))
        return buffer, start + (at & PAGE_MASK)


def _each_present(entries: "NDArray[Any]") -> Iterator[tuple[int, int]]:
    """The entries that map something, by their index."""
    import numpy as np

    places = np.flatnonzero(entries & entries.dtype.type(paging.PRESENT))
    return zip(places.tolist(), entries[places].tolist(), strict=True)


def _each_run(entries: "NDArray[Any]", vaddr: int) -> Iterator[Extent]:
    """The runs of frames in a table of the last level, whose first entry maps an address."""
    import numpy as np

    kind = entries.dtype.type
    places = np.flatnonzero(entries & kind(paging.PRESENT))
    if not len(places):
        return
    mask = kind(paging.FRAME & np.iinfo(entries.dtype).max)
    frames = ((entries[places] & mask) >> kind(PAGE_SHIFT)).astype(np.int64)
    breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(frames) != 1)) + 1
    starts = np.concatenate(([0], breaks))
    counts = np.diff(np.append(starts, len(places)))
    columns = places[starts].tolist(), frames[starts].tolist(), counts.tolist()
    for place, frame, count in zip(*columns, strict=True):
        yield Extent(vaddr + (place << PAGE_SHIFT), frame, count)


def joined(extents: Iterable[Extent]) -> Iterator[Extent]:
    """The same with those that continue the one before made one with it."""
    held: Extent | None = None
    for extent in extents:
        if held:
            pages = held.pages
            if (extent.vaddr, extent.gfn) == (held.vaddr + (pages << PAGE_SHIFT), held.gfn + pages):
                held = Extent(held.vaddr, held.gfn, pages + extent.pages)
                continue
            yield held
        held = extent
    if held:
        yield held


def _each_frame(known: KnownPages, extents: Iterable[Extent]) -> Iterator[Piece]:
    """What the image holds of extents of machine frames: those of a guest lie anywhere, each has to be looked up."""
    locate = known.image.locate_gfn
    for vaddr, gfn, pages in extents:
        for number in range(pages):
            known.spend(vaddr + (number << PAGE_SHIFT), 1)
            try:
                buffer, at = locate(Gfn(gfn + number))
            except (MfnUnknown, PageMissing):
                continue
            yield Piece(vaddr + (number << PAGE_SHIFT), buffer[at : at + PAGE_SIZE])


def _gathered(parts: Iterable[Piece]) -> Iterator[Piece]:
    """Parts that follow each other, joined to no more than a chunk.

    Nothing that was given is held while the next is read: the same memory takes that, and is in the cache already.
    """
    held: list[bytes] = []
    start = end = 0
    for part in parts:
        if held and (part.address != end or part.end - start > CHUNK):
            yield Piece(start, _taken(held))
        if not held:
            start = part.address
        held.append(part.data)
        end = part.end
        del part
        if end - start >= CHUNK:
            yield Piece(start, _taken(held))
    if held:
        yield Piece(start, _taken(held))


def _taken(held: list[bytes]) -> bytes:
    data = b"".join(held)
    held.clear()
    return data
