"""Stack backtraces: $c $C ::stack ::stackregs ::cpustack."""

from collections.abc import Iterator

from vmdebug.calls import ALL, FrameRow, each_frame_row, frame_lines, full_lines
from vmdebug.dcmd import Call, Flag, dcmd
from vmdebug.typed_calls import DETAILS, detailed

SHOWN = 6  # arguments of each call, unless a number is given


@dcmd(("$c", "stack"), address="optional", synopsis="[-nstv] [cnt]", flags=DETAILS, text=frame_lines, row=FrameRow)
def stack(call: Call) -> Iterator[FrameRow]:
    """print stack backtrace

    The calls from the representative registers on, or from the frame at an address (whose own function is unknown
    then, and left out), each with at most `cnt` arguments (6). Arguments are shown where the function's
    prototype is known and its prologue saved them; empty parentheses need not mean that it takes none. In the context
    of a process (::context) its own calls, by frame pointers, which many programs do not keep.

    Example:
        $c
    """
    yield from _frames(call, full="v" in call.flags)


@dcmd(("$C", "stackregs"), address="optional", synopsis="[-nstv] [cnt]", flags=DETAILS, text=full_lines, row=FrameRow)
def stackregs(call: Call) -> Iterator[FrameRow]:
    """print stack backtrace with frame pointers

    As $c, with each frame's own frame pointer and all arguments, or none where `cnt` is 0.

    Example:
        $C
    """
    yield from _frames(call, full=True)


@dcmd(
    "cpustack",
    address="optional",
    synopsis="[-nstv] [-c cpuid] [cnt]",
    flags=(
        *DETAILS,
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
    count = _count(call, full="v" in call.flags)
    registers = {name: value for name, value in saved.items() if name != "rip"}
    yield from each_frame_row(call, call.guest.frames(registers, arguments=count > 0), count)


def _frames(call: Call, full: bool) -> Iterator[FrameRow]:
    """The calls from the representative registers on, or from the frame at the address."""
    count = _count(call, full)
    start = call.session.registers if call.address is None else {"rbp": call.address}
    yield from each_frame_row(call, call.session.unwind(start, arguments=count > 0), count)


def _count(call: Call, full: bool) -> int:
    """How many arguments of each call are shown: as many as are typed, in full all or none. And how they are."""
    if len(call.args) > 1:
        raise call.usage()
    call.text = full_lines if full else frame_lines
    if call.flags.keys() & {"n", "s", "t"}:
        call.text = detailed(call, full)
    count = call.number(call.args[0]) if call.args else ALL if full else SHOWN
    return ALL if full and count else count
