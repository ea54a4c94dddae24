"""Page-table entries in words, for every dcmd that shows one."""

from collections.abc import Sequence

from formats.frames import PAGE_SHIFT, Vaddr
from formats.lazy import dataclass
from vmdebug import paging
from vmdebug.dcmd import Call, Flag, Hex
from vmdebug.errors import DebuggerError

SOFT = ((1 << 9, "nosync"), (1 << 10, "noconsist"))  # the kernel's own bits of an entry, i86pc
CACHE = {0: "", 1 << 3: "wrthru", 1 << 4: "uncached", 3 << 3: "uncached"}
LEVEL = Flag("l", "level of the table, 0 is the last", "number", "level")


@dataclass(frozen=True)
class Pte:
    """A page-table entry in words.

    pte: the entry
    frame: the frame's number in it
    space: what counts that number, pfn or mfn
    flags: the names of the bits that are set
    present: whether it maps anything
    index: its number in the table, null outside of one
    vaddr: the first address that it maps, null outside of a table
    """

    pte: Hex
    frame: int
    space: str
    flags: Sequence[str]
    present: bool
    index: int | None = None
    vaddr: Vaddr | None = None


def pte_line(row: Pte) -> str:
    """An entry behind its place in the table, if it has one."""
    place = "" if row.index is None else f"[{row.index:>3}] va=0x{row.vaddr or 0:x} "
    words = "".join(f"{word} " for word in row.flags)
    return f"{place}pte=0x{row.pte:x}: {row.space}=0x{row.frame:x} {words}{'' if row.present else ' !VALID '}"


def describe(call: Call, entry: int, level: int, index: int | None = None, vaddr: Vaddr | None = None) -> Pte:
    """An entry's frame and bits. Referenced, modified and large are told only above the last level."""
    translated = call.target.image.about.translated
    large = level > 0 and bool(entry & paging.LARGE)
    frame = (entry & paging.FRAME & ~(0x1FF << PAGE_SHIFT if large else 0)) >> PAGE_SHIFT
    words = [
        ("noexec", entry & paging.NX),
        ("noconsist", entry & SOFT[1][0]),
        ("nosync", entry & SOFT[0][0]),
        ("global", entry & paging.GLOBAL),
        ("largepage", large),
        ("mod", level > 0 and entry & paging.DIRTY),
        ("ref", level > 0 and entry & paging.ACCESSED),
        ("user", entry & paging.USER),
        ("write", entry & paging.WRITABLE),
        (CACHE[entry & 3 << 3], entry & 3 << 3),
    ]
    present = bool(entry & paging.PRESENT)
    flags = [word for word, bit in words if bit]
    return Pte(Hex(entry), frame, "pfn" if translated else "mfn", flags, present, index, vaddr)


def level_of(call: Call) -> int:
    """The level that a call asks for, 0 if it asks for none."""
    level = int(call.flags.get("l", 0))
    levels = call.target.mode.levels if call.target.mode else 4
    if level >= levels:
        raise DebuggerError(f"invalid level {level}")
    return level
