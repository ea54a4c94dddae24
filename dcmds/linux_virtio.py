"""Virtio devices of a Linux guest, and what hangs in their queues: ::virtio ::vring."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.virtio import NoVirtio, each_device, each_queue, read_device
from vmdebug.guests.linux.vring import Queue, Queues

GUESTS = ("linux",)
DEVICE_HEAD = f"{'ADDR':<16} {'NAME':<9} {'KIND':<8} {'DRIVER':<16} {'STATUS':<8} {'PRIVATE':<16} FEATURES"
QUEUE_HEAD = (
    f"{'ADDR':<16} {'DEVICE':<9} {'IX':>3} {'NAME':<12} {'LAYOUT':<6} {'SIZE':>5} {'FREE':>5} {'AVAIL':>5} {'USED':>5} "
    f"{'SEEN':>5} {'INFLT':>5} {'DONE':>5} MARKS"
)


@dataclass(frozen=True)
class DeviceRow:
    """A virtio device.

    addr: its struct virtio_device
    name: its name on the bus
    kind: net, block, console, ..., or the number of its kind
    driver: the driver that it is bound to
    status: running once its driver is happy with it, bound before that, unbound, or failed
    private: the driver's own structure
    features: the features that both sides agreed on
    names: their names
    """

    addr: Vaddr
    name: str
    kind: str
    driver: str
    status: str
    private: Vaddr
    features: Hex
    names: Sequence[str]
    _full: bool


def device_lines(rows: Iterable[DeviceRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield DEVICE_HEAD
        yield (
            f"{row.addr:016x} {row.name:<9} {row.kind:<8} {row.driver:<16} {row.status:<8} {row.private:016x} "
            f"{row.features:x}"
        )
        if row._full:
            yield f"{'':4}{' '.join(row.names)}"


@dcmd(
    "virtio",
    address="optional",
    flags=(Flag("v", "with the names of the features"),),
    text=device_lines,
    row=DeviceRow,
    guests=GUESTS,
)
def virtio(call: Call) -> Iterator[DeviceRow]:
    """print virtio devices

    A device's own status register is not in memory; the status here is what the kernel notes of it. An address is that
    of a struct virtio_device and shows that one.

    Reads: struct subsys_private (klist_devices), struct klist_node (n_node, n_klist) of virtio_bus, struct
    device_private (knode_bus, device), struct virtio_device (dev, id, features, failed, config_enabled or
    config_core_enabled, priv), struct device (driver, kobj), struct device_driver (name).

    Example:
        ::virtio -v
    """
    for device in each_device(linux(call.guest)):
        if call.address not in (None, int(device)):
            continue
        try:
            found = read_device(device)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the device at {int(device):x}: {err}")
            continue
        yield DeviceRow(
            addr=Vaddr(found.address),
            name=found.name,
            kind=found.kind,
            driver=found.driver,
            status=found.status,
            private=Vaddr(found.private),
            features=Hex(found.features),
            names=found.feature_names,
            _full="v" in call.flags,
        )


@dataclass(frozen=True)
class PartRow:
    """A part of a buffer.

    paddr: where it lies, as the device is told
    size: how long it is
    write: whether the device is to write it
    """

    paddr: Hex
    size: int
    write: bool


@dataclass(frozen=True)
class BufferRow:
    """A buffer that the guest waits for.

    head: its first descriptor
    token: what the driver knows it by
    parts: where it lies; none for those of a packed ring
    """

    head: int
    token: Vaddr
    parts: Sequence[PartRow]


@dataclass(frozen=True)
class QueueRow:
    """A virtqueue.

    addr: its struct virtqueue
    device: the name of its device
    index: its number there
    name: its name
    layout: split or packed, in-order or not
    size: how many descriptors its ring has
    free: how many of them are free
    avail: the index up to which the guest has given buffers
    used: the index up to which the device has given them back
    seen: the index up to which the guest has looked at those
    inflight: buffers that the device has
    done: buffers that came back, but the guest has not looked at
    marks: why it may be stuck, or what does not fit together
    buffers: with -v the buffers that the guest waits for
    """

    addr: Vaddr
    device: str
    index: int
    name: str
    layout: str
    size: int
    free: int
    avail: int
    used: int
    seen: int
    inflight: int
    done: int
    marks: Sequence[str]
    buffers: Sequence[BufferRow]


def queue_lines(rows: Iterable[QueueRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield QUEUE_HEAD
        yield (
            f"{row.addr:016x} {row.device:<9} {row.index:>3} {row.name:<12} {row.layout:<6} {row.size:>5} "
            f"{row.free:>5} {row.avail:>5} {row.used:>5} {row.seen:>5} {row.inflight:>5} {row.done:>5} "
            f"{', '.join(row.marks)}"
        ).rstrip()
        for buffer in row.buffers:
            yield f"{'':4}{buffer.head:>5} {buffer.token:016x} {' '.join(map(_part_text, buffer.parts))}".rstrip()


def _part_text(part: PartRow) -> str:
    return f"{part.paddr:x}+{part.size:x}{'w' if part.write else 'r'}"


@dcmd(
    "vring",
    address="optional",
    flags=(Flag("v", "with each buffer that the guest waits for: head, token, and where its parts lie"),),
    text=queue_lines,
    row=QueueRow,
    guests=GUESTS,
)
def vring(call: Call) -> Iterator[QueueRow]:
    """print virtqueues

    An address is that of a virtqueue, or of a virtio device for all of its queues. A queue is marked where it may not
    go on: it is broken, buffers came back that the guest has not looked at, the device was not told of new ones.

    Reads: struct virtio_device (vqs, dev), struct virtqueue (list, name, index, num_free, vdev), struct vring_virtqueue
    (split, last_used_idx, num_added, broken, packed_ring or layout), struct vring_virtqueue_split (vring,
    avail_idx_shadow, desc_state), and the rings as the virtio specification lays them out.

    Example:
        ::walk virtio | ::vring
    """
    kernel = linux(call.guest)
    queues = Queues(kernel)
    for address, device in _chosen(call, kernel):
        try:
            queue = queues.read(address)
            yield _queue_row(queues, queue, device or _device_name(kernel, queue), "v" in call.flags)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the queue at {address:x}: {err}")


def _chosen(call: Call, kernel: Linux) -> Iterator[tuple[int, str]]:
    """The queues that the call means, with their device's name where that is known already."""
    if call.address is not None and not _is_device(kernel, call.address):
        yield call.address, ""
        return
    for device in each_device(kernel):
        if call.address in (None, int(device)):
            name = read_device(device).name
            try:
                yield from ((address, name) for address in each_queue(kernel, device))
            except (DebuggerError, ImageError) as err:
                call.warn(f"the queues of {name} end here: {err}")


