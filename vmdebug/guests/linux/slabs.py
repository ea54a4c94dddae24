"""SLUB: the kernel's caches of objects, their slabs, and which objects are in use.

A slab belongs to the cache that its descriptor names. What is free in it is told by `freelists`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.freelists import FreeObjects
from vmdebug.guests.linux.lists import each_listed
from vmdebug.types.model import Type

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

OBJECTS_MASK, ORDER_SHIFT = 0xFFFF, 16  # of kmem_cache_order_objects.x
MAX_ORDER = 11
MAX_CACHES = 1 << 16
MAX_PARTIAL = 1 << 16
MAX_NODES = 1024


@dataclass(frozen=True)
class Slab:
    """A slab: its descriptor, its memory, and how many of its objects are on no free list."""

    descriptor: int
    start: int
    objects: int
    used: int


class Slabs:
    """All caches of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self.linux = linux

    def each_cache(self) -> Iterator["Cache"]:
        """Every cache, by the kernel's own list; DebuggerError where that is broken."""
        for address in self.linux.each_listed("slab_caches", "struct kmem_cache", "list", MAX_CACHES):
            yield Cache(self, address)

    def cache_at(self, address: int) -> "Cache":
        """The cache whose struct kmem_cache lies at an address; DebuggerError if none does."""
        for cache in self.each_cache():
            if cache.address == address:
                return cache
        raise DebuggerError(f"{address:x} is not the kmem_cache of a cache")

    def holding(self, vaddr: int) -> "tuple[Cache, Slab] | None":
        """The cache and the slab whose memory an address of the direct map lies in; None if it is no slab's."""
        pages = self.linux.pages
        pfn = pages.pfn_at(vaddr)
        if pfn is None:
            return None
        head = pages.head_of(pfn)
        owner = int(self.descriptor(pages.address_of(head))["slab_cache"])
        if not self.is_slab(head) or owner not in {cache.address for cache in self.each_cache()}:
            return None
        cache = Cache(self, owner)
        slab = cache.slab_at(pages.address_of(head))
        return (cache, slab) if slab else None

    @cached_property
    def kind(self) -> Type:
        """What describes a slab: struct slab, before 5.17 struct page itself."""
        types = self.linux.types
        return types.find("struct slab" if types.knows("struct slab") else "struct page")

    def descriptor(self, address: int) -> "Typed":
        found: Typed = self.linux.objects.at(self.kind, address)
        return found

    def is_slab(self, pfn: int) -> bool:
        """True if a page's descriptor is one of a slab, by its flag (before 6.10) or its type, or neither tells."""
        pages = self.linux.pages
        bit = pages.enum("pageflags").get("PG_slab")
        if bit is not None:
            return bool(pages.flags(pfn)[0] >> bit & 1)
        return pages.kind(pfn) == "slab" if pages.enum("pagetype") else True

    @cached_property
    def descriptors(self) -> Mapping[int, Sequence[int]]:
        """The descriptors of slabs, by the cache that each belongs to, out of those of all pages."""
        import numpy as np

        pages = self.linux.pages
        word = self.linux.word
        caches = np.array(sorted(cache.address for cache in self.each_cache()), dtype=f"<u{word}")
        at = self.linux.objects.offsetof(self.kind, "slab_cache") // word
        found: dict[int, list[int]] = {}
        for first, data in pages.each_descriptor():
            whole = memoryview(data)[: len(data) // pages.size * pages.size]
            owners = np.frombuffer(whole, dtype=f"<u{word}").reshape(-1, pages.size // word)[:, at]
            for index in np.flatnonzero(np.isin(owners, caches)).tolist():
                if self.is_slab(first + index):
                    found.setdefault(int(owners[index]), []).append(pages.address_of(first + index))
        return found


class Cache:
    """One struct kmem_cache."""

    def __init__(self, slabs: Slabs, address: int) -> None:
        self._slabs = slabs
        self._linux = slabs.linux
        self._pages = slabs.linux.pages
        self.address = address
        self.struct: Typed = self._linux.objects.at("struct kmem_cache", address)

    @cached_property
    def name(self) -> str:
        return str(self.struct["name"].string(256))

    @property
    def object_size(self) -> int:
        return int(self.struct["object_size"])

    @property
    def size(self) -> int:
        """How far apart objects lie."""
        return int(self.struct["size"])

    @property
    def order(self) -> int:
        """A new slab has 2 to this power pages."""
        return min(int(self.struct["oo.x"]) >> ORDER_SHIFT, MAX_ORDER)

    @property
    def per_slab(self) -> int:
        return int(self.struct["oo.x"]) & OBJECTS_MASK

    @property
    def users(self) -> int:
        """How many caches were merged into this one; their names are lost."""
        return int(self.struct["refcount"])

    @cached_property
    def nodes(self) -> Sequence["Typed"]:
        """The struct kmem_cache_node of every node. The array is declared longer than it is."""
        count = min(max((zone.node for zone in self._pages.zones), default=0) + 1, MAX_NODES)
        if "per_node" in self.struct:  # since 7.1
            found = [self.struct["per_node"].at(number)["node"] for number in range(count)]
        else:
            found = [self.struct["node"].at(number) for number in range(count)]
        return [pointer.deref() for pointer in found if pointer]

    @property
    def slabs(self) -> int | None:
        """How many slabs there are; None where the kernel does not count them."""
        return self._counted("nr_slabs")

    @property
    def total(self) -> int | None:
        """How many objects all slabs have room for."""
        return self._counted("total_objects")

    def _counted(self, member: str) -> int | None:
        if not all(member in node for node in self.nodes):
            return None
        return sum(int(node[f"{member}.counter"]) for node in self.nodes)

    @property
    def active(self) -> int | None:
        """Objects on no slab's free list, as /proc/slabinfo counts: those that processors keep for themselves too."""
        total = self.total
        if total is None:
            return None
        partial = map(self.slab_at, self.each_partial())
        return total - sum(slab.objects - slab.used for slab in partial if slab)

    def each_partial(self) -> Iterator[int]:
        """The descriptors of the slabs that the nodes list as partly free."""
        member = "slab_list" if "slab_list" in self._slabs.descriptor(0) else "lru"
        offset = self._linux.objects.offsetof(self._slabs.kind, member)
        for node in self.nodes:
            head = int(node.refer_("partial"))
            yield from each_listed(self._linux.space.read, head, offset, MAX_PARTIAL, self._linux.word)

    def slab_at(self, descriptor: int) -> Slab | None:
        """The slab of a descriptor; None if that is outside all memory."""
        pfn = self._pages.pfn_of(descriptor)
        if pfn is None:
            return None
        slab = self._slabs.descriptor(descriptor)
        return Slab(descriptor, self._pages.mapped_at(pfn), int(slab["objects"]), int(slab["inuse"]))

    def each_slab(self) -> Iterator[Slab]:
        """Every slab of the cache, by a search through the descriptors of all pages."""
        for descriptor in self._slabs.descriptors.get(self.address, ()):
            slab = self.slab_at(descriptor)
            if slab and slab.objects > 0 and slab.objects * self.size <= 1 << (MAX_ORDER + PAGE_SHIFT):
                yield slab

    def each_object(self, slab: Slab) -> Iterator[int]:
        """The addresses of a slab's objects, used or not."""
        first = slab.start + int(getattr(self.struct, "red_left_pad", 0))
        yield from range(first, first + slab.objects * self.size, self.size)

    def free_in(self, slab: Slab) -> set[int]:
        """The objects of a slab that are free, wherever they are kept."""
        places = set(self.each_object(slab))
        first = int(self._slabs.descriptor(slab.descriptor)["freelist"])
        return self.free.listed(first, places) | (places & self.free.kept)

    @cached_property
    def free(self) -> FreeObjects:
        """The free objects on lists."""
        return FreeObjects(self._linux, self)
