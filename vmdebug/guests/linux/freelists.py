"""Free objects of a SLUB cache: on the slabs' own lists, on the lists that processors took for themselves, in sheaves.

A processor keeps objects on the list of its kmem_cache_cpu (until 6.19) or in sheaves (6.18 and later). Lists may be
obscured (CONFIG_SLAB_FREELIST_HARDENED): each link is then the next object's address, a random number of the cache and
the link's own place, its bytes swapped in 5.7 and later, xored.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from vmdebug.errors import ReadFailed

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.guests.linux.slabs import Cache
    from vmdebug.types.typed import Typed

MAX_SHEAF = 1 << 12
MAX_SHEAVES = 1 << 16


class FreeObjects:
    """The free objects of one cache."""

    def __init__(self, linux: "Linux", cache: "Cache") -> None:
        self._linux = linux
        self._cache = cache
        self._struct: Typed = cache.struct

    @cached_property
    def kept(self) -> set[int]:
        """Free objects that processors keep for themselves."""
        on_cpus = self._on_cpus() if "cpu_slab" in self._struct else set()
        return on_cpus | (self._in_sheaves() if "cpu_sheaves" in self._struct else set())

    def _on_cpus(self) -> set[int]:
        found: set[int] = set()
        per_cpu = self._linux.per_cpu
        for cpu in per_cpu.cpus:
            place = per_cpu.moved(int(self._struct["cpu_slab"]), cpu)
            own = self._linux.objects.at("struct kmem_cache_cpu", place)
            slab = self._cache.slab_at(int(own["slab" if "slab" in own else "page"]))
            if slab:
                found |= self.listed(int(own["freelist"]), set(self._cache.each_object(slab)))
        return found

    def _in_sheaves(self) -> set[int]:
        """Objects in the processors' sheaves and in the nodes' full ones."""
        found: set[int] = set()
        offset = self._linux.objects.offsetof("struct slab_sheaf", "objects") if self._with_sheaves else 0
        for sheaf in self._each_sheaf():
            count = int(sheaf["size"])
            if 0 < count <= MAX_SHEAF:
                found.update(map(int, self._linux.objects.array("unsigned long", sheaf.address_ + offset, count)))
        return found

    @property
    def _with_sheaves(self) -> bool:
        return bool(self._struct["sheaf_capacity"])

    def _each_sheaf(self) -> Iterator["Typed"]:
        if not self._with_sheaves:
            return
        objects, per_cpu = self._linux.objects, self._linux.per_cpu
        for cpu in per_cpu.cpus:
            own = objects.at("struct slub_percpu_sheaves", per_cpu.moved(int(self._struct["cpu_sheaves"]), cpu))
            yield from (own[name].deref() for name in ("main", "spare", "rcu_free") if own[name])
        for barn in self._barns():
            head = int(barn.refer_("sheaves_full"))
            for address in self._linux.each_listed(head, "struct slab_sheaf", "barn_list", MAX_SHEAVES):
                yield objects.at("struct slab_sheaf", address)

    def _barns(self) -> Iterator["Typed"]:
        nodes = self._cache.nodes
        if "per_node" in self._struct:
            found = [self._struct["per_node"].at(number)["barn"] for number in range(len(nodes))]
        else:
            found = [getattr(node, "barn", None) for node in nodes]
        return (barn.deref() for barn in found if barn)

    def listed(self, first: int, places: set[int]) -> set[int]:
        """The objects on a free list; none where the list leads out of its slab under every way to read it."""
        for reading in self._readings:
            found = self._follow(first, places, reading)
            if found is not None:
                return found
        return set()

    def _follow(self, first: int, places: set[int], reading: Callable[[int, int], int]) -> set[int] | None:
        found: set[int] = set()
        offset = int(self._struct["offset"])
        while first:
            if first not in places or first in found:
                return None
            found.add(first)
            try:
                first = reading(self._linux.read_word(first + offset), first + offset)
            except ReadFailed:
                return found
        return found

    @cached_property
    def _readings(self) -> Sequence[Callable[[int, int], int]]:
        """The ways in which this kernel may store a link: of the word and of the place that it is stored at."""
        if "random" not in self._struct:
            return [lambda word, _: word]
        key = int(self._struct["random"])
        size = self._linux.word
        return [lambda word, place: word ^ key ^ swapped(place, size), lambda word, place: word ^ key ^ place]


def swapped(word: int, size: int) -> int:
    """A word of so many bytes with these in the opposite order."""
    return int.from_bytes(word.to_bytes(size, "little"), "big")
