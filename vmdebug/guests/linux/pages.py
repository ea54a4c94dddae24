"""Page descriptors and the direct map: from a pfn to its struct page and its address, and back.

The descriptors are an array at `vmemmap_base`; physical memory is mapped as one piece at `page_offset_base`. Kernels
that do not move them (before 4.8, or built without) have both at fixed places, the direct map at one of two. On 32 bits
the array is where `mem_map` points, and the direct map, which begins the kernel's half, ends at `high_memory`.
Specified in: Documentation/arch/x86/x86_64/mm.rst.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, PAGE_SIZE, Vaddr
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.types.model import Enum

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

DIRECT_MAPS = (0xFFFF_8880_0000_0000, 0xFFFF_8800_0000_0000)  # since 4.20, and before
VMEMMAP = 0xFFFF_EA00_0000_0000
DIRECT_SIZE = 1 << 46  # 64 TiB with 4 levels of page tables; nothing has more
MAX_NODES, MAX_ZONES = 1024, 16
CHUNK = 1 << 15  # descriptors that are read in one go
TYPE_SHIFT = 24  # 6.12 and later: the type of a page is the top byte of page_type

NO_TYPE = 0xFF  # the word counts mappings then


@dataclass(frozen=True)
class Zone:
    """A zone of a node's memory; counts are in pages."""

    address: int
    node: int
    name: str
    start: int
    spanned: int
    present: int
    managed: int


