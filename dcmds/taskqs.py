"""Task queues of illumos: ::taskq ::taskq_entry, the walkers taskq_thread and taskq_entry."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd, walker
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.stack_groups import gather
from vmdebug.guests.illumos.taskqs import each_entry, each_taskq, each_worker, is_idle, read_task, read_taskq, workers
from vmdebug.stack_rows import StackGroup, group_lines, group_row

GUESTS = ("illumos",)
QUEUED = "Q'ED"


@dataclass(frozen=True)
class TaskqRow:
    """A task queue.

    addr: its taskq_t
    name: what it is called
    active: how many of its threads work
    threads: how many threads it has
    queued: how many tasks wait
    most: how many waited at most
    instance: its number among queues of that name, null for one without
    stacks: with -t or -T, the stacks of its threads
    """

    addr: Vaddr
    name: str
    active: int
    threads: int
    queued: int
    most: int
    instance: int | None
    stacks: Sequence[StackGroup]


def taskq_lines(rows: Iterable[TaskqRow], show: Show) -> Iterator[str]:
    """A line a queue, below it the stacks of its threads if they are wanted."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':<16} {'NAME':<31} {'ACT':>4}/{'THDS':>4} {QUEUED:>4} {'MAXQ':>5} INST"
        instance = "-" if row.instance is None else row.instance
        threads = f"{row.active:>4}/{row.threads:>4}"
        yield f"{row.addr:016x} {row.name:<31} {threads} {row.queued:>4} {row.most:>5} {instance:>4}"
        yield from group_lines(row.stacks, show)


@dcmd(
    "taskq",
    address="optional",
    flags=(
        Flag("a", "only queues that work"),
        Flag("t", "with the stacks of its threads that work on a task"),
        Flag("T", "with the stacks of all its threads"),
        Flag("m", "only dynamic queues, and those in which at least so many tasks waited once", "number", "min"),
        Flag("n", "only queues whose name holds this", "text", "name"),
    ),
    text=taskq_lines,
    row=TaskqRow,
    guests=GUESTS,
)
def taskq(call: Call) -> Iterator[TaskqRow]:
    """display a taskq

    Every queue that a thread works for, or the one at the address: its name, how many of its threads work, how many
    tasks wait, and how many waited at most.

    Reads: t_taskq of each kthread_t, taskq_t, taskq_ent_t; the stacks as ::stacks.

    Examples:
        ::taskq -n ufs
        ::taskq -T -n ufs
    """
    guest = illumos(call.guest)
    threads = workers(guest) if call.flags.keys() & {"t", "T"} else {}
    for address in each_taskq(guest) if call.address is None else [call.address]:
        found = read_taskq(guest, address)
        if "a" in call.flags and not found.active:
            continue
        if not found.dynamic and found.most < call.flags.get("m", 0):
            continue
        if call.flags.get("n", "") in found.name:
            yield TaskqRow(
                addr=Vaddr(address),
                name=found.name,
                active=found.active,
                threads=found.threads,
                queued=found.queued,
                most=found.most,
                instance=found.instance,
                stacks=list(_stacks(call, guest, threads.get(address, ()))),
            )


def _stacks(call: Call, guest: Illumos, threads: Sequence[int]) -> Iterator[StackGroup]:
    """The stacks that the options ask for: of all threads of a queue, or of those that work on a task."""
    for group in gather(guest, threads, call.warn):
        if "T" in call.flags or not is_idle(guest, group.stack):
            yield group_row(call, group, group.threads[0])


@walker("taskq_thread", start="required", guests=GUESTS)
def walk_taskq_thread(call: Call) -> Iterator[int]:
    """walk the threads that work for a taskq"""
    return each_worker(illumos(call.guest), call.address or 0)


@walker("taskq_entry", start="required", guests=GUESTS)
def walk_taskq_entry(call: Call) -> Iterator[int]:
    """walk the tasks that wait in a taskq"""
    return each_entry(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class TaskRow:
    """A task that waits.

    addr: its taskq_ent_t
    argument: what the function is to be given
    function: the function that is to run
    """

    addr: Vaddr
    argument: Vaddr
    function: Vaddr


TASK = Text("{addr:016x} {argument:016x} {function:a}", head=f"{'ENTRY':<16} {'ARG':<16} FUNCTION")


@dcmd("taskq_entry", address="required", text=TASK, row=TaskRow, guests=GUESTS)
def taskq_entry(call: Call) -> Iterator[TaskRow]:
    """display a taskq_ent_t

    Reads: taskq_ent_t.

    Example:
        fffffffec46ac8d0::taskq_entry
    """
    for address in call.addresses:
        found = read_task(illumos(call.guest), address)
        yield TaskRow(Vaddr(address), Vaddr(found.argument), Vaddr(found.function))
