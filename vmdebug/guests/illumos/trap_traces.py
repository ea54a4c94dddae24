"""Trap traces: records of each time that a cpu went through its interrupt table or took a system call.

A kernel that was built with TRAPTRACE, as DEBUG kernels are, keeps a ring of records for each cpu.
Specified in: ia32/sys/traptrace.h, sys/trap.h, sys/systm.h of illumos.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.gates import GATES, read_gate
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

SYSTEM_CALLS = {0xAA: "lcal", 0xAB: "syse", 0xAD: "sysc", 0xAE: "sc64"}  # TT_SYSCALL, SYSENTER, SYSC, SYSC64
CALLS_64 = 0xAE
INTERRUPT, TRAP, INTTRAP, EVENT = 0xBB, 0xCC, 0xDD, 0xEE
KINDS = {**SYSTEM_CALLS, INTERRUPT: "intr", TRAP: "trap", INTTRAP: "intt", EVENT: "evnt"}
TRAPS = (
    *("#de", "#db", "#nmi", "#bp", "#of", "#br", "#ud", "#nm", "#df", "9", "#ts", "#np", "#ss", "#gp", "#pf", "15"),
    *("#mf", "#ac", "#mc", "#xf"),
)
MAX_CPUS = 1 << 12
MAX_RECORDS = 1 << 12  # of a cpu; a kernel's own have about fifty


class NoTrapTrace(DebuggerError):
    def __init__(self) -> None:
        super().__init__("symbol 'trap_trace_ctl' not found; non-TRAPTRACE kernel?")


class BrokenRing(DebuggerError):
    def __init__(self, cpu: int, first: int, limit: int, following: int) -> None:
        super().__init__(
            f"trap_trace_ctl[{cpu}]: no ring of records from {first:x} to {limit:x}, the next {following:x}"
        )
        self.cpu = cpu


@dataclass(frozen=True)
class TrapRecord:
    """A trap_trace_rec_t and the cpu whose ring it is in, None for one that is in none."""

    cpu: int | None
    record: Typed

    @property
    def marker(self) -> int:
        found: int = self.record["ttr_marker"]
        return found

    @property
    def vector(self) -> int | None:
        """The vector by which it came, or the irq of an interrupt; None for a system call."""
        return None if self.marker in SYSTEM_CALLS else int(self.record["ttr_info.idt_entry.vector"]) & 0xFFFF


class TrapTraces:
    """The rings of all cpus."""

    def __init__(self, guest: "Illumos", warn: Callable[[str], None]) -> None:
        symbol = guest.symbols.find("trap_trace_ctl")
        if symbol is None:
            raise NoTrapTrace
        self.guest = guest
        self._warn = warn
        self._control = symbol.value
        self._stride = guest.objects.sizeof("trap_trace_ctl_t")
        self.cpus = min(symbol.size // self._stride, MAX_CPUS)

    def each(self, cpu: int | None = None) -> Iterator[TrapRecord]:
        """The records of one cpu or of all, the latest first; a ring that cannot be followed is reported."""
        numbers = range(self.cpus) if cpu is None else [cpu]
        rings = [self._ring(number) for number in numbers]
        return merge(*rings, key=lambda found: found.record["ttr_stamp"], reverse=True)

    def at(self, address: int) -> TrapRecord:
        """The record at an address, of the cpu in whose ring it is."""
        cpu = next((number for number in range(self.cpus) if self._holds(number, address)), None)
        return TrapRecord(cpu, self.guest.objects.at("trap_trace_rec_t", address))

    def _holds(self, cpu: int, address: int) -> bool:
        try:
            control = self._read_control(cpu)
            return int(control["ttc_first"]) <= address < int(control["ttc_limit"])
        except ReadFailed:
            return False

    def _read_control(self, cpu: int) -> Typed:
        found: Typed = self.guest.objects.at("trap_trace_ctl_t", self._control + cpu * self._stride)
        return found

    def _ring(self, cpu: int) -> Iterator[TrapRecord]:
        """A cpu's records from the one before the next to be written; those that never were have no time."""
        try:
            for record in self._places(cpu):
                if record["ttr_stamp"]:
                    yield TrapRecord(cpu, record)
        except (ReadFailed, BrokenRing) as err:
            self._warn(f"failed to read the trap records of cpu {cpu}: {err}")

    def _places(self, cpu: int) -> Iterator[Typed]:
        control = self._read_control(cpu)
        first, limit, following = (int(control[name]) for name in ("ttc_first", "ttc_limit", "ttc_next"))
        if not first:
            return
        size = self.guest.objects.sizeof("trap_trace_rec_t")
        count = (limit - first) // size
        if not first <= following <= limit or not 0 < count <= MAX_RECORDS:
            raise BrokenRing(cpu, first, limit, following)
        records = self.guest.objects.array("trap_trace_rec_t", first, count)
        latest = (following - first) // size
        for place in (*reversed(range(latest)), *reversed(range(latest, count))):
            yield records[place]

    def find_handler(self, found: TrapRecord) -> int | None:
        """The function that served what a record tells of: a system call's, an interrupt's first, or a gate's."""
        try:
            if found.marker in SYSTEM_CALLS:
                return self._system_call(found)
            if found.marker in (INTERRUPT, EVENT):
                return self._interrupt(found.vector or 0)
            return self._gate(found.vector or 0) if found.marker in KINDS else None
        except DebuggerError:
            return None

    def _system_call(self, found: TrapRecord) -> int | None:
        table = self.guest.symbols.find("sysent" if found.marker == CALLS_64 else "sysent32")
        table = table or self.guest.symbol("sysent")
        number, size = int(found.record["ttr_info.gate_entry.sysnum"]), self.guest.objects.sizeof("struct sysent")
        if not 0 <= number < table.size // size:
            return None
        return int(self.guest.objects.at("struct sysent", table.value + number * size)["sy_callc"]) or None

    def _interrupt(self, irq: int) -> int | None:
        table, size = self.guest.symbol("autovect"), self.guest.objects.sizeof("struct av_head")
        if irq >= table.size // size:
            return None
        first = self.guest.objects.at("struct av_head", table.value + irq * size)["avh_link"]
        return int(first["av_vector"]) if first else None

    def _gate(self, vector: int) -> int | None:
        if vector >= GATES:
            return None
        gate = read_gate(
            self.guest, self.guest.symbol("idt0").value + vector * self.guest.objects.sizeof("gate_desc_t")
        )
        return gate.handler if gate.present else None
