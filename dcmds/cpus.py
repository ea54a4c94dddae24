"""The guest's cpus as its kernel sees them: ::cpuinfo and the walker of cpus."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos import cpus, threads
from vmdebug.guests.illumos.kernel import Illumos, MissingSymbol, illumos
from vmdebug.guests.memory import CannotWalk
from vmdebug.types.typed import Ptr, Typed

HEAD = " ID ADDR             FLG NRUN BSPL PRI RNRN KRNRN SWITCH THREAD           PROC"
IDLE = "(idle)"
FLAGS_END, BAR, SECOND_BAR = 19, 23, 28


@dataclass(frozen=True)
class PinnedThread:
    """A thread in one of a cpu's lists.

    thread: its kthread_t
    priority: interrupt level, or dispatch priority; null for the thread that the interrupts pin
    proc: the command of its process, (idle) for the idle thread
    """

    thread: Vaddr
    priority: int | None
    proc: str | None


@dataclass(frozen=True)
class CpuRow:
    """A cpu.

    addr: its cpu_t
    id: its number
    flags: cpu_flags
    nrun: runnable threads
    bspl: base priority level
    pri: priority of its thread
    rnrn: whether a thread of higher priority waits
    krnrn: the same for one that preempts the kernel
    switch: clock ticks since the last switch of threads
    thread: the thread it runs
    proc: the command of that thread's process
    states: names of the flags
    interrupts: with -v, the threads that serve interrupts, the highest level first, then the thread that they pin
    queue: with -v, the threads that wait to run, the highest priority first
    """

    addr: Vaddr
    id: int
    flags: Hex
    nrun: int
    bspl: int
    pri: int | None
    rnrn: bool
    krnrn: bool
    switch: int | None
    thread: Vaddr
    proc: str
    states: Sequence[str]
    interrupts: Sequence[PinnedThread] | None
    queue: Sequence[PinnedThread] | None


def cpu_lines(rows: Iterable[CpuRow], _: Show) -> Iterator[str]:
    """The head, then a line a cpu; in full, each cpu has its own head and its pictures."""
    for number, row in enumerate(rows):
        full = row.queue is not None
        if full or number == 0:
            yield HEAD
        switch = "-" if row.switch is None else f"t-{row.switch:<4}"
        yield (
            f"{row.id:>3} {row.addr:016x} {row.flags:>3x} {row.nrun:>4} {row.bspl:>4} {_or_dash(row.pri):>3} "
            f"{_yes(row.rnrn):>4} {_yes(row.krnrn):>5} {switch:<6} {row.thread:016x} {row.proc}"
        )
        if full:
            yield from _pictures(row)
            yield ""


def _pictures(row: CpuRow) -> Iterator[str]:
    """The names of the flags on the left; on the right the interrupt threads, then the run queue."""
    left = [f"{'':{BAR}}|", *(f"{name:>{FLAGS_END}}" for name in row.states)]
    if row.states:
        left[1] += " <--+"
    right = [*_interrupt_lines(row.interrupts or (), bool(row.queue)), *_queue_lines(row.queue or ())]
    for first, second in zip_longest(left, right, fillvalue=""):
        yield f"{first:{SECOND_BAR}}{second}".rstrip()


def _interrupt_lines(threads: Sequence[PinnedThread], queue: bool) -> Iterator[str]:
    bar = "|    " if queue else "     "
    if threads:
        yield f"{bar}|"
        yield f"{bar}+--> PIL THREAD"
    for row in threads:
        proc = f" {row.proc}" if row.proc is not None else ""
        yield f"{bar}     {_or_dash(row.priority):>3} {row.thread:016x}{proc}"


def _queue_lines(threads: Sequence[PinnedThread]) -> Iterator[str]:
    if threads:
        yield "|"
        yield "+-->  PRI THREAD           PROC"
    for row in threads:
        yield f"      {_or_dash(row.priority):>3} {row.thread:016x} {row.proc}"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


@walker("cpu", guests=("illumos",))
def each_cpu(call: Call) -> Iterator[int]:
    """list of cpu structures, by their numbers"""
    for cpu in cpus.each_cpu(illumos(call.guest)):
        yield cpu.address


@dcmd(
    "cpuinfo",
    address="optional",
    flags=(Flag("v", "what each cpu's flags mean, its interrupt threads and its run queue"),),
    text=cpu_lines,
    row=CpuRow,
    guests=("illumos",),
)
def cpuinfo(call: Call) -> Iterator[CpuRow]:
    """print CPUs and runnable threads

    Every cpu, or the one whose number or cpu structure is given: its flags, how many threads wait for it, its base
    priority level, the priority of its thread, whether a thread waits to run, the ticks since the last switch, the
    thread and its process.

    Reads: cpu_t from cpu_list along cpu_next: cpu_t (cpu_id, cpu_flags, cpu_disp, cpu_base_spl, cpu_thread,
    cpu_idle_thread, cpu_last_swtch, cpu_runrun, cpu_kprunrun), disp_t (disp_nrunnable, disp_npri, disp_q), dispq_t
    (dq_first), kthread_t (t_pri, t_procp, t_intr, t_pil, t_bound_cpu, t_link), proc_t (p_user).

    Example:
        ::cpuinfo -v
    """
    guest = illumos(call.guest)
    lbolt = cpus.find_lbolt(guest)
    for cpu in _each_cpu(guest) if call.address is None else [cpus.find_cpu(guest, call.address)]:
        try:
            row = _row(guest, cpu.address, lbolt)
            yield _full(guest, row, call.warn) if "v" in call.flags else row
        except ReadFailed as err:
            call.warn(f"failed to read cpu {cpu.id} at {cpu.address:x}: {err.reason}")


def _each_cpu(guest: Illumos) -> Iterator[cpus.Cpu]:
    try:
        yield from cpus.each_cpu(guest)
    except MissingSymbol as err:
        raise CannotWalk("cpus", err) from err


def _row(guest: Illumos, address: int, lbolt: int | None) -> CpuRow:
    cpu = guest.objects.at("cpu_t", address)
    switched = cpu["cpu_last_swtch"]
    flags = cpu["cpu_flags"]
    return CpuRow(
        addr=Vaddr(address),
        id=cpu["cpu_id"],
        flags=Hex(flags),
        nrun=cpu["cpu_disp"]["disp_nrunnable"],
        bspl=cpu["cpu_base_spl"],
        pri=_priority(cpu["cpu_thread"]),
        rnrn=bool(cpu["cpu_runrun"]),
        krnrn=bool(cpu["cpu_kprunrun"]),
        switch=lbolt - switched if lbolt is not None and switched else None,
        thread=Vaddr(int(cpu["cpu_thread"])),
        proc=_command(cpu),
        states=[name for bit, name in enumerate(cpus.FLAGS) if flags >> bit & 1],
        interrupts=None,
        queue=None,
    )


def _priority(thread: Ptr) -> int | None:
    """The priority of a cpu's thread, None where that cannot be read."""
    try:
        return int(thread["t_pri"]) if thread else None
    except ReadFailed:
        return None


