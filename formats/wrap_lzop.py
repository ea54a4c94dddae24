"""A file compressed with lzop.

Magic, header with a checksum, blocks: unpacked size, packed size, checksums as the flags say, bytes; a size of 0 ends.
A block that is not smaller is stored as it is. All numbers big-endian.
Specified in: conf.h and p_lzo.c of lzop.
"""

import struct
import zlib

from formats.codec import decompressor
from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.options import DEFAULTS, Options
from formats.source import Source
from formats.unpacked import Pieces, unpack

NAME = "lzop"
DESCRIPTION = "compressed with lzop"
HEADS = (b"\x89LZO\0\r\n\x1a\n",)
MAGIC = b"\x89LZO\0\r\n\x1a\n"

ADLER_DATA, ADLER_PACKED, EXTRA, CRC_DATA, CRC_PACKED, FILTER = 0x1, 0x2, 0x40, 0x100, 0x200, 0x800
CHECKS = ((ADLER_DATA, zlib.adler32), (CRC_DATA, zlib.crc32))
METHODS = (1, 2, 3)  # LZO1X-1, LZO1X-1(15), LZO1X-999: one way to unpack them
LEVEL_SINCE = 0x0940
MAX_BLOCK = 64 << 20


def probe(source: Source) -> bool:
    """True if lzop's magic is there."""
    return source.peek(0, len(MAGIC)) == MAGIC


def unwrap(source: Source, options: Options = DEFAULTS) -> Source:
    """The unpacked bytes."""
    return unpack(source, options, NAME, _each_piece, "lzop -dc")


def _each_piece(source: Source) -> Pieces:
    try:
        flags, at = _header(source)
        while True:
            (size,) = struct.unpack(">I", source.read(at, 4))
            if not size:
                return
            block, at = _block(source, at + 4, size, flags)
            yield at, block
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: the lzop file stops before its end mark") from err


def _header(source: Source) -> tuple[int, int]:
    """The flags, and where the blocks begin."""
    at = len(MAGIC)
    (version,) = struct.unpack(">H", source.read(at, 2))
    new = version >= LEVEL_SINCE
    at += 6 if new else 4
    method = source.read(at, 1)[0]
    if method not in METHODS:
        raise ImageNotSupported(f"{source.name}: lzop method {method}; known are {', '.join(map(str, METHODS))}")
    at += 2 if new else 1
    (flags,) = struct.unpack(">I", source.read(at, 4))
    if flags & FILTER:
        raise ImageNotSupported(f"{source.name}: lzop with a filter")
    at += 4 + 4 + (8 if new else 4)  # flags, mode, time
    at += 1 + source.read(at, 1)[0] + 4  # name, checksum
    if flags & EXTRA:
        at += 4 + struct.unpack(">I", source.read(at, 4))[0] + 4
    return flags, at


def _block(source: Source, at: int, size: int, flags: int) -> tuple[bytes, int]:
    """The unpacked block, and where the next one begins."""
    start = at
    (packed,) = struct.unpack(">I", source.read(at, 4))
    if size > MAX_BLOCK or packed > size:
        raise ImageDamaged(f"{source.name}: lzop block of {packed} bytes for {size} at {start:#x}")
    at += 4
    sums = [(flag, function) for flag, function in CHECKS if flags & flag]
    said = struct.unpack(f">{len(sums)}I", source.read(at, 4 * len(sums)))
    at += 4 * len(sums)
    if packed < size:
        at += 4 * bool(flags & ADLER_PACKED) + 4 * bool(flags & CRC_PACKED)
    data = source.read(at, packed)
    block = data if packed == size else decompressor("lzo", size)(data)
    for (_, function), wanted in zip(sums, said, strict=True):
        if function(block) != wanted:
            raise ImageDamaged(f"{source.name}: lzop block at {start:#x} does not have its checksum")
    return block, at + packed
