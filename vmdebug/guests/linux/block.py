"""Disks, and the requests that their drivers have not finished.

Disks are the devices of the block class whose type is a disk's; up to 5.10 such a device lies in a struct hd_struct,
since then in a struct block_device. A request in flight stands in its queue's table of tags, in the state for that; one
that was finished keeps its place there, in another state.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.devices import driver_name, each_class_device
from vmdebug.guests.linux.trees import each_xarray
from vmdebug.types.model import Pointer

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

SECTOR = 512
MAX_QUEUES = 1 << 12
MAX_TAGS = 1 << 16
IN_FLIGHT = 1  # MQ_RQ_IN_FLIGHT
OPERATION = 0xFF
OPERATIONS = {0: "read", 1: "write", 2: "flush", 3: "discard", 5: "secure erase", 9: "write zeroes"}
READ, WRITE = 0, 1


class NoBlockLayer(DebuggerError):
    def __init__(self) -> None:
        super().__init__("the kernel has no block layer: it has no block_class")


@dataclass(frozen=True)
class Request:
    """A request that a driver has not finished. `sector` is in units of 512 bytes, `started` in ns since boot."""

    address: int
    queue: int
    tag: int
    operation: str
    sector: int
    size: int
    started: int


@dataclass(frozen=True)
class Disk:
    """A disk. `sectors` are of 512 bytes; `reads` and `writes` are finished requests, where they are counted."""

    address: int
    name: str
    major: int
    minor: int
    sectors: int
    queue: int
    hardware_queues: int
    driver: str
    reads: int | None
    writes: int | None


class Disks:
    """The disks of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self._objects = linux.objects

    def each(self) -> Iterator["Typed"]:
        """Every struct gendisk that is a disk of its own; NoBlockLayer where the kernel has no such class."""
        names = self._linux.names
        block, disk = names.find("block_class"), names.find("disk_type")
        if block is None or disk is None:
            raise NoBlockLayer
        for device in each_class_device(self._linux, block.value):
            if int(device["type"]) == disk.value:
                yield self._disk_of(int(device))

    def read(self, disk: "Typed") -> Disk:
        """What a disk says of itself."""
        whole, queue = self._whole(disk), disk["queue"]
        counts = self._counts(whole)
        sectors = whole["bd_nr_sectors" if "bd_nr_sectors" in whole else "nr_sects"]
        return Disk(
            address=int(disk),
            name=disk["disk_name"].string(),
            major=int(disk["major"]),
            minor=int(disk["first_minor"]),
            sectors=int(sectors),
            queue=int(queue),
            hardware_queues=int(queue["nr_hw_queues"]) if queue else 0,
            driver=self._driver(whole),
            reads=counts[READ] if counts else None,
            writes=counts[WRITE] if counts else None,
        )

    def each_request(self, disk: "Typed") -> Iterator[Request]:
        """The requests of a disk that are in flight, queue by queue."""
        if not disk["queue"]:
            return
        queue = disk["queue"].deref()
        for address in self._each_hardware_queue(queue):
            yield from self._in_flight(self._objects.at("struct blk_mq_hw_ctx", address), int(queue))

    def _disk_of(self, device: int) -> "Typed":
        """The struct gendisk of a device."""
        found: Typed
        if self._linux.types.knows("struct hd_struct"):
            part = device - self._objects.offsetof("struct hd_struct", "__dev")
            found = self._objects.container(part, "struct gendisk", "part0")
        else:
            found = self._objects.container(device, "struct block_device", "bd_device")["bd_disk"].deref()
        return found

    def _whole(self, disk: "Typed") -> "Typed":
        """The partition that is all of a disk: a struct of its own, or in older kernels inside the disk's."""
        part = disk["part0"]
        found: Typed = part.deref() if isinstance(disk.refer_("part0").type_.resolve(), Pointer) else part
        return found

    def _driver(self, whole: "Typed") -> str:
        """The driver of the device that a disk is on; "" for one that is on none."""
        device = whole["bd_device" if "bd_device" in whole else "__dev"]
        return driver_name(device["parent"].deref()) if device["parent"] else ""

    def _counts(self, whole: "Typed") -> list[int] | None:
        """How many reads and writes were finished, over all processors; None where that is not counted."""
        member = next((name for name in ("bd_stats", "dkstats") if name in whole), None)
        if member is None or not whole[member]:
            return None
        pointer, per_cpu = int(whole[member]), self._linux.per_cpu
        parts = [self._objects.at("struct disk_stats", per_cpu.moved(pointer, cpu)) for cpu in per_cpu.cpus]
        return [sum(int(part["ios"][way]) for part in parts) for way in (READ, WRITE)]

    def _each_hardware_queue(self, queue: "Typed") -> Iterator[int]:
        """Every struct blk_mq_hw_ctx of a queue: in an xarray (5.18 to 6.18), or an array."""
        if "hctx_table" in queue:
            yield from (address for _, address in each_xarray(self._linux, int(queue["hctx_table.xa_head"])))
        elif queue["queue_hw_ctx"]:
            count = min(int(queue["nr_hw_queues"]), MAX_QUEUES)
            yield from filter(None, self._objects.array("unsigned long", int(queue["queue_hw_ctx"]), count))

    def _in_flight(self, hardware: "Typed", queue: int) -> Iterator[Request]:
        """What one hardware queue works at. Its table may be shared with other disks'."""
        tags = hardware["tags"]
        count = int(tags["nr_tags"]) if tags else 0
        if not 0 < count <= MAX_TAGS:
            return
        number = int(hardware["queue_num"])
        for tag, address in enumerate(self._objects.array("unsigned long", int(tags["rqs"]), count)):
            if not address:
                continue
            request = self._objects.at("struct request", address)
            if int(request["state"]) == IN_FLIGHT and int(request["tag"]) == tag and int(request["q"]) == queue:
                yield _request(request, number)


def _request(request: "Typed", queue: int) -> Request:
    number = int(request["cmd_flags"]) & OPERATION
    return Request(
        address=int(request),
        queue=queue,
        tag=int(request["tag"]),
        operation=OPERATIONS.get(number, str(number)),
        sector=int(request["__sector"]),
        size=int(request["__data_len"]),
        started=int(request["start_time_ns"]),
    )
