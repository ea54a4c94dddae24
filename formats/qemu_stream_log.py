"""The log of a stream's page records in the order they came, and what it comes to: for each page, its last content.

Records that follow each other at a fixed distance are one entry: first page, number of pages, place of the first page's
bytes, kind. A stream that sends every page once in rising order is its own result; where pages are repeated, numpy
finds the last record of each. XBZRLE records change the page that was there before: they are kept apart, in order.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

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
    import numpy as np

    entry_kind = np.frombuffer(log.kind, dtype=np.uint8)
    counts = np.frombuffer(log.count, dtype=np.uint64).astype(np.int64)
    entry = np.repeat(np.arange(len(counts)), counts)
    within = (np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.uint64)
    kind = entry_kind[entry]
    page = np.frombuffer(log.first, dtype=np.uint64)[entry] + within
    place = np.frombuffer(log.place, dtype=np.uint64)[entry] + within * np.where(kind == Kind.DATA, STRIDE, 0).astype(
        np.uint64
    )
    order = np.argsort(page, kind="stable")
    page, place, kind = page[order], place[order], kind[order]
    last = _last_whole(page, kind)
    delta = kind == Kind.XBZRLE
    delta &= np.arange(len(page)) > last
    deltas = array("Q", page[delta].tobytes()), array("Q", place[delta].tobytes())
    whole = np.unique(last[last >= 0])
    return _joined(page[whole], place[whole], kind[whole], deltas)


def _last_whole(page: "NDArray[np.uint64]", kind: "NDArray[np.uint8]") -> "NDArray[np.int64]":
    """For each record, by page and time, the index of its page's last record that is no delta; -1 if there is none."""
    import numpy as np

    index = np.arange(len(page))
    begins = np.concatenate(([True], page[1:] != page[:-1]))
    group = np.cumsum(begins) - 1
    latest = np.full(int(group[-1]) + 1, -1, dtype=np.int64)
    whole = kind != Kind.XBZRLE
    np.maximum.at(latest, group[whole], index[whole])
    found: NDArray[np.int64] = latest[group]
    return found


def _joined(page: "NDArray[Any]", place: "NDArray[Any]", kind: "NDArray[Any]", deltas: tuple[Any, Any]) -> Runs:
    """Single pages, rising, as runs."""
    import numpy as np

    if not len(page):
        return Runs((), (), (), (), *deltas)
    step = np.where(kind == Kind.DATA, STRIDE, 0).astype(np.uint64)
    joins = (page[1:] == page[:-1] + np.uint64(1)) & (kind[1:] == kind[:-1]) & (place[1:] == place[:-1] + step[:-1])
    joins &= kind[1:] != Kind.ZLIB
    heads = np.concatenate(([0], np.flatnonzero(~joins) + 1))
    counts = np.diff(np.concatenate((heads, [len(page)])))
    return Runs(
        array("Q", page[heads].tobytes()),
        array("Q", counts.astype(np.uint64).tobytes()),
        array("Q", place[heads].tobytes()),
        array("B", kind[heads].tobytes()),
        *deltas,
    )
