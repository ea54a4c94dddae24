"""Virtio devices and virtqueues of real guests, and rings that those guests do not show, written over theirs."""

import re
import struct

import pytest

from formats import open_image
from formats.frames import Vaddr
from tests.overlay import Overlay
from vmdebug.guests.linux import find
from vmdebug.guests.linux.virtio import NoVirtio, each_device, each_queue, read_device
from vmdebug.guests.linux.vring import BadQueue, NotSupported, Queues
from vmdebug.targets.target import Target
from vmdebug.types.errors import UnknownType

IMAGES = {
    "linux-mini.elf.core": "linux-mini",
    "linux-72.elf.core": "linux-72",
    "linux-crash.kdump-d31-zlib": "linux-crash",
}
RX_PACKETS, TX_PACKETS = (re.compile(rf"^eth0 .*?{way} packets:(\d+)", re.M | re.S) for way in ("RX", "TX"))
PACKED = 1


def guest(real, name):
    return find(Target(open_image(real(name))))


def named(linux):
    """Every queue of a guest by the name of its device and its own."""
    return {
        (read_device(device).name, queue.name): queue
        for device in each_device(linux)
        for queue in map(Queues(linux).read, each_queue(linux, device))
    }


@pytest.mark.parametrize("name", IMAGES)
def test_devices_are_those_that_the_machine_was_started_with(name, real):
    found = [read_device(device) for device in each_device(guest(real, name))]

    assert [(each.name, each.kind, each.driver, each.status) for each in found] == [
        ("virtio0", "block", "virtio_blk", "running"),
        ("virtio1", "net", "virtio_net", "running"),
    ]
    assert {"seg-max", "flush", "mq", "version-1", "indirect-desc"} <= set(found[0].feature_names)
    assert {"mac", "status", "ctrl-vq", "mrg-rxbuf", "event-idx"} <= set(found[1].feature_names)


@pytest.mark.parametrize("name", IMAGES)
def test_queues_have_carried_what_the_guest_counted(name, real, truth):
    said = (truth(IMAGES[name]) / "truth.txt").read_text()
    queues = named(guest(real, name))

    assert {key: queue.ring.size for key, queue in queues.items()} == {
        ("virtio0", "req.0"): 256,
        ("virtio0", "req.1"): 256,
        ("virtio1", "input.0"): 256,
        ("virtio1", "output.0"): 256,
        ("virtio1", "control"): 64,
    }
    assert queues["virtio1", "input.0"].progress.used == int(RX_PACKETS.search(said)[1])
    assert queues["virtio1", "output.0"].progress.used == int(TX_PACKETS.search(said)[1])
    assert {queue.ring.layout for queue in queues.values()} == {"split"}
    assert not any(queue.marks for queue in queues.values())


@pytest.mark.parametrize("name", IMAGES)
def test_only_receive_buffers_are_in_flight_and_lie_where_the_device_is_told(name, real):
    linux = guest(real, name)
    queues = named(linux)
    receiving = queues.pop(("virtio1", "input.0"))

    buffers = list(Queues(linux).each_buffer(receiving))

    assert (receiving.progress.unused, receiving.progress.unseen, receiving.free, len(buffers)) == (255, 0, 1, 255)
    for each in buffers:
        ((paddr, size, write),) = each.parts
        place = linux.space.translate(Vaddr(each.token))
        assert (place.gfn << 12 | each.token & 0xFFF, write) == (paddr, True)
        assert size in range(1536, 4096)
    assert {(queue.progress.unused, queue.progress.unseen, queue.tokens) for queue in queues.values()} == {(0, 0, ())}
    assert all(queue.free == queue.ring.size for queue in queues.values())


def test_a_guest_without_the_bus_is_told_so(real):
    with pytest.raises(NoVirtio, match="virtio_bus"):
        list(each_device(guest(real, "xen-pv.core")))


def test_a_queue_that_hangs_is_marked(real, monkeypatch):
    linux = guest(real, "linux-mini.elf.core")
    queue = named(linux)["virtio0", "req.0"]
    del linux.objects
    overlay = Overlay(linux, monkeypatch)
    overlay.put("struct vring_virtqueue", queue.address, "broken", 1)
    overlay.put("struct vring_virtqueue", queue.address, "num_added", 2)
    overlay.put("struct vring_virtqueue", queue.address, "last_used_idx", 8)
    overlay.put("struct virtqueue", queue.address, "num_free", 0)
    overlay.changes[queue.ring.avail + 2] = (10).to_bytes(2, "little")

    found = Queues(linux).read(queue.address)

    assert (found.progress.unused, found.progress.unseen, found.free) == (1, 1, 0)
    assert found.marks == (
        *("broken", "guest has not looked", "device not told", "full"),
        *("avail index is not the driver's", "the driver waits for 0"),
    )


def test_a_ring_longer_than_any_is_refused(real, monkeypatch):
    linux = guest(real, "linux-72.elf.core")
    queue = named(linux)["virtio0", "req.0"]
    del linux.objects
    overlay = Overlay(linux, monkeypatch)
    at = linux.objects.offsetof("struct vring_virtqueue", "split.vring.num")
    overlay.changes[queue.address + at] = b"\xff\xff\xff\xff"

    with pytest.raises(BadQueue, match=r"4294967295 entries, and none may have more than 32768"):
        Queues(linux).read(queue.address)


