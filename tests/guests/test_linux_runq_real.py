"""Run queues of real guests, which were idle or had one thread, and queues that are written over theirs."""

import pytest

from formats import open_image
from tests.overlay import Overlay
from vmdebug.guests.linux import find
from vmdebug.guests.linux.runqueues import RunQueues
from vmdebug.guests.linux.tasks import each_process
from vmdebug.guests.linux.trees import BrokenTree
from vmdebug.targets.target import Target

IDLE = ["linux-mini.elf.core", "linux-72.elf.core", "xen-pv.core", "xen-pvh.core"]
WRITTEN = IDLE[:2]


def guest(real, name):
    return find(Target(open_image(real(name))))


def word(value):
    return value.to_bytes(8, "little")


class Scheduler:
    """Puts threads of a guest on the run queue of its CPU 0."""

    def __init__(self, linux, monkeypatch):
        self.tasks = [task for task in each_process(linux) if task.mm][:6]
        self.overlay = Overlay(linux, monkeypatch)
        del linux.objects
        self.linux = linux
        self.queue = self.at("runqueues", 0)

    def at(self, name, cpu):
        return self.linux.per_cpu.address(name, cpu)

    def member(self, kind, path):
        return self.linux.objects.offsetof(kind, path)

    def node(self, task):
        return task.address + self.member("struct task_struct", "se.run_node")

    def tree(self, cfs, top, **children):
        """Make a tree of threads: the topmost one, those left and right of it."""
        self.put(cfs + self.member("struct cfs_rq", "tasks_timeline.rb_root.rb_node"), word(self.node(top)))
        for side in ("left", "right"):
            child = children.get(side)
            self.put(
                self.node(top) + self.member("struct rb_node", f"rb_{side}"), word(self.node(child) if child else 0)
            )
            if child:
                self.put(self.node(child) + self.member("struct rb_node", "rb_left"), bytes(8))
                self.put(self.node(child) + self.member("struct rb_node", "rb_right"), bytes(8))

    def put(self, at, data):
        self.overlay.changes[at] = data

    def found(self):
        queues = RunQueues(self.linux)
        return [each.task for each in queues.each(queues.read(0))]


@pytest.mark.parametrize("name", IDLE)
def test_idle_processors_run_their_idle_threads(name, real):
    linux = guest(real, name)
    queues = RunQueues(linux)

    found = [(queue := queues.read(cpu), list(queues.each(queue))) for cpu in linux.per_cpu.cpus]

    for cpu, (queue, threads) in enumerate(found):
        assert (queue.cpu, queue.running, queue.current) == (cpu, 0, queue.idle)
        assert [(each.task, each.scheduling, each.running, each.priority) for each in threads] == [
            (queue.idle, "idle", True, 120)
        ]
        assert queue.switches > 1000


def test_the_thread_that_panicked_runs(real):
    linux = guest(real, "linux-crash.kdump-d31-zlib")
    queues = RunQueues(linux)

    (found,) = queues.each(queues.read(1))

    assert linux.objects.at("struct task_struct", found.task)["comm"].string() == "omega_crasher"
    assert (found.scheduling, found.running, found.delayed) == ("fair", True, False)
    assert queues.read(1).running == 1


@pytest.mark.parametrize("name", WRITTEN)
def test_fair_threads_come_in_their_order_groups_unfolded(name, real, monkeypatch):
    """Thread 1 stands for a group, whose queue is the other processor's: 3 and 4 are in it."""
    scheduler = Scheduler(guest(real, name), monkeypatch)
    first, group, last, third, fourth, realtime = scheduler.tasks
    fair, inner = (scheduler.at("runqueues", cpu) + scheduler.member("struct rq", "cfs") for cpu in (0, 1))
    scheduler.tree(fair, group, left=first, right=last)
    scheduler.tree(inner, third, right=fourth)
    scheduler.put(group.address + scheduler.member("struct task_struct", "se.my_q"), word(inner))
    active = scheduler.queue + scheduler.member("struct rq", "rt.active")
    entity = realtime.address + scheduler.member("struct task_struct", "rt.run_list")
    head = active + scheduler.member("struct rt_prio_array", "queue") + 16 * 50
    scheduler.put(active, (1 << 50 | 1 << 100).to_bytes(16, "little"))
    scheduler.put(head, word(entity) + word(entity))
    scheduler.put(entity, word(head) + word(head))

    found = scheduler.found()

    idle = RunQueues(scheduler.linux).read(0).idle
    assert found == [idle, *(task.address for task in (realtime, first, third, fourth, last))]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_group_that_lies_in_itself_ends_the_walk(name, real, monkeypatch):
    scheduler = Scheduler(guest(real, name), monkeypatch)
    first, group, last, *_ = scheduler.tasks
    fair = scheduler.queue + scheduler.member("struct rq", "cfs")
    scheduler.tree(fair, group, left=first, right=last)
    scheduler.put(group.address + scheduler.member("struct task_struct", "se.my_q"), word(fair))

    with pytest.raises(BrokenTree, match="comes again"):
        scheduler.found()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_tree_that_bites_itself_ends_the_walk(name, real, monkeypatch):
    scheduler = Scheduler(guest(real, name), monkeypatch)
    top, left, *_ = scheduler.tasks
    scheduler.tree(scheduler.queue + scheduler.member("struct rq", "cfs"), top, left=left)
    scheduler.put(scheduler.node(left) + scheduler.member("struct rb_node", "rb_left"), word(scheduler.node(top)))

    with pytest.raises(BrokenTree, match="comes again"):
        scheduler.found()


def test_a_guest_that_is_suspended_stops_its_processors_while_xenwatch_waits(real):
    """Its save was taken in stop_machine(), which the thread that asked for it waits for."""
    linux = guest(real, "xen-pv.save")
    queues = RunQueues(linux)

    found = [(queue := queues.read(cpu), list(queues.each(queue))) for cpu in linux.per_cpu.cpus]

    told = [
        [
            (each.scheduling, each.running, linux.objects.at("struct task_struct", each.task)["comm"].string())
            for each in part
        ]
        for _, part in found
    ]
    assert told == [[("stop", True, "migration/0"), ("fair", False, "xenwatch")], [("stop", True, "migration/1")]]
    assert [queue.running for queue, _ in found] == [2, 1]
