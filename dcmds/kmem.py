"""The buffers of illumos' slab allocator: the walkers kmem, freemem, bufctl, freectl, kmem_slab and kmem_cpu_cache."""

from collections.abc import Iterator

from vmdebug.dcmd import Call, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.kmem import Cache

GUESTS = ("illumos",)


def _cache(call: Call) -> Cache:
    return Cache(illumos(call.guest), call.address or 0)


@walker("kmem", start="required", guests=GUESTS)
def walk_kmem(call: Call) -> Iterator[int]:
    """walk the buffers of a cache that are given out"""
    return _cache(call).allocated()


@walker("freemem", start="required", guests=GUESTS)
def walk_freemem(call: Call) -> Iterator[int]:
    """walk the buffers of a cache that are free, those in magazines first"""
    return _cache(call).free()


@walker("bufctl", start="required", guests=GUESTS)
def walk_bufctl(call: Call) -> Iterator[int]:
    """walk the bufctls of the buffers of a cache that are given out"""
    return _cache(call).bufctls()


@walker("freectl", start="required", guests=GUESTS)
def walk_freectl(call: Call) -> Iterator[int]:
    """walk the bufctls of the buffers of a cache that are free"""
    return _cache(call).free_bufctls()


@walker("kmem_cpu_cache", start="required", guests=GUESTS)
def walk_kmem_cpu_cache(call: Call) -> Iterator[int]:
    """walk what each cpu has of a cache"""
    return _cache(call).cpus()


@walker("kmem_slab", start="required", guests=GUESTS)
def walk_kmem_slab(call: Call) -> Iterator[int]:
    """walk the slabs of a cache"""
    return (slab.address for slab in _cache(call).slabs())
