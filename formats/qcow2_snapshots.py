"""qcow2's internal snapshots: their table, and where a snapshot keeps the machine's state.

The state lies in clusters behind the end of the snapshot's disk, from the first place that a new L1 entry begins.
Specified in: docs/interop/qcow2.rst of QEMU, "Snapshots"; block/qcow2.c (qcow2_vm_state_offset).
"""

import struct
from collections.abc import Sequence

from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.lazy import dataclass
from formats.qcow2_header import MAX_L1, Header
from formats.source import Source

FIXED = struct.Struct(">QIHHIIQII")
STATE_SIZE = struct.Struct(">Q")
MAX_EXTRA = 1024
MAX_TABLE = 64 << 20


@dataclass(frozen=True)
class Snapshot:
    """One row of the table. `state_size` is 0 for a snapshot of the disk alone."""

    id: str
    name: str
    l1_offset: int
    l1_size: int
    seconds: int
    run_time: int  # of the guest, ns
    state_size: int
    disk_size: int


def read_snapshots(source: Source, header: Header) -> Sequence[Snapshot]:
    """Every row; ImageDamaged where the table leaves the file or its limits."""
    found: list[Snapshot] = []
    at = header.snapshots_offset
    try:
        for _ in range(header.snapshot_count):
            snapshot, at = _read(source, header, at)
            found.append(snapshot)
            if at - header.snapshots_offset > MAX_TABLE:
                raise ImageDamaged(f"{source.name}: snapshot table of more than {MAX_TABLE} bytes")
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: snapshot {len(found) + 1} lies at {at:#x}") from err
    return found


def table_size(source: Source, header: Header) -> int:
    """The bytes of the table."""
    at = header.snapshots_offset
    for _ in range(header.snapshot_count):
        at = _read(source, header, at)[1]
    return at - header.snapshots_offset


def state_place(header: Header, snapshot: Snapshot) -> int:
    """Where on the disk's scale the machine's state begins."""
    span_bits = header.cluster_bits + header.table_bits
    return -(-snapshot.disk_size >> span_bits) << span_bits


def choose(source: Source, snapshots: Sequence[Snapshot], wanted: str | None) -> Snapshot:
    """The snapshot of that id or name, or the only one with a machine's state; else an error that names them all."""
    if wanted is not None:
        named = [snapshot for snapshot in snapshots if wanted in (snapshot.name, snapshot.id)]
        exact = [snapshot for snapshot in named if snapshot.name == wanted] or named
        if exact:
            return exact[0]
        raise ImageNotSupported(f"{source.name}: no snapshot is called {wanted!r}; {listed(snapshots)}")
    with_state = [snapshot for snapshot in snapshots if snapshot.state_size]
    if len(with_state) == 1:
        return with_state[0]
    if not with_state:
        raise ImageNotSupported(
            f"{source.name}: a disk without a saved machine state ({listed(snapshots)}); open the disk with --disk"
        )
    raise ImageNotSupported(
        f"{source.name}: {len(with_state)} snapshots hold a machine state; choose one as {source.name}@NAME:"
        f" {listed(with_state)}"
    )


def listed(snapshots: Sequence[Snapshot]) -> str:
    """The snapshots for a message."""
    if not snapshots:
        return "it has no snapshots"
    names = [f"{one.name or one.id}{'' if one.state_size else ' (disk only)'}" for one in snapshots[:20]]
    more = f" and {len(snapshots) - 20} more" if len(snapshots) > 20 else ""
    return f"there are: {', '.join(name.encode('unicode_escape').decode() for name in names)}{more}"


def _read(source: Source, header: Header, at: int) -> tuple[Snapshot, int]:
    l1_offset, l1_size, id_size, name_size, seconds, _, run_time, small_size, extra = FIXED.unpack(
        source.read(at, FIXED.size)
    )
    if extra > MAX_EXTRA:
        raise ImageDamaged(f"{source.name}: snapshot at {at:#x} with {extra} bytes of extra data")
    if l1_size * 8 > MAX_L1 or l1_offset & header.cluster_size - 1:
        raise ImageDamaged(
            f"{source.name}: snapshot at {at:#x} with an L1 table of {l1_size} entries at {l1_offset:#x}"
        )
    more = source.read(at + FIXED.size, extra)
    raw = source.read(at + FIXED.size + extra, id_size + name_size)
    snapshot = Snapshot(
        id=raw[:id_size].decode("utf-8", "replace"),
        name=raw[id_size:].decode("utf-8", "replace"),
        l1_offset=l1_offset,
        l1_size=l1_size,
        seconds=seconds,
        run_time=run_time,
        state_size=STATE_SIZE.unpack_from(more)[0] if extra >= 8 else small_size,
        disk_size=STATE_SIZE.unpack_from(more, 8)[0] if extra >= 16 else header.size,
    )
    return snapshot, -(-(at + FIXED.size + extra + len(raw)) // 8) * 8
