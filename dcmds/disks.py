"""Disks in qcow2 files: ::qcow2 ::blockmap ::qcow2check."""

from collections.abc import Iterator
from typing import Any

from formats.lazy import dataclass
from formats.options import Options
from formats.qcow2_disk import Disk
from formats.source import Source
from vmdebug.dcmd import Call, Hex, Text, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.targets.disk import DiskTarget


class NoDisk(DebuggerError):
    def __init__(self) -> None:
        super().__init__("the target is no disk: open one with vmdebug --disk FILE")


@dataclass(frozen=True)
class FactRow:
    """One thing that a qcow2 file says.

    name: what
    value: as the file has it
    evidence: where that stands
    """

    name: str
    value: Any
    evidence: str


@dcmd("qcow2", text=Text("{name:<20} {value:<40}  {evidence}"), row=FactRow)
def qcow2(call: Call) -> Iterator[FactRow]:
    """print header, features and tables of a qcow2 disk

    The file's header, its feature bits by name, its tables, the chain below it and its snapshots.

    Example:
        ::qcow2
    """
    from formats.qcow2_facts import read_facts

    for fact in read_facts(top_file(call), Options()):
        yield FactRow(fact.name, fact.value, fact.evidence)


@dataclass(frozen=True)
class BlockRow:
    """What serves a range of the disk.

    start: the first byte of the range
    size: its bytes
    kind: data, zero, compressed or unallocated
    depth: which file of the chain serves it, 0 for the top
    file: that file
    host: where in it the bytes lie, null where it stores none
    """

    start: Hex
    size: int
    kind: str
    depth: int
    file: str
    host: Hex | None


@dcmd(
    "blockmap",
    address="optional",
    text=Text(
        "{start:>16x} {size:>12} {kind:<12} {depth:>5} {host:>16x} {file}",
        head=f"{'OFFSET':>16} {'SIZE':>12} {'KIND':<12} {'DEPTH':>5} {'HOST':>16} FILE",
    ),
    row=BlockRow,
)
def blockmap(call: Call) -> Iterator[BlockRow]:
    """say which file of the chain serves a range of the disk

    For an address the range around it, else every range of the disk.

    Example:
        0::blockmap
    """
    disk = disk_of(call)
    extents = disk.each_extent() if call.address is None else [disk.find_extent(call.address)]
    for extent in extents:
        host = None if extent.host is None else Hex(extent.host)
        yield BlockRow(Hex(extent.start), extent.size, extent.kind.value, extent.depth, extent.file, host)


@dataclass(frozen=True)
class CheckRow:
    """Something wrong with a qcow2 file.

    offset: where in the file
    kind: error, or leak where only space is lost
    text: what is wrong
    """

    offset: Hex
    kind: str
    text: str


@dcmd("qcow2check", text=Text("{kind:<6} {offset:>16x} {text}"), row=CheckRow)
def qcow2check(call: Call) -> Iterator[CheckRow]:
    """find errors in the tables of a qcow2 disk

    Counts every reference to every cluster and compares them with the file's own counts: errors, overlaps and leaks,
    as qemu-img check finds them. Nothing is repaired.

    Example:
        ::qcow2check
    """
    from formats.qcow2_check import check

    for finding in check(top_file(call)):
        yield CheckRow(Hex(finding.offset), "leak" if finding.leak else "error", finding.text)


def disk_of(call: Call) -> Disk:
    """The disk that is looked at; NoDisk where the target is a machine."""
    if not isinstance(call.target, DiskTarget):
        raise NoDisk
    return call.target.disk


def top_file(call: Call) -> Source:
    """The file on top of the disk's chain."""
    return disk_of(call).layers[0].file
