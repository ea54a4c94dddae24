"""Compressed clusters of qcow2: raw deflate, or zstd frames. Never more than a cluster comes out.

Specified in: docs/interop/qcow2.rst of QEMU, "Compressed Clusters Descriptor". What is stored may be followed by bytes
that belong to nothing, and its last sector may lie past the end of the file.
"""

import zlib

from formats.codec import CodecMissing
from formats.errors import ImageDamaged
from formats.pagecache import PageCache
from formats.qcow2_header import COMPRESSIONS, Header
from formats.source import Source

MAX_WINDOW = 1 << 24  # of zstd: larger ones make no sense for clusters of at most 2 MiB


class CompressedClusters:
    """The clusters of one file, by their place; those used last are kept."""

    def __init__(self, source: Source, header: Header, limit: int) -> None:
        self.source = source
        self.size = header.cluster_size
        self.codec = COMPRESSIONS[header.compression]
        self.cache = PageCache(limit)

    def read(self, host: int, packed: int) -> bytes:
        """The whole cluster that begins at a place of the file."""
        cluster = self.cache.find(host)
        if cluster is None:
            cluster = self._inflate(self.source.peek(host, packed), host)
            self.cache.keep(host, cluster)
        return cluster

    def _inflate(self, data: bytes, host: int) -> bytes:
        try:
            cluster = _zstd(data, self.size) if self.codec == "zstd" else _deflate(data, self.size)
        except ImageDamaged as err:
            raise ImageDamaged(f"{self.source.name}: compressed cluster at {host:#x}: {err}") from err
        if len(cluster) != self.size:
            found = f"{len(cluster)} bytes come out, {self.size} were expected"
            raise ImageDamaged(f"{self.source.name}: compressed cluster at {host:#x}: {found}")
        return cluster


def _deflate(data: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj(-15).decompress(data, size)
    except zlib.error as err:
        raise ImageDamaged(str(err)) from err


def _zstd(data: bytes, size: int) -> bytes:
    try:
        import zstandard
    except ImportError as err:
        raise CodecMissing("zstd", "zstandard") from err
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(
            data, read_across_frames=True
        ) as reader:
            return reader.read(size)
    except zstandard.ZstdError as err:
        raise ImageDamaged(str(err)) from err
