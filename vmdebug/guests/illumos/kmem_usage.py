"""What the slab allocator counts of its caches, and of the arenas that these take their memory from.

Specified in: sys/kmem_impl.h of illumos.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.guests.illumos.kmem import NOMAGAZINE, Cache

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos


@dataclass(frozen=True)
class Usage:
    """A cache: its arena (a vmem_t), the bytes of a buffer, how many buffers are given out and how many there are, the
    bytes of its slabs, how often it gave out (a full magazine of the depot counts once) and how often it could not.
    """

    address: int
    name: str
    arena: int
    size: int
    used: int
    buffers: int
    memory: int
    allocations: int
    failures: int


def read_usage(guest: "Illumos", address: int) -> Usage:
    """What a cache counts; its lists are not walked, but its slabs are."""
    cache = Cache(guest, address)
    record, buffers = cache.record, cache.record["cache_buftotal"]
    cpus = [guest.objects.at("kmem_cpu_cache_t", place) for place in cache.cpus()]
    waiting = sum(max(rounds, 0) for cpu in cpus for rounds in (cpu.cc_rounds, cpu.cc_prounds))
    free = sum(slab.chunks - slab.used for slab in cache.slabs())
    return Usage(
        address=address,
        name=cache.name,
        arena=int(record["cache_arena"]),
        size=record["cache_bufsize"],
        used=buffers - waiting - free - _in_depot(cache),
        buffers=buffers,
        memory=(record["cache_slab_create"] - record["cache_slab_destroy"]) * record["cache_slabsize"],
        allocations=record["cache_slab_alloc"] + record["cache_full.ml_alloc"] + sum(cpu.cc_alloc for cpu in cpus),
        failures=record["cache_alloc_fail"],
    )


def _in_depot(cache: Cache) -> int:
    """How many buffers wait in full magazines that no cpu has."""
    record = cache.record
    if not record["cache_magtype"] or record["cache_flags"] & NOMAGAZINE:
        return 0
    rounds: int = record["cache_full.ml_total"] * record["cache_magtype"].mt_magsize
    return rounds


@dataclass(frozen=True)
class Share:
    """What all caches of an arena take of it: bytes, how often they gave out, how often they could not."""

    memory: int
    allocations: int
    failures: int


def by_arena(caches: Iterable[Usage]) -> dict[int, Share]:
    """What the caches take of each arena."""
    found: dict[int, Share] = {}
    for cache in caches:
        share = found.get(cache.arena, Share(0, 0, 0))
        found[cache.arena] = Share(
            share.memory + cache.memory, share.allocations + cache.allocations, share.failures + cache.failures
        )
    return found
