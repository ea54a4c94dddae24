"""The calls of a stack as rows, for every dcmd that shows one."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Show
from vmdebug.unwind.frames import Frame

ALL = 1 << 16  # arguments: more than any function has


@dataclass(frozen=True)
class FrameRow:
    """A call on a stack.

    pc: where the function continues
    fp: its frame pointer; in the last row of a broken chain the one that failed
    symbol: pc as a name and an offset
    args: the arguments that the function saved
    reason: why the chain ends here, null but in the last row of a broken one
    """

    pc: Vaddr
    fp: Vaddr
    symbol: str
    args: Sequence[Hex]
    reason: str | None


def each_frame_row(call: Call, frames: Iterable[Frame], count: int) -> Iterator[FrameRow]:
    """The calls as rows, each with at most `count` arguments."""
    for frame in frames:
        symbol = symbol_of(call, frame.pc, frame.inside)
        args = [Hex(arg) for arg in frame.arguments[:count]]
        yield FrameRow(Vaddr(frame.pc), Vaddr(frame.fp), symbol, args, frame.reason or None)


def symbol_of(call: Call, pc: int, inside: int) -> str:
    """Where a call goes on, as a name and an offset: of the function that it is in, also where that ends there."""
    found = call.guest.symbols.nearest(inside) if inside else None
    if found and found[0].value + found[0].size == pc:
        return f"{found[0].name}+0x{pc - found[0].value:x}"
    return call.session.show.symbol(pc)


def frame_line(row: FrameRow, show: Show, full: bool = False) -> str:
    """A call as $c prints it; in full as $C does, with the frame pointer in front."""
    if row.reason is not None:
        return f"{row.fp:x} [{row.reason}]"
    args = ", ".join(show.number(arg) for arg in row.args)
    return (f"{row.fp:016x} " if full else "") + f"{row.symbol}({args})"


def frame_lines(rows: Iterable[FrameRow], show: Show) -> Iterator[str]:
    """A line a call."""
    return (frame_line(row, show) for row in rows)


def full_lines(rows: Iterable[FrameRow], show: Show) -> Iterator[str]:
    """A line a call, the frame pointer in front."""
    return (frame_line(row, show, full=True) for row in rows)
