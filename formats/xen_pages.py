"""Which page of a Xen save stream lies where: the last word said of each pfn wins.

A stream tells of pages in batches: first one word for each page (its pfn, and its type in the top bits), then the
bytes of those pages whose type carries any. The same pfn may come again. Nothing is read until the first page is
wanted; a small stream is indexed in a dict, a large one (a fully virtualised guest announces a million holes) by
numpy, in sorted arrays.
Specified in: docs/specs/libxc-migration-stream.pandoc of Xen; the types are XEN_DOMCTL_PFINFO_* of its domctl.h.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Literal

from formats.errors import ImageDamaged, PageAbsent, PageExcluded
from formats.frames import PAGE_SIZE, Pfn
from formats.image import PageState, Run
from formats.p2m import each_run
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


class PageIndex:
    """Where each page's last bytes lie. Built at the first question."""

    def __init__(self, source: Source, batches: Sequence[Batch], words: Words) -> None:
        self._source = source
        self._batches = batches
        self._words = words
        self._places: dict[int, int] | None = None
        self._sorted: tuple[NDArray[np.uint64], NDArray[np.int64]] | None = None

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        """The buffer and the place in it where the page begins; PageAbsent or PageExcluded."""
        place = self._place(pfn)
        if place == GONE:
            raise PageAbsent(pfn)
        if place == LEFT_OUT:
            raise PageExcluded(pfn)
        return self._source.page(place)

    def runs(self) -> Iterator[Run]:
        """Every page, in runs of one state."""
        pfns, places = self._arrays()
        stored = each_run(pfns[places >= 0], PageState.PRESENT)
        left_out = each_run(pfns[places == LEFT_OUT], PageState.EXCLUDED)
        yield from merge(stored, left_out, key=lambda run: run.pfn)

    def _place(self, pfn: int) -> int:
        if self._places is None and self._sorted is None:
            if sum(batch.count for batch in self._batches) <= SMALL:
                self._places = self._small()
            else:
                self._sorted = self._large()
        if self._places is not None:
            return self._places.get(pfn, GONE)
        return _search(self._arrays(), pfn)

    def _arrays(self) -> "tuple[NDArray[np.uint64], NDArray[np.int64]]":
        import numpy as np

        if self._sorted is None and self._places is None:
            self._sorted = self._large()
        if self._sorted is None:
            places = dict(sorted((self._places or {}).items()))
            pfns = np.fromiter(places.keys(), dtype=np.uint64, count=len(places))
            self._sorted = pfns, np.fromiter(places.values(), dtype=np.int64, count=len(places))
        return self._sorted

    def _small(self) -> dict[int, int]:
        places: dict[int, int] = {}
        for batch in self._batches:
            words = self._source.view(batch.words, batch.count * self._words.size).cast(self._words.code).tolist()
            if batch.carried == batch.count and max(words, default=0) >> self._words.pfn_bits == 0:
                end = batch.data + batch.count * PAGE_SIZE
                places.update(zip(words, range(batch.data, end, PAGE_SIZE), strict=True))
            else:
                self._place_each(batch, words, places)
        last = self._source.size - PAGE_SIZE
        if all(batch.data + (batch.carried - 1) * PAGE_SIZE <= last for batch in self._batches):
            return places
        return {pfn: place for pfn, place in places.items() if place <= last}

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

    def _large(self) -> "tuple[NDArray[np.uint64], NDArray[np.int64]]":
        import numpy as np

        chunks = [self._chunk(batch) for batch in self._batches]
        if not chunks:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        pfns = np.concatenate([chunk[0] for chunk in chunks])
        places = np.concatenate([chunk[1] for chunk in chunks])
        if not bool((pfns[1:] > pfns[:-1]).all()):
            order = np.argsort(pfns, kind="stable")
            pfns, places = pfns[order], places[order]
            last = np.append(pfns[1:] != pfns[:-1], True)
            pfns, places = pfns[last], places[last]
        kept = (places != GONE) & (places <= self._source.size - PAGE_SIZE)
        return pfns[kept], places[kept]

    def _chunk(self, batch: Batch) -> "tuple[NDArray[np.uint64], NDArray[np.int64]]":
        import numpy as np

        raw = self._source.view(batch.words, batch.count * self._words.size)
        words = np.frombuffer(raw, dtype=f"<u{self._words.size}").astype(np.uint64)
        kinds = (words >> np.uint64(self._words.type_shift) & np.uint64(0xF)).astype(np.uint8)
        carries = np.isin(kinds, list(CARRYING))
        if int(carries.sum()) != batch.carried or bool(np.isin(kinds, list(UNKNOWN)).any()):
            raise self._odd(batch)
        places = batch.data + PAGE_SIZE * (np.cumsum(carries, dtype=np.int64) - 1)
        places[~carries] = LEFT_OUT
        places[kinds == NO_PAGE] = GONE
        return words & np.uint64((1 << self._words.pfn_bits) - 1), places

    def _odd(self, batch: Batch) -> ImageDamaged:
        return ImageDamaged(
            f"{self._source.name}: pages at {batch.words:#x}: the types of {batch.count} words do not fit "
            f"the {batch.carried} pages that follow them"
        )


def carried_by(words: Sequence[int], layout: Words) -> int | None:
    """How many of the words are followed by a page; None if a type among them is none."""
    kinds = [layout.type_of(word) for word in words]
    return None if UNKNOWN.intersection(kinds) else sum(kind in CARRYING for kind in kinds)


def _search(arrays: "tuple[NDArray[np.uint64], NDArray[np.int64]]", pfn: int) -> int:
    import numpy as np

    pfns, places = arrays
    if not 0 <= pfn < 1 << 64:
        return GONE
    at = int(np.searchsorted(pfns, np.uint64(pfn)))
    return int(places[at]) if at < len(pfns) and int(pfns[at]) == pfn else GONE
