"""Virtqueues: what the guest has given to a device, what the device has given back, and what hangs in between.

A split ring has two indices, which count on modulo 2^16: `avail` by the guest, `used` by the device. A packed ring is
one array of descriptors in which both go round, and each round turns the meaning of two bits. Buffers that the device
owns are those for which the guest keeps a token.
Rings are specified in: Virtual I/O Device (VIRTIO) Version 1.3, 2.7 and 2.8. How the kernel holds them comes from its
types; where neither it nor a module has those, from the layout of 5.10, which is checked against what it describes.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, Vaddr
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.types.errors import UnknownType

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

MAX_SIZE = 1 << 15
WORD = 0xFFFF
DESCRIPTOR = struct.Struct("<QIHH")  # split: address, length, flags, next; packed: address, length, id, flags
NEXT, WRITE, INDIRECT = 1, 2, 4
AVAIL, USED = 1 << 7, 1 << 15  # of a packed descriptor's flags
WRAPPED = 1 << 15  # of a packed ring's last used index, since 5.19
LAYOUTS = ("split", "packed", "split in-order", "packed in-order")
PRIVATE_QUEUE = 56  # the size of 5.10's struct virtqueue, behind which its struct vring_virtqueue goes on
PRIVATE = struct.Struct("<6B2xIIH6xI4xQQQHH4xQQQ")
PRIVATE_STATE = 16


class NotSupported(DebuggerError):
    def __init__(self, address: int, found: str) -> None:
        super().__init__(f"virtqueue {address:x} is not supported: {found}")


class BadQueue(DebuggerError):
    def __init__(self, address: int, found: str) -> None:
        super().__init__(f"virtqueue {address:x} makes no sense: {found}")


@dataclass(frozen=True)
class Buffer:
    """A buffer that the guest waits for: its first descriptor, the driver's token, where its parts lie."""

    head: int
    token: int
    parts: tuple[tuple[int, int, bool], ...]


@dataclass(frozen=True)
class Ring:
    """What the driver holds of a ring, and where its parts are.

    Of a packed ring `avail` is the guest's own index, there is no `used`, and `count_at` says where in a state its
    number of descriptors lies.
    """

    layout: str
    size: int
    descriptors: int
    avail: int
    used: int
    shadow: int
    seen: int
    states: int
    state_size: int
    unkicked: int
    broken: bool
    count_at: int = 0
    wrap: bool = True

    @property
    def packed(self) -> bool:
        return self.layout.startswith("packed")


@dataclass(frozen=True)
class Progress:
    """The indices of both sides, `unused` buffers that wait for the device, `unseen` ones that wait for the guest."""

    posted: int
    used: int
    unused: int
    unseen: int
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Queue:
    """A virtqueue. `tokens` are the buffers that the guest waits for: the head's number, and the driver's token."""

    address: int
    device: int
    name: str
    index: int
    free: int
    ring: Ring
    progress: Progress
    tokens: tuple[tuple[int, int], ...]
    marks: tuple[str, ...]


