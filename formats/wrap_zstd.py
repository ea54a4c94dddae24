"""A file compressed with zstd, of one or several frames.

Specified in: RFC 8878.
"""

import io
from typing import BinaryIO, cast

from formats.codec import CodecMissing
from formats.errors import ImageDamaged
from formats.options import DEFAULTS, Options
from formats.source import Source
from formats.unpacked import PIECE, Pieces, unpack

NAME = "zstd"
DESCRIPTION = "compressed with zstd"
HEADS = (b"\x28\xb5\x2f\xfd",)
MAGIC = b"\x28\xb5\x2f\xfd"
MAX_WINDOW = 1 << 31  # `zstd --long=31`


class _Reader(io.RawIOBase):
    """The packed bytes as a file that is read on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.at = 0

    def read(self, size: int = -1) -> bytes:
        data = self.source.peek(self.at, PIECE if size < 0 else min(size, PIECE))
        self.at += len(data)
        return data


def probe(source: Source) -> bool:
    """True if a frame begins."""
    return source.peek(0, len(MAGIC)) == MAGIC


def unwrap(source: Source, options: Options = DEFAULTS) -> Source:
    """The unpacked bytes."""
    return unpack(source, options, NAME, _each_piece, "zstd -dc")


def _each_piece(source: Source) -> Pieces:
    try:
        import zstandard
    except ImportError as err:
        raise CodecMissing("zstd", "zstandard") from err
    reader = _Reader(source)
    size = 0
    try:
        announced = zstandard.get_frame_parameters(source.peek(0, 32)).content_size
        with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(
            cast("BinaryIO", reader), read_across_frames=True
        ) as stream:
            while piece := stream.read(PIECE):
                size += len(piece)
                yield reader.at, piece
    except zstandard.ZstdError as err:
        raise ImageDamaged(f"{source.name}: zstd: {err}, before {reader.at:#x}") from err
    if announced != zstandard.CONTENTSIZE_UNKNOWN and size < announced:
        raise ImageDamaged(f"{source.name}: truncated: {size:#x} of {announced:#x} bytes are in the zstd frame")
