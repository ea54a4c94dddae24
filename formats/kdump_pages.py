"""The pages of one kdump-compressed file: descriptors by rank in the second bitmap, decompressed singly or in a row.

A descriptor says where a page's bytes lie, how many they are and how they are compressed; there is one for each bit
that is set in the second bitmap, in order. Writers let all zero pages share one stored page, the first of the data.
Specified in: IMPLEMENTATION of makedumpfile; dump/dump.c of QEMU.
"""

import struct
from collections.abc import Iterator, Sequence

from formats.bitmap import Bitmap
from formats.codec import CodecFailed, Decompress, decompressor
from formats.errors import ImageDamaged, PageExcluded, PageMissing, SourceEnd
from formats.extents import CUT_OFF
from formats.frames import PAGE_SHIFT, Pfn
from formats.kdump_header import Header
from formats.source import Source

DESCRIPTOR = struct.Struct("<QIIQ")  # offset, stored size, flags, page flags
SAMPLE = 64
NEAR = 1 << 18  # pages: 1 GiB
SCAN = DESCRIPTOR.size << 15  # bytes of descriptors looked at together

CODECS = {0x1: "zlib", 0x2: "lzo", 0x4: "snappy", 0x20: "zstd"}
COMPRESSED = 0x27


class PageNotWritten(PageExcluded):
    """A page that the dumping program did not come to."""

    def __init__(self, pfn: Pfn) -> None:
        PageMissing.__init__(self, pfn, "the dump ended before this page was written (no space left)")


class PageDamaged(PageMissing):
    """A page whose stored bytes do not make a page."""

    def __init__(self, pfn: Pfn, why: str) -> None:
        super().__init__(pfn, why)


