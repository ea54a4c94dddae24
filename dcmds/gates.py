"""Gates and soft interrupts of illumos: ::softint ::idt ::gate_desc."""

from collections.abc import Iterable, Iterator
from functools import partial

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.guests.illumos.gates import Gate, each_gate, each_soft_interrupt, read_gate
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)


@dataclass(frozen=True)
class SoftRow:
    """A handler of an interrupt that software raises.

    addr: its struct autovec
    pending: whether it was raised and not served yet, null where that is not known
    pil: the level at which it interrupts
    arg1: its first argument
    arg2: its second argument
    handler: the function that serves it
    driver: with -d, the driver and the instance of its device, null where it has none
    """

    addr: Vaddr
    pending: int | None
    pil: int
    arg1: Vaddr
    arg2: Vaddr
    handler: Vaddr
    driver: str | None


def soft_lines(by_driver: bool, rows: Iterable[SoftRow], show: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            names = "Driver Name(s)" if by_driver else "ISR(s)"
            yield f"ADDR             PEND PIL ARG1             ARG2            {names}"
        pending = "-" if row.pending is None else row.pending
        name = row.driver or show.symbol(row.handler)
        yield f"{row.addr:<16x} {pending:<2}   {row.pil:<2}  {row.arg1:<16x} {row.arg2:<16x}{name}"


@dcmd(
    "softint",
    flags=(Flag("d", "the driver and instance of each device instead of the function"),),
    text=partial(soft_lines, False),
    row=SoftRow,
    guests=GUESTS,
)
def softint(call: Call) -> Iterator[SoftRow]:
    """print soft interrupts

    Reads: softvect, struct autovec along av_link, ddi_softint_hdl_impl_t.

    Example:
        ::softint
    """
    by_driver = "d" in call.flags
    call.text = partial(soft_lines, by_driver)
    for each in each_soft_interrupt(illumos(call.guest)):
        first, second = each.arguments
        yield SoftRow(
            addr=Vaddr(each.address),
            pending=each.pending,
            pil=each.level,
            arg1=Vaddr(first),
            arg2=Vaddr(second),
            handler=Vaddr(each.handler),
            driver=each.driver if by_driver else None,
        )


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
