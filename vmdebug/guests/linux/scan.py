"""Page tables found without registers: every page of memory is looked at once, in bulk, for the shape of a root.

With four levels a root of the kernel's maps many slots of the upper half, the last of them to a table under which the
image lies: a run of executable memory at the top of the address space. With PAE a root is four entries, the
last of them the kernel's; with two levels a page, in whose upper part large pages map low memory from its start on.
Every process' root has the kernel's part, any of them will do.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.errors import PageMissing
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Paddr
from formats.image import Image, PageState
from vmdebug.paging import Mode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 4096  # pages looked at together
HALF, TOP = 256, 511
MIN_SLOTS = 20  # of the upper half that a kernel's root maps: vmalloc alone has more
PRESENT, LARGE = 1, 1 << 7
PAE_ROOT = 32  # bytes of a root of PAE
PAE_BITS = 0xFFF & ~(1 << 5)  # of its entries, those that are none of an address; some processors set one more
PAE_END = 1 << 36  # 64 GiB: Linux uses no more with PAE
LOW_MAPS = (768, 704, 512, 480, 256)  # entries of two levels at which the kernel's part may begin (CONFIG_VMSPLIT_*)
LARGE_SHIFT, LOOKED_AT, MIN_LARGE = 22, 16, 4  # of the large pages there


def each_candidate(image: Image, mode: Mode) -> Iterator[int]:
    """The physical addresses of what looks like a root of that mode, rising."""
    among, size = SHAPES[mode.name]
    for run in image.runs():
        if run.state is not PageState.PRESENT:
            continue
        for pfn in range(run.pfn, run.pfn + run.count, CHUNK):
            count = min(CHUNK, run.pfn + run.count - pfn)
            try:
                data = image.read(Paddr(pfn << PAGE_SHIFT), count * PAGE_SIZE)
            except PageMissing:
                continue
            yield from ((pfn << PAGE_SHIFT) + size * number for number in among(data))


def _of_four_levels(data: bytes) -> list[int]:
    """Which pages of a run have the shape of a root."""
    import numpy as np

    entries: NDArray[np.uint64] = np.frombuffer(data, dtype="<u8").reshape(-1, PAGE_SIZE // 8)
    likely = np.flatnonzero((entries[:, TOP] & np.uint64(PRESENT | LARGE)) == PRESENT)
    upper = entries[likely, HALF:]
    slots = (upper & np.uint64(PRESENT)).sum(axis=1)
    large = ((upper & np.uint64(PRESENT | LARGE)) == PRESENT | LARGE).any(axis=1)
    return [int(number) for number in likely[(slots >= MIN_SLOTS) & ~large]]


def _of_pae(data: bytes) -> list[int]:
    """Which groups of four entries have the kernel's, the last, and others, none of which leads to the same table."""
    import numpy as np

    entries: NDArray[np.uint64] = np.frombuffer(data, dtype="<u8").reshape(-1, 4)
    likely = np.flatnonzero((entries[:, 3] & np.uint64(PAE_BITS) == PRESENT) & (entries[:, 3] < PAE_END))
    tables = entries[likely]
    present = (tables & np.uint64(PAE_BITS) == PRESENT) & (tables > PAGE_SIZE) & (tables < PAE_END)
    whole = (present | (tables == 0)).all(axis=1) & (present.sum(axis=1) >= 2) & present[:, 3]
    ordered = np.sort(tables, axis=1)
    return [int(number) for number in likely[whole & _differ(ordered)]]


def _differ(ordered: "NDArray[np.uint64]") -> "NDArray[np.bool_]":
    """Which rows have no number but 0 twice."""
    different: NDArray[np.bool_] = ((ordered[:, 1:] != ordered[:, :-1]) | (ordered[:, 1:] == 0)).all(axis=1)
    return different


def _of_two_levels(data: bytes) -> list[int]:
    """Which pages map low memory from its start on, by some large pages."""
    import numpy as np

    entries: NDArray[np.uint32] = np.frombuffer(data, dtype="<u4").reshape(-1, PAGE_SIZE // 4)
    found = np.zeros(len(entries), dtype=bool)
    numbers = np.arange(1, LOOKED_AT, dtype=np.uint32)
    wanted = numbers << np.uint32(LARGE_SHIFT) | np.uint32(PRESENT | LARGE)
    mask = np.uint32(-1 << LARGE_SHIFT & 0xFFFF_FFFF | PRESENT | LARGE)
    for start in LOW_MAPS:
        found |= (entries[:, start + 1 : start + LOOKED_AT] & mask == wanted).sum(axis=1) >= MIN_LARGE
    return [int(number) for number in np.flatnonzero(found)]


SHAPES = {
    "4-level": (_of_four_levels, PAGE_SIZE),
    "PAE": (_of_pae, PAE_ROOT),
    "2-level": (_of_two_levels, PAGE_SIZE),
}
