"""The calls of a Linux kernel's stack as rows, for every dcmd that shows one."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.calls import symbol_of
from vmdebug.dcmd import Call, Flag
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux
from vmdebug.guests.linux.tasks import Task
from vmdebug.unwind.walk import Call as StackCall

SCAN = Flag("s", "with all else on the stack that may be a call, marked ?")


@dataclass(frozen=True)
class StackFrame:
    """A call on a stack.

    pc: where the function continues
    sp: the stack pointer there
    symbol: pc as a name and an offset
    kind: start, call, or trap (an interrupt or exception came in between)
    how: what led here: registers, orc, frame pointer, or scan (a word of the stack that looks like it)
    reliable: whether it is more than a guess; guesses are shown with a question mark
    reason: why the stack cannot be followed further, null where it can
    """

    pc: Vaddr
    sp: Vaddr
    symbol: str
    kind: str
    how: str
    reliable: bool
    reason: str | None
    _full: bool


def call_text(frame: StackFrame, brackets: str = "") -> str:
    """A call by name and offset, a guess with a question mark, and why the stack ends there if it should not."""
    doubt, reason = "" if frame.reliable else "? ", f" [{frame.reason}]" if frame.reason else ""
    return f"{doubt}{frame.symbol}{brackets}{reason}"


def frame_line(frame: StackFrame) -> str:
    return (f"{frame.sp:016x} " if frame._full else "") + call_text(frame, "()")


def shown(call: Call, kernel: Linux, frame: StackCall) -> StackFrame:
    """A call with its name: that of the function that it is in, also where the call was its last instruction."""
    symbol = symbol_of(call, frame.pc, frame.inside)
    reliable, full = kernel.stacks.reliable(frame), "v" in call.flags
    return StackFrame(
        Vaddr(frame.pc), Vaddr(frame.sp), symbol, frame.kind, frame.how, reliable, frame.reason or None, full
    )


def until_broken(call: Call, tasks: Iterable[Task]) -> Iterator[Task]:
    """The tasks as far as their list leads; where it breaks off is told."""
    try:
        yield from tasks
    except (DebuggerError, ImageError) as err:
        call.warn(f"the list of tasks ends here: {err}")
