"""Columns of frame numbers in a file, searched both ways: which frame has slot i, which slot has frame f.

The file's table is used as it lies, nothing is read at open. A small table is inverted into a dict at the first
search; a large one by numpy, sorted if it is not so already. The first of several equal frames wins.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from formats.frames import Pfn
from formats.image import NO_FRAME, PageState, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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

        if self._sorted is None:
            frames = np.ascontiguousarray(as_array(self.values))
            if bool((frames[1:] >= frames[:-1]).all()):
                self._sorted = frames, None
            else:
                order = np.argsort(frames, kind="stable")
                self._sorted = frames[order], order
        frames, ranks = self._sorted
        at = int(np.searchsorted(frames, np.uint64(frame)))
        if at == len(frames) or int(frames[at]) != frame:
            return None
        return at if ranks is None else int(ranks[at])


def each_run(frames: "NDArray[Any]", state: PageState) -> Iterator[Run]:
    """The frames as runs of consecutive numbers, rising, without the unused slots and repetitions."""
    import numpy as np

    frames = np.unique(frames)
    frames = frames[frames != NO_FRAME]
    if not len(frames):
        return
    breaks = np.flatnonzero(np.diff(frames) != 1)
    starts = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks + 1, [len(frames)]))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield Run(Pfn(int(frames[start])), end - start, state)


def as_array(values: Any) -> "NDArray[np.uint64]":
    """The column as an array of 64-bit numbers, without a copy where its bytes allow it."""
    import numpy as np

    return np.asarray(values, dtype=np.uint64)
