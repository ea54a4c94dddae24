"""Mutexes and readers-writer locks: a word each, and who waits for it.

Specified in: sys/mutex_impl.h, sys/rwlock_impl.h, sys/turnstile.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.waiting import each_asleep, find_turnstile

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

SPIN = 0xFF  # the first byte of a spin mutex, which is a lock that is always held
DEAD = 0x6  # MUTEX_DEAD: the bits of an owner that are set in a mutex that is none
WAITED_FOR = 0x1  # MUTEX_WAITERS, RW_HAS_WAITERS
WANTED, LOCKED = 0x2, 0x4  # RW_WRITE_WANTED, RW_WRITE_LOCKED
OWNER = (1 << 64) - 1 & ~7
READERS = 3  # the shift of the number of readers
WRITERS_FIRST = ("W", "R")  # what a turnstile's two queues are for


class NotAdaptive(DebuggerError):
    def __init__(self, place: str) -> None:
        super().__init__(f"{place}: invalid adaptive mutex (-f to dump anyway)")


@dataclass(frozen=True)
class Mutex:
    """A mutex. A spin mutex has levels and no owner; an adaptive one an owner, 0 if nobody holds it."""

    spin: bool
    held: bool
    owner: int
    minspl: int
    oldspl: int
    waiters: bool
    valid: bool


@dataclass(frozen=True)
class Rwlock:
    """A readers-writer lock: the thread that writes, 0 if none does, or the number of readers."""

    owner: int
    readers: int
    locked: bool
    wanted: bool
    waited_for: bool


def read_mutex(guest: "Illumos", address: int) -> Mutex:
    found = guest.objects.at("mutex_impl_t", address)
    spin, word = found["m_spin"], int(found["m_adaptive._m_owner"])
    if spin["m_dummylock"] == SPIN:
        return Mutex(True, bool(spin["m_spinlock"]), 0, spin["m_minspl"], spin["m_oldspl"], False, True)
    return Mutex(False, bool(word & OWNER), word & OWNER, 0, 0, bool(word & WAITED_FOR), not word & DEAD)


def read_rwlock(guest: "Illumos", address: int) -> Rwlock:
    word = int(guest.objects.at("rwlock_impl_t", address)["rw_wwwh"])
    locked = bool(word & LOCKED)
    owner, readers = (word & OWNER, 0) if locked else (0, word >> READERS)
    return Rwlock(owner, readers, locked, bool(word & WANTED), bool(word & WAITED_FOR))


def each_waiter(guest: "Illumos", lock: int) -> Iterator[tuple[int, str]]:
    """The threads that sleep on a readers-writer lock, each with W or R for what it wants.

    They share a turnstile, which every one of them points to; it has a queue for writers and one for readers.
    """
    turnstile = find_turnstile(guest, lock)
    if turnstile is None:
        return
    queues = guest.objects.at("turnstile_t", turnstile)["ts_sleepq"]
    for wants, queue in zip(WRITERS_FIRST, queues, strict=False):
        yield from ((thread, wants) for thread in each_asleep(guest, int(queue)))
