"""Interrupts of kernels without event channels: as pcplusmp keeps them, by irq; as apix does, by cpu and vector; or
as uppc does, which has the first sixteen only.

Specified in: i86pc/sys/apic.h, i86pc/sys/apix.h, sys/acpica.h (bus types), sys/avintr.h of illumos.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.devices import find_instance
from vmdebug.guests.memory import each_link, read_word
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

FREE, RESERVED, MSI, MSIX = -1, -2, -4, -5  # airq_mps_intr_index
FIXED, IPI = "Fixed", "IPI"
KINDS = {RESERVED: IPI, MSI: "MSI", MSIX: "MSI-X"}
VECTOR_KINDS = {1: FIXED, 2: "MSI", 4: "MSI-X", 8: IPI}  # v_type
VECTOR_FREE = (0, 1)  # v_state: freed, obsoleted
BUSES = {
    1: "CBUS",
    2: "CBUSII",
    3: "EISA",
    4: "FUTURE",
    5: "INTERN",
    6: "ISA",
    7: "MBI",
    8: "MBII",
    9: "PCIe",
    10: "MPI",
    11: "MPSA",
    12: "NUBUS",
    13: "PCI",
    14: "PCMCIA",
    15: "TC",
    16: "VL",
    17: "VME",
    18: "XPRESS",
}
PCI = "PCI"
NO_CPU = (0xFFFF_FFFF, 0xFFFF_FFFE)  # IRQ_UNBOUND, IRQ_UNINIT
USER_BOUND = 0x8000_0000
IRQS, OLD_IRQS, FIRST_VECTOR = 256, 16, 0x20
VECTORS = 256
MAX_CPUS = 1 << 10
MAX_SHARED = 1 << 8
MAX_FAILURES = 16  # before a table is given up
EDGE, LEVEL = "Edg", "Lvl"


class NoInterrupts(DebuggerError):
    def __init__(self) -> None:
        super().__init__("the kernel has no interrupt tables: none of irq_info, apixs, apic_irq_table, autovect")


@dataclass(frozen=True)
class Handler:
    """A function that serves an interrupt, and the driver and instance of its device if it is known."""

    function: int
    driver: str | None


@dataclass(frozen=True)
class Interrupt:
    """An interrupt of the hardware. None is what its kind does not have, or what is not known.

    `cpu` is None also for an interrupt that every cpu takes; `pin` is the number of an I/O apic and that of its pin.
    """

    irq: int | None
    vector: int
    level: int
    bus: str | None
    trigger: str | None
    type: str
    cpu: int | None
    share: int
    pin: tuple[int, int] | None
    handlers: Sequence[Handler]


class Apics:
    """The tables, by whichever the kernel has. An interrupt that cannot be read is reported."""

    def __init__(self, guest: "Illumos", warn: Callable[[str], None]) -> None:
        self.guest = guest
        self._warn = warn
        self._failures = 0

    @property
    def by_cpu(self) -> bool:
        """Whether the kernel keeps its interrupts by cpu and vector."""
        return self.guest.symbols.find("apixs") is not None

    def each(self) -> Iterator[Interrupt]:
        """Every interrupt that is in use."""
        if self.by_cpu:
            return self._each_vector()
        if self.guest.symbols.find("apic_irq_table"):
            return self._each_irq()
        if self.guest.symbols.find("autovect"):
            return self._each_old()
        raise NoInterrupts

    def _each_irq(self) -> Iterator[Interrupt]:
        """What pcplusmp keeps: a chain of those that share an irq."""
        table = self.guest.symbol("apic_irq_table").value
        follow = self.guest.follow("apic_irq_t", "airq_next")
        for irq, first in enumerate(self.guest.objects.array("uintptr_t", table, IRQS)):
            try:
                for address in each_link(follow, int(first), MAX_SHARED):
                    found = self.guest.objects.at("apic_irq_t", address)
                    if found["airq_mps_intr_index"] != FREE:
                        yield self._irq(irq, found)
            except ReadFailed as err:
                self._failed(f"irq {irq}", err)

    def _irq(self, irq: int, found: Typed) -> Interrupt:
        kind = KINDS.get(found["airq_mps_intr_index"], FIXED)
        handlers = list(self._handlers(self._head(irq)["avh_link"]))
        return Interrupt(
            irq=irq,
            vector=found["airq_vector"],
            level=found["airq_ipl"],
            bus=self._bus(kind, found),
            trigger=self._trigger(kind, irq),
            type=kind,
            cpu=None if kind == IPI else self._cpu(found),
            share=found["airq_share"],
            pin=(found["airq_ioapicindex"], found["airq_intin_no"]) if kind == FIXED else None,
            handlers=handlers or self._poke(kind),
        )

    def _each_vector(self) -> Iterator[Interrupt]:
        """What apix keeps: a table of vectors for each cpu. Those between cpus stand in every table, and come once."""
        symbol = self.guest.symbol("apixs")
        between: dict[int, Interrupt] = {}
        for table in self.guest.objects.array("uintptr_t", symbol.value, min(symbol.size // 8, MAX_CPUS)):
            if not table:
                continue
            for made in self._each_used(int(table)):
                if made.type == IPI:
                    between.setdefault(made.vector, made)
                else:
                    yield made
        yield from between.values()

    def _each_used(self, table: int) -> Iterator[Interrupt]:
        """The vectors of a cpu that are in use."""
        try:
            vectors = [int(each) for each in self.guest.objects.at("apix_impl_t", table)["x_vectbl"]]
        except ReadFailed as err:
            self._failed(f"apix_impl_t {table:x}", err)
            return
        for address in filter(None, vectors):
            try:
                found = self.guest.objects.at("apix_vector_t", address)
                if found["v_state"] not in VECTOR_FREE:
                    yield self._vector(found)
            except ReadFailed as err:
                self._failed(f"apix_vector_t {address:x}", err)

    def _failed(self, what: str, err: ReadFailed) -> None:
        self._failures += 1
        if self._failures > MAX_FAILURES:
            raise err
        self._warn(f"failed to read {what}: {err}")

    def _vector(self, found: Typed) -> Interrupt:
        kind = VECTOR_KINDS.get(found["v_type"], "?")
        irq = int(found["v_inum"]) if kind == FIXED else None
        wired = self._wired(irq) if irq is not None else None
        handlers = list(self._handlers(int(found["v_autovect"])))
        return Interrupt(
            irq=irq,
            vector=found["v_vector"],
            level=found["v_pri"],
            bus=self._bus(kind, wired),
            trigger=self._trigger(kind, irq),
            type=kind,
            cpu=None if kind == IPI else found["v_cpuid"],
            share=found["v_share"],
            pin=(wired["airq_ioapicindex"], wired["airq_intin_no"]) if wired else None,
            handlers=handlers or self._poke(kind),
        )

    def _each_old(self) -> Iterator[Interrupt]:
        """What a kernel with the old controllers has: handlers for each of sixteen irqs, and nothing else."""
        for irq in range(OLD_IRQS):
            head = self._head(irq)
            if handlers := list(self._handlers(head["avh_link"])):
                level, vector = head["avh_hi_pri"], FIRST_VECTOR + irq
                yield Interrupt(irq, vector, level, None, None, FIXED, 0, len(handlers), None, handlers)

    def _wired(self, irq: int) -> Typed | None:
        """The entry of an irq in the table of the wires to the apics."""
        symbol = self.guest.symbols.find("apic_irq_table")
        if symbol is None or not 0 <= irq < IRQS:
            return None
        address = read_word(self.guest.target.read, symbol.value + 8 * irq)
        return self.guest.objects.at("apic_irq_t", address) if address else None

    def _bus(self, kind: str, wired: Typed | None) -> str | None:
        """Which bus an interrupt comes from; messages come over PCI only."""
        if kind == FIXED:
            return BUSES.get(wired["airq_iflag"]["bustype"]) if wired else None
        return None if kind == IPI else PCI

    def _trigger(self, kind: str, irq: int | None) -> str:
        """Whether an interrupt is an edge or a level, which only wires have."""
        symbol = self.guest.symbols.find("apic_level_intr")
        if kind != FIXED or symbol is None or irq is None or not 0 <= irq < symbol.size:
            return EDGE
        return LEVEL if read_word(self.guest.target.read, symbol.value + irq, 1) else EDGE

    def _cpu(self, found: Typed) -> int | None:
        """The cpu that takes an irq for now, else the one that it is bound to."""
        for cpu in (found["airq_temp_cpu"], found["airq_cpu"]):
            if cpu not in NO_CPU:
                return int(cpu) & ~USER_BOUND
        return None

    def _head(self, irq: int) -> Typed:
        size = self.guest.objects.sizeof("struct av_head")
        found: Typed = self.guest.objects.at("struct av_head", self.guest.symbol("autovect").value + irq * size)
        return found

    def _handlers(self, first: int) -> Iterator[Handler]:
        """The handlers of an interrupt, in the order in which they are called."""
        for address in each_link(self.guest.follow("struct autovec", "av_link"), int(first), MAX_SHARED):
            found = self.guest.objects.at("struct autovec", address)
            if found["av_vector"]:
                yield Handler(int(found["av_vector"]), find_instance(self.guest, int(found["av_dip"])))

    def _poke(self, kind: str) -> list[Handler]:
        """What serves an interrupt between cpus that has no handler of its own."""
        poke = self.guest.symbols.find("poke_cpu") if kind == IPI else None
        return [Handler(poke.value, None)] if poke else []
