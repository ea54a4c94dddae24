"""The files that make up a qcow2 disk: the image, the data file it names, the images it is based on.

An image may name any file, so names are followed only into the image's own directory, or where the user allows it. A
name that leads back into the chain, or through more layers than make sense, is refused.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from formats.errors import ImageDamaged, ImageError, ImageNotSupported
from formats.lazy import dataclass
from formats.options import Options
from formats.qcow2_clusters import ClusterMap
from formats.qcow2_disk import Disk, Layer, Qcow2Layer, RawLayer
from formats.qcow2_header import Header, is_qcow2, read_header
from formats.qcow2_snapshots import Snapshot, choose, read_snapshots
from formats.source import FileSource, Source

MAX_LAYERS = 64
PROTOCOL = re.compile(r"[A-Za-z0-9+.-]*:")
FORMATS = ("raw", "qcow2", "")


class NotAllowed(ImageNotSupported):
    """A file that an image names, outside of what may be opened for it."""

    def __init__(self, image: str, kind: str, named: str, path: Path) -> None:
        super().__init__(
            f"{image}: its {kind} {named!r} lies outside the image's own directory; --allow-backing={path} allows it"
        )
        self.path = path


@dataclass(frozen=True)
class Chain:
    """The layers, top first, the top's header and snapshots if it is qcow2, and what should be said of them."""

    layers: Sequence[Layer]
    header: Header | None
    snapshots: Sequence[Snapshot]
    warnings: Sequence[str]


def open_chain(source: Source, options: Options) -> Chain:
    """The chain from this file down, through the snapshot that the options name."""
    return _Opener(source, options).open()


def open_disk(source: Source, options: Options) -> Disk:
    """The disk as its guest sees it, or saw it at the snapshot that the options name."""
    chain = open_chain(source, options)
    name = source.name if options.snapshot is None else f"{source.name}@{options.snapshot}"
    return Disk(chain.layers, name, chain.header, chain.snapshots, chain.warnings)


def refuse_encrypted(source: Source, header: Header) -> None:
    """What is encrypted cannot be read here."""
    if header.cipher:
        raise ImageNotSupported(f"{source.name}: encrypted ({header.cipher}); decrypt it with qemu-img convert first")


def doubts(source: Source, header: Header) -> Sequence[str]:
    """What the image says of its own condition."""
    return [f"{source.name}: marked as corrupt by QEMU; what is read may be wrong"] if header.corrupt else []


def state_layer(source: Source, header: Header, snapshot: Snapshot, options: Options) -> Qcow2Layer:
    """The file through a snapshot's L1 table, without what it is based on, as far as the table reaches."""
    refuse_encrypted(source, header)
    clusters = ClusterMap(source, header, snapshot.l1_offset, snapshot.l1_size)
    reach = snapshot.l1_size << header.cluster_bits + header.table_bits
    return Qcow2Layer(clusters, reach, source, options.page_cache)


class _Opener:
    def __init__(self, source: Source, options: Options) -> None:
        self.top = source
        self.options = options
        self.seen: set[tuple[int, int]] = set()
        self.warnings: list[str] = []
        self.layers: list[Layer] = []

    def open(self) -> Chain:
        source: Source | None = self.top
        wanted = self.options.snapshot
        kind = "qcow2" if is_qcow2(self.top) else "raw"
        header: Header | None = None
        snapshots: Sequence[Snapshot] = ()
        while source is not None:
            self._once(source)
            if kind == "raw":
                self.layers.append(RawLayer(source))
                break
            layer_header = read_header(source)
            rows = read_snapshots(source, layer_header)
            if header is None:
                header, snapshots = layer_header, rows
            self._add_qcow2(source, layer_header, choose(source, rows, wanted) if wanted is not None else None)
            wanted = None
            source, kind = self._backing(source, layer_header)
        return Chain(self.layers, header, snapshots, self.warnings)

    def _add_qcow2(self, source: Source, header: Header, snapshot: Snapshot | None) -> None:
        refuse_encrypted(source, header)
        self.warnings += doubts(source, header)
        table = (snapshot.l1_offset, snapshot.l1_size) if snapshot else (header.l1_offset, header.l1_size)
        size = snapshot.disk_size if snapshot else header.size
        file = self._data_file(source, header) if header.has_data_file else source
        clusters = ClusterMap(source, header, *table)
        self.layers.append(Qcow2Layer(clusters, size, file, self.options.page_cache))

    def _data_file(self, source: Source, header: Header) -> Source:
        if not header.data_name:
            raise ImageDamaged(f"{source.name}: its data lie in an external data file that it does not name")
        return FileSource(self._path(source, "external data file", header.data_name))

    def _backing(self, source: Source, header: Header) -> tuple[Source | None, str]:
        """The file below and its kind; none where the chain ends."""
        if not header.backing_name:
            return None, ""
        if header.backing_format not in FORMATS:
            raise ImageNotSupported(
                f"{source.name}: its backing file {header.backing_name!r} is of format {header.backing_format!r};"
                " known are raw and qcow2"
            )
        below = FileSource(self._path(source, "backing file", header.backing_name))
        kind = header.backing_format
        if not kind:
            kind = "qcow2" if is_qcow2(below) else "raw"
            self.warnings.append(f"{source.name}: names no format for {below.name}; it is taken as {kind}")
        return below, kind

    def _path(self, source: Source, what: str, named: str) -> Path:
        """The path behind a name in an image, if it may be opened."""
        named_path = named.removeprefix("file:")
        if PROTOCOL.match(named_path.split("/")[0]):
            raise ImageNotSupported(f"{source.name}: its {what} is {named!r}; only names of files are followed")
        if any(character < " " for character in named):
            raise ImageDamaged(f"{source.name}: its {what} {named!r} has control characters in its name")
        try:
            path = (_path_of(source).parent / named_path).resolve()
        except (OSError, RuntimeError) as err:  # too long a name, a loop of links
            raise ImageError(f"{source.name}: its {what} {named!r} cannot be found: {err}") from err
        own = _path_of(self.top).resolve().parent
        allowed = [own, *(one.resolve() for one in self.options.allow_backing)]
        if not any(path == one or one in path.parents for one in allowed):
            raise NotAllowed(source.name, what, named, path)
        return path

    def _once(self, source: Source) -> None:
        if len(self.layers) >= MAX_LAYERS:
            raise ImageDamaged(f"{self.top.name}: based on more than {MAX_LAYERS} files")
        if isinstance(source, FileSource):
            stat = source.path.stat()
            if (stat.st_dev, stat.st_ino) in self.seen:
                raise ImageDamaged(f"{source.name}: backing files form a loop: it is based on itself")
            self.seen.add((stat.st_dev, stat.st_ino))


def _path_of(source: Source) -> Path:
    path = getattr(source, "path", None)
    if not isinstance(path, Path):
        raise ImageError(f"{source.name}: names other files, but is no file itself; unpack it first")
    return path
