"""The state of a machine in an internal snapshot of a qcow2 image (`savevm`), as a source: QEMU's migration stream.

Specified in: docs/interop/qcow2.rst of QEMU, "Snapshots".
"""

from collections.abc import Sequence

from formats.errors import ImageDamaged, ImageNotSupported
from formats.image import Fact
from formats.options import DEFAULTS, Options
from formats.source import Source

NAME = "qcow2-vmstate"
DESCRIPTION = "machine state in a qcow2 snapshot (savevm)"
HEADS = (b"QFI\xfb",)
TAKES_SNAPSHOT = True
MAGIC = b"QFI\xfb"


def probe(source: Source) -> bool:
    """True for every qcow2 file, with snapshots or without."""
    return source.peek(0, len(MAGIC)) == MAGIC


def unwrap(source: Source, options: Options = DEFAULTS) -> Source:
    """The state of the snapshot that the options name, or of the only one that has any."""
    from formats.cache import identity_of
    from formats.qcow2_chain import doubts, state_layer
    from formats.qcow2_disk import StateRegion
    from formats.qcow2_header import read_header
    from formats.qcow2_snapshots import choose, read_snapshots, state_place

    header = read_header(source)
    snapshot = choose(source, read_snapshots(source, header), options.snapshot)
    if not snapshot.state_size:
        raise ImageNotSupported(
            f"{source.name}: snapshot {snapshot.name!r} holds the disk only, no machine state; open it with --disk"
        )
    layer = state_layer(source, header, snapshot, options)
    start = state_place(header, snapshot)
    if start + snapshot.state_size > layer.size:
        raise ImageDamaged(
            f"{source.name}: snapshot {snapshot.name!r}: {snapshot.state_size:#x} bytes of machine state, its L1 table"
            f" has room for {max(layer.size - start, 0):#x}"
        )
    key = identity_of(source)
    region = StateRegion(layer, start, snapshot.state_size, f"{key}@{snapshot.id}" if key else None)
    region.warnings = doubts(source, header)
    region.name = f"{source.name}@{snapshot.name or snapshot.id}"
    return region


def describe(source: Source, options: Options = DEFAULTS) -> Sequence[Fact]:
    """The disk, the chain under it and the snapshots in it."""
    from formats.qcow2_facts import read_facts

    return read_facts(source, options)
