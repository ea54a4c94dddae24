"""Interrupts of illumos: ::interrupts."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.guests.illumos.apics import IPI, Apics, Interrupt
from vmdebug.guests.illumos.events import Channel, EventChannels
from vmdebug.guests.illumos.kernel import Illumos, illumos

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


@dataclass(frozen=True)
class WiredRow:
    """An interrupt of a kernel without event channels.

    irq: the kernel's number of it, null for a message of a kernel that keeps them by vector
    vector: the vector at which it interrupts
    ipl: the level at which it interrupts
    bus: the bus that it comes from, null where it comes from none or that is not known
    trigger: Edg for an edge, Lvl for a level, null where that is not known
    type: Fixed for a wire, MSI and MSI-X for a message, IPI for one between cpus
    cpu: the cpu that takes it, null where every cpu does, or none
    share: how many share it
    apic: the number of the I/O apic that its wire leads to, null for a message or where that is not known
    pin: the pin of that apic
    handlers: the functions that serve it, in the order in which they are called
    isr: their names
    driver: with -d, instead of each function that has a device the driver and the instance of that
    """

    irq: int | None
    vector: Hex
    ipl: int
    bus: str | None
    trigger: str | None
    type: str
    cpu: int | None
    share: int
    apic: Hex | None
    pin: Hex | None
    handlers: Sequence[Vaddr]
    isr: str
    driver: str | None


BY_IRQ = "IRQ  Vect IPL Bus    Trg Type   CPU Share APIC/INT# "
BY_CPU = "CPU/Vect  IRQ IPL Bus    Trg Type   Share APIC/INT# "


def wired_lines(letters: Iterable[str], by_cpu: bool, rows: Iterable[WiredRow], _: Show) -> Iterator[str]:
    """A line an interrupt, by its irq or by its cpu and vector; with -i its cpu and its handlers only."""
    for number, row in enumerate(rows):
        names = "Driver Name(s) " if "d" in letters else "ISR(s) "
        if number == 0:
            yield f"{'CPU ' if 'i' in letters else BY_CPU if by_cpu else BY_IRQ}{names}"
        cpu = "all" if row.type == IPI else _or_dash(row.cpu)
        pin = "-" if row.apic is None else f"{row.apic:#x}/{row.pin or 0:#x}"
        bus = "" if row.type == IPI else _or_dash(row.bus)
        if "i" in letters:
            place = f"{cpu:<4}"
        elif by_cpu:
            place = f"{f'{cpu}/{row.vector:#04x}':<9} {_or_dash(row.irq):<3} {row.ipl:<3} {bus:<6} "
            place += f"{_or_dash(row.trigger):<3} {row.type:<6} {row.share:<5} {pin:<9} "
        else:
            place = f"{_or_dash(row.irq):<4} {row.vector:#04x} {row.ipl:<3} {bus:<6} "
            place += f"{_or_dash(row.trigger):<3} {row.type:<6} {cpu:<3} {row.share:<5} {pin:<9} "
        yield f"{place}{row.driver or row.isr}"


def _or_dash(value: int | str | None) -> str:
    return "-" if value is None else str(value)


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
def interrupts(call: Call) -> Iterator[InterruptRow | WiredRow]:
    """print interrupts

    Under Xen every irq that an event channel is bound to. In the column of the channel stands T for the timer's, I for
    those between cpus and D for a device's, which each cpu has its own of.

    Of a kernel without event channels every interrupt of the hardware: its irq and vector, level, bus, whether it is
    an edge or a level, how it comes (by a wire: Fixed, by a message: MSI or MSI-X, from a cpu: IPI), the cpu that takes
    it, how many share it, the apic and the pin that its wire leads to, and all its handlers. Kernels that give every
    cpu its own vectors (apix) show them by cpu and vector.

    Reads: evtchn_to_irq, irq_info, ipi_info, virq_info, evtchn_cpus, autovect; without irq_info apixs and
    apix_vector_t, or apic_irq_table, apic_level_intr and apic_irq_t (airq_mps_intr_index, airq_vector, airq_cpu).

    Example:
        ::interrupts
    """
    guest = illumos(call.guest)
    return _bound_rows(call, guest) if guest.symbols.find("irq_info") else _wired_rows(call, guest)


def _bound_rows(call: Call, guest: Illumos) -> Iterator[InterruptRow]:
    by_irq: dict[int, Channel] = {}
    for channel in EventChannels(guest).each():
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


def _wired_rows(call: Call, guest: Illumos) -> Iterator[WiredRow]:
    apics = Apics(guest, call.warn)
    call.text = partial(wired_lines, frozenset(call.flags), apics.by_cpu)
    for found in apics.each():
        yield _wired_row(call, found)


def _wired_row(call: Call, found: Interrupt) -> WiredRow:
    names = [call.session.show.symbol(each.function) for each in found.handlers]
    drivers = [each.driver or name for each, name in zip(found.handlers, names, strict=True)]
    return WiredRow(
        irq=found.irq,
        vector=Hex(found.vector),
        ipl=found.level,
        bus=found.bus,
        trigger=found.trigger,
        type=found.type,
        cpu=found.cpu,
        share=found.share,
        apic=Hex(found.pin[0]) if found.pin else None,
        pin=Hex(found.pin[1]) if found.pin else None,
        handlers=[Vaddr(each.function) for each in found.handlers],
        isr=", ".join(names),
        driver=", ".join(drivers) if "d" in call.flags else None,
    )
