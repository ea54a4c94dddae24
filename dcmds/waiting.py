"""What threads of illumos wait for: ::wchaninfo ::sobj2ts, the walkers wchan, blocked and sleepq."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.processes import Process
from vmdebug.guests.illumos.waiting import Channel, each_asleep, each_channel, each_sleeper, find_turnstile

GUESTS = ("illumos",)
BY_CHANNEL = ("cond", "sema")  # those that the kernel's own table of sleep queues holds


@walker("wchan", guests=GUESTS)
def walk_wchan(call: Call) -> Iterator[int]:
    """walk the condition variables and semaphores that threads wait for"""
    for channel in each_channel(illumos(call.guest)):
        if channel.kind in BY_CHANNEL:
            yield channel.address


@walker("blocked", start="required", guests=GUESTS)
def walk_blocked(call: Call) -> Iterator[int]:
    """walk the threads that wait for an object"""
    return each_sleeper(illumos(call.guest), call.address or 0)


@walker("sleepq", start="required", guests=GUESTS)
def walk_sleepq(call: Call) -> Iterator[int]:
    """walk the threads of a sleep queue, as of each of a turnstile's"""
    return each_asleep(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class Sleeping:
    """A thread that sleeps.

    thread: its kthread_t
    command: the name of its process, ? where that cannot be read
    """

    thread: Vaddr
    command: str


@dataclass(frozen=True)
class ChannelRow:
    """An object that threads wait for.

    addr: where it lies
    kind: cond for a condition variable, sema for a semaphore
    count: how many threads wait
    threads: those threads
    """

    addr: Vaddr
    kind: str
    count: int
    threads: Sequence[Sleeping]


def short_lines(rows: Iterable[ChannelRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':<16} {'TYPE':<4} NWAITERS"
        yield f"{row.addr:016x} {row.kind:<4} {row.count:>8}"


def long_lines(rows: Iterable[ChannelRow], _: Show) -> Iterator[str]:
    """The objects, each with its first thread on its line and the others below."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':<16} {'TYPE':<4} NWAITERS   {'THREAD':<16} PROC"
        for place, each in enumerate(row.threads):
            first = f"{row.addr:016x} {row.kind:<4} {row.count:>8}" if place == 0 else f"{'':30}"
            yield f"{first}   {each.thread:016x} {each.command}"


@dcmd(
    "wchaninfo",
    address="optional",
    flags=(Flag("v", "with each thread and its process"),),
    text=short_lines,
    row=ChannelRow,
    guests=GUESTS,
)
def wchaninfo(call: Call) -> Iterator[ChannelRow]:
    """dump condition variable

    Every condition variable and semaphore that threads wait for, or the one at the address.

    Reads: t_wchan, t_sobj_ops and t_procp of each kthread_t.

    Example:
        ::wchaninfo -v
    """
    call.text = long_lines if "v" in call.flags else short_lines
    for channel in each_channel(illumos(call.guest)):
        if channel.kind in BY_CHANNEL and call.address in (None, channel.address):
            yield _row(call, channel)


def _row(call: Call, channel: Channel) -> ChannelRow:
    threads = [Sleeping(Vaddr(each.thread), _command(call, each.process)) for each in channel.sleepers]
    return ChannelRow(Vaddr(channel.address), channel.kind, len(threads), threads)


def _command(call: Call, process: int) -> str:
    try:
        return Process(illumos(call.guest), process).command
    except DebuggerError:
        return "?"


@dataclass(frozen=True)
class TurnstileAddress:
    """The turnstile of an object.

    addr: its turnstile_t
    """

    addr: Vaddr


@dcmd("sobj2ts", address="required", text=Text("{addr:x}"), row=TurnstileAddress, guests=GUESTS)
def sobj2ts(call: Call) -> Iterator[TurnstileAddress]:
    """perform turnstile lookup on synch object

    Nothing where no thread sleeps on it.

    Reads: t_wchan and t_ts of each kthread_t, turnstile_t.

    Example:
        fffffffec13b7ad0::sobj2ts
    """
    for address in call.addresses:
        turnstile = find_turnstile(illumos(call.guest), address)
        if turnstile is not None:
            yield TurnstileAddress(Vaddr(turnstile))
