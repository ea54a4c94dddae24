"""What the guest's memory is used for, by the counters that /proc/meminfo is made of.

Counters are in pages, also those whose names end in _B; stacks are counted in KiB where the name says so. A processor
keeps small changes for itself before it adds them: they are not included, as in /proc/meminfo.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SIZE
from vmdebug.errors import DebuggerError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

MAX_COUNTERS = 512
KIB_A_PAGE = PAGE_SIZE >> 10


@dataclass(frozen=True)
class Use:
    """What some of the pages are used for."""

    key: str
    text: str
    pages: int


STACK_ENDS = (("__start_init_stack", "__end_init_stack"), ("__start_init_task", "__end_init_task"))
STACK_SIZES = (1 << 13, 1 << 14, 1 << 15)  # THREAD_SIZE: 8 KiB before 3.15 and on 32 bits, 32 with KASAN


def stack_size(linux: "Linux") -> int:
    """The size of a kernel stack: that of the first thread's, which lies in the image."""
    for start, end in STACK_ENDS:
        first, last = linux.names.find(start), linux.names.find(end)
        if first and last and last.value - first.value in STACK_SIZES:
            return last.value - first.value
    return STACK_SIZES[1] if linux.word == 8 else STACK_SIZES[0]


class Counters:
    """The kernel's counters of pages, by the names that it gives them."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux

    @cached_property
    def values(self) -> Mapping[str, int]:
        """Every counter, in pages; a change that was not yet added elsewhere may make one negative: it is zero then."""
        zone = self._items("zone_stat_item")
        if self._linux.names.find("vm_zone_stat") is None:  # before 4.8
            return self._read("vm_stat", zone)
        return self._read("vm_zone_stat", zone) | self._read("vm_node_stat", self._items("node_stat_item"))

    def _items(self, name: str) -> Mapping[str, int]:
        items = self._linux.pages.enum(name)
        if not items:
            raise DebuggerError(f"the kernel's types have no enum {name}: its counters of pages cannot be told apart")
        return items

    def _read(self, array: str, items: Mapping[str, int]) -> dict[str, int]:
        count = min(max(items.values()) + 1, MAX_COUNTERS)
        size = self._linux.word
        data = self._linux.space.read(self._linux.address(array), size * count)
        words = [int.from_bytes(data[at : at + size], "little", signed=True) for at in range(0, len(data), size)]
        return {name: max(words[number], 0) for name, number in items.items() if number < count}

    def pages(self, *names: str) -> int:
        """The first of the counters that this kernel has; 0 if it has none of them."""
        return next((self.values[name] for name in names if name in self.values), 0)

    @property
    def total(self) -> int:
        """The pages that the kernel manages."""
        for name in ("_totalram_pages", "totalram_pages"):
            if self._linux.names.find(name):
                return self._linux.read_word(name)
        return sum(zone.managed for zone in self._linux.pages.zones)

    @property
    def stacks(self) -> int:
        """Pages of kernel stacks."""
        if "NR_KERNEL_STACK_KB" in self.values:
            return self.values["NR_KERNEL_STACK_KB"] // KIB_A_PAGE
        return self.pages("NR_KERNEL_STACK") * stack_size(self._linux) // PAGE_SIZE

    @property
    def per_cpu(self) -> int:
        """Pages of per-CPU memory that was allocated."""
        names = self._linux.names
        if names.find("pcpu_nr_populated") is None:
            return 0
        units = int.from_bytes(self._linux.space.read(self._linux.address("pcpu_nr_units"), 4), "little")
        return self._linux.read_word("pcpu_nr_populated") * units

    @property
    def vmalloc(self) -> int:
        """Pages behind vmalloc areas, those of kernel stacks among them."""
        if "NR_VMALLOC" in self.values:
            return self.values["NR_VMALLOC"]
        return self._linux.read_word("nr_vmalloc_pages") if self._linux.names.find("nr_vmalloc_pages") else 0

    def each_use(self) -> Iterator[Use]:
        """What the pages that the kernel manages are used for; the last is what no counter tells."""
        shared = self.pages("NR_SHMEM")
        known = [
            Use("free", "Free", self.pages("NR_FREE_PAGES")),
            Use("anon", "Anonymous", self.pages("NR_ANON_MAPPED", "NR_ANON_PAGES")),
            Use("cache", "Page cache", max(self.pages("NR_FILE_PAGES") - shared, 0)),
            Use("shmem", "Shared memory", shared),
            Use("slab_reclaimable", "Slab, reclaimable", self.pages("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE")),
            Use("slab", "Slab, unreclaimable", self.pages("NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE")),
            Use("page_tables", "Page tables", self.pages("NR_PAGETABLE")),
            *self._kernel(),
        ]
        yield from known
        yield Use("kernel", "Other kernel", max(self.total - sum(use.pages for use in known), 0))

    def _kernel(self) -> Iterator[Use]:
        """Stacks that lie in vmalloc areas are counted there too: of those areas only the rest is shown."""
        stacks, vmalloc = self.stacks, self.vmalloc
        within = stacks if "stack_vm_area" in self._linux.objects.at("struct task_struct", 0) else 0
        yield Use("stacks", "Kernel stacks", stacks)
        yield Use("vmalloc", "Vmalloc", max(vmalloc - within, 0))
        yield Use("percpu", "Per-CPU", self.per_cpu)

    @property
    def reserved(self) -> int:
        """Pages that are there but were never given to the allocator: the kernel's image, the descriptors of pages."""
        return max(sum(zone.present for zone in self._linux.pages.zones) - self.total, 0)
