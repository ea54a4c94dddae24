"""What threads wait for: condition variables, semaphores and other objects, each with the threads that sleep on it.

Specified in: sys/thread.h, sys/sobject.h, sys/condvar_impl.h of illumos.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.threads import MAX_THREADS, each_thread
from vmdebug.guests.memory import each_link

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

KINDS = {1: "mutex", 2: "rwlock", 3: "cond", 4: "sema", 5: "user", 6: "user_pi", 7: "shuttle"}  # syncobj_t


@dataclass(frozen=True)
class Sleeper:
    """A thread that sleeps, and the process that it belongs to."""

    thread: int
    process: int


@dataclass(frozen=True)
class Channel:
    """An object that threads wait for, of a kind, and those threads in the order of the kernel's list."""

    address: int
    kind: str
    sleepers: Sequence[Sleeper]


def each_channel(guest: "Illumos") -> Iterator[Channel]:
    """Every object that a thread waits for, in the order in which they are found."""
    found: dict[int, tuple[str, list[Sleeper]]] = {}
    for thread in each_thread(guest):
        record = guest.objects.at("kthread_t", thread)
        try:
            address, process = int(record["t_wchan"]), int(record["t_procp"])
            kind = KINDS.get(record["t_sobj_ops"]["sobj_type"], "?") if record["t_sobj_ops"] else "?"
        except ReadFailed:
            continue
        if address:
            found.setdefault(address, (kind, []))[1].append(Sleeper(thread, process))
    for address, (kind, sleepers) in found.items():
        yield Channel(address, kind, sleepers)


def each_sleeper(guest: "Illumos", address: int) -> Iterator[int]:
    """The threads that wait for an object."""
    for channel in each_channel(guest):
        if channel.address == address:
            yield from (sleeper.thread for sleeper in channel.sleepers)


def each_asleep(guest: "Illumos", queue: int) -> Iterator[int]:
    """The threads in a sleepq_t."""
    first = int(guest.objects.at("sleepq_t", queue)["sq_first"])
    return each_link(guest.follow("kthread_t", "t_link"), first, MAX_THREADS)


def find_turnstile(guest: "Illumos", address: int) -> int | None:
    """The turnstile on which the threads sleep that wait for a lock; None if none does."""
    for thread in each_sleeper(guest, address):
        turnstile = guest.objects.at("kthread_t", thread)["t_ts"]
        if turnstile and turnstile["ts_sobj"] == address:
            return int(turnstile)
    return None
