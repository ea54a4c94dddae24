"""The disk of a virtual machine as a source: a qcow2 file over the files that it is based on.

Every range is served by one file of the chain, the top first; what no file has reads as zeros. `each_extent` says which
file, where in it, and in which form.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from formats.errors import ImageDamaged, SourceEnd
from formats.frames import PAGE_SIZE
from formats.lazy import dataclass
from formats.qcow2_clusters import ClusterMap, Kind, Piece
from formats.qcow2_compressed import CompressedClusters
from formats.qcow2_header import Header
from formats.qcow2_snapshots import Snapshot
from formats.source import Buffer, Source

WIDTH = 1 << 20  # what is looked up at once where a disk is read on


@dataclass(frozen=True)
class Extent:
    """`size` bytes of the disk from `start` on, served by the layer `depth` of the chain; data lie at `host` in `file`.

    An UNALLOCATED extent is in no file of the chain and reads as zeros.
    """

    start: int
    size: int
    kind: Kind
    depth: int
    file: str
    host: int | None = None


class Layer(Protocol):
    """One file of a chain. `size` is the disk's as this file has it; `file` holds the data."""

    name: str
    size: int
    file: Source

    def each_piece(self, start: int, end: int) -> Iterator[Piece]: ...

    def find_data(self, start: int, size: int) -> int | None: ...

    def inflate(self, host: int, packed: int) -> bytes: ...


class RawLayer:
    """A file that is the disk, byte for byte."""

    def __init__(self, file: Source) -> None:
        self.name = file.name
        self.size = file.size
        self.file = file

    def each_piece(self, start: int, end: int) -> Iterator[Piece]:
        yield Piece(start, end - start, Kind.DATA, start)

    def find_data(self, start: int, size: int) -> int | None:
        return start

    def inflate(self, host: int, packed: int) -> bytes:
        raise ImageDamaged(f"{self.name}: a raw file has no compressed clusters")


class Qcow2Layer:
    """A qcow2 file through one of its L1 tables. `file` is the external data file, if it has one."""

    def __init__(self, clusters: ClusterMap, size: int, file: Source, cache_limit: int) -> None:
        self.name = clusters.source.name
        self.size = size
        self.file = file
        self.clusters = clusters
        self.compressed = CompressedClusters(clusters.source, clusters.header, cache_limit)

    def each_piece(self, start: int, end: int) -> Iterator[Piece]:
        return self.clusters.each_piece(start, end)

    def find_data(self, start: int, size: int) -> int | None:
        return self.clusters.find_data(start, size)

    def inflate(self, host: int, packed: int) -> bytes:
        return self.compressed.read(host, packed)


