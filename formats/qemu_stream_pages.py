"""The pages of a QEMU stream's RAM blocks, numbered through all blocks: from an index of records, or from bitmaps.

Specified in: migration/ram.c and xbzrle.c of QEMU.
"""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from formats.errors import ImageDamaged, PageAbsent, PageMissing
from formats.extents import CUT_OFF, ZERO_PAGE
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Pfn
from formats.image import PageState
from formats.pagecache import PageCache
from formats.qemu_stream_blocks import Block, Mapped, bitmap_size
from formats.qemu_stream_log import STRIDE, Kind, Runs
from formats.source import Buffer, Source

Stretch = tuple[int, PageState]  # so many pages of one state


class Pages(Protocol):
    """What both kinds answer. `pfn` is for messages only."""

    def locate(self, page: int, pfn: Pfn) -> tuple[Buffer, int]: ...

    def state(self, page: int) -> PageState: ...

    def each_stretch(self, page: int, count: int) -> Iterator[Stretch]:
        """The states of `count` pages from `page` on, in order."""
        ...


class RecordedPages:
    """Pages by the records of the stream. One without a record is zero, or absent where the stream was cut."""

    def __init__(self, source: Source, runs: Runs, complete: bool, cache: PageCache) -> None:
        self.source = source
        self.runs = runs
        self.unsent = PageState.ZERO if complete else PageState.ABSENT
        self.cache = cache  # of pages that have to be made

    def locate(self, page: int, pfn: Pfn) -> tuple[Buffer, int]:
        if self.runs.delta_page:
            at = bisect_left(self.runs.delta_page, page)
            if at < len(self.runs.delta_page) and self.runs.delta_page[at] == page:
                return self._made(page, lambda: self._with_deltas(page, at, pfn)), 0
        return self._whole(page, pfn)

    def state(self, page: int) -> PageState:
        return next(self.each_stretch(page, 1))[1]

    def each_stretch(self, page: int, count: int) -> Iterator[Stretch]:
        deltas = self.runs.delta_page
        if not deltas:
            yield from self._each_whole(page, count)
            return
        at, end = bisect_left(deltas, page), page + count
        while at < len(deltas) and deltas[at] < end:
            if deltas[at] >= page:
                yield from self._each_whole(page, deltas[at] - page)
                yield 1, PageState.PRESENT
                page = deltas[at] + 1
            at += 1
        yield from self._each_whole(page, end - page)

    def _each_whole(self, page: int, count: int) -> Iterator[Stretch]:
        runs, end = self.runs, page + count
        at = max(bisect_right(runs.first, page) - 1, 0)
        while page < end and at < len(runs.first):
            first, stop = runs.first[at], min(runs.first[at] + runs.count[at], end)
            if page < first:
                gap = min(first, end) - page
                yield gap, self.unsent
                page += gap
            if page < stop:
                zero = runs.kind[at] == Kind.FILL and not runs.place[at]
                yield stop - page, PageState.ZERO if zero else PageState.PRESENT
                page = stop
            at += 1
        if page < end:
            yield end - page, self.unsent

    def _whole(self, page: int, pfn: Pfn) -> tuple[Buffer, int]:
        runs = self.runs
        at = bisect_right(runs.first, page) - 1
        if at < 0 or page - runs.first[at] >= runs.count[at]:
            if self.unsent is PageState.ABSENT:
                raise PageMissing(pfn, CUT_OFF)
            return ZERO_PAGE, 0
        place, kind = runs.place[at], runs.kind[at]
        if kind == Kind.DATA:
            return self.source.page(place + (page - runs.first[at]) * STRIDE)
        if kind == Kind.FILL:
            return (ZERO_PAGE, 0) if not place else (bytes([place & 0xFF]) * PAGE_SIZE, 0)
        return self._made(page, lambda: self._inflated(place)), 0

    def _made(self, page: int, make: Callable[[], bytes]) -> bytes:
        """A page that is not stored as it is, made once as long as there is room for it."""
        content = self.cache.find(page)
        if content is None:
            content = make()
            self.cache.keep(page, content)
        return content

    def _inflated(self, place: int) -> bytes:
        size = int.from_bytes(self.source.read(place, 4), "big")
        try:
            page = zlib.decompressobj().decompress(self.source.read(place + 4, size), PAGE_SIZE)
        except zlib.error as err:
            raise ImageDamaged(f"{self.source.name}: compressed page at {place:#x}: {err}") from err
        if len(page) != PAGE_SIZE:
            raise ImageDamaged(f"{self.source.name}: compressed page at {place:#x} gives {len(page)} bytes")
        return page

    def _with_deltas(self, page: int, at: int, pfn: Pfn) -> bytes:
        try:
            buffer, start = self._whole(page, pfn)
        except PageMissing as err:
            raise PageMissing(pfn, "only changes to it are in the stream") from err
        content = bytearray(buffer[start : start + PAGE_SIZE])
        while at < len(self.runs.delta_page) and self.runs.delta_page[at] == page:
            place = self.runs.delta_place[at]
            delta = self.source.read(place + 2, int.from_bytes(self.source.read(place, 2), "big"))
            apply_delta(content, delta, f"{self.source.name}: XBZRLE record at {place:#x}")
            at += 1
        return bytes(content)


