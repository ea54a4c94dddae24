"""Traces of cyclics: what a kernel that was built with CYCLIC_TRACE notes of them, in a ring a cpu and level.

Specified in: sys/cyclic_impl.h of illumos.
"""

from collections.abc import Iterator
from heapq import merge
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.cyclics import LEVELS, each_cyclic_cpu
from vmdebug.guests.memory import read_string
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_REASON = 64


class NoTraces(DebuggerError):
    def __init__(self) -> None:
        super().__init__("cyc_cpu_t has no cyp_trace: the kernel was not built with CYCLIC_TRACE")


@dataclass(frozen=True)
class Trace:
    """A cyc_tracerec_t: when (in nanoseconds since boot), on which cpu and level, where in the code, two values.

    `cpu` and `level` are None where only the record is known.
    """

    address: int
    cpu: int | None
    level: str | None
    stamp: int
    reason: str
    values: tuple[int, int]


def each_trace(guest: "Illumos", cyclic_cpu: int | None = None) -> Iterator[Trace]:
    """What was noted on one cpu (its cyc_cpu_t) or on all, the latest first."""
    rings = []
    for address in each_cyclic_cpu(guest) if cyclic_cpu is None else [cyclic_cpu]:
        found = guest.objects.at("cyc_cpu_t", address)
        if "cyp_trace" not in found:
            raise NoTraces
        cpu = int(found["cyp_cpu"]["cpu_id"])
        rings += [_ring(guest, ring, cpu, LEVELS.get(level, "????")) for level, ring in enumerate(found["cyp_trace"])]
    return merge(*rings, key=lambda trace: trace.stamp, reverse=True)


def read_trace(guest: "Illumos", address: int) -> Trace:
    """The record at an address."""
    if "cyp_trace" not in guest.objects.at("cyc_cpu_t", 0):
        raise NoTraces
    return _trace(guest, guest.objects.at("cyc_tracerec_t", address), None, None)


def _ring(guest: "Illumos", ring: Typed, cpu: int, level: str) -> Iterator[Trace]:
    """The records of a ring from the one before the next to be written; those never written have no time."""
    records = ring["cyt_buf"]
    following = ring["cyt_ndx"] % max(len(records), 1)
    for place in (*reversed(range(following)), *reversed(range(following, len(records)))):
        if records[place]["cyt_tstamp"]:
            yield _trace(guest, records[place], cpu, level)


def _trace(guest: "Illumos", record: Typed, cpu: int | None, level: str | None) -> Trace:
    try:
        reason = read_string(guest.target.read, int(record["cyt_why"]), MAX_REASON)
    except ReadFailed:
        reason = "?"
    return Trace(int(record), cpu, level, record["cyt_tstamp"], reason, (record["cyt_arg0"], record["cyt_arg1"]))
