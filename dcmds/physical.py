"""Physical memory as illumos lists it: ::memseg_list ::memlist, the walkers memseg and memlist."""

from collections.abc import Iterable, Iterator

from formats.frames import Pfn, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.memory import each_memseg, each_range, read_range

GUESTS = ("illumos",)
LISTS = {"i": "phys_install", "a": "phys_avail", "v": "virt_avail"}


@walker("memseg", guests=GUESTS)
def walk_memseg(call: Call) -> Iterator[int]:
    """walk the memseg structures"""
    return each_memseg(illumos(call.guest))


@walker("memlist", start="required", guests=GUESTS)
def walk_memlist(call: Call) -> Iterator[int]:
    """walk a memlist from one of its nodes"""
    return each_range(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class MemsegRow:
    """A run of physical memory for which the kernel has page structures.

    addr: its struct memseg
    pages: its first page structure
    epages: the end of its page structures
    base: its first frame
    end: the frame behind its last
    """

    addr: Vaddr
    pages: Vaddr
    epages: Vaddr
    base: Pfn
    end: Pfn


MEMSEG = Text(
    "{addr:016x} {pages:016x} {epages:016x} {base:016x} {end:016x}",
    head=" ".join(f"{name:>16}" for name in ("ADDR", "PAGES", "EPAGES", "BASE", "END")),
)


@dcmd("memseg_list", address="optional", text=MEMSEG, row=MemsegRow, guests=GUESTS)
def memseg_list(call: Call) -> Iterator[MemsegRow]:
    """show memseg list

    Every run of physical memory, or the one at the address.

    Reads: struct memseg from memsegs along next.

    Example:
        ::memseg_list
    """
    guest = illumos(call.guest)
    for address in each_memseg(guest) if call.address is None else [call.address]:
        found = guest.objects.at("struct memseg", address)
        pages, epages = Vaddr(int(found["pages"])), Vaddr(int(found["epages"]))
        yield MemsegRow(Vaddr(address), pages, epages, Pfn(found["pages_base"]), Pfn(found["pages_end"]))


@dataclass(frozen=True)
class RangeRow:
    """A run of memory in a list.

    addr: its struct memlist
    base: its first byte
    size: how many bytes
    list: the variable that the list begins at, null for one that was named by its address
    """

    addr: Vaddr
    base: Hex
    size: Hex
    list: str | None


def range_lines(rows: Iterable[RangeRow], _: Show) -> Iterator[str]:
    """The head and a line a run, for each list below its name."""
    before: object = None
    for number, row in enumerate(rows):
        if row.list is not None and row.list != before:
            yield f"{row.list}:"
        if number == 0 or row.list != before:
            yield f"{'ADDR':>16} {'BASE':>16} {'SIZE':>16}"
        before = row.list
        yield f"{row.addr:016x} {row.base:>16x} {row.size:>16x}"


@dcmd(
    "memlist",
    address="optional",
    flags=(
        Flag("i", "the memory that is installed"),
        Flag("a", "the memory that was free when the kernel started"),
        Flag("v", "the virtual addresses that were free then"),
    ),
    text=range_lines,
    row=RangeRow,
    guests=GUESTS,
)
def memlist(call: Call) -> Iterator[RangeRow]:
    """display a struct memlist

    The node at the address, or the kernel's lists of memory: the installed one unless options name others.

    Reads: struct memlist from phys_install, phys_avail and virt_avail.

    Example:
        ::memlist -iav
    """
    guest = illumos(call.guest)
    if call.address is not None:
        found = read_range(guest, call.address)
        yield RangeRow(Vaddr(found.address), Hex(found.base), Hex(found.size), None)
        return
    wanted = [name for letter, name in LISTS.items() if letter in call.flags] or [LISTS["i"]]
    for name in wanted:
        for address in each_range(guest, guest.variable(name)):
            found = read_range(guest, address)
            yield RangeRow(Vaddr(address), Hex(found.base), Hex(found.size), name if len(wanted) > 1 else None)
