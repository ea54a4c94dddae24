"""Who uses the slab allocator, by what its caches record of their buffers: only those that audit know."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.audits import Audit, read_audit
from vmdebug.guests.illumos.kmem import Cache, caches_by_name
from vmdebug.guests.illumos.memory import each_cache

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos


class NoAudits(DebuggerError):
    """Nothing is recorded: of one cache, or of all."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(f"KMF_AUDIT is not enabled for {name or 'any cache'}")
        self.name = name


class NoCache(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"unknown kmem cache: {name}")
        self.name = name


@dataclass(frozen=True)
class User:
    """All buffers of a size that the same calls took: the bytes of each, how many there are, the innermost call first.

    As large as their caches make them, not as they were asked for.
    """

    size: int
    count: int
    stack: Sequence[int]

    @property
    def total(self) -> int:
        return self.size * self.count


def audited_caches(guest: "Illumos") -> list[Cache]:
    """The caches that record who takes their buffers; NoAudits where none does."""
    found = [cache for address in each_cache(guest) if (cache := Cache(guest, address)).audited]
    if not found:
        raise NoAudits
    return found


def caches_named(guest: "Illumos", names: Sequence[str]) -> list[Cache]:
    """Caches by their names. NoCache for a name that none has, NoAudits for a cache that records nothing."""
    known, found = caches_by_name(guest), []
    for name in names:
        if name not in known:
            raise NoCache(name)
        if not known[name].audited:
            raise NoAudits(name)
        found.append(known[name])
    return found


def each_taken(guest: "Illumos", cache: Cache) -> Iterator[Audit]:
    """What is recorded of the buffers of a cache that are given out."""
    return (read_audit(guest, bufctl) for bufctl in cache.bufctls())


def by_stack(found: Iterable[tuple[int, Audit]]) -> list[User]:
    """Who took buffers, those who have the most bytes first; of each buffer its size and what is recorded of it."""
    counts: dict[tuple[int, tuple[int, ...]], int] = {}
    for size, audit in found:
        key = size, tuple(audit.stack)
        counts[key] = counts.get(key, 0) + 1
    users = [User(size, count, stack) for (size, stack), count in counts.items()]
    return sorted(users, key=lambda user: -user.total)


def done_by(guest: "Illumos", thread: int, warn: Callable[[str], None], *, given: bool) -> list[Audit]:
    """What a thread did last to buffers, the latest first: those that it took and are given out, or gave back.

    NoAudits where nothing is recorded; what a damaged cache does not tell is a warning.
    """
    found = []
    for cache in audited_caches(guest):
        try:
            for bufctl in cache.bufctls() if given else cache.free_bufctls():
                audit = read_audit(guest, bufctl)
                if audit.thread == thread:
                    found.append(audit)
        except DebuggerError as err:
            warn(f"failed to read the bufctls of {cache.name}: {err}")
    return sorted(found, key=lambda audit: -audit.time)
