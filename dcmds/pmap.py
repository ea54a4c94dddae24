"""Address spaces of illumos' processes and their anonymous memory: ::pmap, the walker anon."""

from collections.abc import Iterable, Iterator

from formats.frames import PAGE_SIZE, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd, walker
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.anon import UserMapping, count_resident, each_anon, read_mapping
from vmdebug.guests.illumos.files import vnode_path
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.memory import each_segment

GUESTS = ("illumos",)
KIB = 1024


class NoSpace(DebuggerError):
    def __init__(self, process: int) -> None:
        super().__init__(f"the process at {process:x} has no address space")
        self.process = process


@walker("anon", start="required", guests=GUESTS)
def walk_anon(call: Call) -> Iterator[int]:
    """given an amp, list allocated anon structures"""
    return each_anon(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class SegmentRow:
    """A segment of a process' address space.

    addr: its struct seg
    base: the first address
    size: how many bytes
    resident: how many bytes of its anonymous memory are in memory; null for one without, where that cannot be read,
        and with -q
    vnode: the file that is mapped, null for anonymous memory
    path: the path of that, null where the kernel keeps none, and with -q
    ops: the operations of its driver
    mapped: whether it belongs to the driver of files and anonymous memory
    """

    addr: Vaddr
    base: Vaddr
    size: Hex
    resident: int | None
    vnode: Vaddr | None
    path: str | None
    ops: Vaddr
    mapped: bool


def full_lines(rows: Iterable[SegmentRow], show: Show) -> Iterator[str]:
    """A line a segment, with what is resident and the path."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'SEG':>16} {'BASE':>16} {'SIZE':>8} {'RES':>8} PATH"
        resident = "" if row.resident is None else f"{row.resident // KIB}k"
        if not row.mapped:
            yield f"{_place(row)} {'?':>8} [ &{show.symbol(row.ops)} ]"
        else:
            yield f"{_place(row)} {resident:>8} {'[ anon ]' if row.vnode is None else row.path or '??'}"


def short_lines(rows: Iterable[SegmentRow], _: Show) -> Iterator[str]:
    """A line a segment, with the vnode."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'SEG':>16} {'BASE':>16} {'SIZE':>8} VNODE"
        vnode = "" if not row.mapped else "[ anon ]" if row.vnode is None else f"{row.vnode:016x}"
        yield f"{_place(row)} {vnode}".rstrip()


def _place(row: SegmentRow) -> str:
    return f"{row.addr:016x} {row.base:016x} {row.size // KIB:>7}k"


@dcmd(
    "pmap",
    address="required",
    flags=(Flag("q", "quickly: the vnodes only, not what is resident"),),
    text=full_lines,
    row=SegmentRow,
    guests=GUESTS,
    whole=True,
)
def pmap(call: Call) -> Iterator[SegmentRow]:
    """print process memory map

    The segments of a process, of several one after the other: where each begins, its size, how much of its anonymous
    memory is in memory, and the path of the file that it maps. What is in memory of a file alone is not counted.

    Reads: p_as of proc_t, a_segtree of struct as, struct seg, struct segvn_data (vp, amp), v_path of vnode_t; for
    what is resident struct anon_map, struct anon_hdr, struct anon and every page_t.

    Example:
        0t318::pid2proc | ::pmap
    """
    guest, quick = illumos(call.guest), "q" in call.flags
    call.text = short_lines if quick else full_lines
    if quick:
        yield from (_row(call, guest, each, None, quick) for each in _each_mapping(call, guest))
        return
    found = list(_each_mapping(call, guest))
    resident = count_resident(guest, {each.anon_map for each in found if each.anon_map})
    for each in found:
        yield _row(call, guest, each, resident.get(each.anon_map), quick)


def _each_mapping(call: Call, guest: Illumos) -> Iterator[UserMapping]:
    """The segments of the processes; of several, one without any is reported."""
    for process in call.addresses:
        try:
            yield from _each_of(call, guest, process)
        except DebuggerError as err:
            if len(call.addresses) == 1:
                raise
            call.warn(str(err))


def _each_of(call: Call, guest: Illumos, process: int) -> Iterator[UserMapping]:
    """The segments of a process; one that cannot be read is reported."""
    space = int(guest.objects.at("proc_t", process)["p_as"])
    if not space:
        raise NoSpace(process)
    for address in each_segment(guest, space):
        try:
            yield read_mapping(guest, address)
        except ReadFailed as err:
            call.warn(f"failed to read the segment at {address:x}: {err}")


def _row(call: Call, guest: Illumos, each: UserMapping, pages: int | DebuggerError | None, quick: bool) -> SegmentRow:
    if isinstance(pages, DebuggerError):
        call.warn(f"what is resident of the segment at {each.address:x} is not known: {pages}")
        pages = None
    path = vnode_path(guest.objects.at("vnode_t", each.vnode)) if each.vnode and not quick else None
    return SegmentRow(
        addr=Vaddr(each.address),
        base=Vaddr(each.base),
        size=Hex(each.size),
        resident=None if pages is None else pages * PAGE_SIZE,
        vnode=Vaddr(each.vnode) if each.vnode else None,
        path=path,
        ops=Vaddr(each.operations),
        mapped=each.is_vnode,
    )
