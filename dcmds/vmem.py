"""The segments of illumos' arenas: ::vmem_seg, the walkers vmem_seg, vmem_alloc, vmem_free, vmem_span, vmem_postfix."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.audits import code_of
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.memory import each_arena
from vmdebug.guests.illumos.vmem import (
    ALLOCATED,
    FREE,
    ROTOR,
    SPAN,
    WALKER,
    Segment,
    Segments,
    each_postfix,
    segment_record,
)

GUESTS = ("illumos",)
WORDS = {"ALLC": ALLOCATED, "ALLOC": ALLOCATED, "FREE": FREE, "SPAN": SPAN, "ROTR": ROTOR, "ROTOR": ROTOR,
         "WLKR": WALKER, "WALKER": WALKER}  # fmt: skip


class NoSuchType(DebuggerError):
    def __init__(self, word: str) -> None:
        super().__init__(f'"{word}" is not a recognized vmem_seg type: ALLC FREE SPAN ROTR WLKR')
        self.word = word


def _walk(call: Call, kind: int | None = None) -> Iterator[int]:
    return (each.address for each in Segments(illumos(call.guest)).each(call.address or 0, kind))


@walker("vmem_seg", start="required", guests=GUESTS)
def walk_vmem_seg(call: Call) -> Iterator[int]:
    """walk all of an arena's segments, the anchor of their ring first"""
    return _walk(call)


@walker("vmem_alloc", start="required", guests=GUESTS)
def walk_vmem_alloc(call: Call) -> Iterator[int]:
    """walk the segments of an arena that are given out"""
    return _walk(call, ALLOCATED)


@walker("vmem_free", start="required", guests=GUESTS)
def walk_vmem_free(call: Call) -> Iterator[int]:
    """walk the segments of an arena that are free"""
    return _walk(call, FREE)


@walker("vmem_span", start="required", guests=GUESTS)
def walk_vmem_span(call: Call) -> Iterator[int]:
    """walk the spans of an arena; the anchor of its ring counts as an empty one"""
    return _walk(call, SPAN)


@walker("vmem_postfix", guests=GUESTS)
def walk_vmem_postfix(call: Call) -> Iterator[int]:
    """walk vmem structures in post-fix, depth-first order"""
    return each_postfix(each_arena(illumos(call.guest)))


@dataclass(frozen=True)
class SegmentRow:
    """A segment of an arena.

    addr: its vmem_seg_t
    type: ALLC, FREE, SPAN, ROTR, WLKR, or ????
    start: the first number
    end: the first number behind it
    size: how many numbers
    thread: who allocated it, null where nobody recorded that
    timestamp: when, in nanoseconds since boot
    stack: the calls that led there, the innermost first
    """

    addr: Vaddr
    type: str
    start: Hex
    end: Hex
    size: int
    thread: Vaddr | None
    timestamp: Hex | None
    stack: Sequence[Vaddr]
    _found: Segment
    _verbose: bool
    _sizes: bool


def segment_lines(rows: Iterable[SegmentRow], show: Show) -> Iterator[str]:
    """A line a segment, with the first caller outside of the allocator; with -v its record."""
    for number, row in enumerate(rows):
        if row._verbose:
            yield from segment_record(row._found, show.symbol, head=number == 0)
            continue
        if number == 0:
            yield f"{'ADDR':>16} TYPE {'START':>16} {'SIZE' if row._sizes else 'END':>16} WHO"
        who = next((name for name in map(show.symbol, row.stack) if not name.startswith("vmem_")), "")
        line = f"{row.addr:016x} {row.type} {row.start:016x} {row.size if row._sizes else row.end:016x} {who}"
        yield line.rstrip()


@dcmd(
    "vmem_seg",
    address="required",
    flags=(
        Flag("s", "the size instead of the end"),
        Flag("v", "the whole record: thread, time and stack"),
        Flag("c", "only with this caller on the stack; a function stands for all of it", "text", "caller"),
        Flag("e", "only from this time on", "number", "earliest"),
        Flag("l", "only up to this time", "number", "latest"),
        Flag("m", "only of at least this size", "number", "minsize"),
        Flag("M", "only of at most this size", "number", "maxsize"),
        Flag("t", "only what this thread allocated", "number", "thread"),
        Flag("T", "only of this type: ALLC, FREE, SPAN, ROTR or WLKR", "text", "type"),
    ),
    synopsis="[-sv] [-c caller] [-e earliest] [-l latest] [-m minsize] [-M maxsize] [-t thread] [-T type]",
    text=segment_lines,
    row=SegmentRow,
    guests=GUESTS,
)
def vmem_seg(call: Call) -> Iterator[SegmentRow]:
    """print or filter a vmem_seg

    The range of numbers that a segment of an arena covers, and the first caller outside of the allocator; with -v who
    allocated it, when (in nanoseconds since boot), and by which calls. Only segments that are given out have such a
    record, and only where the kernel's allocators are audited (kmem_flags): -c, -e, -l and -t leave out all others.

    Reads: vmem_seg_t (vs_type, vs_start, vs_end, vs_depth, vs_thread, vs_timestamp, vs_stack), vmem_seg_size.

    Example:
        ::walk vmem | ::walk vmem_alloc | ::vmem_seg -s -m 10000
    """
    guest = illumos(call.guest)
    kind = _kind(call.flags.get("T"))
    segments = Segments(guest)
    for address in call.addresses:
        found = segments.read(address)
        if (kind is None or found.kind == kind) and _wanted(call, guest, found):
            yield SegmentRow(
                addr=Vaddr(address),
                type=found.type,
                start=Hex(found.start),
                end=Hex(found.end),
                size=found.size,
                thread=Vaddr(found.thread) if found.stack else None,
                timestamp=Hex(found.timestamp) if found.stack else None,
                stack=tuple(map(Vaddr, found.stack)),
                _found=found,
                _verbose="v" in call.flags,
                _sizes="s" in call.flags,
            )


def _kind(word: str | None) -> int | None:
    if word is not None and word not in WORDS:
        raise NoSuchType(word)
    return None if word is None else WORDS[word]


def _wanted(call: Call, guest: Illumos, found: Segment) -> bool:
    """Whether a segment is as the options want it."""
    flags = call.flags
    if not flags.get("m", 0) <= found.size <= flags.get("M", found.size):
        return False
    if not flags.keys() & set("celt"):
        return True
    callers = code_of(guest, call.number(flags["c"])) if "c" in flags else None
    return (
        bool(found.stack)
        and flags.get("e", 0) <= found.timestamp <= flags.get("l", found.timestamp)
        and flags.get("t", found.thread) == found.thread
        and (callers is None or any(pc in callers for pc in found.stack))
    )
