"""Every buffer that the allocators of an illumos kernel gave out, and what of its memory points into which.

Buffers are those of the slab allocator's caches, and what was too large for a cache and came from kmem_oversize. They
are counted from 0 by rising address; memory is looked at in large pieces, all its words at once. Specified in:
sys/kmem_impl.h, sys/vmem_impl.h of illumos.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kmem import BrokenCache, Cache, Slab
from vmdebug.guests.illumos.memory import each_arena, each_cache
from vmdebug.guests.illumos.threads import FREE, ONPROC, each_record
from vmdebug.guests.illumos.vmem import ALLOCATED, Segment, Segments
from vmdebug.guests.memory import MAX_TABLE
from vmdebug.targets.bulk import each_piece

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vmdebug.guests.illumos.kernel import Illumos

    Addresses = NDArray[np.uint64]
    Numbers = NDArray[np.int64]

OVERSIZE = "kmem_oversize"
NOTOUCH = 0x1_0000  # KMC_NOTOUCH: the allocator's own, which nothing else points into
WORD = 8
MAX_BUFFERS = 1 << 24
MAX_LINKS = 1 << 27
MAX_STACK = 1 << 20
FAR = 1 << 26  # bytes between buffers that are not worth looking at
ADDRESSES = 1 << 64


class TooMany(DebuggerError):
    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"there are more than {limit} {what}: the search ends here")


@dataclass(frozen=True)
class Owner:
    """Where buffers come from: a cache, or else an arena with the segments that it gave out, by their starts."""

    name: str
    address: int
    cache: Cache | None = None
    segments: dict[int, Segment] | None = None


class Part(NamedTuple):
    """The buffers of one owner: where each begins and ends."""

    owner: Owner
    starts: "Addresses"
    ends: "Addresses"


class Buffers:
    """The buffers: where each begins and ends, and the number of its owner."""

    def __init__(self, parts: Sequence[Part]) -> None:
        import numpy as np

        empty = np.zeros(0, np.uint64)
        bases = np.concatenate([empty, *(part.starts for part in parts)])
        self.bases, first = np.unique(bases, return_index=True)
        self.ends = np.concatenate([empty, *(part.ends for part in parts)])[first]
        which = [np.full(len(part.starts), number, np.int64) for number, part in enumerate(parts)]
        self._owner = np.concatenate([np.zeros(0, np.int64), *which])[first]
        self.owners = [part.owner for part in parts]

    def __len__(self) -> int:
        return len(self.bases)

    def owner(self, number: int) -> Owner:
        """Where a buffer comes from."""
        return self.owners[int(self._owner[number])]

    def of_owner(self, which: int) -> "Numbers":
        """The buffers of an owner, by its number."""
        import numpy as np

        return np.flatnonzero(self._owner == which)

    def base(self, number: int) -> int:
        return int(self.bases[number])

    def size(self, number: int) -> int:
        return int(self.ends[number]) - int(self.bases[number])

    def find(self, addresses: "Addresses") -> "Numbers":
        """The buffer that each address lies in, -1 for one in none."""
        import numpy as np

        if not len(self.bases):
            return np.full(len(addresses), -1, np.int64)
        number = np.searchsorted(self.bases, addresses, "right").astype(np.int64) - 1
        return np.where((number >= 0) & (addresses < self.ends[number]), number, -1)

    def each_pointer(self, guest: "Illumos", start: int, end: int) -> "Iterator[tuple[Addresses, Addresses, Numbers]]":
        """The words of a range that point into buffers: where they are, what they are, the buffer of each.

        What cannot be read holds none.
        """
        import numpy as np

        if not len(self):
            return
        low, high = self.bases[0], self.ends.max()
        for address, data in each_piece(guest.target.kernel, start, min(end, ADDRESSES), zeros=False):
            skipped = -address % WORD
            words = np.frombuffer(data, "<u8", max(len(data) - skipped, 0) // WORD, skipped)
            places = np.flatnonzero((words >= low) & (words < high))
            found = self.find(words[places])
            hit = found >= 0
            places = places[hit]
            yield (places * WORD).astype(np.uint64) + np.uint64(address + skipped), words[places], found[hit]

    def each_range(self) -> Iterator[tuple[int, int]]:
        """Ranges of memory, rising, that hold all buffers and little else."""
        import numpy as np

        if not len(self):
            return
        highest = np.maximum.accumulate(self.ends)
        seams = np.flatnonzero((self.bases[1:] > highest[:-1]) & (self.bases[1:] - highest[:-1] > np.uint64(FAR))) + 1
        for first, end in pairwise([0, *seams.tolist(), len(self)]):
            yield int(self.bases[first]), int(highest[end - 1])


def gather(guest: "Illumos", warn: Callable[[str], None]) -> list[Part]:
    """All buffers that are given out; a cache or an arena that cannot be followed is told, and left out."""
    parts: list[Part] = []
    for read in _each_reader(guest, warn):
        try:
            parts.append(read())
        except DebuggerError as err:
            warn(f"{err}: its buffers are left out")
        if sum(len(part.starts) for part in parts) > MAX_BUFFERS:
            raise TooMany("buffers", MAX_BUFFERS)
    return parts


def _each_reader(guest: "Illumos", warn: Callable[[str], None]) -> Iterator[Callable[[], Part]]:
    """What reads the buffers of each cache, and of the arena of what is too large for one."""
    try:
        for address in each_cache(guest):
            yield partial(_of_cache, guest, address)
        for address, _ in each_arena(guest):
            if guest.objects.at("vmem_t", address)["vm_name"].string() == OVERSIZE:
                yield partial(_of_arena, guest, address)
    except DebuggerError as err:
        warn(str(err))


def _of_cache(guest: "Illumos", address: int) -> Part:
    """The buffers of a cache that are given out; none of the allocator's own."""
    import numpy as np

    cache = Cache(guest, address)
    owner, starts = Owner(cache.name, address, cache), [np.zeros(0, np.uint64)]
    count, size = 0, np.uint64(cache.record["cache_bufsize"])
    if not cache.record["cache_cflags"] & NOTOUCH:
        waiting = np.fromiter(cache.waiting(), np.uint64)
        for slab in cache.slabs():
            starts.append(_given(cache, slab, waiting))
            count += slab.chunks
            if count > MAX_BUFFERS:
                raise TooMany(f"buffers in {cache.name}", MAX_BUFFERS)
    found = np.concatenate(starts)
    return Part(owner, found, found + size)


