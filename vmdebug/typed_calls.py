"""Calls of a stack with more than $c shows of them: addresses for names, sizes of frames, types."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from vmdebug.calls import FrameRow, frame_line
from vmdebug.dcmd import Call, Flag, Show
from vmdebug.errors import DebuggerError
from vmdebug.types.model import Enum, Function, Pointer, Type

DETAILS = (
    Flag("n", "addresses instead of names"),
    Flag("s", "the size of each frame in front"),
    Flag("t", "types of what functions return and take, where they are known"),
    Flag("v", "with frame pointers and all arguments"),
)
UNSIZED = " " * 7  # where there is no frame before


def detailed(call: Call, full: bool) -> Callable[[Iterable[FrameRow], Show], Iterator[str]]:
    """How the rows of a call with some of DETAILS are shown."""
    return partial(_lines, call, full)


def _lines(call: Call, full: bool, rows: Iterable[FrameRow], show: Show) -> Iterator[str]:
    before = 0
    for row in rows:
        shown = replace(row, symbol=f"0x{row.pc:x}") if "n" in call.flags else row
        line = frame_line(shown, show, full)
        if "t" in call.flags and row.reason is None and (function := _function(call, row)):
            line = _typed(function, shown, show, full)
        if "s" in call.flags:
            size = f"[{show.number(row.fp - before):>4}] " if 0 < before < row.fp else UNSIZED
            line = size + line
        before = row.fp
        yield line


def _function(call: Call, row: FrameRow) -> Function | None:
    """The prototype of a call's function, where type data has it."""
    near = call.guest.symbols.nearest(row.pc)
    try:
        return call.guest.types.function(near[0]) if near else None
    except DebuggerError:
        return None


def _typed(function: Function, row: FrameRow, show: Show, full: bool) -> str:
    """A call with what its function returns in front of its name, and each argument behind its type."""
    types = [argument.type for argument in function.arguments]
    args = ", ".join(_value(type_, value, show) for type_, value in zip(types, row.args, strict=False))
    pointer = f"{row.fp:016x} " if full else ""
    return f"{pointer}{function.returns.spelled} {row.symbol}({args})"


def _value(type_: Type, value: int, show: Show) -> str:
    base = type_.resolve()
    text = show.number(value)
    if isinstance(base, Pointer) and not value:
        text = "NULL"
    elif isinstance(base, Enum):
        text = base.by_value.get(value & (1 << 8 * base.size) - 1, text)
    return f"({type_.spelled}){text}"
