"""A Linux guest's side of Xen: ::evtchns."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.interrupts import each_descriptor, handler_of, name_of
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.xen import Channel, EventChannels
from vmdebug.types.typed import Typed

HEAD = "Type           Evtchn IRQ  CPU Masked Pending Detail               Name             ISR"


@dataclass(frozen=True)
class ChannelRow:
    """A bound event channel.

    channel: its port
    type: pirq, virq, ipi or evtchn
    irq: the kernel's interrupt
    cpu: the processor that it is bound to
    masked: whether it is masked, null where the image does not hold the bits
    pending: whether it is pending, null likewise
    detail: which virq, or which ipi
    name: the name under which the interrupt was asked for
    handler: what it calls, 0 for nothing
    isr: that function's name
    info: the kernel's struct irq_info
    """

    channel: int
    type: str
    irq: int
    cpu: int
    masked: bool | None
    pending: bool | None
    detail: str
    name: str
    handler: Vaddr
    isr: str
    info: Vaddr


def channel_lines(rows: Iterable[ChannelRow], _: Show) -> Iterator[str]:
    marks = {None: "-", True: "1", False: "0"}
    for number, row in enumerate(rows):
        if number == 0:
            yield HEAD
        yield (
            f"{row.type:<14} {row.channel:<6} {row.irq:<4} {row.cpu:<3} {marks[row.masked]:<6} {marks[row.pending]:<7} "
            f"{row.detail:<20} {row.name:<16} {row.isr}"
        ).rstrip()


@dcmd("evtchns", address="optional", text=channel_lines, row=ChannelRow, guests=("linux",))
def evtchns(call: Call) -> Iterator[ChannelRow]:
    """print event channels

    The channels that the kernel has bound, by port, with their bits in the interface that it uses (two levels, or
    FIFO); an address is a port and shows that one.

    Reads: struct irq_info (evtchn, type, irq, cpu, u.virq, u.ipi), struct irq_desc (action), struct irqaction (handler,
    thread_fn, name), the pages of events that the guest shares with Xen.

    Example:
        ::evtchns
    """
    kernel = linux(call.guest)
    descriptors = dict(each_descriptor(kernel))
    for channel in sorted(EventChannels(kernel).each(), key=lambda each: each.port):
        if call.address is not None and channel.port != call.address:
            continue
        yield _row(call, channel, descriptors)
        if call.address is not None:
            return
    if call.address is not None:
        raise DebuggerError(f"Invalid event channel {call.address:x}.")


def _row(call: Call, channel: Channel, descriptors: dict[int, Typed]) -> ChannelRow:
    descriptor = descriptors.get(channel.irq)
    handler = handler_of(descriptor) if descriptor else 0
    return ChannelRow(
        channel=channel.port,
        type=channel.type,
        irq=channel.irq,
        cpu=channel.cpu,
        masked=channel.masked,
        pending=channel.pending,
        detail=channel.detail,
        name=name_of(descriptor) if descriptor else "",
        handler=Vaddr(handler),
        isr=call.session.show.symbol_or_empty(handler) if handler else "",
        info=Vaddr(channel.info),
    )
