"""A Linux guest's disks: ::block."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.block import SECTOR, Disks, Request
from vmdebug.guests.linux.kernel import linux
from vmdebug.types.typed import Typed

GUESTS = ("linux",)
HEAD = f"{'ADDR':<16} {'NAME':<12} {'DEV':>7} {'SECTORS':>12} {'MB':>8} {'READS':>9} {'WRITES':>9} {'INFLT':>5} DRIVER"


@dataclass(frozen=True)
class RequestRow:
    """A request that the driver has not finished.

    addr: its struct request
    queue: the number of its hardware queue
    tag: its tag there
    op: read, write, flush, discard, ...
    sector: the first sector, of 512 bytes
    size: how many bytes
    started: nanoseconds since boot when it was made, 0 where that is not noted
    """

    addr: Vaddr
    queue: int
    tag: int
    op: str
    sector: int
    size: int
    started: int


@dataclass(frozen=True)
class DiskRow:
    """A disk.

    addr: its struct gendisk
    name: its name
    major: its device number
    minor: and the number of its first partition's
    sectors: its size, in sectors of 512 bytes
    size: its size in bytes
    reads: requests to read that were finished, null where they are not counted
    writes: requests to write that were finished, null likewise
    queues: how many hardware queues it has
    queue: its struct request_queue
    driver: the driver of the device that it is on
    requests: the requests in flight
    """

    addr: Vaddr
    name: str
    major: int
    minor: int
    sectors: int
    size: int
    reads: int | None
    writes: int | None
    queues: int
    queue: Vaddr
    driver: str
    requests: Sequence[RequestRow]
    _full: bool


def disk_lines(rows: Iterable[DiskRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield HEAD
        reads, writes = ("-" if count is None else count for count in (row.reads, row.writes))
        yield (
            f"{row.addr:016x} {row.name:<12} {row.major:>3}:{row.minor:<3} {row.sectors:>12} {row.size >> 20:>8} "
            f"{reads:>9} {writes:>9} {len(row.requests):>5} {row.driver}"
        ).rstrip()
        for each in row.requests if row._full else ():
            yield (
                f"{'':4}{each.addr:016x} queue {each.queue} tag {each.tag:<4} {each.op:<8} sector {each.sector} "
                f"size {each.size:#x} since {each.started / 1e9:.6f}"
            )


@dcmd(
    "block",
    address="optional",
    flags=(Flag("v", "with each request in flight"),),
    text=disk_lines,
    row=DiskRow,
    guests=GUESTS,
)
def block(call: Call) -> Iterator[DiskRow]:
    """print disks and their requests in flight

    The disks of the block layer; the time of a request is in seconds since boot. An address is that of a struct gendisk
    and shows that one.

    Reads: struct class, struct subsys_private (klist_devices), struct klist_node (n_node, n_klist), struct
    device_private (knode_class, device), struct device (type, parent, driver), struct block_device (bd_device, bd_disk,
    bd_stats, bd_nr_sectors) or in older kernels struct hd_struct, struct gendisk (part0, queue, disk_name, major,
    first_minor), struct disk_stats (ios), struct request_queue (nr_hw_queues, hctx_table or queue_hw_ctx), struct
    blk_mq_hw_ctx (tags, queue_num), struct blk_mq_tags (nr_tags, rqs), struct request (state, tag, q, cmd_flags,
    __sector, __data_len, start_time_ns).

    Example:
        ::block -v
    """
    disks = Disks(linux(call.guest))
    for disk in disks.each():
        if call.address not in (None, int(disk)):
            continue
        try:
            yield _row(call, disks, disk)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the disk at {int(disk):x}: {err}")


def _row(call: Call, disks: Disks, disk: Typed) -> DiskRow:
    found = disks.read(disk)
    return DiskRow(
        addr=Vaddr(found.address),
        name=found.name,
        major=found.major,
        minor=found.minor,
        sectors=found.sectors,
        size=found.sectors * SECTOR,
        reads=found.reads,
        writes=found.writes,
        queues=found.hardware_queues,
        queue=Vaddr(found.queue),
        driver=found.driver,
        requests=list(_each_request(call, disks, disk, found.name)),
        _full="v" in call.flags,
    )


def _each_request(call: Call, disks: Disks, disk: Typed, name: str) -> Iterator[RequestRow]:
    try:
        yield from map(_request_row, disks.each_request(disk))
    except (DebuggerError, ImageError) as err:
        call.warn(f"the requests of {name} end here: {err}")


def _request_row(request: Request) -> RequestRow:
    return RequestRow(
        addr=Vaddr(request.address),
        queue=request.queue,
        tag=request.tag,
        op=request.operation,
        sector=request.sector,
        size=request.size,
        started=request.started,
    )


@walker("disk", guests=GUESTS)
def walk_disk(call: Call) -> Iterator[int]:
    """walk the disks, by their struct gendisk"""
    yield from map(int, Disks(linux(call.guest)).each())
