"""Which page of a Xen save stream lies where: the last word said of each pfn wins.

A stream tells of pages in batches: first one word for each page (its pfn, and its type in the top bits), then the
bytes of those pages whose type carries any. The same pfn may come again. Nothing is read until the first page is
wanted; a small stream is indexed in a dict, a large one (a fully virtualised guest announces a million holes) by
numpy. What is kept are stretches of pages that lie together, some thousand pages each in practice.
Specified in: docs/specs/libxc-migration-stream.pandoc of Xen; the types are XEN_DOMCTL_PFINFO_* of its domctl.h.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from formats.errors import ImageDamaged, PageAbsent, PageExcluded
from formats.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Paddr, Pfn
from formats.image import PageState, Run
from formats.lazy import dataclass
from formats.source import Buffer, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALL = 1 << 18  # words: a dict of them takes some 60 ms; above, numpy is worth its import

BROKEN, ALLOCATED, NO_PAGE = 0xD, 0xE, 0xF
UNKNOWN = frozenset(range(5, 9))
CARRYING = frozenset({0, 1, 2, 3, 4, 9, 10, 11, 12})  # ordinary, page table of level 1 to 4, the same pinned
LEFT_OUT, GONE = -1, -2  # in place of an offset: content not saved; no page


@dataclass(frozen=True)
class Words:
    """How one page is announced: the size of the word, where the type begins, and where the pfn ends."""

    size: int
    type_shift: int
    pfn_bits: int

    @property
    def code(self) -> Literal["Q", "I"]:
        return "Q" if self.size == 8 else "I"

    def type_of(self, word: int) -> int:
        return word >> self.type_shift & 0xF

    def pfn_of(self, word: int) -> int:
        return word & (1 << self.pfn_bits) - 1


STREAM_V2 = Words(8, 60, 52)
LEGACY64, LEGACY32 = Words(8, 28, 28), Words(4, 28, 28)


@dataclass(frozen=True)
class Batch:
    """`count` words at `words`; the pages that carry bytes follow each other from `data` on, `carried` of them."""

    words: int
    count: int
    data: int
    carried: int


@dataclass(frozen=True)
class Stretches:
    """Pages that follow each other in memory and in the file: first pfn, pfn behind the last, place of the first.

    The place is LEFT_OUT where the pages exist without content. Ascending by pfn.
    """

    starts: Sequence[int]
    ends: Sequence[int]
    places: Sequence[int]


class PageIndex:
    """Where each page's last bytes lie. Built at the first question."""

    def __init__(self, source: Source, batches: Sequence[Batch], words: Words) -> None:
        self._source = source
        self._batches = batches
        self._words = words

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        """The buffer and the place in it where the page begins; PageAbsent or PageExcluded."""
        return self._source.page(self._place(pfn)[0])

    def read(self, paddr: Paddr, size: int) -> bytes:
        """Exactly `size` bytes, as much at once as lies together."""
        parts = []
        while size > 0:
            place, count = self._place(Pfn(paddr >> PAGE_SHIFT))
            inside = paddr & PAGE_MASK
            chunk = min(size, (count << PAGE_SHIFT) - inside)
            parts.append(self._source.read(place + inside, chunk))
            paddr = Paddr(paddr + chunk)
            size -= chunk
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def places(self, pfns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Where the bytes of many pages begin, -1 for those without."""
        import numpy as np

        starts, ends, places = self._columns
        if not len(starts):
            return np.full(len(pfns), -1)
        at = np.searchsorted(starts, pfns, "right") - 1
        inside = (at >= 0) & (pfns < ends[at]) & (places[at] >= 0)
        return np.where(inside, places[at] + (pfns - starts[at] << PAGE_SHIFT), -1)

    def runs(self) -> Iterator[Run]:
        """Every page, in runs of one state."""
        held: Run | None = None
        index = self._index
        for start, end, place in zip(index.starts, index.ends, index.places, strict=True):
            state = PageState.EXCLUDED if place == LEFT_OUT else PageState.PRESENT
            if held and (held.pfn + held.count, held.state) == (start, state):
                held = Run(held.pfn, end - held.pfn, state)
                continue
            if held:
                yield held
            held = Run(Pfn(start), end - start, state)
        if held:
            yield held

    def _place(self, pfn: Pfn) -> tuple[int, int]:
        """Where the page's bytes begin, and how many pages follow each other from there on."""
        index = self._index
        at = bisect_right(index.starts, pfn) - 1
        if at < 0 or pfn >= index.ends[at]:
            raise PageAbsent(pfn)
        if index.places[at] == LEFT_OUT:
            raise PageExcluded(pfn)
        return index.places[at] + (pfn - index.starts[at] << PAGE_SHIFT), index.ends[at] - pfn

    @cached_property
    def _columns(self) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]":
        """The index as arrays."""
        import numpy as np

        index = self._index
        return np.asarray(index.starts, np.int64), np.asarray(index.ends, np.int64), np.asarray(index.places, np.int64)

    @cached_property
    def _index(self) -> Stretches:
        return self._small() if sum(batch.count for batch in self._batches) <= SMALL else self._large()

    def _small(self) -> Stretches:
        places: dict[int, int] = {}
        for batch in self._batches:
            words = self._source.view(batch.words, batch.count * self._words.size).cast(self._words.code).tolist()
            if batch.carried == batch.count and max(words, default=0) >> self._words.pfn_bits == 0:
                end = batch.data + batch.count * PAGE_SIZE
                places.update(zip(words, range(batch.data, end, PAGE_SIZE), strict=True))
            else:
                self._place_each(batch, words, places)
        return _joined(sorted(places.items()), self._source.size - PAGE_SIZE)

    def _place_each(self, batch: Batch, words: list[int], places: dict[int, int]) -> None:
        """Words of several types: tables, holes, pages without content."""
        at = batch.data
        for word in words:
            kind, pfn = self._words.type_of(word), self._words.pfn_of(word)
            if kind in CARRYING:
                places[pfn] = at
                at += PAGE_SIZE
            elif kind == NO_PAGE:
                places.pop(pfn, None)
            elif kind in UNKNOWN:
                raise self._odd(batch)
            else:
                places[pfn] = LEFT_OUT
        if at != batch.data + batch.carried * PAGE_SIZE:
            raise self._odd(batch)

    def _large(self) -> Stretches:
        import numpy as np

        carrying = np.array([kind in CARRYING for kind in range(16)])
        known = np.array([kind not in UNKNOWN for kind in range(16)])
        chunks = [self._chunk(batch, carrying, known) for batch in self._batches]
        pfns = np.concatenate([chunk[0] for chunk in chunks])
        places = np.concatenate([chunk[1] for chunk in chunks])
        if not bool((pfns[1:] > pfns[:-1]).all()):
            order = np.argsort(pfns, kind="stable")
            pfns, places = pfns[order], places[order]
            last = np.append(pfns[1:] != pfns[:-1], True)
            pfns, places = pfns[last], places[last]
        kept = (places != GONE) & (places <= self._source.size - PAGE_SIZE)
        return _joined_arrays(pfns[kept], places[kept])

    def _chunk(
        self, batch: Batch, carrying: "NDArray[np.bool_]", known: "NDArray[np.bool_]"
    ) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
        import numpy as np

        raw = self._source.view(batch.words, batch.count * self._words.size)
        words = np.frombuffer(raw, dtype=f"<u{self._words.size}")
        kinds = words >> self._words.type_shift & 0xF
        carries = carrying[kinds]
        if int(carries.sum()) != batch.carried or not bool(known[kinds].all()):
            raise self._odd(batch)
        places = batch.data + PAGE_SIZE * (np.cumsum(carries, dtype=np.int64) - 1)
        places[~carries] = LEFT_OUT
        places[kinds == NO_PAGE] = GONE
        return (words & ((1 << self._words.pfn_bits) - 1)).astype(np.int64), places

    def _odd(self, batch: Batch) -> ImageDamaged:
        return ImageDamaged(
            f"{self._source.name}: pages at {batch.words:#x}: the types of {batch.count} words do not fit "
            f"the {batch.carried} pages that follow them"
        )


