"""Task queues: those that threads work for, and what waits in them.

Specified in: sys/taskq_impl.h of illumos.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.stack_groups import Stack
from vmdebug.guests.illumos.threads import each_thread
from vmdebug.guests.memory import each_link

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

NO_INSTANCE = 0x0004_0000  # TASKQ_NOINSTANCE
DYNAMIC = 0x4  # TASKQ_DYNAMIC
WORK = ("taskq_thread", "taskq_d_thread", "taskq_thread_wait")  # where a thread of a queue waits for a task
WAITING = ("cv_", "swtch", "resume", "_resume")  # how the functions begin that it calls for that
MAX_TASKS = 1 << 18


@dataclass(frozen=True)
class Taskq:
    """A task queue. `instance` is None for one that is not numbered; `most` is the longest that it was.

    A dynamic one has threads for each cpu, and no tasks that wait in itself.
    """

    address: int
    name: str
    active: int
    threads: int
    queued: int
    most: int
    instance: int | None
    dynamic: bool


@dataclass(frozen=True)
class Task:
    """A task that waits: its entry, the function that is to run, its argument."""

    address: int
    argument: int
    function: int


def each_taskq(guest: "Illumos") -> Iterator[int]:
    """The task queues that threads work for, each once, in the order of the threads."""
    seen: set[int] = set()
    for _, queue in _each_pair(guest):
        if queue not in seen:
            seen.add(queue)
            yield queue


def each_worker(guest: "Illumos", queue: int) -> Iterator[int]:
    """The threads that work for a task queue."""
    return (thread for thread, each in _each_pair(guest) if each == queue)


def workers(guest: "Illumos") -> Mapping[int, Sequence[int]]:
    """The threads that work for each task queue."""
    found: dict[int, list[int]] = {}
    for thread, queue in _each_pair(guest):
        found.setdefault(queue, []).append(thread)
    return found


def _each_pair(guest: "Illumos") -> Iterator[tuple[int, int]]:
    """The threads that work for a task queue, each with that."""
    for thread in each_thread(guest):
        try:
            queue = int(guest.objects.at("kthread_t", thread)["t_taskq"])
        except ReadFailed:
            continue
        if queue:
            yield thread, queue


def read_taskq(guest: "Illumos", address: int) -> Taskq:
    found = guest.objects.at("taskq_t", address)
    return Taskq(
        address=address,
        name=found["tq_name"].string(),
        active=found["tq_active"],
        threads=found["tq_nthreads"],
        queued=sum(1 for _ in each_entry(guest, address)),
        most=found["tq_maxtasks"],
        instance=None if found["tq_flags"] & NO_INSTANCE else found["tq_instance"],
        dynamic=bool(found["tq_flags"] & DYNAMIC),
    )


def is_idle(guest: "Illumos", stack: Stack) -> bool:
    """Whether a thread of a task queue waits for a task: whether its stack goes from waiting straight to the queue."""
    for pc in stack.pcs:
        near = guest.symbols.nearest(pc)
        name = near[0].name if near else ""
        if not name.startswith(WAITING):
            return name in WORK
    return False


def each_entry(guest: "Illumos", queue: int) -> Iterator[int]:
    """The tasks that wait in a queue: a ring through an entry in the queue itself."""
    head = int(guest.objects.at("taskq_t", queue).refer_("tq_task"))
    ring = each_link(guest.follow("taskq_ent_t", "tqent_next"), head, MAX_TASKS)
    return (entry for entry in ring if entry != head)


def read_task(guest: "Illumos", entry: int) -> Task:
    found = guest.objects.at("taskq_ent_t", entry)
    return Task(entry, int(found["tqent_arg"]), int(found["tqent_func"]))
