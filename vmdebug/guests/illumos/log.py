"""The messages of the system log that syslogd has not dropped yet.

A queue holds one STREAMS message for each, chained by b_next: a log_ctl, and behind it (b_cont) the text. Specified in:
sys/strlog.h, sys/log.h, sys/stream.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.guests.memory import decode, each_link
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_MESSAGES = 1 << 16
MAX_TEXT = 1 << 14


@dataclass(frozen=True)
class Message:
    """A message: its log_ctl, when it was logged in seconds since 1970, and its text without what ends its line."""

    control: int
    time: int
    text: str


def each_message(guest: "Illumos") -> Iterator[Message]:
    """The recent messages, the oldest first; a read that fails ends them."""
    queue = guest.objects.at("queue_t", guest.variable("log_recentq"))
    for address in each_link(guest.follow("mblk_t", "b_next"), int(queue["q_first"]), MAX_MESSAGES):
        block = guest.objects.at("mblk_t", address)
        control = int(block["b_rptr"])
        time = guest.objects.at("log_ctl_t", control)["ttime"]
        yield Message(control, time, _text(guest, block["b_cont"].deref()))


def _text(guest: "Illumos", body: Typed) -> str:
    """The characters of a message block; a carriage return before them tells the console only, and is left out."""
    start, end = int(body["b_rptr"]), int(body["b_wptr"])
    data = guest.target.read(start, min(max(end - start, 0), MAX_TEXT))
    return decode(data).removeprefix("\r").removesuffix("\n")
