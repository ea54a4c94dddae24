"""Whether a qcow2 file's reference counts agree with what its tables use: the check that `qemu-img check` makes.

Every cluster that the header, the tables, the snapshots or the guest's data use is counted and compared with the count
that the file stores. A stored count that is too high is a leak; one that is too low, a table out of place or an entry
that contradicts itself is an error. Nothing is written. Tables are decoded by numpy, each distinct one once.
Specified in: docs/interop/qcow2.rst of QEMU; what is checked: block/qcow2-refcount.c, qcow2_check_refcounts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from formats.errors import ImageNotSupported, SourceEnd
from formats.lazy import dataclass
from formats.qcow2_bitmaps import each_bitmap_area
from formats.qcow2_clusters import COMPRESSED, COPIED, OFFSET, RESERVED_L1, RESERVED_L2
from formats.qcow2_header import Header, read_header
from formats.qcow2_refcounts import StoredCounts
from formats.qcow2_snapshots import Snapshot, read_snapshots, table_size
from formats.source import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.uint64]

MAX_CLUSTERS = 1 << 31


@dataclass(frozen=True)
class Finding:
    """Something wrong at `offset` of the file; `leak` where only space is lost."""

    offset: int
    text: str
    leak: bool = False
    stored: int | None = None
    counted: int | None = None


def check(source: Source) -> Iterator[Finding]:
    """Everything that is wrong, tables first, then counts."""
    header = read_header(source)
    return _Check(source, header).run()


class _Check:
    def __init__(self, source: Source, header: Header) -> None:
        import numpy as np

        self.source = source
        self.header = header
        self.bits = header.cluster_bits
        self.clusters = -(-source.size >> self.bits)
        if self.clusters > MAX_CLUSTERS:
            raise ImageNotSupported(f"{source.name}: {self.clusters} clusters are more than can be checked")
        self.counts = np.zeros(self.clusters, dtype=np.uint64)
        self.stored = StoredCounts(source, header)
        self.tables: Counter[int] = Counter()  # how often each L2 table is used

    def run(self) -> Iterator[Finding]:
        header = self.header
        snapshots = read_snapshots(self.source, header)
        yield from self._use("header", 0, header.cluster_size)
        yield from self._l1("active L1 table", header.l1_offset, header.l1_size)
        yield from self._snapshots(snapshots)
        for offset, weight in self.tables.items():
            yield from self._l2(offset, weight)
        yield from self._use("refcount table", header.refcount_offset, header.refcount_clusters << self.bits)
        if header.encryption:
            yield from self._use("encryption header", header.encryption[0], header.encryption[1])
        if header.bitmaps:
            for what, offset, size in each_bitmap_area(self.source, header):
                yield from self._use(what, offset, size)
        yield from self._refcount_blocks()
        yield from self._compare()
        yield from self._copied_flags()

    def _snapshots(self, snapshots: Sequence[Snapshot]) -> Iterator[Finding]:
        header = self.header
        if snapshots and header.has_data_file:
            yield Finding(header.snapshots_offset, "snapshots together with an external data file")
        room = self.source.size
        for snapshot in snapshots:
            room -= snapshot.l1_size * 8
            if room < 0:
                yield Finding(snapshot.l1_offset, "the snapshots' L1 tables are larger than the file: they overlap")
                break
            yield from self._l1(f"L1 table of snapshot {snapshot.id}", snapshot.l1_offset, snapshot.l1_size)
        if snapshots:
            yield from self._use("snapshot table", header.snapshots_offset, table_size(self.source, header))

    def _use(self, what: str, offset: int, size: int, weight: int = 1) -> Iterator[Finding]:
        """Counts a stretch of the file as used."""
        if not size:
            return
        if offset + size - self.source.size >= self.header.cluster_size:
            yield Finding(offset, f"{what} of {size:#x} bytes lies past the end of the file")
        first = min(offset >> self.bits, self.clusters)
        self.counts[first : min((offset + size - 1 >> self.bits) + 1, self.clusters)] += weight

    def _use_clusters(self, what: str, places: "Numbers", weight: int) -> Iterator[Finding]:
        """The same for whole clusters, given by their places; each may occur several times.

        One that is not at a boundary uses two.
        """
        import numpy as np

        across = (places & np.uint64(self.header.cluster_size - 1)) != 0
        places = np.concatenate((places, places[across] + np.uint64(self.header.cluster_size)))
        numbers = places >> np.uint64(self.bits)
        inside = numbers < self.clusters
        for place in places[~inside].tolist():
            yield Finding(place, f"{what} lies past the end of the file")
        np.add.at(self.counts, numbers[inside].astype(np.int64), weight)

    def _l1(self, what: str, offset: int, size: int) -> Iterator[Finding]:
        import numpy as np

        yield from self._use(what, offset, size * 8)
        try:
            entries = _numbers(self.source, offset, size * 8)
        except SourceEnd:
            yield Finding(offset, f"{what} lies past the end of the file")
            return
        for index in np.flatnonzero(entries & np.uint64(RESERVED_L1)).tolist():
            yield Finding(offset + index * 8, f"{what}: entry {index} has reserved bits: {int(entries[index]):#018x}")
        tables = entries & np.uint64(OFFSET)
        places, times = np.unique(tables[tables != 0], return_counts=True)
        for place, count in zip(places.tolist(), times.tolist(), strict=True):
            yield from self._use("L2 table", place, self.header.cluster_size, count)
            if place & self.header.cluster_size - 1:
                yield Finding(place, "L2 table is not at a cluster boundary")
            elif place < self.source.size:
                self.tables[place] += count

    def _l2(self, offset: int, weight: int) -> Iterator[Finding]:
        import numpy as np

        entries, states = self._read_l2(offset)
        packed = (entries & np.uint64(COMPRESSED)) != 0
        plain = ~packed
        size = np.uint64(self.header.cluster_size - 1)
        for index in np.flatnonzero(plain & ((entries & np.uint64(RESERVED_L2)) != 0)).tolist():
            yield self._entry(offset, index, entries, "has reserved bits")
        yield from self._compressed(offset, entries, states, packed, weight)
        if states is not None:
            yield from self._subclusters(offset, entries, states, plain)
        places = entries & np.uint64(OFFSET)
        used = plain & (places != 0)
        for index in np.flatnonzero(used & ((places & size) != 0)).tolist():
            yield self._entry(offset, index, entries, "does not point to a cluster boundary")
        if not self.header.has_data_file:
            yield from self._use_clusters("a cluster of the disk", places[used], weight)

    def _compressed(
        self, offset: int, entries: "Numbers", states: "Numbers | None", packed: "NDArray[Any]", weight: int
    ) -> Iterator[Finding]:
        import numpy as np

        split = np.uint64(62 - (self.bits - 8))
        for index in np.flatnonzero(packed & ((entries & np.uint64(COPIED)) != 0)).tolist():
            yield self._entry(offset, index, entries, "is compressed and marked as used once")
        if states is not None:
            for index in np.flatnonzero(packed & (states != 0)).tolist():
                yield self._entry(offset, index, entries, "is compressed and has subclusters")
        where = np.flatnonzero(packed)
        if self.header.has_data_file:
            for index in where.tolist():
                yield self._entry(offset, index, entries, "is compressed, with an external data file")
            return
        values = entries[where]
        host = values & ((np.uint64(1) << split) - np.uint64(1))
        sectors = ((values & np.uint64(COMPRESSED - 1)) >> split) + np.uint64(1)
        last = (host & ~np.uint64(511)) + sectors * np.uint64(512) - np.uint64(1)
        first, end = (host >> np.uint64(self.bits)).astype(np.int64), (last >> np.uint64(self.bits)).astype(np.int64)
        for index in where[last >= self.source.size + self.header.cluster_size].tolist():
            yield self._entry(offset, index, entries, "is compressed and lies past the end of the file")
        for step in range(int((end - first).max(initial=-1)) + 1):
            numbers = first + step
            numbers = numbers[(numbers <= end) & (numbers < self.clusters)]
            np.add.at(self.counts, numbers, weight)

    def _subclusters(
        self, offset: int, entries: "Numbers", states: "Numbers", plain: "NDArray[Any]"
    ) -> Iterator[Finding]:
        import numpy as np

        data, zero = states & np.uint64(0xFFFF_FFFF), states >> np.uint64(32)
        for index in np.flatnonzero(plain & ((data & zero) != 0)).tolist():
            yield self._entry(offset, index, entries, "has subclusters that are data and zero")
        without = plain & ((entries & np.uint64(OFFSET)) == 0) & (data != 0)
        if self.header.has_data_file:
            without &= (entries & np.uint64(COPIED)) == 0
        for index in np.flatnonzero(without).tolist():
            yield self._entry(offset, index, entries, "has subclusters with data, but no place for them")

    def _refcount_blocks(self) -> Iterator[Finding]:
        for number, entry in enumerate(self.stored.table):
            place = entry & ~0x1FF
            where = self.header.refcount_offset + number * 8
            if entry & 0x1FF:
                yield Finding(where, f"entry {number} of the refcount table has reserved bits: {entry:#018x}")
            if not place:
                continue
            if place & self.header.cluster_size - 1:
                yield Finding(where, f"refcount block {number} at {place:#x} is not at a cluster boundary")
            elif place >> self.bits >= self.clusters:
                yield Finding(where, f"refcount block {number} at {place:#x} lies past the end of the file")
            else:
                yield from self._use("refcount block", place, self.header.cluster_size)
                if self.counts[place >> self.bits] != 1:
                    count = int(self.counts[place >> self.bits])
                    yield Finding(place, f"refcount block {number} is used {count} times")

    def _compare(self) -> Iterator[Finding]:
        import numpy as np

        for first, stored in self.stored.each_block(self.clusters):
            counted = self.counts[first : first + len(stored)]
            for index in np.flatnonzero(stored != counted).tolist():
                has, should = int(stored[index]), int(counted[index])
                word = "leaked" if has > should else "used more often than counted"
                text = f"cluster {first + index} is {word}: stored {has}, found {should}"
                yield Finding((first + index) << self.bits, text, has > should, has, should)

    def _copied_flags(self) -> Iterator[Finding]:
        """In the active tables, bit 63 says that the file stores a count of exactly 1."""
        import numpy as np

        header = self.header
        entries = _numbers(self.source, header.l1_offset, header.l1_size * 8)
        tables = entries & np.uint64(OFFSET)
        for index in np.flatnonzero(tables).tolist():
            place, copied = int(tables[index]), bool(int(entries[index]) & COPIED)
            if place & header.cluster_size - 1 or place >= self.source.size:
                continue
            count = self.stored.find(place >> self.bits)
            if (count == 1) != copied:
                text = f"L1 entry {index} is {'' if copied else 'not '}marked as used once, but counted {count}"
                yield Finding(header.l1_offset + index * 8, text)
        if not header.has_data_file:
            for place in np.unique(tables[tables != 0]).tolist():
                if not place & header.cluster_size - 1 and place < self.source.size:
                    yield from self._copied_in(place)

    def _copied_in(self, offset: int) -> Iterator[Finding]:
        import numpy as np

        entries = self._read_l2(offset)[0]
        places = entries & np.uint64(OFFSET)
        plain = ((entries & np.uint64(COMPRESSED)) == 0) & (places != 0)
        plain &= (places & np.uint64(self.header.cluster_size - 1)) == 0
        index = np.flatnonzero(plain)
        counts = self.stored.find_all((places[index] >> np.uint64(self.bits)).astype(np.int64))
        copied = (entries[index] & np.uint64(COPIED)) != 0
        for which in np.flatnonzero((counts == 1) != copied).tolist():
            said = "is marked as used once" if copied[which] else "is not marked as used once"
            yield self._entry(offset, int(index[which]), entries, f"{said}, but counted {int(counts[which])}")

    def _read_l2(self, offset: int) -> "tuple[Numbers, Numbers | None]":
        size = self.header.cluster_size
        table = _decoded(self.source.peek(offset, size).ljust(size, b"\0"))
        return (table[0::2], table[1::2]) if self.header.extended else (table, None)

    def _entry(self, table: int, index: int, entries: "Numbers", what: str) -> Finding:
        at = table + index * (16 if self.header.extended else 8)
        return Finding(at, f"entry {index} of the L2 table at {table:#x} {what}: {int(entries[index]):#018x}")


def _numbers(source: Source, offset: int, size: int) -> "Numbers":
    return _decoded(source.read(offset, size))


def _decoded(data: bytes) -> "Numbers":
    import numpy as np

    return np.frombuffer(data, dtype=">u8").astype(np.uint64)


def totals(findings: Iterator[Finding]) -> tuple[int, int]:
    """How many errors, how many leaks."""
    counts = Counter(finding.leak for finding in findings)
    return counts[False], counts[True]
