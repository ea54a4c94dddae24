"""The chain of frame pointers of an x86 stack.

A frame is two words at its frame pointer: the caller's frame pointer and the return address. A chain ends at a frame
pointer of zero; one that cannot go on ends in a Frame that says why.
"""

import struct
from collections.abc import Callable, Iterator, Sequence

from formats.lazy import dataclass
from vmdebug.errors import ReadFailed

WORDS = {8: struct.Struct("<QQ"), 4: struct.Struct("<II")}
ALIGNMENT = {8: 16, 4: 4}
MAX_FRAMES = 1 << 14  # more than any kernel stack holds
LOW = 0xFFF

NO_MAPPING = "no mapping for address"
NOT_ALIGNED = "stack address is not properly aligned"
INVALID = "stack frame pointer is invalid"

Read = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Frame:
    """One call: where it continues, its frame pointer, its arguments as far as they were saved.

    `reason` is empty but in the last frame of a chain that is broken: then its frame pointer is the one that failed.
    `inside` is an address in the call itself, if that is known: one that never returns may be the last of its function.
    """

    pc: int
    fp: int
    arguments: Sequence[int] = ()
    reason: str = ""
    inside: int = 0


def each_frame(read: Read, fp: int, pc: int = 0, *, word: int = 8, marks: bool = False) -> Iterator[Frame]:
    """The frames from `fp` on, the innermost first; without a pc its own function is unknown and left out.

    Where the chain is broken at once, the frame of a known pc still comes before the one that says so.
    With `marks` a frame pointer may be complemented, the hypervisor's mark of an exception frame; those frames are
    aligned to 8 bytes only.
    """
    seen: set[int] = set()
    if pc and not fp:
        yield Frame(pc, fp)
    while fp:
        reason = _fault(fp, seen, word if marks else ALIGNMENT[word])
        try:
            saved, caller = WORDS[word].unpack(read(fp, 2 * word)) if not reason else (0, 0)
        except ReadFailed:
            reason = NO_MAPPING
        if reason:
            if pc and not seen:
                yield Frame(pc, fp)
            yield Frame(pc, fp, reason=reason)
            return
        if pc:
            yield Frame(pc, fp)
        seen.add(fp)
        if marks and saved < fp and (saved ^ fp ^ -1) & ~LOW & (1 << 64) - 1 == 0:
            saved ^= (1 << 64) - 1
        fp, pc = saved, caller


def _fault(fp: int, seen: set[int], alignment: int) -> str:
    if fp % alignment:
        return NOT_ALIGNED
    return INVALID if fp in seen or len(seen) >= MAX_FRAMES else ""
