"""Pages of physical memory as illumos keeps them: ::page ::page_num2pp ::memstat, the walkers page and allpages."""

from collections.abc import Iterable, Iterator

from formats.frames import Pfn, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Show, Text, dcmd, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.pages import each_hashed, each_of_vnode, each_page, find_page, megabytes, summarise

GUESTS = ("illumos",)


@walker("page", start="optional", guests=GUESTS)
def walk_page(call: Call) -> Iterator[int]:
    """walk all pages that have a name, or those of a vnode"""
    guest = illumos(call.guest)
    return each_hashed(guest) if call.address is None else each_of_vnode(guest, call.address)


@walker("allpages", guests=GUESTS)
def walk_allpages(call: Call) -> Iterator[int]:
    """walk all pages, including free ones"""
    return each_page(illumos(call.guest))


@dataclass(frozen=True)
class PageRow:
    """A page of physical memory.

    addr: its page_t
    vnode: the vnode that it belongs to, 0 for a page without a name
    offset: where in that vnode it lies, in bytes
    selock: its shared or exclusive lock
    lockcnt: how often its data are locked in memory
    cowcnt: how often they are locked for copy on write
    iolock: the state of its lock for input and output
    fsdata: a byte for the file system
    state: bits of its state: 80 is free, 40 does not move
    """

    addr: Vaddr
    vnode: Vaddr
    offset: Hex
    selock: Hex
    lockcnt: int
    cowcnt: int
    iolock: Hex
    fsdata: Hex
    state: Hex


PAGE = Text(
    "{addr:016x} {vnode:>16x} {offset:>16x} {selock:>8x} {lockcnt:>3} {cowcnt:>3} {iolock:>2x} {fsdata:>2x} "
    "{state:>2x}",
    head=f"{'PAGE':>16} {'VNODE':>16} {'OFFSET':>16} {'SELOCK':>8} LCT COW IO FS ST",
)


@dcmd("page", address="optional", text=PAGE, row=PageRow, guests=GUESTS)
def page(call: Call) -> Iterator[PageRow]:
    """display a summarized page_t

    The page structure at the address, or every page that has a name.

    Reads: page_t (p_vnode, p_offset, p_selock, p_lckcnt, p_cowcnt, p_iolock_state, p_fsdata, p_state); without an
    address page_hash of page_hashsz chains along p_hash.

    Example:
        kvp::walk page | ::page
    """
    guest = illumos(call.guest)
    for address in each_hashed(guest) if call.address is None else call.addresses:
        found = guest.objects.at("page_t", address)
        yield PageRow(
            addr=Vaddr(address),
            vnode=Vaddr(int(found["p_vnode"])),
            offset=Hex(found["p_offset"] & (1 << 64) - 1),
            selock=Hex(found["p_selock"] & (1 << 32) - 1),
            lockcnt=found["p_lckcnt"],
            cowcnt=found["p_cowcnt"],
            iolock=Hex(found["p_iolock_state"]),
            fsdata=Hex(found["p_fsdata"]),
            state=Hex(found["p_state"]),
        )


@dataclass(frozen=True)
class PageAddress:
    """The page structure of a frame.

    addr: the page_t
    pfn: the frame
    """

    addr: Vaddr
    pfn: Pfn


@dcmd("page_num2pp", address="required", text=Text("{pfn:x} has page_t at {addr:#x}"), row=PageAddress, guests=GUESTS)
def page_num2pp(call: Call) -> Iterator[PageAddress]:
    """convert pfn to page_t

    Reads: struct memseg (pages, epages, pages_base, pages_end) from memsegs along next.

    Example:
        123::page_num2pp | ::page
    """
    for pfn in call.addresses:
        yield PageAddress(Vaddr(find_page(illumos(call.guest), pfn)), Pfn(pfn))


@dataclass(frozen=True)
class UseRow:
    """What some of the memory is used for.

    use: the use, as the text names it
    pages: how many pages
    megabytes: the same in megabytes, rounded down
    percent: of all that the kernel may use, null for the sums
    """

    use: str
    pages: int
    megabytes: int
    percent: int | None


def use_lines(rows: Iterable[UseRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'Page Summary':<17}{'Pages':>16}  {'MB':>16}  %Tot"
            yield f"{'-' * 12:<17}{'-' * 16}  {'-' * 16}  ----"
        if row.use == "Total":
            yield ""
        percent = "" if row.percent is None else f"  {row.percent:>3}%"
        yield f"{row.use:<17}{row.pages:>16}  {row.megabytes:>16}{percent}"


@dcmd("memstat", text=use_lines, row=UseRow, guests=GUESTS)
def memstat(call: Call) -> Iterator[UseRow]:
    """display memory usage summary

    What each page is used for, by the vnode that it belongs to. Pages that belong to none are on the freelist; under
    Xen some of them are with the hypervisor. Percentages are of the memory that the kernel may use (physmem); all that
    the machine has is shown where that is more.

    Reads: page_t (p_vnode, p_state) of every struct memseg, v_flag of vnode_t, kvp or kvps, unused_pages_vp, physmem,
    total_pages, bln_stats.

    Example:
        ::memstat
    """
    found = summarise(illumos(call.guest))
    if found.bytes_missing:
        call.warn(f"{found.bytes_missing} bytes of page structures are not in the image; their pages count as free")
    if found.unknown:
        call.warn(f"{found.unknown} pages belong to vnodes that cannot be read; they are not shown")
    for use, pages in found.uses.items():
        percent = (1000 * pages + 5 * found.total) // (10 * found.physical) if found.physical else None
        yield UseRow(use, pages, megabytes(pages), percent)
    yield UseRow("Total", found.physical, megabytes(found.physical), None)
    if found.total != found.physical:
        yield UseRow("Physical", found.total, megabytes(found.total), None)
