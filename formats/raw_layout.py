"""Where the bytes of a headerless memory file belong when memory reaches past 4 GiB.

The guest's own page tables tell: those above 4 GiB look like page tables only if the hole that the file leaves out is
the right one.
"""

from collections.abc import Iterator
from itertools import islice

from formats.extents import Extent
from formats.lazy import dataclass
from formats.raw_evidence import FOUR_GIB, HOLES, LARGE, LONG, Tables, each_root, holes_of
from formats.source import Source

SMALLEST = min(HOLES)
MAX_ROOTS = 16
MAX_TABLES = 1024
MISS = 4  # one page that cannot be a table counts as much as this many that could


@dataclass(frozen=True)
class Layout:
    """Which bytes belong where; `sure` is false where nothing in the file tells."""

    extents: tuple[Extent, ...]
    text: str
    sure: bool = True


def find_layout(source: Source) -> Layout:
    """The layout that the guest's page tables agree with best; offset is address where they say nothing."""
    flat = Layout((Extent(0, source.size, 0),), "offset is address")
    if source.size <= SMALLEST:
        return flat
    scores = {hole: _score(Tables(source, hole)) for hole in holes_of(source)}
    best = max(scores, key=lambda hole: scores[hole])
    if scores[best] <= 0:
        return Layout(flat.extents, flat.text, sure=False)
    if best is None:
        return flat
    extents = (Extent(0, best, 0), Extent(FOUR_GIB, source.size - best, best))
    return Layout(extents, f"the file leaves out {best:#x} to {FOUR_GIB:#x}, as {HOLES[best]} does")


def _score(tables: Tables) -> int:
    """How much of what should be a page table above 4 GiB looks like one."""
    return sum(islice(_each_hit(tables), MAX_TABLES))


def _each_hit(tables: Tables) -> Iterator[int]:
    """For each table above 4 GiB that others lead to: 1 if it looks like one, less than 0 if it cannot be one."""
    roots = (found.root for found in each_root(tables) if found.mode is LONG and found.root is not None)
    waiting = [(root, LONG.depth) for root in islice(roots, MAX_ROOTS)]
    seen = {root for root, _ in waiting}
    while waiting and len(seen) < 8 * MAX_TABLES:
        paddr, depth = waiting.pop()
        entries = tables.entries(LONG, paddr, depth)
        if paddr >= FOUR_GIB and entries != []:
            yield 1 if entries else -MISS
        for entry in entries or () if depth > 1 else ():
            target = entry & LONG.frame
            if not entry & LARGE and target not in seen:
                seen.add(target)
                waiting.append((target, depth - 1))