@pytest.mark.parametrize(("name", "member"), [("linux-mini.elf.core", "packed_ring"), ("linux-72.elf.core", "layout")])
@pytest.mark.parametrize("seen", [2 | 1 << 15, 3])
def test_a_packed_ring_is_followed_across_its_end(name, member, seen, real, monkeypatch):
    """A ring of four: the driver waits for ids 0, 1, 2; the device gave back the one that takes two descriptors."""
    linux = guest(real, name)
    queues = named(linux)
    queue, spare = queues["virtio0", "req.0"], queues["virtio0", "req.1"].ring.descriptors
    del linux.objects
    overlay = Overlay(linux, monkeypatch)
    objects, at = linux.objects, queue.address
    place = {path: at + objects.offsetof("struct vring_virtqueue", f"packed.{path}") for path in (
        "vring.num", "vring.desc", "next_avail_idx", "desc_state"
    )}  # fmt: skip
    overlay.put("struct vring_virtqueue", at, member, PACKED)
    overlay.put("struct vring_virtqueue", at, "last_used_idx", seen)
    overlay.put("struct virtqueue", at, "num_free", 0)
    first, wrap = seen & 0x7FFF, bool(seen >> 15)
    given_back = 1 << 7 | 1 << 15 if wrap else 0
    not_yet = 1 << 7 if wrap else 1 << 15
    turned = 1 << 15 if wrap else 1 << 7  # available in the round after, not used yet
    flags = [turned if number < first else not_yet for number in range(4)]
    flags[first] = given_back
    state = objects.sizeof("struct vring_desc_state_packed")
    counted = objects.offsetof("struct vring_desc_state_packed", "num")
    states = bytearray(state * 4)
    for number, count in ((0, 1), (1, 2), (2, 1)):
        states[state * number : state * number + 8] = (0xFFFF_8880_0000_1000 + number).to_bytes(8, "little")
        states[state * number + counted : state * number + counted + 2] = count.to_bytes(2, "little")
    overlay.changes |= {
        place["vring.num"]: (4).to_bytes(4, "little"),
        place["vring.desc"]: spare.to_bytes(8, "little"),
        place["next_avail_idx"]: (first).to_bytes(2, "little"),
        place["desc_state"]: (spare + 0x400).to_bytes(8, "little"),
        spare: b"".join(struct.pack("<QIHH", 0x1000, 64, 1, each) for each in flags),
        spare + 0x400: bytes(states),
    }

    found = Queues(linux).read(at)

    assert (found.ring.layout, found.ring.size, found.ring.seen, found.ring.wrap) == ("packed", 4, first, wrap)
    assert (found.progress.unused, found.progress.unseen, found.progress.used) == (2, 1, (first + 2) % 4)
    assert found.marks == ("guest has not looked", "full")
    assert [(each.head, each.parts) for each in Queues(linux).each_buffer(found)] == [(0, ()), (1, ()), (2, ())]


class Untyped:
    """A kernel's objects without the types of the ring, as where virtio is a module and modules have no types."""

    def __init__(self, objects, size):
        self._objects = objects
        self._size = size

    def at(self, of, address):
        if of == "struct vring_virtqueue":
            raise UnknownType(of)
        return self._objects.at(of, address)

    def sizeof(self, of):
        return self._size if of == "struct virtqueue" else self._objects.sizeof(of)


def untyped(linux, monkeypatch, queue, **changed):
    """Write the layout of 5.10 behind a queue, 56 bytes in."""
    dma = (linux.space.translate(Vaddr(queue.ring.descriptors)).gfn << 12) | queue.ring.descriptors & 0xFFF
    said = {"packed": 0, "dma": dma, "size": 56, "shadow": queue.ring.shadow, **changed}
    ring = struct.pack(
        "<6B2xIIH6xI4xQQQHH4xQQQ",
        *(said["packed"], 1, 0, 0, 1, 1, 0, 0, queue.ring.seen, queue.ring.size, queue.ring.descriptors),
        *(queue.ring.avail, queue.ring.used, 0, said["shadow"], queue.ring.states, said["dma"], 0x2000),
    )
    overlay = Overlay(linux, monkeypatch)
    overlay.changes[queue.address + 56] = ring
    monkeypatch.setattr(linux, "objects", Untyped(linux.objects, said["size"]))


def test_without_types_of_the_modules_the_layout_of_5_10_is_tried(real, monkeypatch):
    """This guest's states are as long as those of 5.10."""
    linux = guest(real, "linux-mini.elf.core")
    typed = named(linux)["virtio1", "input.0"]
    untyped(linux, monkeypatch, typed)

    found = Queues(linux).read(typed.address)

    assert (found.progress, found.tokens, found.marks) == (typed.progress, typed.tokens, ())
    assert len(list(Queues(linux).each_buffer(found))) == 255


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"size": 72}, "its layout is not known"),
        ({"packed": 1}, "its ring is packed"),
        ({"dma": 0x1234000}, "its layout is not 5.10's"),
        ({"shadow": 77}, "its layout is not 5.10's"),
    ],
)
def test_a_layout_that_does_not_fit_is_not_believed(changed, found, real, monkeypatch):
    linux = guest(real, "linux-mini.elf.core")
    queue = named(linux)["virtio1", "input.0"]
    untyped(linux, monkeypatch, queue, **changed)

    with pytest.raises(NotSupported, match=found):
        Queues(linux).read(queue.address)
