"""All that a set of page tables maps: runs of addresses with the same rights, of the whole address space.

The rights are those of the entry that maps the page, whatever the tables above it say.
Specified in: Intel SDM vol. 3, chapter 4.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.paging import ENTRY8, FRAME, LARGE, PRESENT, USER, WRITABLE, Mode, Table

MAX_TABLES = 1 << 18  # with 4K pages 512 GiB


class TooManyTables(DebuggerError):
    def __init__(self) -> None:
        super().__init__(f"the page tables lead to more than {MAX_TABLES} tables; the rest is left out")


class MappedRange(NamedTuple):
    """A run of virtual addresses, and the rights of its pages. `end` is behind the last."""

    start: int
    end: int
    user: bool
    writable: bool

    @property
    def size(self) -> int:
        return self.end - self.start


Part = tuple[int, int, bool, bool]  # start, end, user, writable


def each_mapped(
    mode: Mode, root: int, table: Table, missing: Callable[[ReadFailed], None] = lambda _: None
) -> Iterator[MappedRange]:
    """What the tables under `root` map, rising. A table that cannot be read is told to `missing` and maps nothing.

    TooManyTables ends tables that lead to one another without end.
    """
    held: Part | None = None
    for part in _Walk(mode, table, missing).parts(0, root, 0):
        if held and held[1] == part[0] and held[2:] == part[2:]:
            held = held[0], *part[1:]
            continue
        if held:
            yield MappedRange(*held)
        held = part
    if held:
        yield MappedRange(*held)


class _Walk:
    """One way through all tables, and how many there were."""

    def __init__(self, mode: Mode, table: Table, missing: Callable[[ReadFailed], None]) -> None:
        self.mode = mode
        self.table = table
        self.missing = missing
        self.tables = 0

    def parts(self, depth: int, at: int, base: int) -> Iterator[Part]:
        """The pages under a table that lies `at` and whose first entry is for the address `base`."""
        mode, level, shift = self.mode, self.mode.levels - depth, self.mode.shifts[depth]
        for index, entry in enumerate(self._entries(depth, at)):
            if not entry & PRESENT:
                continue
            low = base | index << shift
            if depth == 0 and mode.canonical and low >> (mode.bits - 1):
                low |= (1 << 64) - (1 << mode.bits)
            if level == 1 or (entry & LARGE and level in mode.large):
                yield low, low + (1 << shift), bool(entry & USER), bool(entry & WRITABLE)
            elif not entry & LARGE:
                yield from self.parts(depth + 1, entry & FRAME, low)

    def _entries(self, depth: int, at: int) -> tuple[int, ...]:
        self.tables += 1
        if self.tables > MAX_TABLES:
            raise TooManyTables
        try:
            buffer, start = self.table(at)
        except ReadFailed as err:
            self.missing(err)
            return ()
        code = "Q" if self.mode.entry is ENTRY8 else "I"
        return struct.unpack_from(f"<{1 << self.mode.widths[depth]}{code}", buffer, start)