def _given(cache: Cache, slab: Slab, waiting: "Addresses") -> "Addresses":
    """The buffers of a slab that are given out: neither free in it nor in a magazine."""
    import numpy as np

    chunks = cache.chunks(slab)
    if chunks.stop > ADDRESSES:
        raise BrokenCache(cache.address, f"slab {slab.address:x} goes beyond the last address")
    starts = chunks.start + np.arange(slab.chunks, dtype=np.uint64) * np.uint64(chunks.step)
    free = np.fromiter((buffer for buffer, _ in cache.free_in(slab)), np.uint64)
    inside = waiting[(waiting >= np.uint64(chunks.start)) & (waiting < np.uint64(min(chunks.stop, ADDRESSES - 1)))]
    return starts[~np.isin(starts, np.concatenate([free, inside]))]


def _of_arena(guest: "Illumos", address: int) -> Part:
    """The segments that an arena gave out."""
    import numpy as np

    segments = {each.start: each for each in Segments(guest).each(address, ALLOCATED) if each.start < each.end}
    starts, ends = list(segments), [each.end for each in segments.values()]
    owner = Owner(OVERSIZE, address, segments=segments)
    return Part(owner, np.array(starts, np.uint64), np.array(ends, np.uint64))


class Links(NamedTuple):
    """Words of buffers that point into others, by rising place: who holds each, where, what it is, into whom."""

    sources: "Numbers"
    places: "Addresses"
    values: "Addresses"
    targets: "Numbers"


def find_links(guest: "Illumos", buffers: Buffers) -> Links:
    """All pointers from one buffer into another."""
    import numpy as np

    addresses, numbers = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    parts = [Links(numbers, addresses, addresses, numbers)]
    count = 0
    for start, end in buffers.each_range():
        for places, values, targets in buffers.each_pointer(guest, start, end):
            sources = buffers.find(places)
            good = (sources >= 0) & (sources != targets)
            parts.append(Links(sources[good], places[good], values[good], targets[good]))
            count += len(parts[-1].sources)
            if count > MAX_LINKS:
                raise TooMany("pointers between buffers", MAX_LINKS)
    return Links(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def reach(buffers: Buffers, links: Links, first: "Numbers") -> "NDArray[np.bool_]":
    """Which buffers can be reached from some of them along pointers."""
    import numpy as np

    starts = np.searchsorted(links.sources, np.arange(len(buffers) + 1))
    marked = np.zeros(len(buffers), np.bool_)
    marked[first] = True
    fresh = np.unique(first)
    while len(fresh):
        counts = starts[fresh + 1] - starts[fresh]
        skipped = np.repeat(starts[fresh] - (np.cumsum(counts) - counts), counts)
        found = links.targets[skipped + np.arange(int(counts.sum()))]
        fresh = np.unique(found[~marked[found]])
        marked[fresh] = True
    return marked


def each_root(guest: "Illumos", warn: Callable[[str], None]) -> Iterator[tuple[int, int]]:
    """Where a search for what is in use begins: the modules' data, the stacks of threads from their pointers on."""
    for module in guest.found:
        for area in (module.data, module.bss):
            if area.size:
                yield area.base, area.base + min(area.size, MAX_TABLE)
    try:
        for record in each_record(guest, None, warn):
            base, top = int(record["t_stkbase"]), int(record["t_stk"])
            pointer = record["t_pcb.val[1]"] & ADDRESSES - 1
            if record["t_state"] != FREE and 0 < top - base <= MAX_STACK:
                yield (pointer if record["t_state"] != ONPROC and base <= pointer < top else base), top
    except DebuggerError as err:
        warn(str(err))
