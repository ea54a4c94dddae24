"""The buffers of the kernel's slab allocator: which a cache has, which of them are given out, which wait.

A cache's buffers lie in slabs. A slab lists those that are free in it; others wait, still constructed, in magazines:
of each cpu, and in the cache's depot. All the rest are given out. Caches whose flags have KMF_HASH keep a bufctl for
each buffer, the others have one in each buffer that is free. Specified in: sys/kmem_impl.h of illumos.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.memory import each_cache
from vmdebug.guests.memory import each_link
from vmdebug.types.lists import each_avl, each_listed
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

AUDIT, NOMAGAZINE, HASH = 0x1, 0x20, 0x200  # KMF_AUDIT, KMF_NOMAGAZINE, KMF_HASH
MAX_SLABS = 1 << 20
MAX_CHUNKS = 1 << 20  # of a slab
MAX_BUCKETS = 1 << 20
MAX_ROUNDS = 1 << 10  # of a magazine; the largest has 143
MAX_WAITING = 1 << 22  # buffers in the magazines of a cache
MAX_CPUS = 1 << 10


class BrokenCache(DebuggerError):
    def __init__(self, cache: int, reason: str) -> None:
        super().__init__(f"cache {cache:x}: {reason}")
        self.cache = cache


@dataclass(frozen=True)
class Slab:
    """A slab of a cache: where its buffers begin, how many there are, how many of them are not free in it, the first
    bufctl of those that are.
    """

    address: int
    base: int
    chunks: int
    used: int
    head: int


@dataclass(frozen=True)
class Buffer:
    """A buffer of a cache, its bufctl (None where it has none of its own), and whether it is given out."""

    base: int
    bufctl: int | None
    given: bool


class Cache:
    """A kmem_cache_t. What it keeps is read when it is asked for."""

    def __init__(self, guest: "Illumos", address: int) -> None:
        self.guest = guest
        self.address = address
        self.record: Typed = guest.objects.at("kmem_cache_t", address)

    @property
    def name(self) -> str:
        found: str = self.record["cache_name"].string()
        return found

    @property
    def hashed(self) -> bool:
        return bool(self.record["cache_flags"] & HASH)

    @property
    def audited(self) -> bool:
        """Its bufctls record the last transaction of their buffers."""
        return bool(self.record["cache_flags"] & AUDIT)

    def slabs(self) -> Iterator[Slab]:
        """Every slab: in a ring through cache_nullslab, since 2008 in a list of complete and a tree of partial ones."""
        for address in self._slabs():
            slab = self.guest.objects.at("kmem_slab_t", address)
            chunks = slab["slab_chunks"]
            if not 0 <= chunks <= MAX_CHUNKS:
                raise BrokenCache(self.address, f"slab {address:x} says that it has {chunks} buffers")
            yield Slab(address, int(slab["slab_base"]), chunks, slab["slab_refcnt"], int(slab["slab_head"]))

    def _slabs(self) -> Iterator[int]:
        if "cache_complete_slabs" in self.record:
            yield from each_listed(self.guest.objects, int(self.record.refer_("cache_complete_slabs")))
            yield from each_avl(self.guest.objects, int(self.record.refer_("cache_partial_slabs")))
            return
        ring = each_link(
            self.guest.follow("kmem_slab_t", "slab_next"), int(self.record.refer_("cache_nullslab")), MAX_SLABS
        )
        yield from islice(ring, 1, None)

    def chunks(self, slab: Slab) -> range:
        """Where the buffers of a slab lie."""
        size = self.record["cache_chunksize"]
        if size == 0 or slab.chunks * size > self.record["cache_slabsize"]:
            raise BrokenCache(
                self.address, f"{slab.chunks} buffers of {size} bytes are more than slab {slab.address:x}"
            )
        return range(slab.base, slab.base + slab.chunks * size, size)

    def free_in(self, slab: Slab) -> Iterator[tuple[int, int]]:
        """The buffers that are free in a slab, each with its bufctl."""
        for bufctl in each_link(self.guest.follow("kmem_bufctl_t", "bc_next"), slab.head, slab.chunks):
            yield self._buffer(bufctl), bufctl

    def _buffer(self, bufctl: int) -> int:
        if self.hashed:
            return int(self.guest.objects.at("kmem_bufctl_t", bufctl)["bc_addr"])
        return bufctl - int(self.record["cache_bufctl"])

    def waiting(self) -> dict[int, None]:
        """The buffers in magazines, in the order in which they are found: the depot's, then those of each cpu."""
        found: dict[int, None] = {}
        for magazine, rounds in self._magazines():
            place = magazine + self.guest.objects.offsetof("kmem_magazine_t", "mag_round")
            found.update(dict.fromkeys(map(int, self.guest.objects.array("uintptr_t", place, rounds))))
            if len(found) > MAX_WAITING:
                raise BrokenCache(self.address, f"its magazines hold more than {MAX_WAITING} buffers")
        return found

    def _magazines(self) -> Iterator[tuple[int, int]]:
        """Magazines that hold buffers, each with how many."""
        record = self.record
        if not record["cache_magtype"] or record["cache_flags"] & NOMAGAZINE:
            return
        size = record["cache_magtype"].mt_magsize
        depot = each_link(self.guest.follow("kmem_magazine_t", "mag_next"), record["cache_full.ml_list"], MAX_WAITING)
        for magazine in depot:
            yield magazine, self._rounds(magazine, size)
        for place in self.cpus():
            cpu = self.guest.objects.at("kmem_cpu_cache_t", place)
            for magazine, rounds in ((cpu.cc_loaded, cpu.cc_rounds), (cpu.cc_ploaded, cpu.cc_prounds)):
                if rounds > 0:  # -1 where there is none
                    yield int(magazine), self._rounds(int(magazine), rounds)

    def cpus(self) -> Iterator[int]:
        """The kmem_cpu_cache_t of each cpu that there can be."""
        first, size = int(self.record.refer_("cache_cpu")), self.guest.objects.sizeof("kmem_cpu_cache_t")
        return (first + size * number for number in range(min(self.guest.variable("max_ncpus"), MAX_CPUS)))

    def _rounds(self, magazine: int, rounds: int) -> int:
        if not 0 <= rounds <= MAX_ROUNDS:
            raise BrokenCache(self.address, f"magazine {magazine:x} says that it holds {rounds} buffers")
        return rounds

    def allocated(self) -> Iterator[int]:
        """The buffers that are given out, slab by slab."""
        waiting = self.waiting()
        for slab in self.slabs():
            free = {buffer for buffer, _ in self.free_in(slab)}
            yield from (each for each in self.chunks(slab) if each not in free and each not in waiting)

    def free(self) -> Iterator[int]:
        """The buffers that are not given out: those in magazines, then those free in their slabs."""
        yield from self.waiting()
        for slab in self.slabs():
            yield from (buffer for buffer, _ in self.free_in(slab))

    def bufctls(self) -> Iterator[int]:
        """The bufctls of the buffers that are given out; none where the cache is not hashed."""
        if self.hashed:
            waiting = self.waiting()
            yield from (bufctl for bufctl, buffer in self._in_table() if buffer not in waiting)

    def free_bufctls(self) -> Iterator[int]:
        """The bufctls of the buffers that are not given out; none where the cache is not hashed."""
        if self.hashed:
            waiting = self.waiting()
            yield from (bufctl for bufctl, buffer in self._in_table() if buffer in waiting)
            for slab in self.slabs():
                yield from (bufctl for _, bufctl in self.free_in(slab))

    def _in_table(self) -> Iterator[tuple[int, int]]:
        """The bufctls in the hash table, each with its buffer: of all but those that are free in their slabs."""
        seen = set[int]()
        follow = self.guest.follow("kmem_bufctl_t", "bc_next")
        for first in self.guest.objects.array("uintptr_t", int(self.record["cache_hash_table"]), self._buckets()):
            for bufctl in each_link(follow, first, MAX_CHUNKS):
                if bufctl in seen:
                    raise BrokenCache(self.address, f"bufctl {bufctl:x} is in its hash table twice")
                seen.add(bufctl)
                yield bufctl, self._buffer(bufctl)

    def _buckets(self) -> int:
        count = int(self.record["cache_hash_mask"]) + 1
        if count > MAX_BUCKETS:
            raise BrokenCache(self.address, f"its hash table says that it has {count} buckets")
        return count

    def find_bufctl(self, buffer: int) -> int | None:
        """The bufctl of a buffer that is not free in its slab, by the hash table; None where there is none."""
        if not self.hashed:
            return None
        bucket = buffer >> self.record["cache_hash_shift"] & self.record["cache_hash_mask"]
        first = self.guest.objects.at("uintptr_t", int(self.record["cache_hash_table"]) + 8 * bucket)
        chain = each_link(self.guest.follow("kmem_bufctl_t", "bc_next"), int(first), MAX_CHUNKS)
        return next((bufctl for bufctl in chain if self._buffer(bufctl) == buffer), None)

    def buffers_at(self, addresses: Sequence[int]) -> Iterator[tuple[int, Buffer]]:
        """Those of the addresses that lie in buffers of this cache, each with its buffer."""
        waiting: dict[int, None] | None = None
        for slab in self.slabs():
            chunks = self.chunks(slab)
            for address in addresses:
                if chunks.start <= address < chunks.stop:
                    waiting = self.waiting() if waiting is None else waiting
                    base = address - (address - slab.base) % chunks.step
                    if address - base < self.record["cache_bufsize"]:
                        yield address, self._buffer_of(slab, base, waiting)

    def _buffer_of(self, slab: Slab, base: int, waiting: Container[int]) -> Buffer:
        free = dict(self.free_in(slab))
        if base in free:
            return Buffer(base, free[base] if self.hashed else None, given=False)
        return Buffer(base, self.find_bufctl(base), given=base not in waiting)


def caches_by_name(guest: "Illumos") -> dict[str, Cache]:
    """Every cache that can be found, by its name; of those with one name the first."""
    found: dict[str, Cache] = {}
    with suppress(DebuggerError):
        for address in each_cache(guest):
            cache = Cache(guest, address)
            with suppress(ReadFailed):
                found.setdefault(cache.name, cache)
    return found
