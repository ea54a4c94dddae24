"""All of an address space in large pieces, for whoever looks at every byte of it.

What its page tables map is looked up in what the image holds, some thousand pages at a time. Pages that the image does
not hold are passed over.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from formats.frames import PAGE_MASK, PAGE_SHIFT
from formats.image import Image, PageState
from vmdebug.errors import DebuggerError
from vmdebug.targets.pieces import PageReader, Piece, gathered
from vmdebug.targets.spaces import AddressSpace, FlatSpace
from vmdebug.targets.tables import Runs, Tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vmdebug.targets.tables import Column

STEP = 1 << 15  # runs or pages that are looked up at once
MANY_TIMES = 16  # kernels map a page two or three times over, and share the tables where they map one more often
ALWAYS = 1 << 16  # pages that may be mapped however small the image is


class MappedTooOften(DebuggerError):
    def __init__(self, vaddr: int, pages: int) -> None:
        super().__init__(
            f"{vaddr:x}: the search ends here: the page tables map the {pages} pages of the image more than "
            f"{MANY_TIMES} times over, which no kernel does (-a goes on from an address)"
        )
        self.vaddr = vaddr


def each_piece(memory: AddressSpace | Image, start: int, end: int, zeros: bool = True) -> Iterator[Piece]:
    """What can be read from `start` up to `end` of an address space, or of an image's physical memory, rising.

    Without `zeros`, only the first and the last page are given of a run that is known to be zero.
    """
    image = memory if isinstance(memory, Image) else memory.image
    first, last = start & ~PAGE_MASK, end + PAGE_MASK & ~PAGE_MASK
    if isinstance(memory, Image | FlatSpace):
        runs = iter([_flat(first >> PAGE_SHIFT, last >> PAGE_SHIFT)])
    else:
        runs = Tables(memory).each_runs(first, last)
    physical = isinstance(memory, Image | FlatSpace) or image.about.translated
    parts = chain.from_iterable(map(ImagePages(image, physical, zeros).each_part, runs))
    return map(partial(_clipped, start, end), gathered(parts))


def _flat(first: int, end: int) -> Runs:
    """Frames at their own addresses."""
    import numpy as np

    frames = np.array([first], np.int64)
    return Runs(frames, frames, np.array([end - first], np.int64))


def _clipped(start: int, end: int, piece: Piece) -> Piece:
    if start <= piece.address and piece.end <= end:
        return piece
    low = max(start, piece.address)
    return Piece(low, piece.data[low - piece.address : max(end - piece.address, 0)])


class ImagePages:
    """What an image holds of the pages that are mapped, and how many of them may still be asked for.

    `physical` says that frames are named by their pfns, else as in page tables.
    """

    def __init__(self, image: Image, physical: bool, zeros: bool) -> None:
        import numpy as np

        self._reader = PageReader(image, physical)
        self._physical = physical
        self._zeros = zeros
        known = [run for run in image.runs() if run.state in (PageState.PRESENT, PageState.ZERO)]
        self._starts = np.array([run.pfn for run in known], np.int64)
        self._ends = np.array([run.pfn + run.count for run in known], np.int64)
        self._zero = np.array([run.state is PageState.ZERO for run in known], np.bool_)
        self._total = sum(run.count for run in known)
        self._left = max(ALWAYS, self._total * MANY_TIMES)

    def each_part(self, runs: Runs) -> Iterator[Piece]:
        """What the image holds of some runs; MappedTooOften behind more pages than any kernel's tables map."""
        for known, zero in self._each_known(runs):
            end = self._end_of_budget(known)
            allowed = known if end is None else known.within(0, end)
            yield from self._each_stored(*self._trimmed(allowed, zero[: len(allowed.vpns)]))
            if end is not None:
                raise MappedTooOften(end << PAGE_SHIFT, self._total)

    def _each_known(self, runs: Runs) -> "Iterator[tuple[Runs, NDArray[np.bool_]]]":
        """The parts of the runs that the image has, and whether they are known to be zero."""
        import numpy as np

        if not self._physical:
            yield runs, np.zeros(len(runs.vpns), np.bool_)
            return
        ends = runs.gfns + runs.pages
        low = np.searchsorted(self._ends, runs.gfns, "right")
        high = np.searchsorted(self._starts, ends, "left")
        for which, number in _each_item(np.maximum(high - low, 0)):
            at = low[which] + number
            first = np.maximum(runs.gfns[which], self._starts[at])
            pages = np.minimum(ends[which], self._ends[at]) - first
            yield Runs(runs.vpns[which] + first - runs.gfns[which], first, pages), self._zero[at]

    def _end_of_budget(self, runs: Runs) -> int | None:
        """Count pages that are mapped; the number of the first that is one too many."""
        import numpy as np

        ends = np.cumsum(runs.pages)
        left = self._left
        self._left -= int(ends[-1]) if len(ends) else 0
        if self._left >= 0:
            return None
        at = int(np.searchsorted(ends, left, "right"))
        return int(runs.vpns[at] + runs.pages[at] - ends[at]) + left

    def _trimmed(self, runs: Runs, zero: "NDArray[np.bool_]") -> "tuple[Runs, NDArray[np.bool_]]":
        """Only the first and the last page of a run that is known to be zero, unless all are wanted."""
        import numpy as np

        long = zero & (runs.pages > 2)
        if self._zeros or not long.any():
            return runs, zero
        which = np.repeat(np.arange(len(long)), 1 + long)
        skipped = np.where(np.diff(which, prepend=-1) == 0, runs.pages[which] - 1, 0)
        pages = np.where(long[which], 1, runs.pages[which])
        return Runs(runs.vpns[which] + skipped, runs.gfns[which] + skipped, pages), zero[which]

    def _each_stored(self, runs: Runs, zero: "NDArray[np.bool_]") -> Iterator[Piece]:
        """The bytes of the runs."""
        for which, number in _each_item(runs.pages):
            yield from self._reader.each_part(runs.vpns[which] + number, runs.gfns[which] + number, zero[which])


def _each_item(counts: "Column") -> "Iterator[tuple[Column, Column]]":
    """`counts[i]` items of each i, some thousand at a time: arrays of the i and of the item's number within it."""
    import numpy as np

    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    for begin in range(0, total, STEP):
        items = np.arange(begin, min(begin + STEP, total))
        if total <= STEP:
            which = np.repeat(np.arange(len(counts)), counts)
        else:
            which = np.searchsorted(ends, items, "right")
        yield which, items - (ends - counts)[which]
