"""Many pages of an image as pieces of memory.

Pages that follow each other in addresses and in the file are one piece, which lies where the file is mapped. Short
stretches are put together. Where pages have to be made (by decompression for one), no more than a chunk of them is
there at once.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Gfn, Paddr
from formats.image import Image
from formats.source import BufferSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.int64]

CHUNK = 1 << 20  # bytes: what is copied and then looked at should still lie in the processor's cache
CHUNK_PAGES = CHUNK >> PAGE_SHIFT
IN_PLACE = 1 << 22  # bytes: what is looked at where it lies
SHORT = 1 << 16  # bytes: shorter parts are put together, which costs less than to look at each by itself
STORED, ZERO, ELSEWHERE = range(3)  # how to come by a page: in place, known to be zero, ask the image
NOTHING = bytes(CHUNK)


class Piece(NamedTuple):
    """Bytes that follow each other, and the address of the first."""

    address: int
    data: bytes | memoryview

    @property
    def end(self) -> int:
        return self.address + len(self.data)


class Stretches(NamedTuple):
    """Columns: how to come by `pages` pages from page number `vpns` on, and where the first of them lies."""

    kinds: "Column"
    vpns: "Column"
    places: "Column"
    pages: "Column"


class PageReader:
    """Reads pages of an image, named by their pfns if `physical`, else by the frame numbers of its page tables."""

    def __init__(self, image: Image, physical: bool) -> None:
        self._image = image
        self._physical = physical

    def each_part(self, vpns: "Column", frames: "Column", zero: "NDArray[np.bool_]") -> Iterator[Piece]:
        """The bytes of some pages by rising page number; those that the image cannot give are left out."""
        for stretches in _each_group(self._stretches(vpns, frames, zero)):
            kinds, numbers, places, pages = stretches
            sizes = [count << PAGE_SHIFT for count in pages]
            if len(kinds) > 1:
                yield Piece(numbers[0] << PAGE_SHIFT, b"".join(map(self._view, places, sizes)))
                continue
            most = IN_PLACE if kinds[0] == STORED else CHUNK
            for done in range(0, sizes[0], most):
                vaddr, size = (numbers[0] << PAGE_SHIFT) + done, min(sizes[0] - done, most)
                yield from self._read(kinds[0], vaddr, places[0] + done, size)

    def _stretches(self, vpns: "Column", frames: "Column", zero: "NDArray[np.bool_]") -> Stretches:
        """Pages that follow each other in addresses and where they lie, made one."""
        import numpy as np

        image = self._image
        places = image.places(frames) if self._physical else image.places_of_gfns(frames)
        if places is None:
            places = np.full(len(frames), -1)
        missing = places < 0
        kinds = np.where(missing, ELSEWHERE, STORED)
        at = np.where(missing, frames << PAGE_SHIFT, places) if missing.any() else places
        if zero.any():
            kinds[zero] = ZERO
            at = np.where(zero, vpns << PAGE_SHIFT, at)
        seams = (np.diff(vpns) != 1) | (np.diff(at) != PAGE_SIZE) | (np.diff(kinds) != 0)
        starts = np.append(0, np.flatnonzero(seams) + 1)
        return Stretches(kinds[starts], vpns[starts], at[starts], np.diff(starts, append=len(vpns)))

    @cached_property
    def _view(self) -> Callable[[int, int], memoryview]:
        """Bytes of the file by offset and size, without a copy where it is mapped."""
        source = self._image.source
        if not isinstance(source, BufferSource):
            return source.view
        whole = memoryview(source.page(0)[0])
        return lambda at, size: whole[at : at + size]

    def _read(self, kind: int, vaddr: int, at: int, size: int) -> Iterable[Piece]:
        """Whole pages, in one piece if all can be read."""
        if kind == STORED:
            return (Piece(vaddr, self._view(at, size)),)
        if kind == ZERO:
            return (Piece(vaddr, NOTHING[:size]),)
        return self._made(vaddr, at, size) if self._physical else self._each_located(vaddr, at, size)

    def _made(self, vaddr: int, paddr: int, size: int) -> list[Piece]:
        """Pages by their paddr; in halves where one of them cannot be read after all, and is left out."""
        try:
            return [Piece(vaddr, self._image.read(Paddr(paddr), size))]
        except PageMissing:
            half = size >> PAGE_SHIFT + 1 << PAGE_SHIFT
            return self._made(vaddr, paddr, half) + self._made(vaddr + half, paddr + half, size - half) if half else []

    def _each_located(self, vaddr: int, maddr: int, size: int) -> Iterator[Piece]:
        """Pages by their machine address, one by one, without those that are not the guest's."""
        for done in range(0, size, PAGE_SIZE):
            try:
                buffer, at = self._image.locate_gfn(Gfn(maddr + done >> PAGE_SHIFT))
            except (MfnUnknown, PageMissing):
                continue
            yield Piece(vaddr + done, buffer[at : at + PAGE_SIZE])


def _each_group(stretches: Stretches) -> Iterator[tuple[list[int], ...]]:
    """The stretches one by one; stored ones that are short and follow each other in addresses, up to about a chunk."""
    import numpy as np

    kinds, vpns, _, pages = stretches
    short = (kinds == STORED) & (pages < SHORT >> PAGE_SHIFT)
    follows = (np.diff(vpns) == pages[:-1]) & (np.diff(vpns // CHUNK_PAGES) == 0)
    seams = np.flatnonzero(~(short[1:] & short[:-1] & follows)) + 1
    columns = [column.tolist() for column in stretches]
    for first, end in pairwise([0, *seams.tolist(), len(kinds)]):
        yield tuple(column[first:end] for column in columns)


def gathered(parts: Iterable[Piece]) -> Iterator[Piece]:
    """The parts; short ones that follow each other are joined to no more than a chunk.

    Nothing that was given is held while the next is read: the same memory takes that, and is in the cache already.
    """
    held: list[bytes | memoryview] = []
    start = end = 0
    for part in parts:
        size = len(part.data)
        if held and (part.address != end or size >= SHORT or end - start + size > CHUNK):
            yield Piece(start, _taken(held))
        if size >= SHORT:
            yield part
            del part
            continue
        if not held:
            start = part.address
        held.append(part.data)
        end = part.address + size
        del part
    if held:
        yield Piece(start, _taken(held))


def _taken(held: list[bytes | memoryview]) -> bytes | memoryview:
    data = held[0] if len(held) == 1 else b"".join(held)
    held.clear()
    return data
