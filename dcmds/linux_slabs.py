"""The kernel's caches of objects: ::slabs, the walkers slab_cache, slab, slab_free and slab_descriptor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from formats.frames import PAGE_SIZE, Vaddr
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.slabs import Cache, Slab

GUESTS = ("linux",)


@dataclass(frozen=True)
class SlabRow:
    """A slab of a cache.

    addr: where its memory begins
    descriptor: its struct slab or struct page
    objects: how many it has room for
    free: those that are free, in the slab or kept by a processor
    """

    addr: Vaddr
    descriptor: Vaddr
    objects: int
    free: int


@dataclass(frozen=True)
class CacheRow:
    """A cache of objects.

    addr: its struct kmem_cache
    name: its name
    objsize: the size of an object
    size: how far apart objects lie
    active: objects that are in use or that a processor keeps, as /proc/slabinfo counts; null where it cannot be told
    total: objects that its slabs have room for, null where the kernel does not count them
    perslab: objects in a slab
    pages: pages in a slab
    slabs: how many slabs there are, null where the kernel does not count them
    merged: how many caches share it; their names are lost
    each: with -v, its slabs
    """

    addr: Vaddr
    name: str
    objsize: int
    size: int
    active: int | None
    total: int | None
    perslab: int
    pages: int
    slabs: int | None
    merged: int
    each: Sequence[SlabRow]


def cache_lines(rows: Iterable[CacheRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield (
                f"{'ADDR':<16} {'NAME':<24} {'OBJSIZE':>7} {'SIZE':>6} {'ACTIVE':>8} {'TOTAL':>8} {'SLABS':>6} "
                f"{'PERSLAB':>7} {'PAGES':>5} {'MEMORY':>8}"
            )
        memory = "-" if row.slabs is None else f"{row.slabs * row.pages * PAGE_SIZE >> 10}K"
        yield (
            f"{row.addr:016x} {row.name:<24} {row.objsize:>7} {row.size:>6} {_shown(row.active):>8} "
            f"{_shown(row.total):>8} {_shown(row.slabs):>6} {row.perslab:>7} {row.pages:>5} {memory:>8}"
        )
        for slab in row.each:
            yield (
                f"{'':4}{slab.addr:016x} descriptor {slab.descriptor:016x} objects {slab.objects} "
                f"used {slab.objects - slab.free} free {slab.free}"
            )


def _shown(number: int | None) -> str:
    return "-" if number is None else str(number)


@dcmd(
    "slabs",
    address="optional",
    synopsis="[-v] [name]",
    flags=(Flag("v", "show every slab"),),
    text=cache_lines,
    row=CacheRow,
    guests=GUESTS,
)
def slabs(call: Call) -> Iterator[CacheRow]:
    """print the kernel's caches of objects

    Every cache, or the one whose struct kmem_cache is at the address, or the one of that name. With -v its slabs, each
    with its objects; those that are free in the slab or kept by a processor count as free there.

    Reads: struct kmem_cache (list, name, object_size, size, oo, refcount, offset, random, red_left_pad, cpu_slab, node)
    from slab_caches, struct kmem_cache_node (partial, nr_slabs, total_objects), struct kmem_cache_cpu (slab, freelist),
    struct slab (slab_list, slab_cache, objects, inuse, freelist), struct page of every frame; since 6.18 struct
    slab_sheaf (objects, size), struct node_barn (sheaves_full), struct slub_percpu_sheaves (main, spare).

    Example:
        ::slabs -v task_struct
    """
    kernel = linux(call.guest)
    if len(call.args) > 1 or (call.args and call.address is not None):
        raise call.usage()
    if call.address is not None:
        yield _cache_row(call, kernel.slabs.cache_at(call.address))
        return
    found = False
    try:
        for cache in kernel.slabs.each_cache():
            if row := _readable(call, cache):
                found = True
                yield row
    except (DebuggerError, ImageError) as err:
        call.warn(f"the list of caches ends here: {err}")
    if call.args and not found:
        raise DebuggerError(f"there is no cache called {call.args[0]}")


def _readable(call: Call, cache: Cache) -> CacheRow | None:
    try:
        return _cache_row(call, cache) if not call.args or cache.name == call.args[0] else None
    except (DebuggerError, ImageError) as err:
        call.warn(f"failed to read the cache at {cache.address:x}: {err}")
        return None


def _cache_row(call: Call, cache: Cache) -> CacheRow:
    return CacheRow(
        addr=Vaddr(cache.address),
        name=cache.name,
        objsize=cache.object_size,
        size=cache.size,
        active=_active(call, cache),
        total=cache.total,
        perslab=cache.per_slab,
        pages=1 << cache.order,
        slabs=cache.slabs,
        merged=cache.users,
        each=[_slab_row(cache, slab) for slab in cache.each_slab()] if "v" in call.flags else (),
    )


def _active(call: Call, cache: Cache) -> int | None:
    try:
        return cache.active
    except (DebuggerError, ImageError) as err:
        call.warn(f"the slabs of {cache.name} cannot all be read: {err}")
        return None


def _slab_row(cache: Cache, slab: Slab) -> SlabRow:
    return SlabRow(Vaddr(slab.start), Vaddr(slab.descriptor), slab.objects, len(cache.free_in(slab)))


@walker("slab_cache", guests=GUESTS)
def walk_slab_cache(call: Call) -> Iterator[int]:
    """walk the kernel's caches of objects"""
    for cache in linux(call.guest).slabs.each_cache():
        yield cache.address


@walker("slab", start="required", guests=GUESTS)
def walk_slab(call: Call) -> Iterator[int]:
    """walk the objects of a cache that are in use"""
    cache = linux(call.guest).slabs.cache_at(call.address or 0)
    for slab in cache.each_slab():
        free = cache.free_in(slab)
        yield from (address for address in cache.each_object(slab) if address not in free)


@walker("slab_free", start="required", guests=GUESTS)
def walk_slab_free(call: Call) -> Iterator[int]:
    """walk the objects of a cache that are free"""
    cache = linux(call.guest).slabs.cache_at(call.address or 0)
    for slab in cache.each_slab():
        yield from sorted(cache.free_in(slab))


@walker("slab_descriptor", start="required", guests=GUESTS)
def walk_slab_descriptor(call: Call) -> Iterator[int]:
    """walk the descriptors of a cache's slabs"""
    for slab in linux(call.guest).slabs.cache_at(call.address or 0).each_slab():
        yield slab.descriptor