class Queues:
    """The virtqueues of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self._read = linux.space.read

    def read(self, address: int) -> Queue:
        """What a virtqueue holds; NotSupported or BadQueue where that cannot be told."""
        queue = self._linux.objects.at("struct virtqueue", address)
        try:
            own: Typed = self._linux.objects.at("struct vring_virtqueue", address)
        except UnknownType:
            return self._told(queue, self._private(address))
        layout = _layout(own)
        ring = self._packed_ring(own, layout) if layout.startswith("packed") else self._split_ring(own, layout)
        return self._told(queue, ring)

    def each_buffer(self, queue: Queue) -> Iterator[Buffer]:
        """The buffers that the guest waits for; the parts of those in a packed ring are not told."""
        ring = queue.ring
        table = b"" if ring.packed else self._read(ring.descriptors, DESCRIPTOR.size * ring.size)
        for head, token in queue.tokens:
            yield Buffer(head, token, tuple(self._parts(ring, table, head)) if table else ())

    def _split_ring(self, own: "Typed", layout: str) -> Ring:
        part: Typed = own
        if "split" in own:
            part = own["split"]
        return Ring(
            layout=layout,
            size=int(part["vring.num"]),
            descriptors=int(part["vring.desc"]),
            avail=int(part["vring.avail"]),
            used=int(part["vring.used"]),
            shadow=int(part["avail_idx_shadow"]),
            seen=int(own["last_used_idx"]),
            states=int(part["desc_state"]),
            state_size=part["desc_state"].type_.size,
            unkicked=int(own["num_added"]),
            broken=bool(own["broken"]),
        )

    def _packed_ring(self, own: "Typed", layout: str) -> Ring:
        part, seen = own["packed"], int(own["last_used_idx"])
        apart = "used_wrap_counter" in part
        return Ring(
            layout=layout,
            size=int(part["vring.num"]),
            descriptors=int(part["vring.desc"]),
            avail=int(part["next_avail_idx"]),
            used=0,
            shadow=int(part["next_avail_idx"]),
            seen=seen if apart else seen & ~WRAPPED,
            states=int(part["desc_state"]),
            state_size=part["desc_state"].type_.size,
            unkicked=int(own["num_added"]),
            broken=bool(own["broken"]),
            count_at=self._linux.objects.offsetof(part["desc_state"].type_, "num"),
            wrap=bool(part["used_wrap_counter"] if apart else seen & WRAPPED),
        )

    def _private(self, address: int) -> Ring:
        """The ring of a kernel whose modules have no types."""
        if self._linux.objects.sizeof("struct virtqueue") != PRIVATE_QUEUE:
            raise NotSupported(address, "no module has the type struct vring_virtqueue, and its layout is not known")
        fields = PRIVATE.unpack(self._read(address + PRIVATE_QUEUE, PRIVATE.size))
        if fields[0]:
            raise NotSupported(address, "its ring is packed, and no module has the type struct vring_virtqueue")
        ring = Ring(
            layout=LAYOUTS[0],
            size=fields[9],
            descriptors=fields[10],
            avail=fields[11],
            used=fields[12],
            shadow=fields[14],
            seen=fields[8],
            states=fields[15],
            state_size=PRIVATE_STATE,
            unkicked=fields[7],
            broken=bool(fields[3]),
        )
        if self._physical(ring.descriptors) != fields[16] or self._index(ring.avail) != ring.shadow:
            raise NotSupported(address, "no module has the type struct vring_virtqueue, and its layout is not 5.10's")
        return ring

    def _told(self, queue: "Typed", ring: Ring) -> Queue:
        if not 0 < ring.size <= MAX_SIZE:
            raise BadQueue(int(queue), f"it has {ring.size} entries, and none may have more than {MAX_SIZE}")
        tokens = self._tokens(ring)
        progress = self._packed(ring, len(tokens)) if ring.packed else self._split(ring, len(tokens))
        free = int(queue["num_free"])
        return Queue(
            address=int(queue),
            device=int(queue["vdev"]),
            name=queue["name"].string() if queue["name"] else "",
            index=int(queue["index"]),
            free=free,
            ring=ring,
            progress=progress,
            tokens=tokens,
            marks=(*_stuck(ring, progress, free), *progress.marks),
        )

    def _split(self, ring: Ring, tokens: int) -> Progress:
        posted, used = self._index(ring.avail), self._index(ring.used)
        unused, unseen = posted - used & WORD, used - ring.seen & WORD
        marks = []
        if posted != ring.shadow:
            marks.append("avail index is not the driver's")
        if unused + unseen > ring.size:
            marks.append("indices are further apart than the ring is long")
        elif unused + unseen != tokens and ring.layout == LAYOUTS[0]:
            marks.append(f"the driver waits for {tokens}")
        return Progress(posted, used, unused, unseen, tuple(marks))

    def _packed(self, ring: Ring, tokens: int) -> Progress:
        unseen, position = self._unseen(ring)
        return Progress(ring.avail, position, max(tokens - unseen, 0), unseen)

    def _index(self, ring: int) -> int:
        """The index of a split ring's part, behind its flags."""
        return int.from_bytes(self._read(ring + 2, 2), "little")

    def _tokens(self, ring: Ring) -> tuple[tuple[int, int], ...]:
        """The heads of buffers that the guest waits for, each with the driver's token: the first word of its state."""
        data = self._read(ring.states, ring.state_size * ring.size)
        word = self._linux.word
        words = (int.from_bytes(data[at : at + word], "little") for at in range(0, len(data), ring.state_size))
        return tuple((number, word) for number, word in enumerate(words) if word)

    def _unseen(self, ring: Ring) -> tuple[int, int]:
        """How many buffers of a packed ring came back, and where the device will give back the next."""
        data = self._read(ring.descriptors, DESCRIPTOR.size * ring.size)
        states = self._read(ring.states, ring.state_size * ring.size)
        position, wrap, found = ring.seen, ring.wrap, 0
        while position < ring.size and found < ring.size:
            _, _, number, flags = DESCRIPTOR.unpack_from(data, DESCRIPTOR.size * position)
            if bool(flags & AVAIL) != wrap or bool(flags & USED) != wrap or number >= ring.size:
                break
            at = ring.state_size * number + ring.count_at
            position += max(int.from_bytes(states[at : at + 2], "little"), 1)
            found += 1
            if position >= ring.size:
                position, wrap = position - ring.size, not wrap
        return found, position

    def _parts(self, ring: Ring, table: bytes, head: int) -> Iterator[tuple[int, int, bool]]:
        """The parts of a buffer: its chain of descriptors, or the table of its own that the first one names."""
        address, length, flags, following = DESCRIPTOR.unpack_from(table, DESCRIPTOR.size * head)
        if flags & INDIRECT:
            word = self._linux.word
            indirect = int.from_bytes(self._read(ring.states + ring.state_size * head + word, word), "little")
            table = self._read(indirect, min(length, DESCRIPTOR.size * MAX_SIZE)) if indirect else b""
            following, flags = 0, NEXT
        else:
            yield address, length, bool(flags & WRITE)
        seen = set[int]()
        while flags & NEXT and following not in seen and DESCRIPTOR.size * (following + 1) <= len(table):
            seen.add(following)
            address, length, flags, following = DESCRIPTOR.unpack_from(table, DESCRIPTOR.size * following)
            yield address, length, bool(flags & WRITE)

    def _physical(self, address: int) -> int:
        page = self._linux.space.translate(Vaddr(address)).gfn << PAGE_SHIFT
        return page | address & (1 << PAGE_SHIFT) - 1


def _layout(own: "Typed") -> str:
    """How the ring is laid out: an enum; in older kernels a flag for packed ones; split in the oldest."""
    member = next((name for name in ("layout", "packed_ring") if name in own), None)
    number = int(own[member]) if member else 0
    if not 0 <= number < len(LAYOUTS):
        raise NotSupported(int(own), f"its ring has layout {number}")
    return LAYOUTS[number]


def _stuck(ring: Ring, progress: Progress, free: int) -> Iterator[str]:
    """Why a queue may not go on."""
    if ring.broken:
        yield "broken"
    if progress.unseen:
        yield "guest has not looked"
    if ring.unkicked:
        yield "device not told"
    if progress.unused and not free:
        yield "full"
