"""Where the stack of a thread that does not run begins.

A sleeping thread's saved stack pointer is a frame; its chain is right if it leads to the top of the stack. Where it
does not, every word of the stack is tried. Specified in: sys/thread.h of illumos, the layout of a stack.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.threads import FREE, LOADED

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

WORD = 8
ALIGNMENT = 16
MAX_STACK = 1 << 20
ADDRESSES = (1 << 64) - 1


class NoStack(DebuggerError):
    """A thread whose stack is not there: because it is swapped out, or else because what the thread says is wrong."""

    def __init__(self, thread: int, found: str, *, loaded: bool = True) -> None:
        super().__init__(found)
        self.thread = thread
        self.loaded = loaded


@dataclass(frozen=True)
class FoundStack:
    """Where a thread's stack begins.

    `sp` is None where nothing is conclusive; `possible` then has the frames from which more than one step leads
    upward, with the number of steps. `pc` is the saved one, 0 if there is none.
    """

    sp: int | None
    pc: int
    free: bool
    possible: Sequence[tuple[int, int]] = ()


def find_stack(guest: "Illumos", thread: int) -> FoundStack:
    """The stack of a thread; NoStack says why there is none."""
    record = guest.objects.at("kthread_t", thread)
    free = record["t_state"] == FREE
    if not record["t_schedflag"] & LOADED:
        raise NoStack(thread, f"thread {thread:x} isn't in memory", loaded=False)
    words = _read_stack(guest, thread, int(record["t_stkbase"]), int(record["t_stk"]))
    top = int(record["t_stk"])
    top -= WORD if top % ALIGNMENT else 0
    sp, pc = record["t_pcb.val[1]"] & ADDRESSES, record["t_pcb.val[0]"] & ADDRESSES
    if _climb(words, sp, top)[0]:
        return FoundStack(sp, pc, free)
    visited: set[int] = set()
    for address in sorted(words):
        if address not in visited and _climb(words, address, top, visited)[0]:
            return FoundStack(address, 0, free)
    steps = ((address, _climb(words, address, top)[1]) for address in sorted(words))
    return FoundStack(None, 0, free, [pair for pair in steps if pair[1] > 1])


def _read_stack(guest: "Illumos", thread: int, base: int, top: int) -> Mapping[int, int]:
    """Every word of a stack by its address."""
    if top < base:
        raise NoStack(thread, f"stack base or stack top corrupt for thread {thread:x}")
    if top - base > MAX_STACK:
        raise NoStack(thread, f"stack size for thread {thread:x} is too big to be reasonable")
    size = (top - base) // WORD * WORD
    try:
        data = guest.target.read(base, size)
    except ReadFailed as err:
        raise NoStack(thread, f"couldn't read entire stack for thread {thread:x}: {err}") from err
    return dict(zip(range(base, base + size, WORD), struct.unpack(f"<{size // WORD}Q", data), strict=True))


def _climb(words: Mapping[int, int], frame: int, top: int, visited: set[int] | None = None) -> tuple[bool, int]:
    """Whether the chain of a frame leads to the top of the stack, and in how many steps it goes upward."""
    steps = 0
    while frame % ALIGNMENT == 0 and frame in words:
        if visited is not None:
            visited.add(frame)
        saved = words[frame]
        if saved in (top, top - ALIGNMENT):
            return True, steps + 1
        if saved <= frame or (visited is not None and saved in visited):
            break
        steps += 1
        frame = saved
    return False, steps