def carried_by(words: Sequence[int], layout: Words) -> int | None:
    """How many of the words are followed by a page; None if a type among them is none."""
    kinds = [layout.type_of(word) for word in words]
    return None if UNKNOWN.intersection(kinds) else sum(kind in CARRYING for kind in kinds)


def _joined(pages: Iterable[tuple[int, int]], last: int) -> Stretches:
    """Ascending (pfn, place) pairs joined, without those past the end of a cut file."""
    starts: list[int] = []
    ends: list[int] = []
    places: list[int] = []
    expected, next_place = -1, -1
    for pfn, place in pages:
        if place > last:
            continue
        if pfn == expected and place == next_place:
            ends[-1] = expected = pfn + 1
        else:
            starts.append(pfn)
            places.append(place)
            expected = pfn + 1
            ends.append(expected)
        next_place = LEFT_OUT if place == LEFT_OUT else place + PAGE_SIZE
    return Stretches(starts, ends, places)


def _joined_arrays(pfns: "NDArray[np.int64]", places: "NDArray[np.int64]") -> Stretches:
    """The same for arrays."""
    import numpy as np

    if not len(pfns):
        return Stretches((), (), ())
    step = np.where(places[:-1] == LEFT_OUT, 0, PAGE_SIZE)
    breaks = np.flatnonzero((np.diff(pfns) != 1) | (np.diff(places) != step)) + 1
    starts = np.concatenate(([0], breaks))
    ends = np.concatenate((breaks - 1, [len(pfns) - 1]))
    return Stretches(*(np.ascontiguousarray(column).data for column in (pfns[starts], pfns[ends] + 1, places[starts])))
