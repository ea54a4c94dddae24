"""Frames and page-table entries: ::vtop ::vatopfn ::pfntomfn ::mfntopfn ::pte ::ptable."""

from collections.abc import Iterable, Iterator, Sequence

from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_SHIFT, Gfn, Mfn, Paddr, Pfn, Vaddr
from formats.lazy import dataclass
from vmdebug import paging
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd
from vmdebug.errors import DebuggerError, NotMapped, ReadFailed, UsageError
from vmdebug.guests.base import with_processes, with_spaces
from vmdebug.ptes import LEVEL, Pte, describe, level_of, pte_line
from vmdebug.targets.spaces import AddressSpace, Mapping


class NoPhysicalMapping(ReadFailed):
    def __init__(self, err: ReadFailed) -> None:
        super().__init__(err.address, err.reason)
        self.args = (f"failed to get physical mapping: {err.reason}",)


PROCESS = Flag("p", "the process whose tables are walked", "number", "pid")


@dataclass(frozen=True)
class Entry:
    """One entry of a walk.

    level: its level; the last is 0, as the kernel counts
    table: where its table lies
    index: its number in the table
    pte: the entry
    """

    level: int
    table: Hex
    index: int
    pte: Hex


@dataclass(frozen=True)
class Translation:
    """A virtual address and the guest-physical one that it maps to.

    paddr: the physical address
    vaddr: the virtual address
    size: the bytes of its page
    levels: with -v the entries of the walk, the top first
    """

    paddr: Paddr
    vaddr: Vaddr
    size: int
    levels: Sequence[Entry] = ()


def translation_lines(rows: Iterable[Translation], show: Show) -> Iterator[str]:
    for row in rows:
        yield from map(entry_line, row.levels)
        yield f"virtual {show.number(row.vaddr)} mapped to physical {show.number(row.paddr)}"


def entry_line(entry: Entry) -> str:
    return f"\tlevel={entry.level} table=0x{entry.table:x} pte=0x{entry.pte:x}".expandtabs(8)


@dcmd(
    "vtop",
    address="required",
    flags=(
        Flag("v", "show the entry of every level"),
        Flag("a", "the address space whose tables are walked, a struct as", "number", "as"),
        PROCESS,
    ),
    text=translation_lines,
    row=Translation,
)
def vtop(call: Call) -> Iterator[Translation]:
    """print physical mapping of virtual address

    Walks the page tables that the current vcpu's cr3 names, with -a those of an address space of an illumos guest, with
    -p those of a process of a Linux guest.

    Reads: the page tables; with -a struct as (a_hat), its hat's top table; with -p struct task_struct (tasks, pid, mm),
    struct mm_struct (pgd).

    Example:
        fffffffffbc4b7f0::vtop
    """
    if "a" in call.flags and "p" in call.flags:
        raise call.usage("only one of -a and -p may be specified")
    space = with_spaces(call.guest).space_at(call.flags["a"]) if "a" in call.flags else space_of(call)
    for vaddr in call.addresses:
        try:
            mapping = space.translate(Vaddr(vaddr))
        except ReadFailed as err:
            raise NoPhysicalMapping(err) from err
        levels = each_entry(space, mapping) if "v" in call.flags else ()
        yield Translation(mapping.paddr, Vaddr(vaddr), mapping.size, tuple(levels))


def space_of(call: Call) -> AddressSpace:
    """The address space that the call means: a process' own, or the kernel's."""
    return with_processes(call.guest).space_of_process(call.flags["p"]) if "p" in call.flags else call.target.kernel


