"""What the slab allocator records: of each buffer of some caches who took it or gave it back last, and a log of that.

The bufctls of a cache whose flags have KMF_AUDIT are larger: each holds the last transaction of its buffer, and says
where the log has a copy of it; the copy says where the one before is. The log is used again from its beginning when it
is full, so that an older copy may have been overwritten. Specified in: sys/kmem_impl.h of illumos.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.kmem import AUDIT

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

UNSIGNED = (1 << 64) - 1
RECORD_HEAD = (
    f"{'ADDR':>16} {'BUFADDR':>16} {'TIMESTAMP':>16} {'THREAD':>16}",
    f"{'':>16} {'CACHE':>16} {'LASTLOG':>16} {'CONTENTS':>16}",
)


class NotAudited(DebuggerError):
    def __init__(self, bufctl: int, cache: str) -> None:
        super().__init__(f"bufctl {bufctl:x}: nothing is recorded of it, KMF_AUDIT is not set for {cache}")
        self.bufctl = bufctl


class NotBufctl(DebuggerError):
    def __init__(self, address: int, cache: int) -> None:
        super().__init__(f"{address:x} is no bufctl: there is no cache at {cache:x}")
        self.address = address


@dataclass(frozen=True)
class Audit:
    """A transaction, in a bufctl or in the log: the buffer, its slab and cache, when (in nanoseconds since boot) and by
    which thread; its copy or the one before in the log, where the log has what a freed buffer held, and the calls that
    led to it, the innermost first.
    """

    address: int
    buffer: int
    slab: int
    cache: int
    time: int
    thread: int
    logged: int
    contents: int
    stack: Sequence[int]


def read_audit(guest: "Illumos", address: int) -> Audit:
    """The kmem_bufctl_audit_t at an address."""
    found = guest.objects.at("kmem_bufctl_audit_t", address)
    return Audit(
        address=address,
        buffer=int(found["bc_addr"]),
        slab=int(found["bc_slab"]),
        cache=int(found["bc_cache"]),
        time=found["bc_timestamp"] & UNSIGNED,
        thread=int(found["bc_thread"]),
        logged=int(found["bc_lastlog"]),
        contents=int(found["bc_contents"]),
        stack=[int(pc) for pc in found["bc_stack"][: max(found["bc_depth"], 0)]],
    )


def read_bufctl(guest: "Illumos", address: int) -> Audit:
    """The same, of what may be a bufctl of a cache that records nothing (NotAudited), or no bufctl (NotBufctl)."""
    found = read_audit(guest, address)
    cache = _slab_cache(guest, found.slab) or found.cache
    try:
        record = guest.objects.at("kmem_cache_t", cache)
        if not record["cache_flags"] & AUDIT:
            raise NotAudited(address, record["cache_name"].string())
    except ReadFailed as err:
        raise NotBufctl(address, cache) from err
    return found


def _slab_cache(guest: "Illumos", slab: int) -> int | None:
    """The cache that a slab belongs to; None for the slab of an old transaction, which may be gone."""
    try:
        return int(guest.objects.at("kmem_slab_t", slab)["slab_cache"])
    except ReadFailed:
        return None


def each_transaction(guest: "Illumos", address: int) -> Iterator[Audit]:
    """What is recorded of a buffer, the latest first: its bufctl's copy in the log, and all those before it.

    The bufctl itself stands for a copy that is no longer there.
    """
    last = read_audit(guest, address)
    copy = _logged(guest, last)
    found = copy if copy and copy.time == last.time else last
    yield found
    while (before := _logged(guest, found)) and before.time < found.time:
        yield before
        found = before


def _logged(guest: "Illumos", found: Audit) -> Audit | None:
    """What the log has at the place that a transaction names; None where that is of another buffer by now."""
    if not found.logged:
        return None
    entry = read_audit(guest, found.logged)
    return entry if (entry.buffer, entry.slab, entry.cache) == (found.buffer, found.slab, found.cache) else None


def find_caller(guest: "Illumos", stack: Sequence[int]) -> int | None:
    """The call that a transaction was made for: the first out of a function that is not the allocator's own."""
    for pc in stack:
        near = guest.symbols.nearest(pc)
        if near and not near[0].name.startswith("kmem_"):
            return pc
    return None


def record_lines(found: Audit, name: Callable[[int], str]) -> Iterator[str]:
    """All of a transaction, under RECORD_HEAD: two lines, the calls, and an empty line."""
    yield f"{found.address:>16x} {found.buffer:>16x} {found.time:>16x} {found.thread:>16x}"
    yield f"{'':16} {found.cache:>16x} {found.logged:>16x} {found.contents:>16x}"
    for pc in found.stack:
        yield f"{'':17}{name(pc)}"
    yield ""


def code_of(guest: "Illumos", caller: int) -> range:
    """The addresses that count as a caller: those of the function that begins there, or the one alone."""
    near = guest.symbols.nearest(caller)
    size = near[0].size if near and near[0].value == caller else 0
    return range(caller, caller + max(size, 1))
