"""Translation through the kernel's own record of its page tables: ::vatopfn on illumos."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Mfn, Pfn, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.guests.illumos.kernel import illumos


@dataclass(frozen=True)
class TableEntry:
    """The page-table entry of an address at one level.

    level: 0 for the last one
    htable: the kernel's record of the table
    pte: the entry
    """

    level: int
    htable: Vaddr
    pte: Hex


@dataclass(frozen=True)
class PageFrame:
    """What an address maps to.

    pfn: the guest's own number of the frame
    vaddr: the address
    mfn: the machine frame, null where page tables hold the guest's own numbers
    size: bytes of the page
    levels: the page-table entries, the lowest level first
    """

    pfn: Pfn
    vaddr: Vaddr
    mfn: Mfn | None
    size: int
    levels: Sequence[TableEntry]


def frame_lines(rows: Iterable[PageFrame], show: Show) -> Iterator[str]:
    """A line a level, then the frame; only the frame's number where the text goes into a pipe."""
    for row in rows:
        if show.piped:
            yield f"0x{row.pfn:x}"
            continue
        for entry in row.levels:
            yield f"\tlevel={entry.level} htable=0x{entry.htable:x} pte=0x{entry.pte:x}".expandtabs(8)
        machine = "" if row.mfn is None else f" (mfn 0x{row.mfn:x})"
        yield f"Virtual address 0x{row.vaddr:x} maps pfn 0x{row.pfn:x}{machine}"


@dcmd(
    "vatopfn",
    address="required",
    flags=(Flag("a", "the address space, a struct as", "number", "as"),),
    text=frame_lines,
    row=PageFrame,
    guests=("illumos",),
)
def vatopfn(call: Call) -> Iterator[PageFrame]:
    """translate address to physical page

    Looks the address up in the hash in which the kernel keeps a record of every page table, in its own address space
    or in that of -a, and shows the entry of each level, the lowest first. The frame of a large page is its first.

    Reads: struct as (a_hat), hat_t (hat_ht_hash, hat_num_hash), htable_t (ht_next, ht_vaddr, ht_level, ht_flags,
    ht_pfn), struct hat_mmu_info (max_level, level_shift, ptes_per_table), the page tables.

    Example:
        fffffffffbc4b7f0::vatopfn
    """
    tables = illumos(call.guest).page_tables(call.flags.get("a"))
    for vaddr in call.addresses:
        frame = tables.find(vaddr)
        levels = [TableEntry(each.level, Vaddr(each.htable), Hex(each.pte)) for each in frame.entries]
        yield PageFrame(frame.pfn, Vaddr(vaddr), Mfn(frame.gfn) if tables.machine else None, frame.size, levels)
