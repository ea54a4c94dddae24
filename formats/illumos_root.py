"""The kernel's top page table in an illumos dump, found by what the dump's own translation map says.

Samples of kernel addresses with their pages are taken from the map. Every stored page is tried as a top table, all at
once: its entry for a sample's address must be present and name a stored page. The few that are left are walked; the
one under which the samples lead to their pages is the kernel's.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT
from formats.lazy import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHIFTS = (39, 30, 21, 12)
PRESENT, LARGE = 1, 1 << 7
FRAME = 0x000F_FFFF_FFFF_F000
LOOKED_AT = 1 << 12  # entries of the map
SAMPLES = 16
MOST_TRIED = 1 << 10
KERNEL_HALF = 1 << 63


@dataclass(frozen=True)
class Vtop:
    """A translation that the dump states; `slot` is the page's number in the file."""

    space: int
    vaddr: int
    slot: int


def find_root(places: Iterable[Vtop], data: memoryview, pfns: memoryview) -> int | None:
    """The address of the top page table, None if no page is one."""
    samples = _spread([place for place in islice(places, LOOKED_AT) if place.vaddr & KERNEL_HALF])
    if not samples or not len(pfns):
        return None
    import numpy as np

    pages = np.frombuffer(data, dtype="<u8").reshape(-1, 512)
    frames = np.frombuffer(pfns, dtype="<u8")
    if not bool((frames[1:] > frames[:-1]).all()):
        return None
    good = np.ones(len(frames), dtype=bool)
    for index in {sample.vaddr >> SHIFTS[0] & 0x1FF for sample in samples}:
        good &= _names_stored(pages[:, index], frames)
    for slot in np.flatnonzero(good)[:MOST_TRIED].tolist():
        if all(_leads(pages, frames, slot, sample) for sample in samples):
            return int(frames[slot]) << PAGE_SHIFT
    return None


def _spread(places: Sequence[Vtop]) -> Sequence[Vtop]:
    """A few of them, from all over."""
    return places[:: max(len(places) // SAMPLES, 1)][:SAMPLES]


def _names_stored(entries: "NDArray[np.uint64]", frames: "NDArray[np.uint64]") -> "NDArray[np.bool_]":
    import numpy as np

    wanted = (entries & np.uint64(FRAME)) >> np.uint64(PAGE_SHIFT)
    at = np.minimum(np.searchsorted(frames, wanted), len(frames) - 1)
    found: NDArray[np.bool_] = (entries & np.uint64(PRESENT) != 0) & (frames[at] == wanted)
    return found


def _leads(pages: "NDArray[np.uint64]", frames: "NDArray[np.uint64]", slot: int, sample: Vtop) -> bool:
    """True if the tables under a page lead the sample's address to the sample's page."""
    for shift in SHIFTS:
        entry = int(pages[slot, sample.vaddr >> shift & 0x1FF])
        if not entry & PRESENT:
            return False
        frame = (entry & FRAME) >> PAGE_SHIFT
        if entry & LARGE and shift in SHIFTS[1:3]:
            inside = (sample.vaddr & ((1 << shift) - 1)) >> PAGE_SHIFT
            return _slot(frames, (frame & ~((1 << shift - PAGE_SHIFT) - 1)) + inside) == sample.slot
        found = _slot(frames, frame)
        if found is None:
            return False
        slot = found
    return slot == sample.slot


def _slot(frames: "NDArray[np.uint64]", frame: int) -> int | None:
    import numpy as np

    at = int(np.searchsorted(frames, np.uint64(frame)))
    return at if at < len(frames) and int(frames[at]) == frame else None
