"""The log of a stream's page records in the order they came, and what it comes to: for each page, its last content.

Records that follow each other at a fixed distance are one entry: first page, number of pages, place of the first page's
bytes, kind. A stream that sends every page once in rising order is its own result; where pages are repeated, numpy
finds the last record of each. XBZRLE records change the page that was there before: they are kept apart, in order.
"""

from array import array
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from formats.lazy import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STRIDE = 8 + 4096  # from one page's bytes to the next of the same run: a word stands between them


class Kind(IntEnum):
    """What an entry's place means."""

    DATA = 0  # offset of the page's bytes, the following pages STRIDE further each
    FILL = 1  # the byte that fills the pages
    ZLIB = 2  # offset of the compressed page, behind its length
    XBZRLE = 3  # offset of a delta, behind its length


@dataclass(frozen=True)
class Runs:
    """Disjoint runs of pages, rising, as columns; deltas by page, each page's own in the order of the stream."""

    first: Sequence[int]
    count: Sequence[int]
    place: Sequence[int]
    kind: Sequence[int]
    delta_page: Sequence[int] = ()
    delta_place: Sequence[int] = ()


class Log:
    """Entries as they come. `add` joins what continues the last entry."""

    def __init__(self) -> None:
        self.first = array("Q")
        self.count = array("Q")
        self.place = array("Q")
        self.kind = array("B")
        self.ordered = True  # every page once, rising
        self._end = 0

    def add(self, first: int, count: int, place: int, kind: Kind) -> None:
        """`count` pages from `first` on, whose bytes begin at `place`."""
        if first < self._end or kind is Kind.XBZRLE:
            self.ordered = False
        elif first == self._end and self.first and self.kind[-1] == kind and place == self._next_place(kind):
            self.count[-1] += count
            self._end = first + count
            return
        self.first.append(first)
        self.count.append(count)
        self.place.append(place)
        self.kind.append(kind)
        self._end = first + count

    def _next_place(self, kind: Kind) -> int:
        """What the next page's place would be if it went on with the last entry."""
        return self.place[-1] + (STRIDE * self.count[-1] if kind is Kind.DATA else 0)

    def runs(self) -> Runs:
        """What the records come to."""
        if self.ordered:
            return Runs(self.first, self.count, self.place, self.kind)
        return _last_of_each(self)


def _last_of_each(log: Log) -> Runs:
    """The runs where entries overlap: each is cut where another begins or ends, and of equal pieces the last holds."""
    import numpy as np

    first, count = np.frombuffer(log.first, dtype=np.uint64), np.frombuffer(log.count, dtype=np.uint64)
    bounds = _distinct(np.concatenate((first, first + count)))
    low, high = np.searchsorted(bounds, first), np.searchsorted(bounds, first + count)
    entry = np.repeat(np.arange(len(first)), high - low)
    piece = np.arange(len(entry)) - np.repeat(np.cumsum(high - low) - high, high - low)
    order = np.argsort(piece, kind="stable")
    entry, piece = entry[order], piece[order]
    kind = np.frombuffer(log.kind, dtype=np.uint8)[entry]
    step = np.where(kind == Kind.DATA, STRIDE, 0).astype(np.uint64)
    place = np.frombuffer(log.place, dtype=np.uint64)[entry] + (bounds[piece] - first[entry]) * step
    last = _last_whole(piece, kind)
    delta = (kind == Kind.XBZRLE) & (np.arange(len(piece)) > last)
    deltas = _column(bounds[piece[delta]]), _column(place[delta])
    whole = _distinct(last[last >= 0])
    start = bounds[piece[whole]]
    return _joined(start, bounds[piece[whole] + 1] - start, place[whole], kind[whole], deltas)


def _last_whole(piece: "NDArray[Any]", kind: "NDArray[Any]") -> "NDArray[np.int64]":
    """For each record, sorted by piece and time, the index of its piece's last record that is no delta, or -1."""
    import numpy as np

    group = np.cumsum(np.concatenate(([True], piece[1:] != piece[:-1]))) - 1
    latest = np.full(int(group[-1]) + 1, -1, dtype=np.int64)
    whole = kind != Kind.XBZRLE
    latest[group[whole]] = np.flatnonzero(whole)  # of several, the last one stays
    found: NDArray[np.int64] = latest[group]
    return found


def _joined(
    start: "NDArray[Any]", count: "NDArray[Any]", place: "NDArray[Any]", kind: "NDArray[Any]", deltas: tuple[Any, Any]
) -> Runs:
    """Pieces, rising, as runs: those that continue each other are one."""
    import numpy as np

    if not len(start):
        return Runs((), (), (), (), *deltas)
    step = np.where(kind == Kind.DATA, STRIDE, 0).astype(np.uint64) * count
    joins = (start[1:] == start[:-1] + count[:-1]) & (kind[1:] == kind[:-1]) & (place[1:] == place[:-1] + step[:-1])
    joins &= kind[1:] != Kind.ZLIB
    heads = np.concatenate(([0], np.flatnonzero(~joins) + 1))
    counts = np.add.reduceat(count, heads)
    return Runs(
        _column(start[heads]), _column(counts), _column(place[heads]), array("B", kind[heads].tobytes()), *deltas
    )


def _distinct(numbers: "NDArray[Any]") -> "NDArray[Any]":
    """The numbers sorted, each once."""
    import numpy as np

    numbers = np.sort(numbers)
    return numbers[np.concatenate(([True], numbers[1:] != numbers[:-1]))] if len(numbers) else numbers


def _column(numbers: "NDArray[Any]") -> "array[int]":
    return array("Q", numbers.astype("uint64").tobytes())