def _is_device(kernel: Linux, address: int) -> bool:
    try:
        return any(int(device) == address for device in each_device(kernel))
    except NoVirtio:
        raise
    except (DebuggerError, ImageError):  # a list that is broken before it: the address may still be a queue's
        return False


def _device_name(kernel: Linux, queue: Queue) -> str:
    return read_device(kernel.objects.at("struct virtio_device", queue.device)).name


def _queue_row(queues: Queues, queue: Queue, device: str, full: bool) -> QueueRow:
    ring, progress = queue.ring, queue.progress
    return QueueRow(
        addr=Vaddr(queue.address),
        device=device,
        index=queue.index,
        name=queue.name,
        layout=ring.layout,
        size=ring.size,
        free=queue.free,
        avail=progress.posted,
        used=progress.used,
        seen=ring.seen,
        inflight=progress.unused,
        done=progress.unseen,
        marks=queue.marks,
        buffers=[
            BufferRow(each.head, Vaddr(each.token), [PartRow(Hex(at), size, write) for at, size, write in each.parts])
            for each in (queues.each_buffer(queue) if full else ())
        ],
    )


@walker("virtio", guests=GUESTS)
def walk_virtio(call: Call) -> Iterator[int]:
    """walk the virtio devices"""
    yield from map(int, each_device(linux(call.guest)))


@walker("virtqueue", start="optional", guests=GUESTS)
def walk_virtqueue(call: Call) -> Iterator[int]:
    """walk the virtqueues of all virtio devices, or of one"""
    kernel = linux(call.guest)
    for device in each_device(kernel):
        if call.address in (None, int(device)):
            yield from each_queue(kernel, device)
