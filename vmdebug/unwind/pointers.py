"""The chain of frame pointers of a Linux kernel, for code that has no unwind data.

A frame is two words where rbp points: the caller's rbp and the return address. Entry code has no frame: rbp is then the
address of the registers that it saved, with bit 0 set (ENCODE_FRAME_POINTER, 4.10 and later). A function that was
stopped before it set its frame up, or that has none, hides its caller.
Specified in: arch/x86/kernel/unwind_frame.c of Linux.
"""

import struct
from collections.abc import Callable

from vmdebug.unwind import walk
from vmdebug.unwind.registers import REG_NAMES, REGS, RIP_AT, USER
from vmdebug.unwind.walk import State, Step, UnwindError

FRAME = struct.Struct("<QQ")  # the caller's rbp, the return address
MARK = 1
KERNEL_HALF = 1 << 63
ROOM = 0x200  # at a stack's top: what a program's registers, or the words that a processor starts with, take up

Read = Callable[[int, int], bytes]


def pointer_step(state: State, stack: range, returns: Callable[[int], bool], read: Read) -> Step | None:
    """The caller's state, None at the end of the stack.

    `stack` holds the addresses of the stack that the state is on, `returns` says whether something may return to an
    address. UnwindError where rbp does not lead to a caller.
    """
    bp = state.bp
    if bp < KERNEL_HALF:
        if stack.stop - state.sp <= ROOM:
            return None
        raise UnwindError(f"the frame pointer is {bp:#x} below the top of the stack")
    if bp & MARK:
        return _trap(bp - MARK, read)
    if bp % 8 or bp in range(stack.start, state.sp):
        raise UnwindError(f"the frame pointer {bp:#x} does not lead up the stack from {state.sp:#x}")
    saved, ip = FRAME.unpack(read(bp, FRAME.size))
    if not returns(ip):
        raise UnwindError(f"the frame pointer {bp:#x} leads to {ip:#x}, where no call returns to")
    return Step(State(ip, bp + FRAME.size, saved, False), walk.CALL, walk.POINTER, bp + 8)


def _trap(at: int, read: Read) -> Step | None:
    """What entry code interrupted, None for a program or the start of a thread."""
    registers = dict(zip(REG_NAMES, REGS.unpack(read(at, REGS.size)), strict=True))
    if registers["cs"] & USER == USER or not registers["rip"]:
        return None
    after = State(registers["rip"], registers["rsp"], registers["rbp"], True, registers)
    return Step(after, walk.TRAP, walk.POINTER, at + RIP_AT)
