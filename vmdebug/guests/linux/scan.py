"""Page tables found without registers: every page of memory is looked at once, in bulk, for the shape of a root.

A root of the kernel's maps many slots of the upper half, the last of them to a table under which the image lies: a run
of executable memory at the top of the address space. Every process' root has that half, any of them will do.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.errors import PageMissing
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Paddr
from formats.image import Image, PageState

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 4096  # pages looked at together
HALF, TOP = 256, 511
MIN_SLOTS = 20  # of the upper half that a kernel's root maps: vmalloc alone has more
PRESENT, LARGE = 1, 1 << 7


def each_candidate(image: Image) -> Iterator[int]:
    """The physical addresses of pages that look like a root of four levels, rising."""
    for run in image.runs():
        if run.state is not PageState.PRESENT:
            continue
        for pfn in range(run.pfn, run.pfn + run.count, CHUNK):
            count = min(CHUNK, run.pfn + run.count - pfn)
            try:
                data = image.read(Paddr(pfn << PAGE_SHIFT), count * PAGE_SIZE)
            except PageMissing:
                continue
            yield from ((pfn + number) << PAGE_SHIFT for number in _roots_among(data))


def _roots_among(data: bytes) -> list[int]:
    """Which pages of a run have the shape of a root."""
    import numpy as np

    entries: NDArray[np.uint64] = np.frombuffer(data, dtype="<u8").reshape(-1, PAGE_SIZE // 8)
    likely = np.flatnonzero((entries[:, TOP] & np.uint64(PRESENT | LARGE)) == PRESENT)
    upper = entries[likely, HALF:]
    slots = (upper & np.uint64(PRESENT)).sum(axis=1)
    large = ((upper & np.uint64(PRESENT | LARGE)) == PRESENT | LARGE).any(axis=1)
    return [int(number) for number in likely[(slots >= MIN_SLOTS) & ~large]]
