"""Who uses illumos' slab allocator: ::kmausers ::allocdby ::freedby, the walkers allocdby and freedby."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.audits import Audit, find_caller
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.kmem_users import User, audited_caches, by_stack, caches_named, done_by, each_taken
from vmdebug.lang.flags import each_word

GUESTS = ("illumos",)
LARGE, MANY = 8192, 100  # users with fewer bytes and fewer buffers are left out


@dataclass(frozen=True)
class UserRow:
    """A buffer that is given out, or all of a size that the same calls took: then its first columns are null.

    addr: the buffer
    thread: the thread that took it
    cache: the name of its cache
    size: the bytes of a buffer
    count: how many buffers
    total: their bytes
    stack: the calls that took them, the innermost first
    """

    addr: Vaddr | None
    thread: Vaddr | None
    cache: str | None
    size: int
    count: int
    total: int
    stack: Sequence[Vaddr]


def user_lines(rows: Iterable[UserRow], show: Show) -> Iterator[str]:
    """A line above the calls that took it."""
    for row in rows:
        if row.addr is None:
            yield f"{row.total} bytes for {row.count} allocations with data size {row.size}:"
        else:
            yield f"size {row.size}, addr {row.addr:x}, thread {row.thread:x}, cache {row.cache}"
        yield from (f"{'':9}{show.symbol(pc)}" for pc in row.stack)


@dcmd(
    "kmausers",
    synopsis="[-ef] [cache ...]",
    flags=(
        Flag("e", f"all users, also those with less than {LARGE} bytes and less than {MANY} buffers"),
        Flag("f", "each buffer too"),
    ),
    text=user_lines,
    row=UserRow,
    guests=GUESTS,
)
def kmausers(call: Call) -> Iterator[UserRow]:
    """current medium and large users of the kmem allocator

    Of all caches that audit (KMF_AUDIT), or of those that are named: what the same calls took, the most bytes first.
    A buffer counts as large as its cache makes it.

    Reads: kmem_cache_t (cache_flags, cache_hash_table), kmem_bufctl_audit_t.

    Example:
        ::kmausers -e
    """
    guest = illumos(call.guest)
    names = list(each_word(call.args))
    taken: list[tuple[int, Audit]] = []
    for cache in caches_named(guest, names) if names else audited_caches(guest):
        name, size = cache.name, cache.record["cache_bufsize"]
        try:
            for audit in each_taken(guest, cache):
                taken.append((size, audit))
                if "f" in call.flags:
                    yield _buffer_row(name, size, audit)
        except DebuggerError as err:
            call.warn(f"failed to read the bufctls of {name}: {err}")
    for user in by_stack(taken):
        if "e" in call.flags or user.total >= LARGE or user.count >= MANY:
            yield _user_row(user)


def _buffer_row(cache: str, size: int, found: Audit) -> UserRow:
    stack = [Vaddr(pc) for pc in found.stack]
    return UserRow(Vaddr(found.buffer), Vaddr(found.thread), cache, size, 1, size, stack)


def _user_row(user: User) -> UserRow:
    return UserRow(None, None, None, user.size, user.count, user.total, [Vaddr(pc) for pc in user.stack])


@dataclass(frozen=True)
class DoneRow:
    """What a thread did to a buffer.

    addr: the bufctl of the buffer
    timestamp: when, in nanoseconds since boot
    caller: the call for which it did, null where none is known
    """

    addr: Vaddr
    timestamp: Hex
    caller: Vaddr | None


DONE = Text("{addr:016x} {timestamp:>12x} {caller:a}", head=f"{'BUFCTL':<16} {'TIMESTAMP':<12} CALLER")


@walker("allocdby", start="required", guests=GUESTS)
def walk_allocdby(call: Call) -> Iterator[int]:
    """walk the bufctls of the buffers that a thread took and nobody gave back, the latest first"""
    return (each.address for each in done_by(illumos(call.guest), call.address or 0, call.warn, given=True))


@walker("freedby", start="required", guests=GUESTS)
def walk_freedby(call: Call) -> Iterator[int]:
    """walk the bufctls of the buffers that a thread gave back and nobody took again, the latest first"""
    return (each.address for each in done_by(illumos(call.guest), call.address or 0, call.warn, given=False))


@dcmd("allocdby", address="required", text=DONE, row=DoneRow, guests=GUESTS)
def allocdby(call: Call) -> Iterator[DoneRow]:
    """given a thread, print its allocated buffers

    Those of caches that audit (KMF_AUDIT) which it took and nobody gave back, the latest first.

    Reads: kmem_cache_t (cache_flags, cache_hash_table), kmem_bufctl_audit_t.

    Example:
        ::walk thread | ::allocdby
    """
    return _done(call, given=True)


@dcmd("freedby", address="required", text=DONE, row=DoneRow, guests=GUESTS)
def freedby(call: Call) -> Iterator[DoneRow]:
    """given a thread, print its freed buffers

    Those of caches that audit (KMF_AUDIT) which it gave back and nobody took again, the latest first.

    Reads: kmem_cache_t (cache_flags, cache_full, cache_cpu), kmem_slab_t (slab_head), kmem_bufctl_audit_t.

    Example:
        ::walk thread | ::freedby
    """
    return _done(call, given=False)


def _done(call: Call, *, given: bool) -> Iterator[DoneRow]:
    guest = illumos(call.guest)
    for thread in call.addresses:
        for found in done_by(guest, thread, call.warn, given=given):
            caller = find_caller(guest, found.stack)
            yield DoneRow(Vaddr(found.address), Hex(found.time), None if caller is None else Vaddr(caller))