class Disk:
    """The disk that a chain of layers makes, the top first. It begins at `origin` of the top layer."""

    origin = 0

    def __init__(
        self,
        layers: Sequence[Layer],
        name: str | None = None,
        header: Header | None = None,
        snapshots: Sequence[Snapshot] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        self.layers = layers
        self.name = name or layers[0].name
        self.size = layers[0].size
        self.header = header  # of the top, if that is qcow2
        self.snapshots = snapshots
        self.warnings = warnings

    def read(self, offset: int, size: int) -> bytes:
        self._check(offset, size)
        parts = [self._bytes(piece, depth, offset) for piece, depth in self._each_piece(0, offset, offset + size)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def peek(self, offset: int, size: int) -> bytes:
        offset = max(offset, 0)
        return self.read(offset, max(min(size, self.size - offset), 0)) if offset < self.size else b""

    def view(self, offset: int, size: int) -> memoryview:
        self._check(offset, size)
        piece, depth = self._first(offset, size)
        if piece.kind is Kind.DATA and piece.size == size and piece.host + size <= self.layers[depth].file.size:
            return self.layers[depth].file.view(piece.host, size)
        return memoryview(self.read(offset, size))

    def page(self, offset: int) -> tuple[Buffer, int]:
        self._check(offset, PAGE_SIZE)
        top = self.layers[0]
        host = top.find_data(offset + self.origin, PAGE_SIZE)
        if host is not None and host + PAGE_SIZE <= top.file.size:
            return top.file.page(host)
        return self.read(offset, PAGE_SIZE), 0

    def each_extent(self, start: int = 0, end: int | None = None) -> Iterator[Extent]:
        """What serves the disk from `start` to `end`, neighbours of one kind and place joined."""
        end = self.size if end is None else min(end, self.size)
        waiting: tuple[Piece, int] | None = None
        for piece, depth in self._each_piece(0, start, end):
            if waiting and depth == waiting[1] and _continues(waiting[0], piece):
                before = waiting[0]
                waiting = before._replace(size=before.size + piece.size), depth
                continue
            if waiting:
                yield self._extent(*waiting)
            waiting = piece, depth
        if waiting:
            yield self._extent(*waiting)

    def find_extent(self, offset: int) -> Extent:
        """What serves the byte at an offset, and how far that goes on at most within its neighbourhood."""
        self._check(offset, 1)
        return next(self.each_extent(offset, min(offset + WIDTH, self.size)))

    def _extent(self, piece: Piece, depth: int) -> Extent:
        layer = self.layers[depth]
        placed = piece.kind in (Kind.DATA, Kind.COMPRESSED)
        file = layer.file.name if piece.kind is Kind.DATA else layer.name
        return Extent(piece.start, piece.size, piece.kind, depth, file, piece.host if placed else None)

    def _each_piece(self, depth: int, start: int, end: int) -> Iterator[tuple[Piece, int]]:
        """The pieces from this layer down."""
        below = self.layers[depth + 1].size if depth + 1 < len(self.layers) else 0
        for piece in self.layers[depth].each_piece(start, end):
            if piece.kind is not Kind.UNALLOCATED or piece.start >= below:
                yield piece, depth
                continue
            stop = piece.start + piece.size
            yield from self._each_piece(depth + 1, piece.start, min(stop, below))
            if stop > below:
                yield Piece(below, stop - below, Kind.UNALLOCATED), depth

    def _first(self, offset: int, size: int) -> tuple[Piece, int]:
        return next(self._each_piece(0, offset, offset + size), (Piece(offset, 0, Kind.UNALLOCATED), 0))

    def _bytes(self, piece: Piece, depth: int, offset: int) -> bytes:
        layer = self.layers[depth]
        if piece.kind is Kind.DATA:
            return _stored(layer.file, piece)
        if piece.kind is Kind.COMPRESSED:
            cluster = layer.inflate(piece.host, piece.packed)
            inside = piece.start & len(cluster) - 1
            return cluster[inside : inside + piece.size]
        return bytes(piece.size)

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise SourceEnd(self.name, offset, size, self.size)


class StateRegion(Disk):
    """The bytes behind a snapshot's disk in which its machine's state lies; unallocated ones are zeros."""

    def __init__(self, layer: Qcow2Layer, start: int, size: int, key: str | None) -> None:
        super().__init__([layer])
        self.size = size
        self.origin = start
        self._key = key

    def identity(self) -> str | None:
        """The file's own, and which snapshot of it this is."""
        return self._key

    def _each_piece(self, depth: int, start: int, end: int) -> Iterator[tuple[Piece, int]]:
        for piece, layer in super()._each_piece(depth, start + self.origin, end + self.origin):
            yield piece._replace(start=piece.start - self.origin), layer


def _stored(file: Source, piece: Piece) -> bytes:
    """The bytes of a piece; the last cluster of a file may be cut, what is missing counts as zeros."""
    if piece.host >= file.size:
        raise ImageDamaged(f"{file.name}: truncated: data of the disk at {piece.start:#x} lie at {piece.host:#x}")
    if piece.host + piece.size <= file.size:
        return file.read(piece.host, piece.size)
    return file.peek(piece.host, piece.size).ljust(piece.size, b"\0")


def _continues(before: Piece, piece: Piece) -> bool:
    if piece.kind is not before.kind or piece.kind is Kind.COMPRESSED:
        return False
    return piece.kind is not Kind.DATA or piece.host == before.host + before.size
