"""Memory as the kernel lists it: segments of address spaces, physical memory, the allocators' caches and arenas.

Specified in: vm/seg.h, vm/page.h, sys/memlist.h, sys/kmem_impl.h, sys/vmem_impl.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.guests.memory import each_link
from vmdebug.types.lists import each_avl, each_listed
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_RANGES = 1 << 16
MAX_CACHES = 1 << 16


@dataclass(frozen=True)
class Range:
    """A node of a memlist: where it lies, and the bytes that it names."""

    address: int
    base: int
    size: int


def each_segment(guest: "Illumos", space: int) -> Iterator[int]:
    """The struct seg of an address space, the lowest first."""
    yield from each_avl(guest.objects, int(guest.objects.at("struct as", space).refer_("a_segtree")))


def each_memseg(guest: "Illumos") -> Iterator[int]:
    """Every struct memseg."""
    return each_link(guest.follow("struct memseg", "next"), guest.variable("memsegs"), MAX_RANGES)


def each_range(guest: "Illumos", first: int) -> Iterator[int]:
    """The nodes of a memlist."""
    return each_link(guest.follow("struct memlist", _memlist(guest)["next"]), first, MAX_RANGES)


def read_range(guest: "Illumos", address: int) -> Range:
    """A node of a memlist."""
    names, node = _memlist(guest), guest.objects.at("struct memlist", address)
    return Range(address, node[names["address"]], node[names["size"]])


def _memlist(guest: "Illumos") -> dict[str, str]:
    """What the members of struct memlist are called: since 2010 with `ml_` before their names."""
    prefix = "ml_" if "ml_address" in guest.objects.at("struct memlist", 0) else ""
    return {name: prefix + name for name in ("address", "size", "next")}


def each_cache(guest: "Illumos") -> Iterator[int]:
    """Every kmem_cache_t: those in the list kmem_caches, in kernels before 2008 a ring through kmem_null_cache."""
    caches = guest.symbols.find("kmem_caches")
    if caches is not None:
        yield from each_listed(guest.objects, caches.value)
        return
    head = guest.symbol("kmem_null_cache").value
    follow = guest.follow("kmem_cache_t", "cache_next")
    yield from (cache for cache in each_link(follow, head, MAX_CACHES) if cache != head)


@dataclass(frozen=True)
class Arena:
    """An arena of the allocator of address ranges: `depth` counts the arenas that it takes its memory through."""

    address: int
    name: str
    depth: int
    used: int
    total: int
    imported: int
    allocations: int
    failures: int


def each_arena(guest: "Illumos") -> Iterator[tuple[int, int]]:
    """Every arena with its depth: each before those that take their memory from it.

    Those that take memory from each other, which only damage can make, come last.
    """
    follow, source = guest.follow("vmem_t", "vm_next"), guest.follow("vmem_t", "vm_source")
    arenas = dict.fromkeys(each_link(follow, guest.variable("vmem_list"), MAX_CACHES))
    below: dict[int, list[int]] = {}
    for arena in arenas:
        above = source(arena)
        below.setdefault(above if above in arenas else 0, []).append(arena)
    pending = [(arena, 0) for arena in reversed(below.get(0, []))]
    while pending:
        arena, depth = pending.pop()
        del arenas[arena]
        yield arena, depth
        pending.extend((each, depth + 1) for each in reversed(below.get(arena, [])))
    yield from ((arena, 0) for arena in arenas)


def read_arena(guest: "Illumos", address: int, depth: int) -> Arena:
    found = guest.objects.at("vmem_t", address)
    names = ("vk_mem_inuse", "vk_mem_total", "vk_mem_import", "vk_alloc", "vk_fail")
    counts = (int(found[f"vm_kstat.{name}.value.ui64"]) for name in names)
    return Arena(address, found["vm_name"].string(), depth, *counts)


def find_symbol(guest: "Illumos", address: int) -> str | None:
    """The name of the variable that lies exactly at an address."""
    near = guest.symbols.nearest(address)
    return near[0].name if near and near[0].value == address else None


def segment(guest: "Illumos", address: int) -> Typed:
    """A struct seg."""
    found: Typed = guest.objects.at("struct seg", address)
    return found