class Pages:
    """Stored pages of one file; of a split set it holds those from `header.start` to `header.end`."""

    def __init__(self, source: Source, header: Header) -> None:
        self.source = source
        self.header = header
        offset = header.bitmap_at + (header.half_size if header.has_two_bitmaps else 0)
        self.stored = Bitmap(source, offset, header.max_mapnr)
        self.shift = header.block_size.bit_length() - 1 - PAGE_SHIFT  # pages of 4 KiB in a block, as a shift
        self._size = header.block_size
        self._largest = 2 * header.block_size  # writers store a page raw rather than larger than it is
        self._at = header.descriptors_at
        self._codecs: dict[int, Decompress] = {}
        self._skipped: int | None = None
        self._zero_at: int | None = None

    def descriptor(self, block: int) -> tuple[int, int, int]:
        """Offset, size and flags of a block whose bit is set."""
        at = self._at + DESCRIPTOR.size * (self.stored.rank(block) - self.skipped)
        offset, size, flags, _ = DESCRIPTOR.unpack(self.source.read(at, DESCRIPTOR.size))
        return offset, size, flags

    def read(self, block: int, offset: int, size: int, flags: int) -> bytes:
        """The block behind a descriptor; PageMissing says why if its bytes make none."""
        pfn = Pfn(block << self.shift)
        if not offset:
            raise PageNotWritten(pfn)
        if size > self._largest:
            raise PageDamaged(pfn, f"its descriptor says {size} bytes, a page takes at most {self._size}")
        try:
            return self._codec(flags & COMPRESSED)(self.source.read(offset, size))
        except SourceEnd as err:
            raise PageMissing(pfn, CUT_OFF) from err
        except CodecFailed as err:
            raise PageDamaged(pfn, f"its bytes at {offset:#x} are damaged: {err}") from err

    def read_row(self, first: int, count: int) -> list[bytes]:
        """`count` blocks in order, all of them stored; the bytes of most are looked up at once."""
        at = self._at + DESCRIPTOR.size * (self.stored.rank(first) - self.skipped)
        descriptors = list(DESCRIPTOR.iter_unpack(self.source.read(at, DESCRIPTOR.size * count)))
        window, base = self._window(descriptors)
        codecs, largest = self._codecs, self._largest
        blocks: list[bytes] = []
        try:
            for offset, size, flags, _ in descriptors:
                start = offset - base
                if start < 0 or size > largest:
                    blocks.append(self.read(first + len(blocks), offset, size, flags))
                else:
                    blocks.append(codecs[flags](window[start : start + size]))
        except (KeyError, CodecFailed):  # a codec to be made, or a damaged block to be named
            numbered = enumerate(descriptors, first)
            return [self.read(number, offset, size, flags) for number, (offset, size, flags, _) in numbered]
        return blocks

    def _window(self, descriptors: Sequence[tuple[int, ...]]) -> tuple[memoryview, int]:
        """The bytes from the first block to the last, and their offset; empty where they do not lie together."""
        start, last = descriptors[0][0], descriptors[-1]
        size = last[0] + last[1] - start
        if 0 < size <= self._largest * len(descriptors) and start and start + size <= self.source.size:
            return self.source.view(start, size), start
        return memoryview(b""), 0

    @property
    def skipped(self) -> int:
        """How many pages of the second bitmap are described in the files before this one."""
        if self._skipped is None:
            self._skipped = self.stored.rank(self.header.start)
        return self._skipped

    def described(self) -> int:
        """How many descriptors this file has."""
        return self.stored.rank(self.header.end) - self.skipped

    def zero_at(self) -> int:
        """Where the zero page lies that all zero pages share; -1 if there is none."""
        if self._zero_at is None:
            at = self._at + DESCRIPTOR.size * self.described()
            page = self.source.peek(at, self._size)
            self._zero_at = at if page == bytes(self._size) else -1
        return self._zero_at

    def is_zero(self, descriptor: tuple[int, int, int]) -> bool:
        """True if the descriptor names the shared zero page."""
        return descriptor == (self.zero_at(), self._size, 0)

    def zero_pattern(self) -> bytes:
        """The descriptor of a zero page."""
        return DESCRIPTOR.pack(max(self.zero_at(), 0), self._size, 0, 0)

    def count_zero(self) -> int:
        """How many descriptors name the shared zero page."""
        if self.zero_at() < 0:
            return 0
        pattern = self.zero_pattern()
        return sum(chunk.count(pattern) for chunk in self.each_chunk(0, self.described()))

    def each_chunk(self, first: int, count: int) -> Iterator[bytes]:
        """The descriptors from the first on, many at a time, as far as the file has them."""
        at, end = self._at + DESCRIPTOR.size * first, self._at + DESCRIPTOR.size * (first + count)
        while at < end:
            yield self.source.peek(at, min(SCAN, end - at))
            at += SCAN

    def first_descriptors(self) -> list[tuple[int, int, int]]:
        """A few descriptors, of the lowest pages; none where the first pages are not stored."""
        near = min(self.header.start + NEAR, self.header.end)
        return self._descriptors(0, min(self.stored.rank(near) - self.skipped, SAMPLE))

    def last_descriptors(self) -> list[tuple[int, int, int]]:
        """A few descriptors, of the highest pages."""
        count = self.described()
        return self._descriptors(max(count - SAMPLE, 0), min(count, SAMPLE))

    def _descriptors(self, first: int, count: int) -> list[tuple[int, int, int]]:
        data = self.source.peek(self._at + DESCRIPTOR.size * first, DESCRIPTOR.size * count)
        whole = data[: len(data) // DESCRIPTOR.size * DESCRIPTOR.size]
        return [(offset, size, flags) for offset, size, flags, _ in DESCRIPTOR.iter_unpack(whole)]

    def _codec(self, flags: int) -> Decompress:
        codec = self._codecs.get(flags)
        if codec is None:
            codec = self._codecs[flags] = self._make_codec(flags)
        return codec

    def _make_codec(self, flags: int) -> Decompress:
        if not flags:
            return self._check_raw
        if flags not in CODECS:
            raise CodecFailed("kdump", f"no codec has the flags {flags:#x}")
        return decompressor(CODECS[flags], self._size)

    def _check_raw(self, data: bytes | memoryview) -> bytes:
        if len(data) != self._size:
            raise CodecFailed("uncompressed", f"{len(data)} bytes, {self._size} were expected")
        return bytes(data)


def check_table(pages: Pages) -> None:
    """ImageDamaged if the file ends inside its bitmaps."""
    end = pages.header.descriptors_at
    if end > pages.source.size:
        raise ImageDamaged(f"{pages.source.name}: truncated: its bitmaps end at {end:#x}")
