"""The cpus of the kernel, and its clock.

Specified in: sys/cpuvar.h, sys/disp.h, sys/time.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import each_link
from vmdebug.types.typed import Ptr, Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_CPUS = 4096
MAX_QUEUE = 1 << 14
MAX_PRIORITIES = 1 << 10
FLAGS = (
    *("RUNNING", "READY", "QUIESCED", "EXISTS", "ENABLE", "OFFLINE", "POWEROFF", "FROZEN", "SPARE", "FAULTED"),
    "DISABLED",
)


class NoSuchCpu(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x} is neither a valid CPU ID nor a valid cpu_t address")


@dataclass(frozen=True)
class Cpu:
    """A cpu_t: where it lies, and its number."""

    address: int
    id: int


def each_cpu(guest: "Illumos") -> Iterator[Cpu]:
    """Every cpu by its number; for the one that panicked, its state as the panic saved it.

    A cpu that cannot be read ends the ring: its error comes after the cpus that were found.
    """
    found: list[Cpu] = []
    failed: ReadFailed | None = None
    saved = _panic_cpu(guest)
    try:
        for address in each_link(guest.follow("cpu_t", "cpu_next"), guest.variable("cpu_list"), MAX_CPUS):
            number = guest.objects.at("cpu_t", address)["cpu_id"]
            found.append(saved if saved and saved.id == number else Cpu(address, number))
    except ReadFailed as err:
        failed = err
    yield from sorted(found, key=lambda cpu: cpu.id)
    if failed:
        raise failed


def find_cpu(guest: "Illumos", value: int) -> Cpu:
    """The cpu of that number, or at that address."""
    try:
        for cpu in each_cpu(guest):
            if value in (cpu.id, cpu.address):
                return cpu
    except ReadFailed:
        pass  # the address may still be a good one
    try:
        return Cpu(value, guest.objects.at("cpu_t", value)["cpu_id"])
    except ReadFailed as err:
        raise NoSuchCpu(value) from err


def find_lbolt(guest: "Illumos") -> int | None:
    """The clock ticks since boot, by the panic's own record, the old variable, or the time of the last tick."""
    for name in ("panic_lbolt64", "lbolt64", "lbolt"):
        if (ticks := guest.find_variable(name, signed=True)) and ticks > 0:
            return ticks
    last, length, info = (guest.find_variable(name) for name in ("hres_last_tick", "nsec_per_tick", "lb_info"))
    if not last or not length or not info:
        return None
    try:
        return last // length - int(guest.objects.at("lbolt_info_t", info)["lbi_debug_time"])
    except DebuggerError:
        return None


def _panic_cpu(guest: "Illumos") -> Cpu | None:
    """The copy that a panic made of its cpu; None if the kernel did not panic."""
    if not guest.find_variable("panicstr") or not (symbol := guest.symbols.find("panic_cpu")):
        return None
    try:
        return Cpu(symbol.value, guest.objects.at("cpu_t", symbol.value)["cpu_id"])
    except ReadFailed:
        return None


def each_queued(guest: "Illumos", queues: Typed | Ptr) -> Iterator[tuple[int, int]]:
    """Each thread that waits in a disp_t, after its priority; the highest first."""
    if queues["disp_nrunnable"] <= 0:
        return
    follow = guest.follow("kthread_t", "t_link")
    for priority in reversed(range(min(queues["disp_npri"], MAX_PRIORITIES))):
        first = queues["disp_q"][priority]["dq_first"]
        for thread in each_link(follow, first, MAX_QUEUE):
            yield priority, thread
