"""Stack backtraces: $c $C ::stack ::stackregs ::cpustack."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from formats.frames import Vaddr
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd

SHOWN = 6  # arguments of each frame, unless a number is given
ALL = 1 << 16


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
    _full: bool


def frame_lines(rows: Iterable[FrameRow], show: Show) -> Iterator[str]:
    """A line a frame, in full with the frame pointer in front."""
    for row in rows:
        if row.reason is not None:
            yield f"{row.fp:x} [{row.reason}]"
            continue
        args = ", ".join(show.number(arg) for arg in row.args)
        yield (f"{row.fp:016x} " if row._full else "") + f"{row.symbol}({args})"


@dcmd(("$c", "stack"), address="optional", synopsis="[cnt]", text=frame_lines, row=FrameRow)
def stack(call: Call) -> Iterator[FrameRow]:
    """print stack backtrace

    The calls from the representative registers on, or from the frame at an address (whose own function is unknown
    then, and left out), each with at most `cnt` arguments (6). Arguments are shown where the function's
    prototype is known and its prologue saved them; no number stands for `none saved`, too.

    Example:
        $c
    """
    yield from each_row(call, _start(call), _count(call, SHOWN), full=False)


@dcmd(("$C", "stackregs"), address="optional", synopsis="[cnt]", text=frame_lines, row=FrameRow)
def stackregs(call: Call) -> Iterator[FrameRow]:
    """print stack backtrace with frame pointers

    As $c, with each frame's own frame pointer and all arguments, or none where `cnt` is 0.

    Example:
        $C
    """
    yield from each_row(call, _start(call), ALL if _count(call, ALL) else 0, full=True)


@dcmd(
    "cpustack",
    address="optional",
    synopsis="[-v] [-c cpuid] [cnt]",
    flags=(
        Flag("v", "with frame pointers and all arguments"),
        Flag("c", "the cpu's number, in the current radix", "number", "cpuid"),
    ),
    text=frame_lines,
    row=FrameRow,
)
def cpustack(call: Call) -> Iterator[FrameRow]:
    """print the stack of a cpu as the hypervisor saved it

    With -c the cpu of that number, with an address that of the cpu structure, else cpu 0. The function that the cpu
    was in is not shown, since only its frame is known; the first line is its caller.

    Example:
        ::cpustack -c 0
    """
    number = call.flags.get("c")
    if number is None and call.address is not None:
        number = call.guest.cpu_id(call.address)
    saved = call.target.vcpu(number or 0).registers
    full = "v" in call.flags
    count = _count(call, ALL if full else SHOWN)
    registers = {name: value for name, value in saved.items() if name != "rip"}
    yield from each_row(call, registers, (ALL if count else 0) if full else count, full)


def each_row(call: Call, registers: Mapping[str, int], count: int, full: bool) -> Iterator[FrameRow]:
    """The frames from the registers on as rows, with at most `count` arguments each."""
    for frame in call.guest.frames(registers, arguments=count > 0):
        symbol = call.session.show.symbol(frame.pc)
        args = [Hex(arg) for arg in frame.arguments[:count]]
        yield FrameRow(Vaddr(frame.pc), Vaddr(frame.fp), symbol, args, frame.reason or None, full)


def _start(call: Call) -> Mapping[str, int]:
    return call.guest.registers if call.address is None else {"rbp": call.address}


def _count(call: Call, default: int) -> int:
    if len(call.args) > 1:
        raise call.usage()
    word: Any = call.args[0] if call.args else None
    return default if word is None else call.number(word)
