"""A file compressed with xz, of one or several streams.

Specified in: the .xz file format, version 1.1.
"""

from formats.errors import ImageDamaged
from formats.options import DEFAULTS, Options
from formats.source import Source
from formats.unpacked import PIECE, Pieces, unpack

NAME = "xz"
DESCRIPTION = "compressed with xz"
HEADS = (b"\xfd7zXZ\0",)
MAGIC = b"\xfd7zXZ\0"
MAX_MEMORY = 1 << 30  # for the dictionary; `xz -9` needs 65 MiB


def probe(source: Source) -> bool:
    """True if a stream begins."""
    return source.peek(0, len(MAGIC)) == MAGIC


def unwrap(source: Source, options: Options = DEFAULTS) -> Source:
    """The unpacked bytes."""
    return unpack(source, options, NAME, _each_piece, "xz -dc")


def _each_piece(source: Source) -> Pieces:
    import lzma

    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)
    at = 0
    try:
        while True:
            data = source.peek(at, PIECE) if stream.needs_input else b""
            if stream.needs_input and not data:
                raise ImageDamaged(f"{source.name}: truncated: the xz stream stops before its end mark")
            at += len(data)
            yield at, stream.decompress(data, PIECE)
            if stream.eof:
                at -= len(stream.unused_data)
                if source.peek(at, len(MAGIC)) != MAGIC:
                    return
                stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)
    except (lzma.LZMAError, EOFError) as err:
        raise ImageDamaged(f"{source.name}: xz: {err}, before {at:#x}") from err
