"""What the kernel said, and how it died: ::msgbuf and ::panicinfo of illumos."""

from collections.abc import Iterable, Iterator, Mapping

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.log import each_message
from vmdebug.guests.illumos.panic import find_panic
from vmdebug.lang.values import date

GUESTS = ("illumos",)


@dataclass(frozen=True)
class MessageRow:
    """A message of the log.

    addr: its log_ctl
    time: when it was logged, in seconds since 1970
    text: what it says
    """

    addr: Vaddr
    time: int
    text: str


def message_lines(rows: Iterable[MessageRow], _: Show) -> Iterator[str]:
    """The messages' own lines."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'MESSAGE':<70}"
        yield from row.text.split("\n")


def timed_lines(rows: Iterable[MessageRow], _: Show) -> Iterator[str]:
    """The messages, each behind its time and its log_ctl."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'TIMESTAMP':>20} {'LOGCTL':>16} {'MESSAGE':<40}"
        first, *rest = row.text.split("\n")
        yield f"{date(row.time)} {row.addr:>16x} {first}"
        yield from rest


@dcmd(
    "msgbuf",
    flags=(Flag("v", "with the time and the log_ctl of each"),),
    text=message_lines,
    row=MessageRow,
    guests=GUESTS,
)
def msgbuf(call: Call) -> Iterator[MessageRow]:
    """print most recent console messages

    The messages that the kernel keeps of its log, the oldest first.

    Reads: log_recentq, its mblk_t along b_next, log_ctl_t.

    Example:
        ::msgbuf -v
    """
    call.text = timed_lines if "v" in call.flags else message_lines
    try:
        for message in each_message(illumos(call.guest)):
            yield MessageRow(Vaddr(message.control), message.time, message.text)
    except ReadFailed as err:
        call.warn(f"the log ends here: {err}")


@dataclass(frozen=True)
class PanicRow:
    """How the kernel panicked.

    thread: the thread that panicked
    cpu: the cpu that it ran on
    message: the panic's message
    registers: what the kernel recorded of the registers, by its own names
    """

    thread: Vaddr
    cpu: int
    message: str
    registers: Mapping[str, Hex]


def panic_lines(rows: Iterable[PanicRow], _: Show) -> Iterator[str]:
    """A line for the cpu, the thread, the message and each register."""
    for row in rows:
        yield f"{'cpu':>16} {row.cpu:>16}"
        yield f"{'thread':>16} {row.thread:>16x}"
        yield f"{'message':>16} {row.message}"
        yield from (f"{name:>16} {value:>16x}" for name, value in row.registers.items())


@dcmd("panicinfo", text=panic_lines, row=PanicRow, guests=GUESTS)
def panicinfo(call: Call) -> Iterator[PanicRow]:
    """print panic information

    The cpu and the thread of a panic, its message, and the registers as it recorded them. A domain that was dumped
    while it ran has none.

    Reads: panicbuf, panic_cpu, panic_thread.

    Example:
        ::panicinfo
    """
    panic = find_panic(illumos(call.guest))
    registers = {name: Hex(value) for name, value in panic.record.values.items()}
    yield PanicRow(Vaddr(panic.thread), panic.cpu, panic.record.message, registers)
