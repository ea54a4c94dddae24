"""A file compressed with gzip, of one or several members.

Specified in: RFC 1952.
"""

import zlib

from formats.errors import ImageDamaged
from formats.options import DEFAULTS, Options
from formats.source import Source
from formats.unpacked import PIECE, Pieces, unpack

NAME = "gzip"
DESCRIPTION = "compressed with gzip"
HEADS = (b"\x1f\x8b\x08",)
MAGIC = b"\x1f\x8b\x08"  # with method 8, the only one there is
RESERVED = 0xE0
WITH_HEADER = 31  # zlib's word for a gzip header and the largest window


def probe(source: Source) -> bool:
    """True if a member begins."""
    head = source.peek(0, 4)
    return head[:3] == MAGIC and len(head) == 4 and not head[3] & RESERVED


def unwrap(source: Source, options: Options = DEFAULTS) -> Source:
    """The unpacked bytes."""
    return unpack(source, options, NAME, _each_piece, "gunzip -c")


def _each_piece(source: Source) -> Pieces:
    stream = zlib.decompressobj(WITH_HEADER)
    at, data = 0, b""
    try:
        while not stream.eof:
            if not data:
                data = source.peek(at, PIECE)
                at += len(data)
                if not data:
                    raise ImageDamaged(f"{source.name}: truncated: the gzip stream stops before its end mark")
            yield at, stream.decompress(data, PIECE)
            data = stream.unconsumed_tail
            if stream.eof:
                at -= len(stream.unused_data)
                if source.peek(at, 3) == MAGIC:
                    stream = zlib.decompressobj(WITH_HEADER)
    except zlib.error as err:
        raise ImageDamaged(f"{source.name}: gzip: {err}, before {at:#x}") from err
