"""Memory as a kdump-compressed file, header version 6, each page compressed by itself.

Blocks of 4 KiB: header, sub header with the notes and VMCOREINFO behind it, two bitmaps (RAM, stored), a descriptor
for each stored page, the pages. All zero pages share the first one. Compression runs in threads, since the libraries
let go of the interpreter.
Specified in: IMPLEMENTATION and diskdump_mod.h of makedumpfile; dump/dump.c of QEMU.
"""

import os
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from formats.frames import PAGE_SHIFT, PAGE_SIZE
from formats.lazy import dataclass
from formats.vmcoreinfo import number, parse
from vmdebug.convert_guest import Guest
from vmdebug.convert_memory import ZERO_PAGE, Memory
from vmdebug.convert_output import Tick
from vmdebug.errors import DebuggerError

VERSION = 6
HEAD = struct.Struct("<8si65s65s65s65s65s65s")
TAIL = {
    64: struct.Struct("<6xQQIiiiIIIIII"),  # timestamp; status ... nr_cpus
    32: struct.Struct("<2xIIIiiiIIIIII"),
}
SUB = {
    64: struct.Struct("<QiiQQQQQQQQQQQ"),  # phys_base, dump level, split, pfns, three extents, 64-bit pfns, max_mapnr
    32: struct.Struct("<IiiIIQIQIQIQQQ"),
}
DESCRIPTOR = struct.Struct("<QIIQ")
ZLIB, ZSTD = 1, 0x20
KEPT_ZEROS = 30  # dump level: all kinds of pages but those of zeros may be missing
MOST_IN_HEADER = (1 << 32) - 1  # the sub header has the true number
MOST_PAGES = 1 << 36  # 256 TiB: the bitmaps of more would be larger than what they describe

Compressed = bytes | None  # None for a page of zeros
Compress = Callable[[bytes], bytes]


class TooWide(DebuggerError):
    def __init__(self, end: int) -> None:
        super().__init__(f"memory up to {end:#x} is too much for the bitmaps of a kdump file: convert to elf")


@dataclass(frozen=True)
class Codec:
    """How pages are compressed: the flag of a descriptor, and what makes a compressor for one thread."""

    flag: int
    make: Callable[[], Compress]


def zlib_codec() -> Codec:
    import zlib

    return Codec(ZLIB, lambda: lambda page: zlib.compress(page, 1))


def zstd_codec() -> Codec:
    import zstandard

    return Codec(ZSTD, lambda: zstandard.ZstdCompressor(level=1).compress)


