"""What a Linux kernel does later: ::timers ::workqueues ::workers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from formats.frames import Vaddr
from vmdebug.dcmd import Call, Flag, Text, dcmd
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.tasks import Task
from vmdebug.guests.linux.timers import each_clock_timer, each_wheel_timer
from vmdebug.guests.linux.workqueues import Worker, each_pool, each_queue, each_waiting, each_worker

GUESTS = ("linux",)
Each = TypeVar("Each")


def readable(call: Call, found: Iterable[Each], what: str) -> Iterator[Each]:
    """What is found until something cannot be read, which is reported."""
    try:
        yield from found
    except (DebuggerError, ImageError) as err:
        call.warn(f"{what} end here: {err}")


@dataclass(frozen=True)
class TimerRow:
    """An armed timer.

    addr: its struct timer_list, or struct hrtimer
    cpu: the processor that it is armed on
    base: the wheel or the clock that it hangs on
    unit: jiffies or ns
    expires: when it expires, in that unit
    left: what remains until then, null where the kernel's own time is not known in that unit
    function: what it calls
    name: that function's name
    """

    addr: Vaddr
    cpu: int
    base: str
    unit: str
    expires: int
    left: int | None
    function: Vaddr
    name: str


@dcmd(
    "timers",
    address="optional",
    flags=(Flag("h", "only high-resolution timers"), Flag("w", "only those of the timer wheels")),
    text=Text(
        "{addr:016x} {cpu:>3} {base:<15} {expires:>20} {left:>12} {unit:<7} {name}",
        head=f"{'ADDR':<16} {'CPU':>3} {'BASE':<15} {'EXPIRES':>20} {'LEFT':>12} {'UNIT':<7} FUNCTION",
    ),
    row=TimerRow,
    guests=GUESTS,
)
def timers(call: Call) -> Iterator[TimerRow]:
    """print armed timers

    Those of the timer wheels, in jiffies, and high-resolution ones, in nanoseconds of their clock. An address is the
    number of a processor and shows only its own.

    Reads: per-CPU timer_bases: struct timer_base (vectors), struct timer_list (entry, expires, function); per-CPU
    hrtimer_bases: struct hrtimer_cpu_base (clock_base), struct hrtimer_clock_base (active), struct hrtimer (node,
    function); jiffies.

    Example:
        ::timers -h
    """
    kernel = linux(call.guest)
    kinds = [("w", each_wheel_timer, "timers"), ("h", each_clock_timer, "high-resolution timers")]
    chosen = [kind for kind in kinds if kind[0] in call.flags] or kinds
    cpus = [cpu for cpu in kernel.per_cpu.cpus if call.address in (None, cpu)]
    if not cpus:
        raise DebuggerError(f"{call.address:x} is not a valid CPU ID")
    for _, each, what in chosen:
        for cpu in cpus:
            for timer in readable(call, each(kernel, cpu), f"the {what} of processor {cpu}"):
                yield TimerRow(
                    addr=Vaddr(timer.address),
                    cpu=timer.cpu,
                    base=timer.base,
                    unit=timer.unit,
                    expires=timer.expires,
                    left=timer.left,
                    function=Vaddr(timer.function),
                    name=call.session.show.symbol(timer.function),
                )


@dataclass(frozen=True)
class QueueRow:
    """A workqueue.

    addr: its struct workqueue_struct
    name: its name
    active: works that are being done, or may be
    waiting: works that the queue's own limit holds back
    rescuer: the worker that helps when memory is short, 0 if it has none
    flags: how it was made
    """

    addr: Vaddr
    name: str
    active: int
    waiting: int
    rescuer: Vaddr
    flags: Sequence[str]
    _words: str


@dcmd(
    "workqueues",
    text=Text(
        "{addr:016x} {active:>6} {waiting:>7} {rescuer:016x} {name:<32} {_words}",
        head=f"{'ADDR':<16} {'ACTIVE':>6} {'WAITING':>7} {'RESCUER':<16} {'NAME':<32} FLAGS",
    ),
    row=QueueRow,
    guests=GUESTS,
)
def workqueues(call: Call) -> Iterator[QueueRow]:
    """print workqueues

    Each with how much of its work is under way, and how much is held back. See ::workers for who does it.

    Reads: struct workqueue_struct (list, name, flags, pwqs, rescuer) from workqueues, struct pool_workqueue (pwqs_node,
    nr_active, inactive_works), struct work_struct (entry, func); for what runs struct worker (current_work).

    Example:
        ::workqueues
    """
    for queue in readable(call, each_queue(linux(call.guest)), "the workqueues"):
        yield QueueRow(
            addr=Vaddr(queue.address),
            name=queue.name,
            active=queue.active,
            waiting=queue.waiting,
            rescuer=Vaddr(queue.rescuer),
            flags=queue.flags,
            _words=",".join(queue.flags),
        )


@dataclass(frozen=True)
class WorkerRow:
    """A worker of a pool, or work that waits in one.

    addr: its struct worker, or the struct work_struct that waits
    state: busy or idle; waiting for work
    pool: the number of the pool
    cpu: the processor that the pool serves, -1 for any
    pid: the thread's number, null for work that waits, and where a software interrupt does the work
    comm: the thread's name
    task: its task_struct, 0 if there is none
    function: what it does, or did last
    name: that function's name
    desc: what the worker says that it works on
    """

    addr: Vaddr
    state: str
    pool: int
    cpu: int
    pid: int | None
    comm: str
    task: Vaddr
    function: Vaddr
    name: str
    desc: str


@dcmd(
    "workers",
    text=Text(
        "{addr:016x} {state:<7} {pool:>4} {cpu:>3} {pid:>6} {comm:<15} {name:<32} {desc}",
        head=f"{'ADDR':<16} {'STATE':<7} {'POOL':>4} {'CPU':>3} {'PID':>6} {'COMM':<15} {'FUNCTION':<32} DESCRIPTION",
    ),
    row=WorkerRow,
    guests=GUESTS,
)
def workers(call: Call) -> Iterator[WorkerRow]:
    """print the workers of workqueues, and the work that waits for them

    By their pools: what each worker does, or did last, then the works of the pool that no worker has begun.

    Reads: struct idr (idr_rt) at worker_pool_idr, struct worker_pool (id, cpu, workers, worklist), struct worker (node,
    task, desc, current_work, current_func, last_func), struct task_struct (pid, comm).

    Example:
        ::workers
    """
    kernel = linux(call.guest)
    for pool in readable(call, each_pool(kernel), "the pools of workers"):
        number, cpu = int(pool["id"]), int(pool["cpu"])
        for worker in readable(call, each_worker(kernel, pool), f"the workers of pool {number}"):
            yield _worker_row(call, kernel, worker)
        for work in readable(call, each_waiting(kernel, pool), f"the works of pool {number}"):
            name = call.session.show.symbol(work.function)
            yield WorkerRow(
                Vaddr(work.address), "waiting", number, cpu, None, "", Vaddr(0), Vaddr(work.function), name, ""
            )


def _worker_row(call: Call, kernel: Linux, worker: Worker) -> WorkerRow:
    task = Task(kernel, worker.task) if worker.task else None
    function = worker.function or worker.last
    return WorkerRow(
        addr=Vaddr(worker.address),
        state="busy" if worker.work else "idle",
        pool=worker.pool,
        cpu=worker.cpu,
        pid=task.pid if task else None,
        comm=task.comm if task else "",
        task=Vaddr(worker.task),
        function=Vaddr(function),
        name=call.session.show.symbol(function) if function else "",
        desc=worker.description,
    )
