"""makedumpfile's flattened stream: a file written front to back that says where its pieces belong in another file.

A head of 4096 bytes, then segments: offset and size as signed 64-bit numbers, and the bytes. They come in the order of
writing, a later one may overwrite an earlier one, what none covers is zero, and offset and size of -1 end the stream.
Specified in: makedumpfile.h and IMPLEMENTATION of makedumpfile. All numbers are big-endian.
"""

import heapq
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import TypeAlias

from formats.cache import Cache, identity_of
from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.frames import PAGE_SIZE
from formats.options import DEFAULTS, Options
from formats.source import Buffer, Source

NAME = "flattened"
DESCRIPTION = "makedumpfile's flattened format, around a kdump or an ELF dump"
HEADS = (b"makedumpfile\0",)

MAGIC = b"makedumpfile".ljust(16, b"\0")
HEAD = struct.Struct(">16sqq")  # magic, type, version
TYPE, VERSION = 1, 1
FIRST = 4096
SEGMENT = struct.Struct(">qq")  # offset, size
END = (-1, -1)
LAST_OFFSET = 1 << 62
MANY = 1 << 14  # segments: finding them all again takes longer than reading a cached index
GAPS = 1 << 26  # bytes of zeros that one read may ask for beyond the size of the stream
STEP = 1 << 10  # segments between two reports of progress

Column: TypeAlias = "array[int] | memoryview"  # a string: the class cannot be subscripted before Python 3.12
Columns: TypeAlias = "tuple[Column, Column, Column]"
Segment = tuple[int, int, int]  # offset in the file that is described, size, place in the stream


