"""Buffers that are given out although nothing in use points into them: those that leaked.

What is in use begins with the modules' data, the stacks of threads and the registers of vcpus, and goes on along every
word that points into a buffer, at its beginning or inside. What looks like a pointer by chance keeps a buffer that
leaked from being found; a pointer that is kept in another shape makes one appear as leaked.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.audits import Audit, read_audit
from vmdebug.guests.illumos.buffers import Buffers, TooMany, each_root, find_links, gather, reach
from vmdebug.guests.illumos.vmem import Segment

if TYPE_CHECKING:
    from vmdebug.guests.illumos.buffers import Numbers
    from vmdebug.guests.illumos.kernel import Illumos

OWN = ("kmem_", "vmem_")  # what the names of the allocators' functions begin with
MAX_LEAKS = 1 << 20
KEPT = "leaks"  # what the findings are kept as


@dataclass(frozen=True)
class Leak:
    """A buffer that leaked: its owner, and what is recorded of it where that is audited."""

    base: int
    size: int
    name: str
    owner: int
    oversize: bool
    record: Audit | Segment | None

    @property
    def address(self) -> int:
        """What stands for it: its bufctl or vmem_seg; itself where nothing is recorded."""
        return self.record.address if self.record else self.base

    @property
    def stack(self) -> Sequence[int]:
        return self.record.stack if self.record else ()


@dataclass(frozen=True)
class Group:
    """Leaks of one owner, one size and one stack, the lowest first."""

    leaks: Sequence[Leak]

    @property
    def first(self) -> Leak:
        return self.leaks[0]

    @property
    def kind(self) -> int:
        """0 for what was too large for a cache, 1 for buffers of caches that are audited, 2 for others."""
        return 0 if self.first.oversize else 1 if self.first.record else 2

    @property
    def size(self) -> int:
        return sum(leak.size for leak in self.leaks)


@dataclass(frozen=True)
class Findings:
    """What leaked, and how much was looked at: buffers, and words that point into them."""

    groups: Sequence[Group]
    buffers: int
    reached: int
    rooted: int
    links: int


def find_leaks(guest: "Illumos", warn: Callable[[str], None], *, anew: bool = False) -> Findings:
    """What leaked; what an earlier search found, unless it is to be done anew."""
    found = guest.kept.get(KEPT)
    if not isinstance(found, Findings) or anew:
        found = guest.kept[KEPT] = _search(guest, warn)
    return found


def _search(guest: "Illumos", warn: Callable[[str], None]) -> Findings:
    import numpy as np

    buffers = Buffers(gather(guest, warn))
    roots = [np.zeros(0, np.int64), _registers(guest, buffers)]
    for start, end in each_root(guest, warn):
        roots += [targets for _, _, targets in buffers.each_pointer(guest, start, end)]
    rooted = np.concatenate(roots)
    links = find_links(guest, buffers)
    marked = reach(buffers, links, rooted)
    if len(buffers) - int(marked.sum()) > MAX_LEAKS:
        raise TooMany("buffers that leaked", MAX_LEAKS)
    leaks = [_leak(guest, buffers, number, warn) for number in np.flatnonzero(~marked).tolist()]
    return Findings(_grouped(leaks), len(buffers), int(marked.sum()), len(rooted), len(links.sources))


def _registers(guest: "Illumos", buffers: Buffers) -> "Numbers":
    """The buffers that a vcpu's registers point into."""
    import numpy as np

    values = [value for vcpu in guest.target.image.vcpus for value in vcpu.registers.values()]
    found = buffers.find(np.array([value for value in values if 0 <= value < 1 << 64], np.uint64))
    return found[found >= 0]


def _leak(guest: "Illumos", buffers: Buffers, number: int, warn: Callable[[str], None]) -> Leak:
    base, size, owner = buffers.base(number), buffers.size(number), buffers.owner(number)
    record: Audit | Segment | None = None
    if owner.segments is not None:
        record = owner.segments[base]
    elif owner.cache and owner.cache.audited:
        try:
            bufctl = owner.cache.find_bufctl(base)
            record = read_audit(guest, bufctl) if bufctl else None
        except DebuggerError as err:
            warn(f"buffer {base:x} of {owner.name}: {err}")
    return Leak(base, size, owner.name, owner.address, owner.segments is not None, record)


def _grouped(leaks: Sequence[Leak]) -> list[Group]:
    """Those of one owner, size and stack together: what was too large first, then the most."""
    found: dict[tuple[object, ...], list[Leak]] = {}
    for leak in leaks:
        key = leak.owner, leak.size, leak.record is None, tuple(leak.stack)
        found.setdefault(key, []).append(leak)
    return sorted(map(Group, found.values()), key=lambda each: (each.kind, -len(each.leaks), each.first.base))


def group_of(findings: Findings, address: int) -> Group | None:
    """The group with the leak of a bufctl, a vmem_seg or a buffer."""
    return next(
        (group for group in findings.groups if any(address in (leak.address, leak.base) for leak in group.leaks)), None
    )


def find_caller(guest: "Illumos", stack: Sequence[int]) -> int | None:
    """The first call out of a function that is not the allocators' own."""
    for pc in stack:
        near = guest.symbols.nearest(pc)
        if near and not near[0].name.startswith(OWN):
            return pc
    return None
