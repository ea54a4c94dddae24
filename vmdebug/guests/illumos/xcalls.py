"""Cross calls: what cpus were asked to do by others and have not done yet.

Since 2009 each cpu has a chain of messages, and what is called stands with the cpu that sent the message; before, a
cpu has a flag for each of three levels, and what is called stands in a mailbox of the level.
Specified in: i86pc/sys/x_call.h, i86pc/sys/machcpuvar.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.cpus import Cpu, each_cpu
from vmdebug.guests.memory import each_link
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_MESSAGES = 1 << 12  # a cpu has one from each other


class NoCrossCalls(DebuggerError):
    def __init__(self) -> None:
        super().__init__("struct machcpu has neither xc_work_cnt nor xc_pend: the kernel's cross calls cannot be shown")


@dataclass(frozen=True)
class CrossCall:
    """What a cpu is to call: the function and its arguments. `address` is the xc_msg_t, or the mailbox of the level."""

    address: int
    function: int
    arguments: tuple[int, int, int]


@dataclass(frozen=True)
class Pending:
    """How many cross calls a cpu counts, and those that are found."""

    count: int
    calls: Iterator[CrossCall]


def read_pending(guest: "Illumos", cpu: Cpu) -> Pending:
    """The cross calls that a cpu has not done yet."""
    machine = guest.objects.at("cpu_t", cpu.address)["cpu_m"]
    if "xc_work_cnt" in machine:
        return Pending(machine["xc_work_cnt"], _each_message(guest, int(machine["xc_msgbox"])))
    if "xc_pend" in machine:
        levels = [level for level, pending in enumerate(machine["xc_pend"]) if pending]
        return Pending(len(levels), _each_mailbox(guest, levels))
    raise NoCrossCalls


def _each_message(guest: "Illumos", first: int) -> Iterator[CrossCall]:
    senders = {cpu.id: cpu.address for cpu in each_cpu(guest)}
    for address in each_link(guest.follow("xc_msg_t", "xc_next"), first, MAX_MESSAGES):
        sender = guest.objects.at("xc_msg_t", address)["xc_master"]
        if sender not in senders:
            raise DebuggerError(f"xc_msg_t {address:x}: it was sent by cpu {sender}, which does not exist")
        data = guest.objects.at("cpu_t", senders[sender])["cpu_m"]["xc_data"]
        yield _call(data, address, "xc_func", ("xc_a1", "xc_a2", "xc_a3"))


def _each_mailbox(guest: "Illumos", levels: list[int]) -> Iterator[CrossCall]:
    start, size = guest.symbol("xc_mboxes").value, guest.objects.sizeof("struct xc_mbox")
    for level in levels:
        address = start + level * size
        yield _call(guest.objects.at("struct xc_mbox", address), address, "func", ("arg1", "arg2", "arg3"))


def _call(record: Typed, address: int, function: str, arguments: tuple[str, str, str]) -> CrossCall:
    first, second, third = (int(record[name]) & (1 << 64) - 1 for name in arguments)
    return CrossCall(address, int(record[function]), (first, second, third))
