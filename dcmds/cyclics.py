"""What the cpus of illumos call at their times: ::cycinfo ::cyclic ::cyctrace, the walkers cyccpu and cyctrace."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.cyclic_traces import Trace, each_trace, read_trace
from vmdebug.guests.illumos.cyclics import (
    Cyclic,
    SoftBuffer,
    each_cyclic_cpu,
    each_heaped,
    read_cyclic,
    read_cyclic_cpu,
    read_soft_buffers,
)
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.heaps import MAX_DRAWN, heap_lines

GUESTS = ("illumos",)
MICROSECOND = 1000  # in nanoseconds


@walker("cyccpu", guests=GUESTS)
def walk_cyccpu(call: Call) -> Iterator[int]:
    """walk per-CPU cyc_cpu structures"""
    return each_cyclic_cpu(illumos(call.guest))


@dataclass(frozen=True)
class HeapedRow:
    """A cyclic in a cpu's heap.

    addr: its cyclic_t
    ndx: its number among the cpu's cyclics
    heap: its place in the heap; 0 is called next, and each before those at twice its place plus 1 and plus 2
    level: high, lock or low: from which interrupt it is called; ???? for another number
    pend: how many calls are pending
    fire: when it is called next, in nanoseconds since boot
    usecint: how often, in microseconds
    handler: what it calls
    """

    addr: Vaddr
    ndx: int
    heap: int
    level: str
    pend: int
    fire: Hex
    usecint: int
    handler: Vaddr


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
    heap: with -v and -V, its cyclics in the order of the heap
    soft: with -V, the rings of what soft interrupts are to call, two for each level; empty where no type tells of them
    """

    addr: Vaddr
    cpu: int
    state: str
    nelems: int
    root: Vaddr | None
    fire: Hex | None
    handler: Vaddr | None
    heap: Sequence[HeapedRow] | None
    soft: Sequence[SoftBuffer] | None


HEAD = f"CPU {'CYC_CPU':>16} {'STATE':>7} NELEMS {'ROOT':>16} {'FIRE':>15} HANDLER"
HEAPED_HEAD = f"NDX HEAP LEVL {'PEND':>5} {'FIRE':>16} USECINT HANDLER"
SOFT_HEAD = "LEVL BUF USE       PRODUCED CONSUMED ROOM"
INDENT = "  "


def cpu_lines(rows: Iterable[CyclicCpuRow], show: Show) -> Iterator[str]:
    """A line a cpu under one head; in full, each has its own head, and below it its heap."""
    for number, row in enumerate(rows):
        if number == 0 or row.heap is not None:
            yield HEAD
        root, fire = ("-" if value is None else f"{value:x}" for value in (row.root, row.fire))
        handler = "-" if row.handler is None else show.symbol(row.handler)
        yield f"{row.cpu:>3} {row.addr:016x} {row.state:>7} {row.nelems:>6} {root:>16} {fire:>15} {handler}"
        if row.heap is not None:
            yield ""
            yield from (f"{INDENT}{line}".rstrip() for line in _full(row.heap, row.soft, show))


def _full(heap: Sequence[HeapedRow], soft: Sequence[SoftBuffer] | None, show: Show) -> Iterator[str]:
    """The drawing of a heap, its cyclics by their numbers, and rings if they are wanted."""
    times = soft is not None
    yield from heap_lines([[f"[ {each.ndx} ]", *([f"{each.fire:x}"] if times else [])] for each in heap])
    if len(heap) > MAX_DRAWN:
        yield f"... and {len(heap) - MAX_DRAWN} below"
    yield ""
    yield HEAPED_HEAD
    for each in sorted(heap, key=lambda row: row.ndx):
        place = f"{each.ndx:>3} {each.heap:>4} {each.level:>4} {each.pend:>5}"
        yield f"{place} {each.fire:>16x} {each.usecint:>7} {show.symbol(each.handler)}"
    yield ""
    if soft:
        yield SOFT_HEAD
        for ring in soft:
            use = ",".join(name for name, used in (("hard", ring.hard), ("soft", ring.soft)) if used) or "-"
            yield f"{ring.level:>4} {ring.number:>3} {use:<9} {ring.produced:>8} {ring.consumed:>8} {ring.size:>4}"
        yield ""


