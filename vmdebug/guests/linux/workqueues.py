"""Workqueues: the queues, the pools of workers that serve them, the workers, and the work that waits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmdebug.guests.linux.radix import each_of_idr

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

FLAGS = {  # bits of workqueue_struct.flags, include/linux/workqueue.h
    0: "bh", 1: "unbound", 2: "freezable", 3: "mem_reclaim", 4: "highpri", 5: "cpu_intensive", 6: "sysfs",
    7: "power_efficient",
}  # fmt: skip
MAX_QUEUES, MAX_POOLS, MAX_WORKERS, MAX_WORKS = 1 << 16, 1 << 16, 1 << 16, 1 << 16


@dataclass(frozen=True)
class Queue:
    """A workqueue. `active` work is being done or may be, `waiting` work is held back by the queue's own limit."""

    address: int
    name: str
    flags: tuple[str, ...]
    active: int
    waiting: int
    rescuer: int


@dataclass(frozen=True)
class Worker:
    """A worker of a pool. `task` is 0 for what does its work in a software interrupt."""

    address: int
    pool: int
    cpu: int
    task: int
    description: str
    work: int
    function: int
    last: int


@dataclass(frozen=True)
class Work:
    """A piece of work that waits in a pool."""

    address: int
    pool: int
    function: int


def each_queue(linux: "Linux") -> Iterator[Queue]:
    """Every workqueue, by the kernel's own list."""
    for address in linux.each_listed("workqueues", "struct workqueue_struct", "list", MAX_QUEUES):
        queue: Typed = linux.objects.at("struct workqueue_struct", address)
        flags, active, waiting = int(queue["flags"]), 0, 0
        for each in linux.each_listed(int(queue.refer_("pwqs")), "struct pool_workqueue", "pwqs_node", MAX_POOLS):
            part: Typed = linux.objects.at("struct pool_workqueue", each)
            active += int(part["nr_active"])
            held = "inactive_works" if "inactive_works" in part else "delayed_works"
            waiting += sum(1 for _ in _works(linux, part, held))
        names = tuple(name for bit, name in FLAGS.items() if flags >> bit & 1)
        yield Queue(address, queue["name"].string(), names, active, waiting, int(queue["rescuer"]))


def each_pool(linux: "Linux") -> Iterator["Typed"]:
    """Every pool of workers, by its number."""
    for _, address in each_of_idr(linux, linux.address("worker_pool_idr")):
        yield linux.objects.at("struct worker_pool", address)


def each_worker(linux: "Linux", pool: "Typed") -> Iterator[Worker]:
    """The workers of a pool."""
    for address in linux.each_listed(int(pool.refer_("workers")), "struct worker", "node", MAX_WORKERS):
        worker: Typed = linux.objects.at("struct worker", address)
        yield Worker(
            address,
            int(pool["id"]),
            int(pool["cpu"]),
            int(worker["task"]),
            worker["desc"].string(),
            int(worker["current_work"]),
            int(worker["current_func"]),
            int(getattr(worker, "last_func", 0)),
        )


def each_waiting(linux: "Linux", pool: "Typed") -> Iterator[Work]:
    """The work that waits in a pool."""
    for address in _works(linux, pool, "worklist"):
        work: Typed = linux.objects.at("struct work_struct", address)
        yield Work(address, int(pool["id"]), int(work["func"]))


def _works(linux: "Linux", holder: "Typed", member: str) -> Iterator[int]:
    return linux.each_listed(int(holder.refer_(member)), "struct work_struct", "entry", MAX_WORKS)
