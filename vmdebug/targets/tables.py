"""The page tables of an address space by whole arrays: what it maps, as runs of pages.

The last tables below one table are decoded together. Each table is read only a few times for each level at which it is
found, so that tables which name each other, or a thousand times the same one, cost no more than others.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Gfn
from vmdebug import paging
from vmdebug.targets.spaces import AddressSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.int64]

MAX_VISITS = 4  # Linux under Xen maps its image and memory as a whole with the same tables; no kernel does more
TOGETHER = 64  # tables of the last level that are decoded at once: what stays in the processor's cache


class Runs(NamedTuple):
    """Three columns: from page number `vpns` of an address space on, `pages` pages lie in frames from `gfns` on.

    The page numbers rise.
    """

    vpns: "Column"
    gfns: "Column"
    pages: "Column"

    def joined(self) -> "Runs":
        """The same with those that continue the one before made one with it."""
        import numpy as np

        if len(self.vpns) < 2:
            return self
        vpns, gfns, pages = self
        goes_on = (np.diff(vpns) == pages[:-1]) & (np.diff(gfns) == pages[:-1])
        breaks = np.flatnonzero(~goes_on)
        starts, lasts = np.append(0, breaks + 1), np.append(breaks, len(vpns) - 1)
        return Runs(vpns[starts], gfns[starts], vpns[lasts] + pages[lasts] - vpns[starts])

    def within(self, first: int, end: int) -> "Runs":
        """The parts of the runs that lie from one page number up to another."""
        import numpy as np

        if not len(self.vpns) or (self.vpns[0] >= first and self.vpns[-1] + self.pages[-1] <= end):
            return self
        low, high = np.maximum(self.vpns, first), np.minimum(self.vpns + self.pages, end)
        kept = low < high
        return Runs(low[kept], (self.gfns + low - self.vpns)[kept], (high - low)[kept])


class Tables:
    """The page tables of one address space."""

    def __init__(self, space: AddressSpace) -> None:
        self._image = space.image
        self._mode = space.mode
        self._root = space.root
        self._visits: Counter[tuple[int, int, int, int]] = Counter()

    def each_runs(self, start: int, end: int) -> Iterator[Runs]:
        """What is mapped between two addresses of one half, both of whole pages, rising, some runs at a time."""
        return self._below(0, self._root, start, end)

    def _below(self, depth: int, at: int, start: int, end: int) -> Iterator[Runs]:
        """What one table maps of a range, which is not empty."""
        shift, width = self._mode.shifts[depth], self._mode.widths[depth]
        base = start >> shift + width << shift + width
        if not self._may_visit(depth, at, start - base, end - base):
            return
        first, last = start - base >> shift, end - base - 1 >> shift
        table = self._table(at, (last + 1) * self._mode.entry.size)
        if table is None:
            return
        present = self._each_present(table, first, base, shift)
        if depth + 2 == self._mode.levels:
            entries = list(present)
            for number in range(0, len(entries), TOGETHER):
                yield self._leaves(entries[number : number + TOGETHER], start, end)
            return
        for vaddr, entry in present:
            part = max(vaddr, start), min(vaddr + (1 << shift), end)
            if not entry & paging.LARGE:
                yield from self._below(depth + 1, entry & paging.FRAME, *part)
            elif self._mode.levels - depth in self._mode.large:
                yield self._large([(vaddr, entry)], shift).within(part[0] >> PAGE_SHIFT, part[1] >> PAGE_SHIFT)

    def _may_visit(self, *what: int) -> bool:
        """False if that range of the table was seen often enough at this level."""
        self._visits[what] += 1  # type: ignore[index]
        return self._visits[what] <= MAX_VISITS  # type: ignore[index]

    def _table(self, at: int, size: int) -> bytes | None:
        """The first bytes of a table; None where the image does not have it, or it would not end with its page."""
        if (at & PAGE_MASK) + size > PAGE_SIZE:
            return None
        try:
            buffer, start = self._image.locate_gfn(Gfn(at >> PAGE_SHIFT))
        except (MfnUnknown, PageMissing):
            return None
        start += at & PAGE_MASK
        return buffer[start : start + size]

    def _each_present(self, table: bytes, first: int, base: int, shift: int) -> Iterator[tuple[int, int]]:
        """The entries from the first wanted on that map something, each behind the address that it is for."""
        import numpy as np

        entries = self._entries(table)[first:]
        places = np.flatnonzero(entries & paging.PRESENT)
        vaddrs = (base + (first + place << shift) for place in places.tolist())
        return zip(vaddrs, entries[places].tolist(), strict=True)

    def _entries(self, tables: bytes) -> "Column":
        """The entries of tables; bit 63 makes one negative."""
        import numpy as np

        return np.frombuffer(tables, dtype=f"<u{self._mode.entry.size}").astype(np.int64)

    def _leaves(self, entries: list[tuple[int, int]], start: int, end: int) -> Runs:
        """What some entries of a table of the last level but one map of a range."""
        import numpy as np

        large = [entry for entry in entries if entry[1] & paging.LARGE]
        runs = self._small([entry for entry in entries if not entry[1] & paging.LARGE], start, end)
        if large:
            columns = zip(runs, self._large(large, self._mode.shifts[-2]), strict=True)
            runs = Runs(*map(np.concatenate, columns))
            order = np.argsort(runs.vpns)
            runs = Runs(*(column[order] for column in runs))
        return runs.within(start >> PAGE_SHIFT, end >> PAGE_SHIFT).joined()

    def _large(self, entries: list[tuple[int, int]], shift: int) -> Runs:
        """The large pages that entries map."""
        import numpy as np

        vpns = [vaddr >> PAGE_SHIFT for vaddr, _ in entries]
        gfns = [paging.large_frame(self._mode, entry, shift) >> PAGE_SHIFT for _, entry in entries]
        pages = np.full(len(vpns), 1 << shift - PAGE_SHIFT)
        return Runs(np.array(vpns, np.int64), np.array(gfns, np.int64), pages)

    def _small(self, entries: list[tuple[int, int]], start: int, end: int) -> Runs:
        """The pages that the last tables map which entries name."""
        import numpy as np

        shift, size = self._mode.shifts[-2], self._mode.entry.size << self._mode.widths[-1]
        bases, tables = [], []
        for vaddr, entry in entries:
            at, depth = entry & paging.FRAME, self._mode.levels - 1
            inside = max(start - vaddr, 0), min(end - vaddr, 1 << shift)
            table = self._table(at, size) if self._may_visit(depth, at, *inside) else None
            if table is not None:
                bases.append(vaddr >> PAGE_SHIFT)
                tables.append(table)
        content = self._entries(b"".join(tables))
        places = np.flatnonzero(content & paging.PRESENT)
        width = self._mode.widths[-1]
        vpns = np.array(bases, np.int64)[places >> width] + (places & (1 << width) - 1)
        gfns = (content[places] & paging.FRAME) >> PAGE_SHIFT
        return Runs(vpns, gfns, np.ones(len(places), np.int64))