def _command(cpu: Typed) -> str:
    thread = cpu["cpu_thread"]
    if not thread:
        return "-"
    return IDLE if thread == cpu["cpu_idle_thread"] else threads.find_command(thread)


def _full(guest: Illumos, row: CpuRow, warn: Callable[[str], None]) -> CpuRow:
    """The row with the cpu's interrupt threads and its run queue."""
    cpu = guest.objects.at("cpu_t", row.addr)
    return replace(row, interrupts=_interrupts(guest, cpu, warn), queue=_queue(guest, cpu, warn))


def _interrupts(guest: Illumos, cpu: Typed, warn: Callable[[str], None]) -> Sequence[PinnedThread]:
    """The threads that serve interrupts on a cpu, the highest level first, and the one that the lowest of them pins."""
    found = []
    try:
        for address in threads.each_thread(guest):
            thread = guest.objects.at("kthread_t", address)
            serving = thread["t_flag"] & threads.INTERRUPT_THREAD and thread["t_state"] != threads.FREE
            if serving and thread["t_bound_cpu"] == int(cpu):
                found.append(thread)
    except ReadFailed as err:
        warn(f"failed to read thread at {err.address:x}: {err.reason}")
    found.sort(key=lambda thread: -thread["t_pil"])
    rows = [PinnedThread(Vaddr(int(thread)), thread["t_pil"], None) for thread in found]
    pinned = found[-1]["t_intr"] if found else None
    if pinned:
        proc = IDLE if pinned == cpu["cpu_idle_thread"] else threads.find_command(pinned)
        rows.append(PinnedThread(Vaddr(int(pinned)), None, proc))
    return rows


def _queue(guest: Illumos, cpu: Typed, warn: Callable[[str], None]) -> Sequence[PinnedThread]:
    """The threads in the cpu's dispatch queues, the highest priority first."""
    rows = []
    try:
        for priority, address in cpus.each_queued(guest, cpu["cpu_disp"]):
            thread = guest.objects.pointer("kthread_t", address)
            rows.append(PinnedThread(Vaddr(address), priority, threads.find_command(thread)))
    except ReadFailed as err:
        warn(f"failed to read the run queue of cpu {cpu['cpu_id']}: {err}")
    return rows
