"""How a Linux guest died: ::panicinfo."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Show, dcmd
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.panic import Complaint, Death, read_death, taint_letters, task_of

SECOND = 1_000_000_000


@dataclass(frozen=True)
class ComplaintRow:
    """What the log says of a panic, an oops or a watchdog.

    kind: panic, oops or watchdog
    time: seconds since boot
    reason: its words
    cpu: the processor, null where the log does not say
    pid: the thread, null likewise
    comm: that thread's name
    """

    kind: str
    time: float
    reason: str
    cpu: int | None
    pid: int | None
    comm: str


@dataclass(frozen=True)
class PanicRow:
    """How the kernel died.

    task: the task_struct of the thread that panicked, null if there was no panic
    panicked: whether there was one
    message: its words, empty where the log does not have them
    cpu: the processor that panicked
    pid: the number of the thread that it ran
    comm: that thread's name
    panic_cpu: the kernel's own variable, -1 for no panic, null where there is none
    crashing_cpu: the processor that went on into a crash kernel, likewise
    oopses: how often the kernel oopsed
    tainted: the taint mask
    taints: its letters
    log: what the log says of panics, oopses and watchdogs
    """

    task: Vaddr | None
    panicked: bool
    message: str
    cpu: int | None
    pid: int | None
    comm: str
    panic_cpu: int | None
    crashing_cpu: int | None
    oopses: int | None
    tainted: Hex | None
    taints: str
    log: Sequence[ComplaintRow]


def panic_lines(rows: Iterable[PanicRow], _: Show) -> Iterator[str]:
    for row in rows:
        if row.panicked:
            yield f"{'cpu':>16} {row.cpu}"
            yield f"{'thread':>16} {'?' if row.task is None else f'{row.task:016x}'} {row.pid} {row.comm}".rstrip()
            yield f"{'message':>16} {row.message or '(not in the log)'}"
        else:
            yield "no panic"
        taints = "-" if row.tainted is None else f"{row.tainted:x} {row.taints}".rstrip()
        yield f"{'tainted':>16} {taints}"
        yield f"{'oopses':>16} {'-' if row.oopses is None else row.oopses}"
        for each in row.log:
            who = "" if each.pid is None else f" (cpu {each.cpu}, {each.pid} {each.comm})"
            yield f"{each.kind:>16} [{each.time:.6f}] {each.reason}{who}"


@dcmd("panicinfo", text=panic_lines, row=PanicRow, guests=("linux",))
def panicinfo(call: Call) -> Iterator[PanicRow]:
    """print how the kernel died

    The processor, the thread and the words of a panic, or that there was none; the kernel's taints, how often it
    oopsed, and what its log says of panics, oopses and watchdogs.

    Reads: the log, as ::dmesg; panic_cpu, crashing_cpu, die_counter, tainted_mask; struct task_struct (pid, comm,
    stack), the saved registers.

    Example:
        ::panicinfo | ::findstack -v
    """
    kernel = linux(call.guest)
    death = read_death(kernel)
    if death.problem:
        call.warn(f"the log is not read: {death.problem}")
    task, pid, comm = _who(call, kernel, death)
    yield PanicRow(
        task=task,
        panicked=death.panicked,
        message=death.cause.reason if death.cause else "",
        cpu=death.cpu,
        pid=pid,
        comm=comm,
        panic_cpu=death.panic_cpu,
        crashing_cpu=death.crashing_cpu,
        oopses=death.oopses,
        tainted=None if death.tainted is None else Hex(death.tainted),
        taints=taint_letters(death.tainted or 0),
        log=list(map(_complaint_row, death.complaints)),
    )


def _who(call: Call, kernel: Linux, death: Death) -> tuple[Vaddr | None, int | None, str]:
    """The thread that panicked, out of the run queue; its number and name out of the log where that fails."""
    told = death.cause
    pid, comm = (told.pid, told.comm) if told else (None, "")
    try:
        task = task_of(kernel, death)
        return (Vaddr(task.address), task.pid, task.comm) if task else (None, pid, comm)
    except (DebuggerError, ImageError) as err:
        call.warn(f"the thread that panicked cannot be read: {err}")
        return None, pid, comm


def _complaint_row(complaint: Complaint) -> ComplaintRow:
    seconds = complaint.time / SECOND
    return ComplaintRow(complaint.kind, seconds, complaint.reason, complaint.cpu, complaint.pid, complaint.comm)
