"""Decompression of pages and clusters, one function for each codec; never more comes out than was asked for.

    zlib     Python's own
    zstd     zstandard      of the zstd bindings the one that reuses its context between frames
    snappy   cramjam        raw snappy without framing
    lzo      lzallright     LZO1X without framing, under the MIT licence (the usual binding is under the GPL)

All have wheels and licences that go with Apache-2.0. A library is imported when its codec is first asked for. LZO1X
streams announce no length; there the output is bounded by the input, of which each byte can give 255.
"""

import zlib
from collections.abc import Callable

from formats.errors import ImageDamaged, ImageNotSupported

Decompress = Callable[[bytes | memoryview], bytes]


class CodecFailed(ImageDamaged):
    """Compressed bytes that do not decompress to what they should."""

    def __init__(self, codec: str, why: str) -> None:
        super().__init__(f"{codec}: {why}")
        self.codec = codec


class CodecMissing(ImageNotSupported):
    """The library of a codec is not installed."""

    def __init__(self, codec: str, package: str) -> None:
        super().__init__(f"{codec} compression: the Python package {package} is missing (pip install {package})")
        self.codec = codec
        self.package = package


def decompressor(codec: str, size: int) -> Decompress:
    """A function that gives exactly `size` bytes out of one compressed block, or raises CodecFailed."""
    return MAKERS[codec](size)


def _zlib(size: int) -> Decompress:
    new = zlib.decompressobj

    def decompress(data: bytes | memoryview) -> bytes:
        try:
            stream = new()
            out = stream.decompress(data, size + 1)  # one more than wanted: the end of the stream is read, too
        except zlib.error as err:
            raise CodecFailed("zlib", str(err)) from err
        if len(out) != size:
            raise _wrong_size("zlib", len(out), size)
        if not stream.eof:
            raise CodecFailed("zlib", "the compressed bytes stop before their end mark")
        return out

    return decompress


def _zstd(size: int) -> Decompress:
    try:
        import zstandard
    except ImportError as err:
        raise CodecMissing("zstd", "zstandard") from err
    content_size = zstandard.frame_content_size
    run = zstandard.ZstdDecompressor().decompress
    failed = zstandard.ZstdError

    def decompress(data: bytes | memoryview) -> bytes:
        try:
            announced = content_size(data)
            if announced not in (size, -1):
                raise _wrong_size("zstd", announced, size)
            out = run(data, max_output_size=size)
        except failed as err:
            raise CodecFailed("zstd", str(err)) from err
        if len(out) != size:
            raise _wrong_size("zstd", len(out), size)
        return out

    return decompress


def _snappy(size: int) -> Decompress:
    try:
        import cramjam
    except ImportError as err:
        raise CodecMissing("snappy", "cramjam") from err
    announced = cramjam.snappy.decompress_raw_len
    run = cramjam.snappy.decompress_raw
    failed = cramjam.DecompressionError

    def decompress(data: bytes | memoryview) -> bytes:
        try:
            length = announced(data)
            if length != size:
                raise _wrong_size("snappy", length, size)
            return bytes(run(data))
        except failed as err:
            raise CodecFailed("snappy", str(err)) from err

    return decompress


def _lzo(size: int) -> Decompress:
    try:
        from lzallright import LZOCompressor, LZOError
    except ImportError as err:
        raise CodecMissing("lzo", "lzallright") from err
    run = LZOCompressor.decompress

    def decompress(data: bytes | memoryview) -> bytes:
        try:
            out: bytes = run(data, size)
        except LZOError as err:
            raise CodecFailed("lzo", f"{type(err).__name__}: {err.args[0]}") from err
        if len(out) != size:
            raise _wrong_size("lzo", len(out), size)
        return out

    return decompress


def _wrong_size(codec: str, found: int, wanted: int) -> CodecFailed:
    return CodecFailed(codec, f"{found} bytes come out, {wanted} were expected")


MAKERS: dict[str, Callable[[int], Decompress]] = {"zlib": _zlib, "zstd": _zstd, "snappy": _snappy, "lzo": _lzo}
