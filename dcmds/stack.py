"""Stack backtraces: $c $C ::stack ::stackregs ::cpustack."""

from collections.abc import Iterator

from vmdebug.calls import ALL, FrameRow, each_frame_row, frame_lines, full_lines
from vmdebug.dcmd import Call, Flag, dcmd

SHOWN = 6  # arguments of each call, unless a number is given


@dcmd(("$c", "stack"), address="optional", synopsis="[cnt]", text=frame_lines, row=FrameRow)
def stack(call: Call) -> Iterator[FrameRow]:
    """print stack backtrace

    The calls from the representative registers on, or from the frame at an address (whose own function is unknown
    then, and left out), each with at most `cnt` arguments (6). Arguments are shown where the function's
    prototype is known and its prologue saved them; empty parentheses need not mean that it takes none. In the context
    of a process (::context) its own calls, by frame pointers, which many programs do not keep.

    Example:
        $c
    """
    yield from _frames(call, _count(call, SHOWN))


@dcmd(("$C", "stackregs"), address="optional", synopsis="[cnt]", text=full_lines, row=FrameRow)
def stackregs(call: Call) -> Iterator[FrameRow]:
    """print stack backtrace with frame pointers

    As $c, with each frame's own frame pointer and all arguments, or none where `cnt` is 0.

    Example:
        $C
    """
    yield from _frames(call, ALL if _count(call, ALL) else 0)


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
    call.text = full_lines if full else frame_lines
    count = _count(call, ALL if full else SHOWN)
    registers = {name: value for name, value in saved.items() if name != "rip"}
    count = ALL if full and count else count
    yield from each_frame_row(call, call.guest.frames(registers, arguments=count > 0), count)


def _frames(call: Call, count: int) -> Iterator[FrameRow]:
    """The calls from the representative registers on, or from the frame at the address."""
    start = call.session.registers if call.address is None else {"rbp": call.address}
    yield from each_frame_row(call, call.session.unwind(start, arguments=count > 0), count)


def _count(call: Call, default: int) -> int:
    if len(call.args) > 1:
        raise call.usage()
    return call.number(call.args[0]) if call.args else default
