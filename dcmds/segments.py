"""Address spaces of illumos by their segments: ::seg ::mappings, the walker seg."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Show, Text, dcmd, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.memory import each_segment, find_symbol, segment
from vmdebug.guests.illumos.spaces import find_space

GUESTS = ("illumos",)


@walker("seg", start="required", guests=GUESTS)
def walk_seg(call: Call) -> Iterator[int]:
    """walk the segments of an address space, the lowest first"""
    yield from each_segment(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class SegmentRow:
    """A segment of an address space.

    addr: its struct seg
    base: the first address
    size: how many bytes
    data: what its driver keeps of it
    ops: the operations of its driver
    """

    addr: Vaddr
    base: Vaddr
    size: Hex
    data: Vaddr
    ops: Vaddr


SEGMENT = Text(
    "{addr:>16x} {base:>16x} {size:>16x} {data:>16x} {ops:a}",
    head=f"{'SEG':>16} {'BASE':>16} {'SIZE':>16} {'DATA':>16} OPS",
)


@dcmd("seg", address="required", text=SEGMENT, row=SegmentRow, guests=GUESTS)
def seg(call: Call) -> Iterator[SegmentRow]:
    """print address space segment

    Reads: struct seg.

    Example:
        kas::walk seg | ::seg
    """
    for address in call.addresses:
        found = segment(illumos(call.guest), address)
        yield SegmentRow(
            addr=Vaddr(address),
            base=Vaddr(int(found["s_base"])),
            size=Hex(found["s_size"]),
            data=Vaddr(int(found["s_data"])),
            ops=Vaddr(int(found["s_ops"])),
        )


@dataclass(frozen=True)
class MappingRow:
    """A part of an address space.

    base: its first address
    limit: the first address behind it
    size: how many bytes
    name: the variable that its segment is, else the address of the segment
    """

    base: Vaddr
    limit: Vaddr
    size: Hex
    name: str


def mapping_lines(rows: Iterable[MappingRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'BASE':>16} {'LIMIT':>16} {'SIZE':>16} NAME"
        yield f"{row.base:>16x} {row.limit:>16x} {row.size:>16x} {row.name}"


@dcmd(
    ("mappings", "$m"),
    address="optional",
    synopsis="[name]",
    text=mapping_lines,
    row=MappingRow,
    guests=GUESTS,
)
def mappings(call: Call) -> Iterator[MappingRow]:
    """print address space mappings

    The segments of the kernel's address space, or of that of the process that ::context entered: all, the one that
    holds the address, or those of a name.

    Reads: kas, proc_t (p_as), struct as, struct seg in its a_segtree.

    Example:
        ::mappings
    """
    if len(call.args) > 1:
        raise call.usage()
    guest = illumos(call.guest)
    for address in each_segment(guest, find_space(guest, call.session.process)):
        found = segment(guest, address)
        base, size = int(found["s_base"]), found["s_size"]
        name = find_symbol(guest, address) or f"{address:x}"
        if call.address is not None and not 0 <= call.address - base < size:
            continue
        if not call.args or call.args[0] == name:
            yield MappingRow(Vaddr(base), Vaddr(base + size), Hex(size), name)