@dcmd(
    "cycinfo",
    address="optional",
    flags=(
        Flag("v", "the cpu's heap, drawn as a tree of the numbers of its cyclics, and each cyclic"),
        Flag("V", "with the time of each in the tree, and what soft interrupts are to call"),
    ),
    text=cpu_lines,
    row=CyclicCpuRow,
    guests=GUESTS,
)
def cycinfo(call: Call) -> Iterator[CyclicCpuRow]:
    """dump cyc_cpu info

    What each cpu calls next of all that it calls at its times; of the cpu whose cyc_cpu_t is at the address, if given.

    Reads: cpu_cyclic of each cpu_t, cyc_cpu_t (cyp_cpu, cyp_state, cyp_nelems, cyp_size, cyp_heap, cyp_cyclics) and
    its cyp_softbuf, cyclic_t (cy_expire, cy_handler).

    Example:
        ::cycinfo
        ::cycinfo -v
    """
    guest = illumos(call.guest)
    for address in each_cyclic_cpu(guest) if call.address is None else call.addresses:
        try:
            yield _cpu_row(guest, address, full="v" in call.flags or "V" in call.flags, soft="V" in call.flags)
        except DebuggerError as err:
            call.warn(str(err))


def _cpu_row(guest: Illumos, address: int, *, full: bool, soft: bool) -> CyclicCpuRow:
    found = read_cyclic_cpu(guest, address)
    root = found.root
    return CyclicCpuRow(
        addr=Vaddr(address),
        cpu=found.cpu,
        state=found.state,
        nelems=found.count,
        root=Vaddr(root.address) if root else None,
        fire=_time(root.expire) if root else None,
        handler=Vaddr(root.handler) if root else None,
        heap=[_heaped(place, *each) for place, each in enumerate(each_heaped(guest, address))] if full else None,
        soft=read_soft_buffers(guest, address) if soft else None,
    )


def _heaped(place: int, number: int, found: Cyclic) -> HeapedRow:
    return HeapedRow(
        addr=Vaddr(found.address),
        ndx=number,
        heap=place,
        level=found.level,
        pend=found.pending,
        fire=_time(found.expire),
        usecint=found.interval // MICROSECOND,
        handler=Vaddr(found.handler),
    )


def _time(value: int) -> Hex:
    return Hex(value & (1 << 64) - 1)


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
            fire=_time(found.expire),
            usecint=found.interval // MICROSECOND,
            handler=Vaddr(found.handler),
        )


@walker("cyctrace", start="optional", guests=GUESTS)
def walk_cyctrace(call: Call) -> Iterator[int]:
    """walk what was noted of cyclics on all cpus, or on that of a cyc_cpu_t, the latest first"""
    return (trace.address for trace in each_trace(illumos(call.guest), call.address))


@dataclass(frozen=True)
class TraceRow:
    """What a kernel noted of its cyclics.

    addr: its cyc_tracerec_t
    cpu: the cpu on which it was noted, null where only the record was given
    level: high, lock or low: in which interrupt; null as above
    tstamp: when, in nanoseconds since boot
    why: where in the kernel's code
    arg0: a value of then
    arg1: another
    """

    addr: Vaddr
    cpu: int | None
    level: str | None
    tstamp: Hex
    why: str
    arg0: Hex
    arg1: Hex


TRACE = Text(
    "{cpu:>3} {level:>4} {tstamp:>16x} {arg0:>16x} {arg1:>16x} {why}",
    head=f"CPU LEVL {'TSTAMP':>16} {'ARG0':>16} {'ARG1':>16} WHY",
)


@dcmd("cyctrace", address="optional", text=TRACE, row=TraceRow, guests=GUESTS)
def cyctrace(call: Call) -> Iterator[TraceRow]:
    """dump cyclic trace buffer

    What was noted on all cpus, the latest first, or the record at the address. Only kernels that were built with
    CYCLIC_TRACE, as DEBUG kernels are, note anything.

    Reads: cyc_cpu_t and its cyp_trace: cyc_tracebuf_t, cyc_tracerec_t.

    Example:
        ::cyctrace
    """
    guest = illumos(call.guest)
    if call.address is not None:
        yield _trace_row(read_trace(guest, call.address))
        return
    for trace in each_trace(guest):
        yield _trace_row(trace)


def _trace_row(trace: Trace) -> TraceRow:
    return TraceRow(
        addr=Vaddr(trace.address),
        cpu=trace.cpu,
        level=trace.level,
        tstamp=_time(trace.stamp),
        why=trace.reason,
        arg0=Hex(trace.values[0]),
        arg1=Hex(trace.values[1]),
    )