class MappedPages:
    """Pages at fixed places of a mapped-ram file; a bit of the block's bitmap says whether a page was stored."""

    def __init__(self, source: Source, blocks: Sequence[Block]) -> None:
        self.source = source
        self.blocks = [block for block in blocks if block.mapped]
        self._starts = [block.first for block in self.blocks]
        self._bitmaps: dict[int, memoryview] = {}

    def locate(self, page: int, pfn: Pfn) -> tuple[Buffer, int]:
        place = self._place(page, pfn)
        if place is None:
            return ZERO_PAGE, 0
        if place + PAGE_SIZE > self.source.size:
            raise PageMissing(pfn, CUT_OFF)
        return self.source.page(place)

    def state(self, page: int) -> PageState:
        place = self._place(page, Pfn(page))
        if place is None:
            return PageState.ZERO
        return PageState.PRESENT if place + PAGE_SIZE <= self.source.size else PageState.ABSENT

    def _place(self, page: int, pfn: Pfn) -> int | None:
        """Where the page is stored, None if it is zero."""
        block, mapped = self._block(page, pfn)
        index = page - block.first
        stored = self._bitmap(block, mapped)[index >> 3] >> (index & 7) & 1
        return mapped.pages + (index << PAGE_SHIFT) if stored else None

    def each_stretch(self, page: int, count: int) -> Iterator[Stretch]:
        block, mapped = self._block(page, Pfn(page))
        stored = max(self.source.size - mapped.pages, 0) >> PAGE_SHIFT
        index = page - block.first
        for length, bit in each_bit_run(self._bitmap(block, mapped), index, count):
            inside = min(max(stored - index, 0), length) if bit else length
            if inside:
                yield inside, PageState.PRESENT if bit else PageState.ZERO
            if inside < length:
                yield length - inside, PageState.ABSENT
            index += length

    def _block(self, page: int, pfn: Pfn) -> tuple[Block, Mapped]:
        at = bisect_right(self._starts, page) - 1
        block = self.blocks[at] if at >= 0 else None
        if block is None or block.mapped is None or page >= block.first + block.count:
            raise PageAbsent(pfn)
        return block, block.mapped

    def _bitmap(self, block: Block, mapped: Mapped) -> memoryview:
        if block.first not in self._bitmaps:
            # Words of 64 bits in the order of the machine that wrote them, which is x86: as bytes they are in order.
            self._bitmaps[block.first] = self.source.view(mapped.bitmap, bitmap_size(block.length))
        return self._bitmaps[block.first]


def each_bit_run(bitmap: memoryview, start: int, count: int) -> Iterator[tuple[int, bool]]:
    """Runs of equal bits, lowest bit of each byte first, over `count` bits from `start` on."""
    import numpy as np

    chunk = 1 << 23
    for begin in range(start, start + count, chunk):
        end = min(begin + chunk, start + count)
        packed = np.frombuffer(bitmap[begin >> 3 : -(-end // 8)], dtype=np.uint8)
        bits = np.unpackbits(packed, bitorder="little")[begin & 7 : (begin & 7) + end - begin]
        edges = np.concatenate(([0], np.flatnonzero(bits[1:] != bits[:-1]) + 1, [len(bits)])).tolist()
        for first, stop in pairwise(edges):
            yield stop - first, bool(bits[first])


def apply_delta(page: bytearray, delta: bytes, what: str) -> None:
    """XBZRLE: in turns the length of an unchanged stretch, and the length and bytes of a changed one.

    A length is one byte, or two with bit 7 of the first set (ULEB128).
    """
    at = place = 0
    while at < len(delta):
        skip, at = _length(delta, at, what)
        place += skip
        if at == len(delta):
            break  # what is left of the page is unchanged
        size, at = _length(delta, at, what)
        if not size or at + size > len(delta) or place + size > len(page):
            raise ImageDamaged(f"{what}: {size} bytes at {place} of the page")
        page[place : place + size] = delta[at : at + size]
        place, at = place + size, at + size
    if place > len(page):
        raise ImageDamaged(f"{what}: it ends at {place} of the page")


def _length(delta: bytes, at: int, what: str) -> tuple[int, int]:
    if at >= len(delta):
        raise ImageDamaged(f"{what}: it ends inside a length")
    low = delta[at]
    if low < 0x80:
        return low, at + 1
    if at + 1 >= len(delta) or delta[at + 1] & 0x80:
        raise ImageDamaged(f"{what}: a length of more than two bytes")
    return low & 0x7F | delta[at + 1] << 7, at + 2
