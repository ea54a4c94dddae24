"""Interrupts of a Linux guest: ::interrupts."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.interrupts import counts_of, each_action, each_descriptor
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.types.typed import Typed

NAME = 256


@dataclass(frozen=True)
class InterruptRow:
    """An interrupt.

    addr: its struct irq_desc
    irq: its number
    chip: what delivers it
    hwirq: its number there
    flow: how it is triggered
    counts: how often it came, a number for each processor
    names: what asked for it, several where it is shared
    handlers: what it calls, the thread's function where it has one
    isr: the names of those
    """

    addr: Vaddr
    irq: int
    chip: str
    hwirq: int
    flow: str
    counts: Sequence[int]
    names: Sequence[str]
    handlers: Sequence[Vaddr]
    isr: Sequence[str]


def interrupt_lines(rows: Iterable[InterruptRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            cpus = "".join(f"{f'CPU{cpu}':>10} " for cpu in range(len(row.counts)))
            yield f" IRQ {'ADDR':<16} {cpus}{'CHIP':<21} {'HWIRQ':>8} {'TYPE':<8} {'NAME':<20} ISR(s)"
        counts = "".join(f"{count:>10} " for count in row.counts)
        yield (
            f"{row.irq:>4} {row.addr:016x} {counts}{row.chip:<21} {row.hwirq:>8} {row.flow:<8} "
            f"{', '.join(row.names):<20} {', '.join(row.isr)}"
        ).rstrip()


@dcmd(
    "interrupts",
    address="optional",
    flags=(Flag("a", "also those that nothing uses and that never came"),),
    text=interrupt_lines,
    row=InterruptRow,
    guests=("linux",),
)
def interrupts(call: Call) -> Iterator[InterruptRow]:
    """print interrupts

    How often each came on every processor, what delivers it, what asked for it and what it calls. An address is the
    number of one.

    Reads: struct irq_desc (action, irq_data, name, kstat_irqs) from irq_desc_tree or sparse_irqs, struct irqaction
    (handler, thread_fn, name, next), struct irq_chip (name).

    Example:
        ::interrupts
    """
    kernel = linux(call.guest)
    found = False
    for number, descriptor in each_descriptor(kernel):
        if call.address not in (None, number):
            continue
        found = True
        try:
            row = _row(call, kernel, number, descriptor)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read interrupt {number} at {descriptor.address_:x}: {err}")
            continue
        if row.names or any(row.counts) or "a" in call.flags or call.address is not None:
            yield row
    if call.address is not None and not found:
        raise DebuggerError(f"there is no interrupt {call.address:x}")


def _row(call: Call, kernel: Linux, number: int, descriptor: Typed) -> InterruptRow:
    actions = list(each_action(descriptor))
    handlers = [int(action["thread_fn"]) or int(action["handler"]) for action in actions]
    chip, flow = descriptor["irq_data.chip"], descriptor["name"]
    return InterruptRow(
        addr=Vaddr(descriptor.address_),
        irq=number,
        chip=chip["name"].string(NAME) if chip and chip["name"] else "",
        hwirq=int(descriptor["irq_data.hwirq"]),
        flow=flow.string(NAME) if flow else "",
        counts=counts_of(kernel, descriptor),
        names=[action["name"].string(NAME) for action in actions if action["name"]],
        handlers=[Vaddr(handler) for handler in handlers],
        isr=[call.session.show.symbol_or_empty(handler) for handler in handlers],
    )
