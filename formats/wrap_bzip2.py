"""A file compressed with bzip2, of one or several streams.

A stream is known by its magic, the digit of the block size and the first block's own magic.
"""

from formats.errors import ImageDamaged
from formats.options import DEFAULTS, Options
from formats.source import Source
from formats.unpacked import PIECE, Pieces, unpack

NAME = "bzip2"
DESCRIPTION = "compressed with bzip2"
HEADS = (b"BZh",)
MAGIC = b"BZh"
SIZES = b"123456789"
BLOCK, END = bytes.fromhex("314159265359"), bytes.fromhex("177245385090")


def probe(source: Source) -> bool:
    """True if a stream begins."""
    return _begins(source.peek(0, 10))


def unwrap(source: Source, options: Options = DEFAULTS) -> Source:
    """The unpacked bytes."""
    return unpack(source, options, NAME, _each_piece, "bunzip2 -c")


def _begins(head: bytes) -> bool:
    return head.startswith(MAGIC) and len(head) == 10 and head[3] in SIZES and head[4:] in (BLOCK, END)


def _each_piece(source: Source) -> Pieces:
    import bz2

    stream = bz2.BZ2Decompressor()
    at = 0
    try:
        while True:
            data = source.peek(at, PIECE) if stream.needs_input else b""
            if stream.needs_input and not data:
                raise ImageDamaged(f"{source.name}: truncated: the bzip2 stream stops before its end mark")
            at += len(data)
            yield at, stream.decompress(data, PIECE)
            if stream.eof:
                at -= len(stream.unused_data)
                if not _begins(source.peek(at, 10)):
                    return
                stream = bz2.BZ2Decompressor()
    except (OSError, ValueError) as err:
        raise ImageDamaged(f"{source.name}: bzip2: {err}, before {at:#x}") from err
