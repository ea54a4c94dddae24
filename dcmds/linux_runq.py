"""What each processor of a Linux guest runs, and what waits for it: ::runq."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show, dcmd
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.runqueues import Queued, RunQueue, RunQueues
from vmdebug.guests.linux.tasks import Task

HEAD = f"{'':2}{'TASK':<16} {'PID':>7} {'CLASS':<8} {'PRIO':>4} {'VRUNTIME':>16} {'STATE':<7} COMM"


@dataclass(frozen=True)
class RunRow:
    """A thread that a processor runs, or that waits for it.

    task: its task_struct
    cpu: the processor
    queue: its run queue
    pid: the thread's number
    comm: its name
    Class: its scheduling class: fair, rt, deadline, stop, ext, or idle
    priority: its priority as the scheduler counts it, lower before higher
    vruntime: its virtual time in ns, null outside of the fair class
    state: running, waiting, or delayed: gone to sleep, but not taken off yet
    nrun: threads that run or wait, by the kernel's own count
    switches: how often the processor went from one thread to another
    """

    task: Vaddr
    cpu: int
    queue: Vaddr
    pid: int
    comm: str
    Class: str
    priority: int
    vruntime: int | None
    state: str
    nrun: int
    switches: int


def run_lines(rows: Iterable[RunRow], _: Show) -> Iterator[str]:
    cpu = None
    for row in rows:
        if row.cpu != cpu:
            cpu = row.cpu
            yield f"CPU {cpu} RUNQUEUE {row.queue:016x}: {row.nrun} to run, {row.switches} switches"
            yield HEAD
        vruntime = "-" if row.vruntime is None else row.vruntime
        yield (
            f"{'':2}{row.task:016x} {row.pid:>7} {row.Class:<8} {row.priority:>4} {vruntime:>16} {row.state:<7} "
            f"{row.comm}"
        )


@dcmd("runq", address="optional", text=run_lines, row=RunRow, guests=("linux",))
def runq(call: Call) -> Iterator[RunRow]:
    """print the run queues

    For each processor the thread that it runs, then those that wait for it, the most urgent class first, fair ones by
    virtual time. An address selects one processor, by its number or its run queue.

    Reads: per-CPU runqueues: struct rq (curr, idle, nr_running, nr_switches, clock, dl, rt, cfs, scx), struct rt_rq
    (active), struct cfs_rq (tasks_timeline, curr), struct task_struct (pid, comm, prio, sched_class, se).

    Example:
        ::runq
    """
    kernel = linux(call.guest)
    queues = RunQueues(kernel)
    for number in kernel.per_cpu.cpus if call.address is None else [_chosen(kernel, call.address)]:
        try:
            queue = queues.read(number)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the run queue of CPU {number}: {err}")
            continue
        yield from _each(call, kernel, queues, queue)


def _chosen(kernel: Linux, address: int) -> int:
    return address if address in kernel.per_cpu.cpus else kernel.cpu_id(address)


def _each(call: Call, kernel: Linux, queues: RunQueues, queue: RunQueue) -> Iterator[RunRow]:
    found = 0
    try:
        for queued in queues.each(queue):
            yield _row(kernel, queue, queued)
            found += queued.scheduling != "idle"
    except (DebuggerError, ImageError) as err:
        call.warn(f"the run queue of CPU {queue.cpu} ends here: {err}")
        return
    if found != queue.running:
        call.warn(f"the run queue of CPU {queue.cpu} counts {queue.running} threads, {found} were found")


def _row(kernel: Linux, queue: RunQueue, queued: Queued) -> RunRow:
    task = Task(kernel, queued.task)
    return RunRow(
        task=Vaddr(queued.task),
        cpu=queue.cpu,
        queue=Vaddr(queue.address),
        pid=task.pid,
        comm=task.comm,
        Class=queued.scheduling,
        priority=queued.priority,
        vruntime=queued.virtual_time,
        state="delayed" if queued.delayed else "running" if queued.running else "waiting",
        nrun=queue.running,
        switches=queue.switches,
    )