class Flattened:
    """The file that a stream describes. `starts` ascends; the segments do not overlap."""

    def __init__(self, inner: Source, starts: Column, sizes: Column, places: Column) -> None:
        self.name = inner.name
        self.inner = inner
        self.starts, self.sizes, self.places = starts, sizes, places
        self.size = starts[-1] + sizes[-1] if len(starts) else 0

    def read(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise SourceEnd(self.name, offset, size, self.size)
        at = bisect_right(self.starts, offset) - 1
        if at >= 0 and offset + size <= self.starts[at] + self.sizes[at]:
            return self.inner.read(self.places[at] + offset - self.starts[at], size)
        return self._gather(at, offset, size)

    def peek(self, offset: int, size: int) -> bytes:
        start = min(max(offset, 0), self.size)
        return self.read(start, max(min(size, self.size - start), 0))

    def view(self, offset: int, size: int) -> memoryview:
        return memoryview(self.read(offset, size))

    def page(self, offset: int) -> tuple[Buffer, int]:
        at = bisect_right(self.starts, offset) - 1
        if at >= 0 and offset + PAGE_SIZE <= self.starts[at] + self.sizes[at]:
            return self.inner.page(self.places[at] + offset - self.starts[at])
        return self.read(offset, PAGE_SIZE), 0

    def identity(self) -> str | None:
        """The stream's own identity under another name."""
        found = identity_of(self.inner)
        return found and f"{NAME}:{found}"

    def _gather(self, at: int, offset: int, size: int) -> bytes:
        if size > self.inner.size + GAPS:
            raise ImageDamaged(
                f"{self.name}: wanted {size:#x} bytes at {offset:#x} of a stream of {self.inner.size:#x}"
            )
        out = bytearray(size)
        end = offset + size
        at = max(at, 0)
        while at < len(self.starts) and self.starts[at] < end:
            begin, stop = max(self.starts[at], offset), min(self.starts[at] + self.sizes[at], end)
            if begin < stop:
                part = self.inner.view(self.places[at] + begin - self.starts[at], stop - begin)
                out[begin - offset : stop - offset] = part
            at += 1
        return bytes(out)


def probe(source: Source) -> bool:
    """True if the stream begins with the flattened head; ImageNotSupported if it is of another type or version."""
    head = source.peek(0, HEAD.size)
    if len(head) < HEAD.size or head[:16] != MAGIC:
        return False
    _, kind, version = HEAD.unpack(head)
    if (kind, version) != (TYPE, VERSION):
        raise ImageNotSupported(
            f"{source.name}: flattened stream of type {kind}, version {version}: only 1, 1 is known"
        )
    return True


def unwrap(source: Source, options: Options = DEFAULTS) -> Source:
    """The file that the stream describes. All segments are looked at once; for a long stream that is remembered."""
    found = _load(source, options.cache) or Flattened(source, *_disjoint(_scan(source, options)))
    if len(found.starts) >= MANY:
        _store(found, options.cache)
    if found.peek(0, len(MAGIC)) == MAGIC:
        raise ImageDamaged(f"{source.name}: a flattened stream inside a flattened stream")
    return found


def _scan(source: Source, options: Options) -> Columns:
    """The segments in the order of writing, the last one clipped where the stream was cut off."""
    starts, sizes, places = array("Q"), array("Q"), array("Q")
    at = FIRST
    while at + SEGMENT.size < source.size:
        offset, size = SEGMENT.unpack(source.read(at, SEGMENT.size))
        if (offset, size) == END:
            break
        at += SEGMENT.size
        if offset < 0 or size < 0 or offset + size > LAST_OFFSET:
            raise ImageDamaged(f"{source.name}: segment at {at:#x} of the stream: offset {offset:#x}, size {size:#x}")
        if size:
            starts.append(offset)
            sizes.append(min(size, source.size - at))
            places.append(at)
        at += size
        if not len(starts) % STEP:
            options.progress("reading the flattened stream", min(at, source.size), source.size)
    return starts, sizes, places


def _disjoint(written: Columns) -> Columns:
    """The segments by rising offset, each byte from the one that was written last."""
    starts, sizes, places = array("Q"), array("Q"), array("Q")
    for start, size, place in _each_disjoint(written):
        starts.append(start)
        sizes.append(size)
        places.append(place)
    return starts, sizes, places


def _each_disjoint(written: Columns) -> Iterator[Segment]:
    starts, sizes, _ = written
    group: list[int] = []
    reached = 0
    for number in sorted(range(len(starts)), key=starts.__getitem__):
        if group and starts[number] >= reached:
            yield from _each_newest(written, group)
            group = []
        group.append(number)
        reached = max(reached, starts[number] + sizes[number])
    yield from _each_newest(written, group)


def _each_newest(written: Columns, group: list[int]) -> Iterator[Segment]:
    """What is seen of segments without a gap between them: `group` holds their numbers by rising offset."""
    starts, sizes, places = written
    if len(group) == 1:
        yield starts[group[0]], sizes[group[0]], places[group[0]]
        return
    waiting = [*reversed(group)]
    open_now: list[int] = []  # negative numbers: the heap gives the newest first
    at = starts[group[0]] if group else 0
    while waiting or open_now:
        while waiting and starts[waiting[-1]] <= at:
            heapq.heappush(open_now, -waiting.pop())
        newest = -open_now[0]
        end = starts[newest] + sizes[newest]
        if end <= at:
            heapq.heappop(open_now)
            continue
        end = min(end, starts[waiting[-1]]) if waiting else end
        yield at, end - at, places[newest] + at - starts[newest]
        at = end


def _load(source: Source, cache: Cache | None) -> Flattened | None:
    key = identity_of(source) if cache else None
    payload = cache.load(NAME, key) if cache and key else None
    if payload is None or len(payload) % 24:
        return None
    numbers = payload.cast("Q")
    count = len(numbers) // 3
    return Flattened(source, numbers[:count], numbers[count : 2 * count], numbers[2 * count :])


def _store(found: Flattened, cache: Cache | None) -> None:
    key = identity_of(found.inner) if cache else None
    if cache and key:
        cache.store(NAME, key, [memoryview(column).cast("B") for column in (found.starts, found.sizes, found.places)])
