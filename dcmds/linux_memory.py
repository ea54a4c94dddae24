"""A Linux guest's memory as a whole: ::memstat, the walkers page and vmalloc."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from formats.frames import PAGE_SHIFT
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.memory import Counters, Use
from vmdebug.guests.linux.vmalloc import each_vmalloc

GUESTS = ("linux",)


@dataclass(frozen=True)
class UseRow:
    """What some of the memory is used for.

    pages: how many pages
    bytes: the same in bytes
    percent: of all memory that the kernel manages, null for what is not part of it
    key: a name for programs: free, anon, cache, shmem, slab_reclaimable, slab, page_tables, stacks, vmalloc, percpu,
        kernel, total, reserved, physical, or with -v the counter's own name
    text: the same for readers
    """

    pages: int
    bytes: int
    percent: int | None
    key: str
    text: str


def use_lines(rows: Iterable[UseRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'Page Summary':<22} {'Pages':>16} {'MB':>16} {'%Tot':>5}"
            yield f"{'-' * 22} {'-' * 16:>16} {'-' * 16:>16} {'----':>5}"
        if row.key == "total":
            yield ""
        percent = "" if row.percent is None else f"{row.percent}%"
        yield f"{row.text:<22} {row.pages:>16} {row.bytes >> 20:>16} {percent:>5}".rstrip()


@dcmd(
    "memstat",
    flags=(Flag("v", "every counter of pages by its own name"),),
    text=use_lines,
    row=UseRow,
    guests=GUESTS,
)
def memstat(call: Call) -> Iterator[UseRow]:
    """display memory usage summary

    What the memory that the kernel manages is used for, by the counters behind /proc/meminfo; what no counter tells is
    other kernel memory. Reserved memory was never given to the allocator: the kernel's image, descriptors of pages.

    Reads: vm_zone_stat and vm_node_stat (before 4.8 vm_stat) as enum zone_stat_item and enum node_stat_item number
    them, _totalram_pages or totalram_pages, pcpu_nr_populated, pcpu_nr_units, nr_vmalloc_pages; struct pglist_data
    (node_zones, nr_zones), struct zone (present_pages, managed_pages).

    Example:
        ::memstat
    """
    kernel = linux(call.guest)
    counters = Counters(kernel)
    total = counters.total
    for use in counters.each_use():
        yield _row(use, total)
    yield _row(Use("total", "Total", total), total)
    yield _row(Use("reserved", "Reserved", counters.reserved), None)
    yield _row(Use("physical", "Physical", total + counters.reserved), None)
    if "v" in call.flags:
        for name, pages in counters.values.items():
            yield _row(Use(name.lower(), name, pages), None)


def _row(use: Use, total: int | None) -> UseRow:
    percent = None if not total else round(100 * use.pages / total)
    return UseRow(use.pages, use.pages << PAGE_SHIFT, percent, use.key, use.text)


@walker("page", guests=GUESTS)
def walk_page(call: Call) -> Iterator[int]:
    """walk the struct page of every page of memory"""
    pages = linux(call.guest).pages
    for zone in pages.zones:
        for pfn in range(zone.start, zone.start + zone.spanned):
            yield pages.address_of(pfn)


@walker("vmalloc", guests=GUESTS)
def walk_vmalloc(call: Call) -> Iterator[int]:
    """walk the struct vmap_area of every area of the kernel's own virtual memory"""
    for area in each_vmalloc(linux(call.guest)):
        yield area.address
