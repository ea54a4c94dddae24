"""Cyclics: what each cpu calls at its times, in a heap whose first entry is the next to be called.

Specified in: sys/cyclic_impl.h of illumos.
"""

from collections.abc import Iterator
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


class BadHeap(DebuggerError):
    def __init__(self, address: int, root: int, size: int) -> None:
        super().__init__(f"cyc_cpu {address:x}: its heap begins with cyclic {root:#x} of {size}")
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
