"""Event channels and who serves them: ::evtchns."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.guests.illumos.events import Channel, EventChannels
from vmdebug.guests.illumos.kernel import illumos

HEAD = "Type          Evtchn IRQ IPL CPU "
SHARED_HEAD = "Type          Evtchn IRQ IPL(lo/hi) CPU "


@dataclass(frozen=True)
class ChannelRow:
    """An event channel.

    channel: its number
    type: what it is bound to
    irq: the kernel's number of it, null for a channel that is not bound
    ipl: the level at which it interrupts
    cpu: the cpu that serves it, -1 for none, null for channel 0
    masked: whether it is masked; null where the page shared with the hypervisor is not in the image
    pending: whether it is pending; null as above
    handler: the function that serves it
    isr: that function's name
    driver: with -d, the driver and the instance of its device
    levels: of a kernel in which handlers of several levels share an irq, the lowest and the highest; null for a channel
        that is not bound, and for other kernels
    """

    channel: int
    type: str
    irq: int | None
    ipl: int | None
    cpu: int | None
    masked: bool | None
    pending: bool | None
    handler: Vaddr | None
    isr: str | None
    driver: str | None
    levels: Sequence[int] | None
    _by_driver: bool


def channel_lines(shared_irqs: bool, rows: Iterable[ChannelRow], _: Show) -> Iterator[str]:
    """A line a channel; the two columns of the shared page only where that could be read."""
    for number, row in enumerate(rows):
        if number == 0:
            shared = "" if row.masked is None else "Masked Pending "
            names = "Driver Name(s) " if row._by_driver else "ISR(s) "
            yield f"{SHARED_HEAD if shared_irqs else HEAD}{shared}{names}"
        bits = "" if row.masked is None else f"{int(row.masked):<7}{int(row.pending or 0):<8}"
        irq, level, cpu = ("-" if value is None else str(value) for value in (row.irq, row.ipl, row.cpu))
        if shared_irqs:
            low, high = row.levels or ("-", "-")
            place = f"{irq:<4}{low:>6}/{high:<2}  {cpu:<4}"
        else:
            place = f"{irq:<4}{level:<4}{cpu:<4}"
        yield f"{row.type:<14}{row.channel:<7}{place}{bits}{row.driver or row.isr or ''}"


@dcmd(
    "evtchns",
    address="optional",
    flags=(Flag("d", "the driver and instance of a channel's device instead of the function"),),
    text=partial(channel_lines, False),
    row=ChannelRow,
    guests=("illumos",),
)
def evtchns(call: Call) -> Iterator[ChannelRow]:
    """print event channels

    Every channel that is bound, or the one whose number is given: what it is bound to, the kernel's irq and level of
    it, the cpu, and the function that serves it, all as the kernel's own tables say. Whether it is masked or pending
    stands in a page shared with the hypervisor, which a dump need not have. Where handlers of several levels share
    an irq (kernels with xen_uppc_irq_shared_table), the lowest and the highest of them are shown; these kernels need
    the shared page.

    Reads: irq_info_t (ii_type, ii_u2) from irq_info, evtchn_to_irq, mec_info_t (mi_irq), ipi_info, virq_info,
    evtchn_cpus, struct autovec (av_vector, av_dip) from autovect, struct av_head (avh_link), struct shared_info
    (evtchn_mask).

    Example:
        ::evtchns
    """
    channels = EventChannels(illumos(call.guest))
    by_driver = "d" in call.flags
    if channels.shared_irqs:
        channels.need_shared()
        call.text = partial(channel_lines, True)
    found = channels.each() if call.address is None else iter([channels.channel(call.address)])
    for channel in found:
        yield _row(call, channel, by_driver, channels.shared_irqs)


def _row(call: Call, channel: Channel, by_driver: bool, shared_irqs: bool) -> ChannelRow:
    isr = call.session.show.symbol(channel.handler) if channel.handler is not None else None
    return ChannelRow(
        channel=channel.number,
        type=channel.type,
        irq=channel.irq,
        ipl=channel.level,
        cpu=channel.cpu,
        masked=channel.masked,
        pending=channel.pending,
        handler=channel.handler,
        isr=isr,
        driver=channel.driver if by_driver else None,
        levels=channel.levels if shared_irqs else None,
        _by_driver=by_driver,
    )
