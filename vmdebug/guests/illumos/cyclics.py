"""Cyclics: what each cpu calls at its times, in a heap whose first entry is the next to be called.

Specified in: sys/cyclic_impl.h of illumos.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.cpus import each_cpu
from vmdebug.guests.memory import read_word

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

INDEX = 4  # bytes of a cyc_index_t
STATES = {0: "online", 1: "offline", 2: "expand", 3: "remove", 4: "suspend"}  # cyc_state_t
LEVELS = {0: "low", 1: "lock", 2: "high"}
MAX_CYCLICS = 1 << 16  # of a cpu


class BadHeap(DebuggerError):
    def __init__(self, address: int, root: int, size: int) -> None:
        super().__init__(f"cyc_cpu {address:x}: its heap begins with cyclic {root:#x} of {size}")
        self.address = address


class BrokenCpu(DebuggerError):
    def __init__(self, address: int, reason: str) -> None:
        super().__init__(f"cyc_cpu {address:x}: {reason}")
        self.address = address


@dataclass(frozen=True)
class Cyclic:
    """A cyclic_t: its level, the calls that are pending, flags, when it is next called, how often, and what.

    Times are in nanoseconds.
    """

    address: int
    level: str
    pending: int
    flags: int
    expire: int
    interval: int
    handler: int


@dataclass(frozen=True)
class CyclicCpu:
    """A cyc_cpu_t: the number of its cpu, its state, how many cyclics it has, and the next of them if any."""

    address: int
    cpu: int
    state: str
    count: int
    root: Cyclic | None


@dataclass(frozen=True)
class SoftBuffer:
    """A ring of the cyclics that a soft interrupt is to call: how many were put into it and taken from it, its size.

    Each level has two; `hard` is filled by the clock's interrupt, `soft` emptied by the soft interrupt.
    """

    level: str
    number: int
    hard: bool
    soft: bool
    produced: int
    consumed: int
    size: int


def each_cyclic_cpu(guest: "Illumos") -> Iterator[int]:
    """The cyc_cpu_t of every cpu that has one, by the numbers of the cpus."""
    for cpu in each_cpu(guest):
        address = int(guest.objects.at("cpu_t", cpu.address)["cpu_cyclic"])
        if address:
            yield address


def read_cyclic_cpu(guest: "Illumos", address: int) -> CyclicCpu:
    """A cyc_cpu_t; BadHeap where its heap names a cyclic that it has no room for."""
    found = guest.objects.at("cyc_cpu_t", address)
    count, root = found["cyp_nelems"], None
    if count > 0:
        first = read_word(guest.target.read, int(found["cyp_heap"]), INDEX)
        if first >= found["cyp_size"]:
            raise BadHeap(address, first, found["cyp_size"])
        root = read_cyclic(guest, int(found["cyp_cyclics"]) + first * guest.objects.sizeof("cyclic_t"))
    state = STATES.get(int(found["cyp_state"]), "????")
    return CyclicCpu(address, found["cyp_cpu"]["cpu_id"], state, count, root)


def each_heaped(guest: "Illumos", address: int) -> Iterator[tuple[int, Cyclic]]:
    """The cyclics of a cyc_cpu_t in the order of its heap, each with its number; BrokenCpu where there is no such."""
    found = guest.objects.at("cyc_cpu_t", address)
    count, size = found["cyp_nelems"], found["cyp_size"]
    if not 0 <= count <= size or count > MAX_CYCLICS:
        raise BrokenCpu(address, f"it has {count} cyclics in a heap for {size}")
    numbers = struct.unpack(f"<{count}i", guest.target.read(int(found["cyp_heap"]), INDEX * count) if count else b"")
    first, stride = int(found["cyp_cyclics"]), guest.objects.sizeof("cyclic_t")
    for place, number in enumerate(numbers):
        if not 0 <= number < size:
            raise BrokenCpu(address, f"its heap has cyclic {number:#x} of {size} at {place}")
        yield number, read_cyclic(guest, first + number * stride)


def read_soft_buffers(guest: "Illumos", address: int) -> Sequence[SoftBuffer]:
    """The rings of a cyc_cpu_t for soft interrupts, two for each level; none where the kernel's type tells of none."""
    found = guest.objects.at("cyc_cpu_t", address)
    if "cyp_softbuf" not in found:
        return ()
    return [
        SoftBuffer(
            level=LEVELS.get(level, "????"),
            number=number,
            hard=rings["cys_hard"] == number,
            soft=rings["cys_soft"] == number,
            produced=ring["cypc_prodndx"],
            consumed=ring["cypc_consndx"],
            size=ring["cypc_sizemask"] + 1,
        )
        for level, rings in enumerate(found["cyp_softbuf"])
        for number, ring in enumerate(rings["cys_buf"])
    ]


def read_cyclic(guest: "Illumos", address: int) -> Cyclic:
    """A cyclic_t."""
    found = guest.objects.at("cyclic_t", address)
    return Cyclic(
        address=address,
        level=LEVELS.get(found["cy_level"], "????"),
        pending=found["cy_pend"],
        flags=found["cy_flags"],
        expire=found["cy_expire"],
        interval=found["cy_interval"],
        handler=int(found["cy_handler"]),
    )
