"""The chain of frame pointers of a Linux kernel, for code that has no unwind data.

A frame is two words where rbp points: the caller's rbp and the return address. Entry code has no frame: rbp is then the
address of the registers that it saved, with bit 0 set or, on 32 bits, bit 31 clear (ENCODE_FRAME_POINTER, 4.10 and
later). A function that was stopped before it set its frame up, or that has none, hides its caller.
Specified in: arch/x86/kernel/unwind_frame.c of Linux.
"""

import struct
from collections.abc import Callable

from vmdebug.unwind import walk
from vmdebug.unwind.registers import LAYOUTS, USER
from vmdebug.unwind.walk import State, Step, UnwindError

FRAMES = {8: struct.Struct("<QQ"), 4: struct.Struct("<II")}  # the caller's rbp, the return address; by the word's size
MARK, TOP_BIT_32 = 1, 1 << 31
KERNEL_HALF = 1 << 63
ROOM = 0xC0  # at a stack's top for a program's registers, which is empty where there is no program (184 with FRED)

Read = Callable[[int, int], bytes]


def pointer_step(
    state: State, stack: range, returns: Callable[[int], bool], read: Read, word: int = 8, half: int = KERNEL_HALF
) -> Step | None:
    """The caller's state, None at the end of the stack.

    `stack` holds the addresses of the stack that the state is on, `returns` says whether something may return to an
    address; the kernel has words of that size and begins at `half`. UnwindError where rbp does not lead to a caller.
    """
    bp = state.bp
    saved_at = _saved_at(bp, stack, word, half)
    if saved_at:
        return _trap(saved_at, read, word)
    if bp < half:
        if stack.stop - state.sp <= ROOM:
            return None
        raise UnwindError(f"the frame pointer is {bp:#x} below the top of the stack")
    if bp % word or bp in range(stack.start, state.sp):
        raise UnwindError(f"the frame pointer {bp:#x} does not lead up the stack from {state.sp:#x}")
    saved, ip = FRAMES[word].unpack(read(bp, 2 * word))
    if not returns(ip):
        raise UnwindError(f"the frame pointer {bp:#x} leads to {ip:#x}, where no call returns to")
    return Step(State(ip, bp + 2 * word, saved, False), walk.CALL, walk.POINTER, bp + word)


def _saved_at(bp: int, stack: range, word: int, half: int) -> int:
    """Where the registers are that rbp marks, 0 where it is none of entry code."""
    if word == 8:
        return bp - MARK if bp >= half and bp & MARK else 0
    return bp | TOP_BIT_32 if not bp & TOP_BIT_32 and bp | TOP_BIT_32 in stack else 0


def _trap(at: int, read: Read, word: int) -> Step | None:
    """What entry code interrupted, None for a program or the start of a thread."""
    layout, names = LAYOUTS[word]
    registers = dict(zip(names, layout.unpack(read(at, layout.size)), strict=True))
    if registers["cs"] & USER == USER or not registers["rip"]:
        return None
    after = State(registers["rip"], registers["rsp"], registers["rbp"], True, registers)
    return Step(after, walk.TRAP, walk.POINTER, at + word * names.index("rip"))
