"""What the cpus of illumos ask of each other: ::xcall."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Show, dcmd
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.cpus import Cpu, each_cpu, find_cpu
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.xcalls import Pending, read_pending


@dataclass(frozen=True)
class CrossCallRow:
    """A cross call that a cpu has not done yet; a cpu without any has one row without a handler.

    addr: the cpu's cpu_t
    cpu: its number
    pend: how many cross calls it counts
    handler: the function that it is to call, null for none
    arguments: with what
    """

    addr: Vaddr
    cpu: int
    pend: int
    handler: Vaddr | None
    arguments: Sequence[Hex]


def cross_call_lines(rows: Iterable[CrossCallRow], show: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield "CPU PEND HANDLER"
        arguments = ", ".join(f"{value:x}" for value in row.arguments)
        handler = "-" if row.handler is None else f"{show.symbol(row.handler)}({arguments})"
        yield f"{row.cpu:>3} {row.pend:>4} {handler}"


@dcmd("xcall", address="optional", text=cross_call_lines, row=CrossCallRow, guests=("illumos",))
def xcall(call: Call) -> Iterator[CrossCallRow]:
    """print xcall state

    What each cpu, or the one whose number or cpu_t is given, was asked by another to call and has not called yet.

    Reads: cpu_m of each cpu_t, struct machcpu (xc_msgbox, xc_work_cnt, xc_data), xc_msg_t; in kernels before 2009
    xc_pend and xc_mboxes.

    Example:
        ::xcall
    """
    guest = illumos(call.guest)
    for cpu in each_cpu(guest) if call.address is None else [find_cpu(guest, call.address)]:
        try:
            pending = read_pending(guest, cpu)
        except ReadFailed as err:
            call.warn(f"failed to read the cross calls of cpu {cpu.id}: {err}")
            continue
        yield from _rows(call, cpu, pending)


def _rows(call: Call, cpu: Cpu, pending: Pending) -> Iterator[CrossCallRow]:
    """A row for each cross call of a cpu, or the one that says that there is none."""
    found = None
    try:
        for found in pending.calls:
            arguments = [Hex(value) for value in found.arguments]
            yield CrossCallRow(Vaddr(cpu.address), cpu.id, pending.count, Vaddr(found.function), arguments)
    except DebuggerError as err:
        call.warn(f"failed to read the cross calls of cpu {cpu.id}: {err}")
    if found is None:
        yield CrossCallRow(Vaddr(cpu.address), cpu.id, pending.count, None, ())