def write(file: BinaryIO, memory: Memory, guest: Guest, codec: Codec, tick: Tick) -> None:
    """The whole file."""
    end = max([memory.end >> PAGE_SHIFT, *(run.pfn + run.count for run in memory.excluded)])
    if end > MOST_PAGES:
        raise TooWide(end << PAGE_SHIFT)
    bits = 64 if guest.long_mode else 32
    half = -(-end // (8 * PAGE_SIZE)) * PAGE_SIZE
    sub, sub_blocks = _sub_header(bits, memory, guest, end)
    bitmap_blocks = 2 * half // PAGE_SIZE
    file.write(
        _header(bits, codec.flag, guest, (sub_blocks, bitmap_blocks, min(end, MOST_IN_HEADER))).ljust(PAGE_SIZE, b"\0")
    )
    file.write(sub.ljust(sub_blocks * PAGE_SIZE, b"\0"))
    for bitmap in _bitmaps(memory, half):
        file.write(bitmap)
    _write_pages(file, memory, codec, tick)


def _header(bits: int, flag: int, guest: Guest, counts: tuple[int, int, int]) -> bytes:
    """`counts`: blocks of the sub header and of the bitmaps, pages that the bitmaps cover."""
    numbers = (flag, PAGE_SIZE, *counts, 0, 0, 0, 0, max(guest.cpus, 1))
    return HEAD.pack(b"KDUMP   ", VERSION, *guest.uts) + TAIL[bits].pack(0, 0, *numbers)


def _sub_header(bits: int, memory: Memory, guest: Guest, end: int) -> tuple[bytes, int]:
    layout, notes, text = SUB[bits], guest.notes, guest.vmcoreinfo
    notes_at = PAGE_SIZE + layout.size
    text_at = notes_at + len(notes)
    base = (number(parse(text), "phys_base") or 0) & ((1 << bits) - 1)
    level = KEPT_ZEROS if memory.excluded else 0
    places = (text_at if text else 0, len(text), notes_at if notes else 0, len(notes), 0, 0)
    data = layout.pack(base, level, 0, 0, 0, *places, 0, 0, end) + notes + text
    return data, -(-len(data) // PAGE_SIZE)


def _bitmaps(memory: Memory, size: int) -> Iterator[bytearray]:
    """What is RAM, then what is stored."""
    stored = bytearray(size)
    for stretch in memory.stretches:
        set_bits(stored, stretch.pfn, stretch.count)
    ram = bytearray(stored)
    for run in memory.excluded:
        set_bits(ram, run.pfn, run.count)
    yield ram
    yield stored


def set_bits(bitmap: bytearray, first: int, count: int) -> None:
    """Sets `count` bits from `first` on; bit 0 is the lowest of a byte."""
    end = first + count
    low, high = -(-first // 8), end // 8
    if low > high:
        bitmap[high] |= (1 << end % 8) - (1 << first % 8)
        return
    if first % 8:
        bitmap[low - 1] |= 0x100 - (1 << first % 8)
    bitmap[low:high] = b"\xff" * (high - low)
    if end % 8:
        bitmap[high] |= (1 << end % 8) - 1


def _write_pages(file: BinaryIO, memory: Memory, codec: Codec, tick: Tick) -> None:
    """Descriptors and pages side by side: the number of stored pages is known, and so is where pages begin."""
    file.flush()
    table = file.tell()
    zero_at = table + memory.size // PAGE_SIZE * DESCRIPTOR.size
    data = zero_at + PAGE_SIZE
    out = file.fileno()
    os.pwrite(out, ZERO_PAGE, zero_at)
    zero = DESCRIPTOR.pack(zero_at, PAGE_SIZE, 0, 0)
    for count, pages in _each_compressed(memory, codec):
        descriptors, stored = bytearray(), bytearray()
        for page in pages if pages is not None else ():
            if page is None:
                descriptors += zero
                continue
            flag = codec.flag if len(page) < PAGE_SIZE else 0
            descriptors += DESCRIPTOR.pack(data + len(stored), len(page), flag, 0)
            stored += page
        if pages is None:
            _repeat(out, zero, count, table)
        else:
            os.pwrite(out, descriptors, table)
            os.pwrite(out, stored, data)
        table += count * DESCRIPTOR.size
        data += len(stored)
        tick(count << PAGE_SHIFT)


def _repeat(out: int, zero: bytes, count: int, at: int) -> None:
    block = 1 << 16
    for start in range(0, count, block):
        os.pwrite(out, zero * min(block, count - start), at + start * len(zero))


def _each_compressed(memory: Memory, codec: Codec) -> Iterator[tuple[int, Sequence[Compressed] | None]]:
    """(pages, compressed ones) in order; None for a run known to be zero. A few chunks are on their way at a time."""
    workers = os.cpu_count() or 1
    waiting: deque[tuple[int, Future[list[Compressed]] | None]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for stretch in memory.stretches:
            for _, count, chunk in memory.each_chunk(stretch):
                waiting.append((count, pool.submit(_compress, chunk, codec) if chunk is not None else None))
                if len(waiting) > 2 * workers:
                    yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _result(one: tuple[int, "Future[list[Compressed]] | None"]) -> tuple[int, Sequence[Compressed] | None]:
    count, future = one
    return count, future.result() if future else None


def _compress(chunk: bytes, codec: Codec) -> list[Compressed]:
    compress = codec.make()
    out: list[Compressed] = []
    for at in range(0, len(chunk), PAGE_SIZE):
        page = chunk[at : at + PAGE_SIZE]
        if page == ZERO_PAGE:
            out.append(None)
            continue
        packed = compress(page)
        out.append(packed if len(packed) < PAGE_SIZE else page)
    return out
