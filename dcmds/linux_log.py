"""The Linux kernel's log: ::dmesg and ::msgbuf."""

from collections.abc import Iterable, Iterator

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.log import each_message

LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
SECOND, MICROSECOND = 1_000_000_000, 1_000


@dataclass(frozen=True)
class LogRow:
    """A message.

    seq: its number
    time: seconds since boot
    level: its severity: emerg alert crit err warn notice info debug
    facility: its facility, 0 for the kernel's own
    caller: the thread (T) or cpu (C) that wrote it, empty where the kernel does not keep it
    text: the text, of several lines perhaps
    """

    seq: int
    time: float
    level: str
    facility: int
    caller: str
    text: str
    _raw: bool
    _prefix: str


def log_lines(rows: Iterable[LogRow], _: Show) -> Iterator[str]:
    """A line each, several for a message of several, with the time in front."""
    for row in rows:
        for line in row.text.split("\n"):
            yield line if row._raw else f"{row._prefix}{line}"


@dcmd(
    ("dmesg", "msgbuf"),
    flags=(
        Flag("r", "without the times"),
        Flag("l", "only messages of that level or more severe", "text", "level"),
        Flag("v", "with level and caller"),
    ),
    text=log_lines,
    row=LogRow,
    guests=("linux",),
)
def dmesg(call: Call) -> Iterator[LogRow]:
    """print the kernel's log

    The messages that are still in its buffer, the oldest first, with seconds since boot.

    Reads: struct printk_ringbuffer (desc_ring, text_data_ring), struct prb_desc (state_var, text_blk_lpos), struct
    printk_info (seq, ts_nsec, text_len, level, facility, caller_id), from prb; before 5.10 the records between
    log_first_idx and log_next_idx in log_buf.

    Example:
        ::dmesg -l err
    """
    level = call.flags.get("l", LEVELS[-1])
    if level not in LEVELS:
        raise DebuggerError(f"no level {level!r}; there are {', '.join(LEVELS)}")
    for message in each_message(linux(call.guest)):
        if message.level > LEVELS.index(level):
            continue
        stamp = f"[{message.time // SECOND:5d}.{message.time % SECOND // MICROSECOND:06d}]"
        name = LEVELS[message.level]
        prefix = f"{name:<6} {message.caller:>6} {stamp} " if "v" in call.flags else f"{stamp} "
        seconds = message.time / SECOND
        raw = "r" in call.flags
        yield LogRow(message.sequence, seconds, name, message.facility, message.caller, message.text, raw, prefix)
