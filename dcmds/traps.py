"""What went through the interrupt tables of illumos: ::ttrace, the walker ttrace."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.trap_traces import INTTRAP, KINDS, SYSTEM_CALLS, TRAP, TRAPS, TrapRecord, TrapTraces
from vmdebug.types.model import Aggregate
from vmdebug.types.typed import Typed

GUESTS = ("illumos",)
NAMES = 3  # registers in a line
INDENT = " " * 4


@walker("ttrace", guests=GUESTS)
def walk_ttrace(call: Call) -> Iterator[int]:
    """walk the trap records of all cpus, the latest first"""
    return (int(found.record) for found in TrapTraces(illumos(call.guest), call.warn).each())


@dataclass(frozen=True)
class TrapRow:
    """A trap record.

    addr: its trap_trace_rec_t
    cpu: the cpu that made it, null for one that is in no cpu's ring
    timestamp: the cpu's count of cycles at that time
    type: trap, intr (interrupt), evnt (an event of the hypervisor), intt (a trap by an instruction), or a system call:
        sc64, sysc, syse and lcal by how it was made; ?? for another marker
    vec: the vector, or the irq of an interrupt; null for a system call
    handler: what a trap is called, the function of an interrupt or of a system call, else the number of that; null
        where nothing is known
    eip: where the cpu was
    thread: the thread that it ran
    registers: with -x, the registers of then
    cr2: with -x, the address of the last page fault
    spl: with -x, the level before, of an interrupt
    ipl: with -x, the interrupt's level
    pri: with -x, the priority of then
    stack: with -x, where the calls would return to, the newest first
    """

    addr: Vaddr
    cpu: int | None
    timestamp: Hex
    type: str
    vec: Hex | None
    handler: str | None
    eip: Vaddr
    thread: Vaddr
    registers: Mapping[str, Hex] | None
    cr2: Hex | None
    spl: int | None
    ipl: int | None
    pri: int | None
    stack: Sequence[Vaddr] | None


def trap_lines(rows: Iterable[TrapRow], show: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'CPU':>3} {'TIMESTAMP':>15} TYPE Vec {'HANDLER':<17} EIP"
        cpu = "-" if row.cpu is None else row.cpu
        vector = "-" if row.vec is None else f"{row.vec:x}"
        place = f"{cpu:>3} {row.timestamp:>15x} {row.type:<4} {vector:>3}"
        yield f"{place} {row.handler or '-':<17} {show.symbol(row.eip)}"
        if row.registers is not None:
            yield from (f"{INDENT}{line}" for line in _all_of(row, show))
            yield ""


def _all_of(row: TrapRow, show: Show) -> Iterator[str]:
    """All that a record holds: registers, levels, the stack."""
    registers = [*(row.registers or {}).items(), ("cr2", row.cr2 or 0), ("thread", row.thread)]
    for first in range(0, len(registers), NAMES):
        yield "  ".join(f"{name:<6} {value:016x}" for name, value in registers[first : first + NAMES])
    if row.spl is not None:
        yield f"spl {row.spl}  ipl {row.ipl}  pri {row.pri}"
    yield from (f"  {show.symbol(pc)}" for pc in row.stack or ())


@dcmd(
    "ttrace",
    address="optional",
    flags=(
        Flag("x", "all that a record holds: registers, levels, the stack"),
        Flag("t", "only what came while this thread ran", "number", "thread"),
    ),
    text=trap_lines,
    row=TrapRow,
    guests=GUESTS,
)
def ttrace(call: Call) -> Iterator[TrapRow]:
    """dump trap trace buffers

    What went through the interrupt tables of all cpus, the latest first: traps, interrupts, events of the hypervisor
    and system calls; of the cpu whose number is given, or the record at the address. Only kernels that were built with
    TRAPTRACE, as DEBUG kernels are, keep records of it.

    Reads: trap_trace_ctl, trap_trace_rec_t, sysent or sysent32, autovect, idt0.

    Example:
        ::ttrace
    """
    traces = TrapTraces(illumos(call.guest), call.warn)
    if call.address is not None and call.address >= traces.cpus:
        found: Iterator[TrapRecord] = iter([traces.at(call.address)])
    else:
        found = traces.each(call.address)
    for each in found:
        if call.flags.get("t") in (None, int(each.record["ttr_curthread"])):
            yield _row(call, traces, each, full="x" in call.flags)


def _row(call: Call, traces: TrapTraces, found: TrapRecord, *, full: bool) -> TrapRow:
    record, vector = found.record, found.vector
    levels = record["ttr_info.idt_entry"] if full and vector is not None else None
    depth = min(max(record["ttr_sdepth"], 0), len(record["ttr_stack"])) if full else 0
    return TrapRow(
        addr=Vaddr(int(record)),
        cpu=found.cpu,
        timestamp=_word(record["ttr_stamp"]),
        type=KINDS.get(found.marker, "??"),
        vec=None if vector is None else Hex(vector),
        handler=_handler(call, traces, found),
        eip=Vaddr(_word(record["ttr_regs.r_rip"])),
        thread=Vaddr(int(record["ttr_curthread"])),
        registers=_registers(record["ttr_regs"]) if full else None,
        cr2=_word(record["ttr_cr2"]) if full else None,
        spl=levels["spl"] if levels else None,
        ipl=levels["ipl"] if levels else None,
        pri=levels["pri"] if levels else None,
        stack=[Vaddr(int(pc)) for pc in record["ttr_stack"][:depth]] if full else None,
    )


def _handler(call: Call, traces: TrapTraces, found: TrapRecord) -> str | None:
    if found.marker in (TRAP, INTTRAP) and (found.vector or 0) < len(TRAPS):
        return TRAPS[found.vector or 0]
    function = traces.find_handler(found)
    if function is not None:
        return call.session.show.symbol(function)
    return f"system call {found.record['ttr_info.gate_entry.sysnum']}" if found.marker in SYSTEM_CALLS else None


def _registers(regs: Typed) -> Mapping[str, Hex]:
    """The general registers, and what else the kernel saves of a cpu, by their own names."""
    base = regs.type_.resolve()
    names = base.names if isinstance(base, Aggregate) else ()
    return {name.removeprefix("__").removeprefix("r_"): _word(regs[name]) for name in names}


def _word(value: int) -> Hex:
    return Hex(int(value) & (1 << 64) - 1)
