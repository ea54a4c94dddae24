"""What a qcow2 file says of itself: disk, features, the files below it, snapshots."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from formats.errors import ImageError
from formats.image import Fact
from formats.options import Options
from formats.qcow2_chain import open_chain
from formats.qcow2_header import COMPRESSIONS, FEATURE_NAMES, Header, read_header
from formats.qcow2_snapshots import Snapshot, read_snapshots
from formats.source import Source

MAX_LISTED = 100


def read_facts(source: Source, options: Options) -> Sequence[Fact]:
    """The facts, each with where it stands; a chain that cannot be opened is one of them."""
    header = read_header(source)
    return [
        *_each_of_header(header),
        *_each_of_chain(source, options),
        *(_of_snapshot(one) for one in read_snapshots(source, header)[:MAX_LISTED]),
    ]


def _each_of_header(header: Header) -> Iterator[Fact]:
    said = "qcow2 header"
    yield Fact("qcow2 version", str(header.version), said)
    yield Fact("virtual size", f"{header.size:#x} bytes", said)
    yield Fact("cluster size", f"{header.cluster_size} bytes", said)
    yield Fact("compression", COMPRESSIONS[header.compression], said)
    if header.cipher:
        yield Fact("encryption", header.cipher, said)
    for bit in range(64):
        if header.incompatible >> bit & 1:
            yield Fact("feature", FEATURE_NAMES.get(bit, f"bit {bit}"), said)
    if header.backing_name:
        format_said = f" ({header.backing_format})" if header.backing_format else ""
        yield Fact("backing file", header.backing_name + format_said, said)
    if header.data_name:
        yield Fact("external data file", header.data_name, "header extension")


def _each_of_chain(source: Source, options: Options) -> Iterator[Fact]:
    try:
        chain = open_chain(source, Options(allow_backing=options.allow_backing))
    except ImageError as err:
        yield Fact("chain", f"not open: {err}", "backing names")
        return
    for depth, layer in enumerate(chain.layers):
        if depth:
            yield Fact(f"below, {depth}", f"{layer.name} ({layer.size:#x} bytes)", "backing names")


def _of_snapshot(snapshot: Snapshot) -> Fact:
    when = datetime.fromtimestamp(snapshot.seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    state = f"machine state of {snapshot.state_size:#x} bytes" if snapshot.state_size else "disk only"
    return Fact(f"snapshot {snapshot.name or snapshot.id}", f"id {snapshot.id}, {when}, {state}", "snapshot table")