class Pages:
    """The page descriptors of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self._enums: dict[str, dict[str, int]] = {}

    @cached_property
    def direct(self) -> int:
        """Where physical memory is mapped."""
        if self._linux.word == 4:
            return self._linux.image.half
        if self._linux.names.find("page_offset_base"):
            return self._linux.read_word("page_offset_base")
        for base in DIRECT_MAPS:
            try:
                if self._linux.space.translate(Vaddr(base)).pfn == 0:
                    return base
            except ReadFailed:
                continue
        return DIRECT_MAPS[0]

    @cached_property
    def descriptors(self) -> int:
        """Where the array of struct page begins; DebuggerError where there are several."""
        if self._linux.word == 4:
            return self._linux.read_word("mem_map")
        return self._linux.read_word("vmemmap_base") if self._linux.names.find("vmemmap_base") else VMEMMAP

    @cached_property
    def size(self) -> int:
        """The size of a struct page."""
        return self._linux.objects.sizeof("struct page")

    @cached_property
    def directly_mapped(self) -> int:
        """The first pfn behind those that the direct map has."""
        if self._linux.word == 4 and self._linux.names.find("high_memory"):
            return (self._linux.read_word("high_memory") - self.direct) >> PAGE_SHIFT
        return self.end

    @cached_property
    def zones(self) -> list[Zone]:
        """The zones that have memory, by their first pfn."""
        return sorted(self._each_zone(), key=lambda zone: zone.start)

    @cached_property
    def end(self) -> int:
        """The first pfn behind all memory."""
        return max((zone.start + zone.spanned for zone in self.zones), default=0)

    def address_of(self, pfn: int) -> int:
        """The struct page of a pfn."""
        return self.descriptors + pfn * self.size

    def pfn_of(self, page: int) -> int | None:
        """The pfn whose struct page an address lies in; None outside the array."""
        pfn = (page - self.descriptors) // self.size
        return pfn if 0 <= pfn < self.end else None

    def mapped_at(self, pfn: int) -> int:
        """The address of a pfn in the direct map."""
        return self.direct + (pfn << PAGE_SHIFT)

    def pfn_at(self, vaddr: int) -> int | None:
        """The pfn that an address of the direct map belongs to; None outside it."""
        pfn = (vaddr - self.direct) >> PAGE_SHIFT
        return pfn if 0 <= pfn < self.directly_mapped else None

    def page(self, pfn: int) -> "Typed":
        """The descriptor of a pfn."""
        found: Typed = self._linux.objects.at("struct page", self.address_of(pfn))
        return found

    def head_of(self, pfn: int) -> int:
        """The first pfn of the compound page that a pfn belongs to; the pfn itself if it is none's tail."""
        page = self.page(pfn)
        if "first_page" in page and "compound_head" not in page:  # before 4.4 a flag tells a tail
            return (self.pfn_of(int(page["first_page"])) or pfn) if "tail" in self.flags(pfn)[1] else pfn
        value = int(page["compound_info" if "compound_info" in page else "compound_head"])
        if not value & 1:
            return pfn
        if value >> 32 == 0xFFFF_FFFF:  # 7.1 and later: a mask for the descriptor's own address
            return self.pfn_of(page.address_ & (value - 1)) or pfn
        return self.pfn_of(value - 1) or pfn

    def flags(self, pfn: int) -> tuple[int, list[str]]:
        """The flags of a page, and their names."""
        page = self.page(pfn)
        held = page["flags"]
        value = int(held) if isinstance(held, int) else int(page["flags.f"])
        return value, [name for bit, name in self._flag_names.items() if value >> bit & 1]

    @cached_property
    def _flag_names(self) -> dict[int, str]:
        """The names of flags by their bits: several that share one have the first's."""
        names: dict[int, str] = {}
        for name, bit in self.enum("pageflags").items():
            if name.startswith("PG_"):
                names.setdefault(bit, name.removeprefix("PG_"))
        return names

    def kind(self, pfn: int) -> str:
        """What the descriptor's type says that a page is for; "" where it says nothing."""
        page = self.page(pfn)
        if "page_type" not in page:
            return ""
        number = int(page["page_type"]) >> TYPE_SHIFT & 0xFF
        if number == NO_TYPE:
            return ""
        named = (name for name, value in self.enum("pagetype").items() if value == number)
        return next(named, "").removeprefix("PGTY_")

    def enum(self, name: str) -> dict[str, int]:
        """The values of an enum by name; none where the kernel has no such enum."""
        found = self._enums.get(name)
        if found is None:
            found = self._enums[name] = self._read_enum(name)
        return found

    def _read_enum(self, name: str) -> dict[str, int]:
        if not self._linux.types.knows(f"enum {name}"):
            return {}
        found = self._linux.types.find(f"enum {name}").complete()
        return dict(found.values) if isinstance(found, Enum) else {}

    def each_descriptor(self) -> Iterator[tuple[int, bytes]]:
        """The descriptors of all memory, as the first pfn and the bytes of as many as could be read in one go."""
        for zone in self.zones:
            for first in range(zone.start, zone.start + zone.spanned, CHUNK):
                count = min(CHUNK, zone.start + zone.spanned - first)
                yield from self._read(first, count)

    def _read(self, first: int, count: int) -> Iterator[tuple[int, bytes]]:
        start, size = self.address_of(first), count * self.size
        try:
            yield first, self._linux.space.read(start, size)
        except ReadFailed:
            if PAGE_SIZE % self.size:
                return
            for address, data in self._linux.space.each_readable(start, size):
                yield (address - self.descriptors) // self.size, data

    def _each_zone(self) -> Iterator[Zone]:
        objects = self._linux.objects
        for address in self._nodes():
            node = objects.at("struct pglist_data", address)
            for number in range(min(int(node["nr_zones"]), MAX_ZONES, len(node["node_zones"]))):
                zone = objects.at("struct zone", int(node["node_zones"].at(number)))
                if int(zone["spanned_pages"]):
                    yield _zone(zone, int(node["node_id"]))

    def _nodes(self) -> list[int]:
        """The struct pglist_data of every node."""
        names, read = self._linux.names, self._linux.space.read
        if names.find("node_data") is None:
            return [self._linux.address("contig_page_data")]
        symbol = names.find("node_data")
        word = self._linux.word
        size = min(symbol.size if symbol else 0, word * MAX_NODES)
        words = read(self._linux.address("node_data"), size)
        nodes = [int.from_bytes(words[at : at + word], "little") for at in range(0, size - size % word, word)]
        found = [node for node in nodes if node >= self._linux.image.half]
        if not found:
            raise DebuggerError("node_data names no node: the kernel's memory is not described")
        return found


def _zone(zone: "Typed", node: int) -> Zone:
    managed = zone["managed_pages"]
    return Zone(
        zone.address_,
        node,
        zone["name"].string(64),
        int(zone["zone_start_pfn"]),
        int(zone["spanned_pages"]),
        int(zone["present_pages"]),
        int(managed) if isinstance(managed, int) else int(zone["managed_pages.counter"]),
    )
