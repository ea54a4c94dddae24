"""Interrupts of illumos: ::interrupts ::softint ::idt ::gate_desc."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd
from vmdebug.guests.illumos.events import Channel, EventChannels
from vmdebug.guests.illumos.gates import Gate, each_gate, each_soft_interrupt, read_gate
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)
HEAD = "IRQ  Vect Evtchn IPL Bus    Trg Type   CPU Share APIC/INT# "
EVERYWHERE = ("virq", "ipi")  # bound on each cpu
MARKS = {"virq:timer": "T", "ipi": "I", "device": "D"}


@dataclass(frozen=True)
class InterruptRow:
    """An irq that is bound to event channels.

    irq: the kernel's number of it
    channel: the first of its event channels
    ipl: the level at which it interrupts
    type: what its channel is bound to
    cpu: the cpu that serves it, null where every cpu does
    handler: the function that serves it
    isr: that function's name
    driver: with -d, the driver and the instance of its device
    """

    irq: int
    channel: int
    ipl: int
    type: str
    cpu: int | None
    handler: Vaddr | None
    isr: str
    driver: str | None
    _options: frozenset[str]


def interrupt_lines(rows: Iterable[InterruptRow], _: Show) -> Iterator[str]:
    """A line an irq; with -i its cpu and its handler only."""
    for number, row in enumerate(rows):
        names = "Driver Name(s) " if "d" in row._options else "ISR(s) "
        cpu = "all" if row.cpu is None else row.cpu
        shown = row.driver or row.isr
        if number == 0:
            brief = "i" in row._options
            yield f"CPU {names}" if brief else HEAD + names
        if "i" in row._options:
            yield f"{cpu:<4}{shown}"
        else:
            mark = MARKS.get(row.type, row.channel)
            kind = row.type.partition(":")[0]
            yield f"{row.irq:>3}  -    {mark:<7}{row.ipl:<4}{'-':<6} Edg {kind:<7}{cpu:<4}-     -         {shown}"


@dcmd(
    "interrupts",
    flags=(
        Flag("d", "the driver and instance of each device instead of the function"),
        Flag("i", "only the cpu and the function"),
    ),
    text=interrupt_lines,
    row=InterruptRow,
    guests=GUESTS,
)
def interrupts(call: Call) -> Iterator[InterruptRow]:
    """print interrupts

    Every irq that an event channel is bound to. In the column of the channel stands T for the timer's, I for those
    between cpus and D for a device's, which each cpu has its own of.

    Reads: evtchn_to_irq, irq_info, ipi_info, virq_info, evtchn_cpus, autovect.

    Example:
        ::interrupts
    """
    by_irq: dict[int, Channel] = {}
    for channel in EventChannels(illumos(call.guest)).each():
        by_irq.setdefault(channel.irq or 0, channel)
    for irq in sorted(by_irq):
        channel = by_irq[irq]
        everywhere = channel.type.partition(":")[0] in EVERYWHERE
        yield InterruptRow(
            irq=irq,
            channel=channel.number,
            ipl=channel.level or 0,
            type=channel.type,
            cpu=None if everywhere else 0 if channel.type == "device" else channel.cpu,
            handler=channel.handler,
            isr=call.session.show.symbol(channel.handler) if channel.handler is not None else "",
            driver=channel.driver if "d" in call.flags else None,
            _options=frozenset(call.flags),
        )


@dataclass(frozen=True)
class SoftRow:
    """A handler of an interrupt that software raises.

    addr: its struct autovec
    pending: whether it was raised and not served yet, null where that is not known
    pil: the level at which it interrupts
    arg1: its first argument
    arg2: its second argument
    handler: the function that serves it
    """

    addr: Vaddr
    pending: int | None
    pil: int
    arg1: Vaddr
    arg2: Vaddr
    handler: Vaddr


SOFT = Text(
    "{addr:<16x} {pending:<2}   {pil:<2}  {arg1:<16x} {arg2:<16x}{handler:a}",
    head="ADDR             PEND PIL ARG1             ARG2            ISR(s)",
)


@dcmd("softint", text=SOFT, row=SoftRow, guests=GUESTS)
def softint(call: Call) -> Iterator[SoftRow]:
    """print soft interrupts

    Reads: softvect, struct autovec along av_link, ddi_softint_hdl_impl_t.

    Example:
        ::softint
    """
    for each in each_soft_interrupt(illumos(call.guest)):
        first, second = each.arguments
        handler = Vaddr(each.handler)
        yield SoftRow(Vaddr(each.address), each.pending, each.level, Vaddr(first), Vaddr(second), handler)


@dataclass(frozen=True)
class GateRow:
    """A gate of an interrupt descriptor table.

    addr: where it lies
    handler: what it calls
    selector: the code segment in which that runs
    dpl: the least privileged ring that may call it
    present: whether it may be used
    type: int, trp or tsk, else its number
    ist: the number of its interrupt stack, 0 for none
    number: its vector, null for one that was named by its address
    """

    addr: Vaddr
    handler: Vaddr
    selector: Hex
    dpl: int
    present: bool
    type: str
    ist: int
    number: int | None


def gate_lines(rows: Iterable[GateRow], show: Show) -> Iterator[str]:
    for place, row in enumerate(rows):
        if place == 0:
            indent = "" if row.number is None else " " * 5
            yield f"{indent}{'HANDLER':<30} {'SEL':>4} DPL P TYP IST"
        label = "" if row.number is None else f"{row.number:>3}: "
        mark = "+" if row.present else " "
        yield f"{label}{show.symbol(row.handler):<30} {row.selector:>4x} {row.dpl:>3} {mark} {row.type:>3} {row.ist:>3}"


@dcmd("gate_desc", address="required", text=gate_lines, row=GateRow, guests=GUESTS)
def gate_desc(call: Call) -> Iterator[GateRow]:
    """print gate descriptor

    Reads: gate_desc_t.

    Example:
        idt0::gate_desc
    """
    for address in call.addresses:
        yield _gate(read_gate(illumos(call.guest), address), None)


@dcmd("idt", address="optional", text=gate_lines, row=GateRow, guests=GUESTS)
def idt(call: Call) -> Iterator[GateRow]:
    """print interrupt descriptor table

    The 256 gates of the table at the address, or of the kernel's own, idt0.

    Reads: gate_desc_t.

    Example:
        ::idt
    """
    for number, gate in enumerate(each_gate(illumos(call.guest), call.address)):
        yield _gate(gate, number)


def _gate(gate: Gate, number: int | None) -> GateRow:
    return GateRow(
        addr=Vaddr(gate.address),
        handler=Vaddr(gate.handler),
        selector=Hex(gate.selector),
        dpl=gate.dpl,
        present=gate.present,
        type=gate.kind,
        ist=gate.stack,
        number=number,
    )