def each_entry(space: AddressSpace, mapping: Mapping) -> Iterator[Entry]:
    """The entries of a walk, the top first."""
    size = space.mode.entry.size
    for step in mapping.steps:
        yield Entry(step.level - 1, Hex(step.entry_at & ~0xFFF), (step.entry_at & 0xFFF) // size, Hex(step.entry))


@dataclass(frozen=True)
class Frame:
    """The frame that a virtual address maps to.

    pfn: the frame's number
    vaddr: the virtual address
    mfn: the machine frame's number, null where page tables hold pfns
    size: the bytes of its page
    levels: with -v the entries of the walk, the top first
    """

    pfn: Pfn
    vaddr: Vaddr
    mfn: Mfn | None
    size: int
    levels: Sequence[Entry]


def frame_lines(rows: Iterable[Frame], show: Show) -> Iterator[str]:
    for row in rows:
        yield from map(entry_line, row.levels)
        machine = f" (mfn 0x{row.mfn:x})" if row.mfn is not None else ""
        yield f"Virtual address 0x{row.vaddr:x} maps pfn 0x{row.pfn:x}{machine}"


@dcmd("vatopfn", address="required", flags=(PROCESS,), text=frame_lines, row=Frame)
def vatopfn(call: Call) -> Iterator[Frame]:
    """translate address to physical page

    Shows the page-table entry of each level, the lowest first, and the frame of the page: the guest's own number
    and, where its tables hold machine frames, the machine's. With -p in the page tables of a process.

    Reads: the page tables; with -p, of a Linux guest, struct task_struct (tasks, pid, mm), struct mm_struct (pgd).

    Example:
        fffffffffbc4b7f0::vatopfn
    """
    space = space_of(call)
    for vaddr in call.addresses:
        try:
            mapping = space.translate(Vaddr(vaddr))
        except NotMapped as err:
            raise DebuggerError(f"Address {vaddr:x} is unmapped.") from err
        levels = list(each_entry(space, mapping))[::-1]
        mfn = None if call.target.image.about.translated else Mfn(mapping.gfn)
        yield Frame(mapping.pfn, Vaddr(vaddr), mfn, mapping.size, levels)


@dataclass(frozen=True)
class MachineFrame:
    """The machine frame behind a pfn.

    mfn: the machine frame's number
    pfn: the guest's number
    """

    mfn: Mfn
    pfn: Pfn


@dcmd("pfntomfn", address="optional", synopsis="", text=Text("{mfn:r}"), row=MachineFrame)
def pfntomfn(call: Call) -> Iterator[MachineFrame]:
    """convert physical page to hypervisor machine page

    Example:
        0::pfntomfn
    """
    if call.address is None:
        raise UsageError("PFN missing")
    pfn = Pfn(call.address)
    try:
        mfn = call.target.image.mfn_of(pfn)
    except PageMissing as err:
        raise DebuggerError(f"Invalid pfn {pfn:x}") from err
    call.leave_dot(pfn, 1)
    yield MachineFrame(Mfn(pfn) if mfn is None else mfn, pfn)


@dataclass(frozen=True)
class GuestFrame:
    """The guest's own number of a machine frame.

    pfn: the guest's number
    mfn: the machine frame's number
    """

    pfn: Pfn
    mfn: Mfn


@dcmd("mfntopfn", address="optional", text=Text("{pfn:r}"), row=GuestFrame)
def mfntopfn(call: Call) -> Iterator[GuestFrame]:
    """convert hypervisor machine page to physical page

    Example:
        0::pfntomfn | ::mfntopfn
    """
    if call.address is None:
        raise UsageError("MFN missing")
    image, mfn = call.target.image, Mfn(call.address)
    try:
        pfn = image.pfn_of(Gfn(mfn))
        image.locate(pfn)
    except (MfnUnknown, PageMissing) as err:
        raise DebuggerError(f"Invalid mfn {mfn:x}") from err
    yield GuestFrame(pfn, mfn)


def pte_lines(rows: Iterable[Pte], _: Show) -> Iterator[str]:
    return map(pte_line, rows)


@dcmd(
    "pte",
    address="required",
    flags=(Flag("l", "level of the entry, 0 is the last", "number", "level"),),
    text=pte_lines,
    row=Pte,
)
def pte(call: Call) -> Iterator[Pte]:
    """print page table entry

    The frame and the words of its bits. An entry of zero prints nothing.

    Example:
        100061::pte
    """
    level = level_of(call)
    for entry in call.addresses:
        if entry:
            yield describe(call, entry, level)


@dcmd(
    "ptable",
    address="required",
    flags=(
        Flag("m", "the address is a machine frame"),
        LEVEL,
    ),
    text=pte_lines,
    row=Pte,
)
def ptable(call: Call) -> Iterator[Pte]:
    """print contents of page table

    The address is the frame of the table. Each entry that is not zero is shown with the virtual address that it maps,
    counted from 0, since nothing in the image says where this table hangs.

    Example:
        <cr3%1000::ptable -m -l 3
    """
    level, mode, target = level_of(call), call.target.mode or paging.MODES["4-level"], call.target
    for frame in call.addresses:
        call.warn(f"couldn't find matching htable, using level={level:x}, base address=0x0")
        read = target.read_machine if "m" in call.flags else target.read_physical
        table = read(frame << PAGE_SHIFT, 1 << PAGE_SHIFT)
        shift = mode.shifts[mode.levels - 1 - level]
        for index, (entry,) in enumerate(mode.entry.iter_unpack(table)):
            if entry:
                yield describe(call, entry, level, index, Vaddr(index << shift))
