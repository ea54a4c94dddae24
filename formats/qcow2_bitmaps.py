"""qcow2's persistent bitmaps, only as far as a check needs them: which clusters they take.

Specified in: docs/interop/qcow2.rst of QEMU, "Bitmaps".
"""

import struct
from collections.abc import Iterator

from formats.errors import ImageDamaged, SourceEnd
from formats.qcow2_clusters import OFFSET, big_endian
from formats.qcow2_header import Header
from formats.source import Source

ENTRY = struct.Struct(">QIIBBHI")
MAX_BITMAPS = 65535
MAX_DIRECTORY = 64 << 20
MAX_TABLE = 32 << 20  # entries

Area = tuple[str, int, int]  # what it is, offset, size


def each_bitmap_area(source: Source, header: Header) -> Iterator[Area]:
    """The directory, each bitmap's table, and the clusters that a table names."""
    if not header.bitmaps:
        return
    count, size, offset = header.bitmaps
    if count > MAX_BITMAPS or size > MAX_DIRECTORY:
        raise ImageDamaged(f"{source.name}: {count} bitmaps in a directory of {size} bytes")
    yield "bitmap directory", offset, size
    at, end, room = offset, offset + size, source.size
    try:
        for _ in range(count):
            table, entries, _, _, _, name_size, extra = ENTRY.unpack(source.read(at, ENTRY.size))
            at += -(-(ENTRY.size + extra + name_size) // 8) * 8
            room -= entries * 8
            if at > end or entries > MAX_TABLE or room < 0:
                raise ImageDamaged(f"{source.name}: bitmap directory at {offset:#x} contradicts itself")
            yield "bitmap table", table, entries * 8
            for entry in big_endian(source.read(table, entries * 8)):
                if entry & OFFSET:
                    yield "bitmap", entry & OFFSET, header.cluster_size
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: bitmaps at {offset:#x}") from err
