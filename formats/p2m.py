"""Columns of frame numbers in a file, searched both ways: which frame has slot i, which slot has frame f.

The file's table is used as it lies, nothing is read at open. A small table is inverted into a dict at the first
search; a large one by numpy: into a table by frame or, where frames lie too far apart for that, sorted. The first of
several equal frames wins.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from formats.frames import PAGE_SHIFT, Pfn
from formats.image import NO_FRAME, PageState, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAMES = 1 << 52 - PAGE_SHIFT  # how many an x86 page-table entry can name
SPARSE = 4  # times as many frame numbers as slots: a table of that size is smaller than a sorted copy
SMALL = 1 << 18  # entries: a dict of them takes about 60 ms and 25 MB; above, numpy is worth its import


class Column:
    """Frame numbers by slot. `values` may be any sequence of ints that also speaks the buffer protocol, or a range."""

    def __init__(self, values: Sequence[int]) -> None:
        self.values = values
        self._slots: dict[int, int] | None = None
        self._sorted: tuple[NDArray[np.uint64], NDArray[np.intp] | None] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def find(self, frame: int) -> int | None:
        """The first slot that holds the frame, or None."""
        if frame == NO_FRAME or not 0 <= frame < NO_FRAME:
            return None
        if isinstance(self.values, range):
            return self.values.index(frame) if frame in self.values else None
        if len(self.values) <= SMALL:
            return self._small().get(frame)
        return self._large(frame)

    def find_all(self, frames: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """The first slot that holds each of many frames, -1 for none."""
        import numpy as np

        if self._inverse is not None:
            base, slots = self._inverse
            at = frames - base
            inside = (at >= 0) & (at < len(slots))
            return np.where(inside, slots[np.where(inside, at, 0)], -1).astype(np.int64)
        known, ranks = self._in_order()
        found = np.full(len(frames), -1)
        if not len(known):
            return found
        order = np.argsort(frames)  # a search that rises stays in the processor's cache
        wanted = frames[order].astype(np.uint64)
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        hits = np.flatnonzero((known[at] == wanted) & (wanted != NO_FRAME))
        found[order[hits]] = at[hits] if ranks is None else ranks[at[hits]]
        return found

    def each_run(self, state: PageState = PageState.PRESENT) -> Iterator[Run]:
        """The frames as runs of consecutive numbers, rising, without the unused slots and repetitions."""
        if isinstance(self.values, range):
            if len(self.values):
                yield Run(Pfn(self.values[0]), len(self.values), state)
            return
        yield from each_run(as_array(self.values), state)

    def _small(self) -> dict[int, int]:
        if self._slots is None:
            frames = memoryview(self.values).tolist() if isinstance(self.values, memoryview) else list(self.values)
            last = len(frames) - 1
            self._slots = dict(zip(reversed(frames), range(last, -1, -1), strict=True))
        return self._slots

    def _large(self, frame: int) -> int | None:
        import numpy as np

        if self._inverse is not None:
            base, slots = self._inverse
            slot = int(slots[frame - base]) if 0 <= frame - base < len(slots) else -1
            return slot if slot >= 0 else None
        frames, ranks = self._in_order()
        at = int(np.searchsorted(frames, np.uint64(frame)))
        if at == len(frames) or int(frames[at]) != frame:
            return None
        return at if ranks is None else int(ranks[at])

    @cached_property
    def _inverse(self) -> "tuple[int, NDArray[Any]] | None":
        """The lowest frame and the slots by frame from there on, -1 for none; None where that table were too sparse."""
        import numpy as np

        frames = as_array(self.values)
        used = np.flatnonzero(frames != NO_FRAME)[::-1]  # of equal frames the first slot is written last
        frames = frames[used]
        base, last = (int(frames.min()), int(frames.max())) if len(used) else (0, 0)
        if last - base >= SPARSE * len(self.values) or last >= FRAMES:
            return None
        slots = np.full(last - base + 1, -1, np.int32 if len(frames) < 1 << 31 else np.int64)
        slots[(frames - np.uint64(base)).astype(np.int64)] = used
        return base, slots

    def _in_order(self) -> "tuple[NDArray[np.uint64], NDArray[np.intp] | None]":
        """The frames by rising number, and their slots unless they already lie so."""
        import numpy as np

        if self._sorted is None:
            frames = np.ascontiguousarray(as_array(self.values))
            if bool((frames[1:] >= frames[:-1]).all()):
                self._sorted = frames, None
            else:
                order = np.argsort(frames, kind="stable")
                self._sorted = frames[order], order
        return self._sorted


def each_run(frames: "NDArray[Any]", state: PageState) -> Iterator[Run]:
    """The frames as runs of consecutive numbers, rising, without the unused slots and repetitions."""
    import numpy as np

    frames = np.sort(frames)
    frames = frames[frames != NO_FRAME]
    if not len(frames):
        return
    frames = frames[np.concatenate(([True], frames[1:] != frames[:-1]))]  # np.unique hashes, at many times the cost
    breaks = np.flatnonzero(np.diff(frames) != 1)
    starts = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks + 1, [len(frames)]))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield Run(Pfn(int(frames[start])), end - start, state)


def as_array(values: Any) -> "NDArray[np.uint64]":
    """The column as an array of 64-bit numbers, without a copy where its bytes allow it."""
    import numpy as np

    return np.asarray(values, dtype=np.uint64)
