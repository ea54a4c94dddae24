"""What each processor runs, and which threads wait for it, class by class.

A run queue has one queue for each scheduling class: fair threads in a tree by virtual time, with a tree of its own for
each group that is queued; real-time threads in a list for each priority; deadline threads in a tree by deadline. A
thread that runs stays in its list, but leaves its tree.
"""

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.guests.linux.trees import BrokenTree, each_rbtree

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

PRIORITIES = 100  # MAX_RT_PRIO
MAX_TASKS = 1 << 20
MAX_GROUPS = 64
CLASSES = {
    "stop_sched_class": "stop", "dl_sched_class": "deadline", "rt_sched_class": "rt", "fair_sched_class": "fair",
    "idle_sched_class": "idle", "ext_sched_class": "ext",
}  # fmt: skip


@dataclass(frozen=True)
class Queued:
    """A thread on a run queue. `delayed` says that it went to sleep, but stays until its time would have come."""

    task: int
    scheduling: str
    running: bool
    priority: int
    virtual_time: int | None
    delayed: bool


@dataclass(frozen=True)
class RunQueue:
    """A run queue itself. `running` counts the threads that run or wait, as the kernel does."""

    address: int
    cpu: int
    running: int
    switches: int
    clock: int
    current: int
    idle: int


class RunQueues:
    """The run queues of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self._objects = linux.objects

    def read(self, cpu: int) -> RunQueue:
        """A processor's run queue."""
        address = self._linux.per_cpu.address("runqueues", cpu)
        queue = self._objects.at("struct rq", address)
        return RunQueue(
            address=address,
            cpu=cpu,
            running=int(queue["nr_running"]),
            switches=int(queue["nr_switches"]),
            clock=int(queue["clock"]),
            current=int(queue["curr"]),
            idle=int(queue["idle"]),
        )

    def each(self, queue: RunQueue) -> Iterator[Queued]:
        """The threads of a run queue: the one that runs, then those that wait, the most urgent class first.

        A tree or list that is broken ends the walk with a DebuggerError; the one that runs has been told by then.
        """
        seen = set[int]()
        if queue.current:
            seen.add(queue.current)
            yield self._queued(queue.current, queue)
        for address in self._each_waiting(self._objects.at("struct rq", queue.address)):
            if address not in seen and len(seen) < MAX_TASKS:
                seen.add(address)
                yield self._queued(address, queue)

    def _each_waiting(self, queue: "Typed") -> Iterator[int]:
        yield from self._each_deadline(queue)
        yield from self._each_realtime(queue["rt"], set())
        yield from self._each_fair(queue["cfs"], set())
        yield from self._each_extended(queue)

    def _each_deadline(self, queue: "Typed") -> Iterator[int]:
        """Deadline threads; servers, which stand for a class, are queued among them, but are no threads."""
        for node in self._each_node(queue["dl.root"]):
            entity = self._objects.container(node, "struct sched_dl_entity", "rb_node")
            if not _held(entity, "dl_server"):
                yield int(entity) - self._objects.offsetof("struct task_struct", "dl")

    def _each_realtime(self, queue: "Typed", groups: set[int], depth: int = 0) -> Iterator[int]:
        """Real-time threads, from the highest priority down, those of a group where the group is."""
        _enter(int(queue), groups, depth)
        bitmap = int.from_bytes(queue["active.bitmap"].bytes(), "little")
        heads, size = int(queue.refer_("active.queue")), self._objects.sizeof("struct list_head")
        for priority in (each for each in range(PRIORITIES) if bitmap >> each & 1):
            head = heads + size * priority
            for address in self._linux.each_listed(head, "struct sched_rt_entity", "run_list", MAX_TASKS):
                entity = self._objects.at("struct sched_rt_entity", address)
                if _held(entity, "my_q"):
                    yield from self._each_realtime(entity["my_q"].deref(), groups, depth + 1)
                else:
                    yield address - self._objects.offsetof("struct task_struct", "rt")

    def _each_fair(self, queue: "Typed", groups: set[int], depth: int = 0) -> Iterator[int]:
        """Fair threads by virtual time, those of a group where the group is; what runs is in no tree, but noted."""
        _enter(int(queue), groups, depth)
        kind = "struct sched_entity"
        waiting = (self._objects.container(node, kind, "run_node") for node in self._each_node(queue["tasks_timeline"]))
        for entity in chain([queue["curr"].deref()] if queue["curr"] else [], waiting):
            if _held(entity, "my_q"):
                yield from self._each_fair(entity["my_q"].deref(), groups, depth + 1)
            else:
                yield int(entity) - self._objects.offsetof("struct task_struct", "se")

    def _each_extended(self, queue: "Typed") -> Iterator[int]:
        """Threads of a scheduler that was loaded (sched_ext), on a list of the run queue's."""
        if "scx.runnable_list" in queue:
            head = int(queue.refer_("scx.runnable_list"))
            yield from self._linux.each_listed(head, "struct task_struct", "scx.runnable_node", MAX_TASKS)

    def _each_node(self, root: "Typed") -> Iterator[int]:
        """The nodes of a tree, whose root knows its leftmost node since 4.14."""
        top = root["rb_root.rb_node"] if "rb_root" in root else root["rb_node"]
        return each_rbtree(self._linux, int(top))

    def _queued(self, address: int, queue: RunQueue) -> Queued:
        task = self._objects.at("struct task_struct", address)
        kind = self._class_of(int(task["sched_class"]))
        return Queued(
            task=address,
            scheduling=kind,
            running=address == queue.current,
            priority=int(task["prio"]),
            virtual_time=int(task["se.vruntime"]) if kind == "fair" else None,
            delayed="sched_delayed" in task["se"] and bool(task["se.sched_delayed"]),
        )

    def _class_of(self, address: int) -> str:
        symbols = {name: self._linux.names.find(name) for name in CLASSES}
        return next((CLASSES[name] for name, found in symbols.items() if found and found.value == address), "?")


def _enter(queue: int, groups: set[int], depth: int) -> None:
    """Note that a group's queue is walked; BrokenTree if it was already, or groups lie too deep in groups."""
    if queue in groups or depth > MAX_GROUPS:
        raise BrokenTree(queue, f"the queue of this group comes again, or groups lie more than {MAX_GROUPS} deep")
    groups.add(queue)


def _held(entity: "Typed", member: str) -> bool:
    """True if the entity has that member, and it is set."""
    return member in entity and bool(entity[member])
