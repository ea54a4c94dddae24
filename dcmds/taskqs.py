"""Task queues of illumos: ::taskq ::taskq_entry, the walkers taskq_thread and taskq_entry."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.taskqs import each_entry, each_taskq, each_worker, read_task, read_taskq

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
    """

    addr: Vaddr
    name: str
    active: int
    threads: int
    queued: int
    most: int
    instance: int | None


def taskq_lines(rows: Iterable[TaskqRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':<16} {'NAME':<31} {'ACT':>4}/{'THDS':>4} {QUEUED:>4} {'MAXQ':>5} INST"
        instance = "-" if row.instance is None else row.instance
        threads = f"{row.active:>4}/{row.threads:>4}"
        yield f"{row.addr:016x} {row.name:<31} {threads} {row.queued:>4} {row.most:>5} {instance:>4}"


@dcmd(
    "taskq",
    address="optional",
    flags=(
        Flag("a", "only queues that work"),
        Flag("m", "only queues in which at least so many tasks wait", "number", "min"),
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

    Reads: t_taskq of each kthread_t, taskq_t, taskq_ent_t.

    Example:
        ::taskq -n ufs
    """
    guest = illumos(call.guest)
    for address in each_taskq(guest) if call.address is None else [call.address]:
        found = read_taskq(guest, address)
        if ("a" in call.flags and not found.active) or found.queued < call.flags.get("m", 0):
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
            )


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
