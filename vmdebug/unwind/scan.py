"""Words of a stack that may be return addresses: those behind a call instruction.

What a finished call left behind looks the same as one that is going on: this is a guess, and says so.
Encodings of CALL: SDM vol. 2, e8 with 32 bits of distance, ff with 2 in the middle of its next byte.
"""

import struct
from collections.abc import Callable, Iterator

from vmdebug.unwind.walk import CALL, SCAN, Call

BEFORE = 7  # bytes of the longest call
NEAR, INDIRECT = 0xE8, 0xFF


def each_scanned(
    stack: bytes, start: int, restored: Callable[[int, int], int], returns: Callable[[int], bool], size: int = 8
) -> Iterator[Call]:
    """The words of a stack's memory at `start` that something may return to, from low to high; `size` is a word's.

    `restored` gives the address that belongs to a word (and its place) where a tracer put its own.
    """
    for number, word in enumerate(memoryview(stack[: len(stack) & -size]).cast("Q" if size == 8 else "I")):
        at = start + size * number
        pc = restored(word, at)
        if returns(pc):
            yield Call(pc, at + size, CALL, SCAN, at)


def near_target(code: bytes, pc: int, word: int = 8) -> int | None:
    """Where the call goes that ends before `pc`; None if the BEFORE bytes there end with no call of a distance."""
    if code[-5] != NEAR:
        return None
    return (pc + int(struct.unpack("<i", code[-4:])[0])) % (1 << 8 * word)


def ends_with_indirect_call(code: bytes) -> bool:
    """True if the BEFORE bytes end with a call of what a register or memory holds."""
    return any(code[-size] == INDIRECT and _indirect_size(code[1 - size :]) == size for size in (2, 3, 4, 6, 7))


def _indirect_size(operand: bytes) -> int:
    """The size of `ff` with an operand, 0 if it is no call."""
    mode, operation, register = operand[0] >> 6, operand[0] >> 3 & 7, operand[0] & 7
    if operation != 2:
        return 0
    if mode == 3:
        return 2
    size = 2 + (0, 1, 4)[mode]
    if register == 4:  # a byte for base and index follows
        absolute = mode == 0 and len(operand) > 1 and operand[1] & 7 == 5
        return size + 1 + 4 * absolute
    return size + 4 * (mode == 0 and register == 5)
