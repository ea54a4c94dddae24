"""The kernel's own record of page tables: ::ptable ::htables ::report_maps of illumos."""

from collections.abc import Iterable, Iterator

from formats.frames import PAGE_SHIFT, Gfn, Pfn, Vaddr
from formats.lazy import dataclass
from vmdebug import paging
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.frames import FrameMap
from vmdebug.guests.illumos.hats import Hat, Htable, each_hat
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.ptes import LEVEL, Pte, describe, level_of, pte_line

GUESTS = ("illumos",)
MACHINE = Flag("m", "the address is a machine frame")


@dataclass(frozen=True)
class HtableAddress:
    """The kernel's record of a page table.

    addr: its htable
    level: its level, 0 is the last
    vaddr: the first address that it maps
    pfn: the frame in which it lies
    """

    addr: Vaddr
    level: int
    vaddr: Vaddr
    pfn: Pfn


@dcmd("htables", address="required", text=Text("{addr:x}"), row=HtableAddress, guests=GUESTS)
def htables(call: Call) -> Iterator[HtableAddress]:
    """list the htables of a hat

    In the order of the hash in which the hat keeps them.

    Reads: hat_ht_hash of hat_t, htable_t along ht_next.

    Example:
        kas::print struct as a_hat | ::htables
    """
    for address in call.addresses:
        hat = Hat(illumos(call.guest), address)
        for table in hat.tables.values():
            yield HtableAddress(Vaddr(table.address), table.level, table.vaddr, table.pfn)
        if hat.failed:
            call.warn(f"the htables of hat {address:x} end here: {hat.failed}")


@dataclass(frozen=True)
class Use:
    """What uses a frame: a mapping, or a page table that lies in it.

    hat: the hat
    vaddr: the address that maps the frame, null for a page table
    htable: the page table that lies in the frame, null for a mapping
    """

    hat: Vaddr
    vaddr: Vaddr | None
    htable: Vaddr | None


def use_lines(rows: Iterable[Use], _: Show) -> Iterator[str]:
    for row in rows:
        if row.htable is not None:
            yield f"Pagetable for hat={row.hat:x} htable={row.htable:x}"
        else:
            yield f"hat={row.hat:x} maps addr={row.vaddr or 0:x}"


@dcmd("report_maps", address="required", flags=(MACHINE,), text=use_lines, row=Use, guests=GUESTS)
def report_maps(call: Call) -> Iterator[Use]:
    """given PFN, report mappings and page tables that use it

    Every entry of every page table of every hat is looked at. A table that is not in the image is reported.

    Reads: hat_t from kas along hat_next, htable_t, the page tables.

    Example:
        fffffffffbc4b7f0::vatopfn | ::report_maps
    """
    guest = illumos(call.guest)
    for frame in call.addresses:
        pfn, gfn = _frame(call, guest, frame)
        for hat in each_hat(guest):
            try:
                tables = [table for table in hat.tables.values() if table.pfn == pfn]
                yield from (Use(Vaddr(hat.address), None, Vaddr(table.address)) for table in tables)
                yield from (Use(Vaddr(hat.address), Vaddr(vaddr), None) for vaddr in hat.each_mapping(gfn))
            except DebuggerError as err:
                call.warn(f"hat {hat.address:x}: {err}")


def _frame(call: Call, guest: Illumos, number: int) -> tuple[Pfn, Gfn]:
    """A frame by the guest's own number, and by that in page tables."""
    frames = FrameMap(guest)
    if "m" in call.flags:
        return frames.pfn_of(Gfn(number)), Gfn(number)
    mfn = frames.mfn_of(Pfn(number))
    if mfn is None and not call.target.image.about.translated:
        raise DebuggerError(f"Invalid pfn {number:x}")
    return Pfn(number), Gfn(number if mfn is None else mfn)


@dataclass(frozen=True)
class TableEntry(Pte):
    """An entry of a page table.

    pte: the entry
    frame: the frame's number in it
    space: what counts that number, pfn or mfn
    flags: the names of the bits that are set
    present: whether it maps anything
    index: its number in the table
    vaddr: the first address that it maps
    htable: the kernel's record of the table, null where there is none
    """

    htable: Vaddr | None = None


def table_lines(rows: Iterable[TableEntry], _: Show) -> Iterator[str]:
    """The htable, then a line an entry."""
    for number, row in enumerate(rows):
        if number == 0 and row.htable is not None:
            yield f"htable={row.htable:x}"
        yield pte_line(row)


@dcmd("ptable", address="required", flags=(MACHINE, LEVEL), text=table_lines, row=TableEntry, guests=GUESTS)
def ptable(call: Call) -> Iterator[TableEntry]:
    """print contents of page table

    The address is the frame of the table. Its level and the addresses that it maps are those of the kernel's record of
    it; where there is none, the level is that of -l, and addresses count from 0. Entries of zero are left out.

    Reads: hat_t from kas along hat_next, htable_t, the page table.

    Example:
        kas::print struct as a_hat | ::htables | ::head 1 | ::print htable_t ht_pfn | ::ptable
    """
    guest = illumos(call.guest)
    for number in call.addresses:
        pfn, _ = _frame(call, guest, number)
        found = _find(guest, pfn)
        level = level_of(call)
        if found is None:
            call.warn(f"couldn't find matching htable, using level={level:x}, base address=0x0")
            yield from _bare(call, guest, pfn, level)
            continue
        hat, table = found
        if "l" in call.flags and level != table.level:
            call.warn(f"htable has level {table.level} but forcing level {level}")
        level = level if "l" in call.flags else table.level
        for index, entry in enumerate(hat.entries(table)):
            if entry:
                yield _row(call, entry, level, index, hat.vaddr_of(table, index, level), table)


def _find(guest: Illumos, pfn: Pfn) -> tuple[Hat, Htable] | None:
    """The htable of the table that lies in a frame."""
    for hat in each_hat(guest):
        for table in hat.tables.values():
            if table.pfn == pfn and not table.in_hat:
                return hat, table
    return None


def _bare(call: Call, guest: Illumos, pfn: Pfn, level: int) -> Iterator[TableEntry]:
    """The entries of a table that the kernel has no record of."""
    mode = call.target.mode or paging.MODES["4-level"]
    shift = mode.shifts[mode.levels - 1 - level]
    for index, (entry,) in enumerate(mode.entry.iter_unpack(FrameMap(guest).read(pfn, 0, 1 << PAGE_SHIFT))):
        if entry:
            yield _row(call, entry, level, index, Vaddr(index << shift), None)


def _row(call: Call, entry: int, level: int, index: int, vaddr: Vaddr, table: Htable | None) -> TableEntry:
    told = describe(call, entry, level, index, vaddr)
    htable = None if table is None else Vaddr(table.address)
    return TableEntry(told.pte, told.frame, told.space, told.flags, told.present, index, vaddr, htable)
