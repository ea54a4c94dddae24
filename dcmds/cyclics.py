"""What the cpus of illumos call at their times: ::cycinfo ::cyclic, the walker cyccpu."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Text, dcmd, walker
from vmdebug.guests.illumos.cyclics import each_cyclic_cpu, read_cyclic, read_cyclic_cpu
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)
MICROSECOND = 1000  # in nanoseconds


@walker("cyccpu", guests=GUESTS)
def walk_cyccpu(call: Call) -> Iterator[int]:
    """walk per-CPU cyc_cpu structures"""
    return each_cyclic_cpu(illumos(call.guest))


@dataclass(frozen=True)
class CyclicCpuRow:
    """The cyclics of a cpu.

    addr: its cyc_cpu_t
    cpu: the number of the cpu
    state: online, offline, expand, remove, suspend, or ????
    nelems: how many cyclics it has
    root: the cyclic_t that is called next, null where there is none
    fire: when that is, in nanoseconds since boot
    handler: what it calls
    """

    addr: Vaddr
    cpu: int
    state: str
    nelems: int
    root: Vaddr | None
    fire: Hex | None
    handler: Vaddr | None


INFO = Text(
    "{cpu:>3} {addr:016x} {state:>7} {nelems:>6} {root:>16x} {fire:>15x} {handler:a}",
    head=f"CPU {'CYC_CPU':>16} {'STATE':>7} NELEMS {'ROOT':>16} {'FIRE':>15} HANDLER",
    missing="-",
)


@dcmd("cycinfo", address="optional", text=INFO, row=CyclicCpuRow, guests=GUESTS)
def cycinfo(call: Call) -> Iterator[CyclicCpuRow]:
    """dump cyc_cpu info

    What each cpu calls next of all that it calls at its times; of the cpu whose cyc_cpu_t is at the address, if given.

    Reads: cpu_cyclic of each cpu_t, cyc_cpu_t (cyp_cpu, cyp_state, cyp_nelems, cyp_size, cyp_heap, cyp_cyclics),
    cyclic_t (cy_expire, cy_handler).

    Example:
        ::cycinfo
    """
    guest = illumos(call.guest)
    for address in each_cyclic_cpu(guest) if call.address is None else call.addresses:
        found = read_cyclic_cpu(guest, address)
        root = found.root
        yield CyclicCpuRow(
            addr=Vaddr(address),
            cpu=found.cpu,
            state=found.state,
            nelems=found.count,
            root=Vaddr(root.address) if root else None,
            fire=Hex(root.expire & (1 << 64) - 1) if root else None,
            handler=Vaddr(root.handler) if root else None,
        )


@dataclass(frozen=True)
class CyclicRow:
    """What a cpu calls again and again.

    addr: its cyclic_t
    level: high, lock or low: from which interrupt it is called; ???? for another number
    pend: how many calls are pending
    flags: its flags
    fire: when it is called next, in nanoseconds since boot
    usecint: how often, in microseconds
    handler: what it calls
    """

    addr: Vaddr
    level: str
    pend: int
    flags: Hex
    fire: Hex
    usecint: int
    handler: Vaddr


CYCLIC = Text(
    "{addr:016x} {level:>4} {pend:>5}  {flags:04x} {fire:>15x} {usecint:>7} {handler:a}",
    head=f"{'ADDR':>16} LEVL {'PEND':>5} FLAGS {'FIRE':>15} USECINT HANDLER",
)


@dcmd("cyclic", address="required", text=CYCLIC, row=CyclicRow, guests=GUESTS)
def cyclic(call: Call) -> Iterator[CyclicRow]:
    """developer information on cyclics

    Reads: cyclic_t.

    Example:
        ::walk cyccpu | ::print cyc_cpu_t cyp_cyclics | ::cyclic
    """
    for address in call.addresses:
        found = read_cyclic(illumos(call.guest), address)
        yield CyclicRow(
            addr=Vaddr(address),
            level=found.level,
            pend=found.pending,
            flags=Hex(found.flags),
            fire=Hex(found.expire & (1 << 64) - 1),
            usecint=found.interval // MICROSECOND,
            handler=Vaddr(found.handler),
        )
