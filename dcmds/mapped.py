"""What page tables map: ::ptmap."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug import paging
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import ReadFailed
from vmdebug.mapped import MappedRange
from vmdebug.session import Session
from vmdebug.targets.spaces import AddressSpace
from vmdebug.targets.target import NoTables

PAE_ROOT = 0xFFFF_FFE0  # a top table of 32 bytes, SDM vol. 3, 4.4.1


@dataclass(frozen=True)
class RangeRow:
    """A run of virtual addresses that are mapped with the same rights.

    vaddr: its first address
    size: how many bytes
    user: whether user mode may use them
    writable: whether they may be written to
    what: with -w, what ::whatis says of the first address, if it is the kernel's
    """

    vaddr: Vaddr
    size: int
    user: bool
    writable: bool
    what: Sequence[str]


def range_lines(rows: Iterable[RangeRow], show: Show) -> Iterator[str]:
    """A line a range, below it what is there."""
    for row in rows:
        rights = f"{'user' if row.user else 'kernel'},{'writable' if row.writable else 'read-only'}"
        first, last = show.symbol(row.vaddr), show.symbol(row.vaddr + row.size - 1)
        yield f"mapped {rights} range of {row.size} bytes: {first}-{last}"
        yield from row.what


@dcmd(
    "ptmap",
    address="optional",
    flags=(Flag("w", "what the kernel keeps at the first address of each of its ranges"),),
    text=range_lines,
    row=RangeRow,
)
def ptmap(call: Call) -> Iterator[RangeRow]:
    """print what page tables map

    Each range of addresses that are mapped with the same rights, the lowest first. The address is that of the top
    table, as cr3 has it; without one, that of the first vcpu. The rights are those of the entries that map the pages:
    a PV kernel of 64 bits runs in user mode, and so its pages are the user's.

    Reads: the page tables; with -w as ::whatis.

    Example:
        ::ptmap
    """
    space = _space(call)
    lost = Lost()
    for each in space.each_mapped(lost.add):
        what = _what(call, each.start) if "w" in call.flags and _is_kernel(space, each) else ()
        yield RangeRow(Vaddr(each.start), each.size, each.user, each.writable, what)
    if lost.count:
        call.warn(
            f"page tables that cannot be read, and what they map is left out: {lost.count}; the first: {lost.first}"
        )


class Lost:
    """How many tables could not be read, and what the first said."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def add(self, err: ReadFailed) -> None:
        self.count += 1
        self.first = self.first or str(err)


def _space(call: Call) -> AddressSpace:
    """The tables at the address, or those of the first vcpu."""
    mode = call.target.mode
    if mode is None:
        raise NoTables
    if call.address is None:
        return call.target.space(call.target.kernel.root)
    return call.target.space(call.address & (PAE_ROOT if mode.name == "PAE" else paging.FRAME))


def _is_kernel(space: AddressSpace, found: MappedRange) -> bool:
    """Whether a range is the kernel's: in the upper half, or of 32 bits what user mode may not use."""
    return bool(found.start >> 63) if space.mode.canonical else not found.user


def _what(call: Call, address: int) -> Sequence[str]:
    """What ::whatis prints without records; dot stays where it was."""
    session, dot = cast(Session, call.session), call.session.dot
    try:
        return session.run_held(".::whatis -q", address)
    finally:
        session.dot = dot
