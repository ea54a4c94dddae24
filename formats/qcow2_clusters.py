"""Where a qcow2 file keeps each cluster of its guest's disk: L1 table, L2 tables, the forms of an entry.

Specified in: docs/interop/qcow2.rst of QEMU, "Cluster mapping". A range of the disk is answered in pieces, as long as
one kind goes on and, for data, as they lie behind each other in the file; nothing is kept for each cluster.
"""

import sys
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from formats.errors import ImageDamaged
from formats.qcow2_header import SUBCLUSTERS, Header
from formats.source import Source

OFFSET = 0x00FF_FFFF_FFFF_FE00
COPIED = 1 << 63
COMPRESSED = 1 << 62
ALL_ZEROS = 1
RESERVED_L1 = 0x7F00_0000_0000_01FF
RESERVED_L2 = 0x3F00_0000_0000_01FE
SECTOR = 512
TABLES_KEPT = 32 << 20  # bytes of L2 tables kept in memory


class Kind(Enum):
    """What an entry says of its cluster."""

    DATA = "data"
    ZERO = "zero"
    COMPRESSED = "compressed"
    UNALLOCATED = "unallocated"


class Piece(NamedTuple):
    """`size` bytes of the disk from `start` on. Data lie at `host`; a compressed cluster has `packed` bytes there."""

    start: int
    size: int
    kind: Kind
    host: int = 0
    packed: int = 0


class ClusterMap:
    """The map that begins with one L1 table: the active one, or a snapshot's."""

    def __init__(self, source: Source, header: Header, l1_offset: int, l1_size: int) -> None:
        self.source = source
        self.header = header
        self.l1_size = l1_size
        self._l1_offset = l1_offset
        self._l1: array[int] | None = None
        self._span_bits = header.cluster_bits + header.table_bits
        self._tables: OrderedDict[int, array[int]] = OrderedDict()
        self._room = max(TABLES_KEPT >> header.cluster_bits, 4)

    @property
    def l1(self) -> "array[int]":
        """The L1 table, read once."""
        if self._l1 is None:
            self._l1 = big_endian(self.source.read(self._l1_offset, self.l1_size * 8))
        return self._l1

    def each_piece(self, start: int, end: int) -> Iterator[Piece]:
        """The disk from `start` to `end`, in order and without gaps."""
        while start < end:
            index = start >> self._span_bits
            stop = min(end, index + 1 << self._span_bits)
            if index >= self.l1_size:
                stop = end
            table = self._table(index)
            if table is None:
                yield Piece(start, stop - start, Kind.UNALLOCATED)
            elif self.header.extended:
                yield from self._in_extended(table, start, stop)
            else:
                yield from self._in_table(table, start, stop)
            start = stop

    def find_data(self, start: int, size: int) -> int | None:
        """Where the bytes lie in the file if all of them are plain data in one stretch; None says nothing."""
        bits, mask = self.header.cluster_bits, (1 << self.header.table_bits) - 1
        first, last = start >> bits, start + size - 1 >> bits
        table = self._table(start >> self._span_bits)
        if table is None or self.header.extended or last >> self.header.table_bits != first >> self.header.table_bits:
            return None
        index = first & mask
        host = table[index] & ~COPIED
        for number in range(last - first + 1):
            if table[index + number] & ~COPIED != host + (number << bits):
                return None
        plain = host and not host & ~OFFSET and not host & self.header.cluster_size - 1
        return host + (start & self.header.cluster_size - 1) if plain else None

    def _table(self, index: int) -> "array[int] | None":
        offset = self.l1[index] & OFFSET if index < self.l1_size else 0
        if not offset:
            return None
        table = self._tables.get(offset)
        if table is None:
            table = self._tables[offset] = read_table(self.source, self.header, offset)
            if len(self._tables) > self._room:
                self._tables.popitem(last=False)
        return table

    def _in_table(self, table: "array[int]", start: int, stop: int) -> Iterator[Piece]:
        bits, size = self.header.cluster_bits, self.header.cluster_size
        index = start >> bits & (1 << self.header.table_bits) - 1
        while start < stop:
            entry = table[index]
            kind, host, packed = self._decode(entry, start >> bits << bits)
            end = (start >> bits) + 1 << bits
            index += 1
            if kind is Kind.DATA:
                following = (entry & ~COPIED) + size
                while end < stop and table[index] & ~COPIED == following:
                    end, index, following = end + size, index + 1, following + size
                host += start & size - 1
            elif kind is not Kind.COMPRESSED:
                same = entry & ~COPIED
                while end < stop and table[index] & ~COPIED == same:
                    end, index = end + size, index + 1
            end = min(end, stop)
            yield Piece(start, end - start, kind, host, packed)
            start = end

    def _decode(self, entry: int, guest: int) -> tuple[Kind, int, int]:
        """Kind, place in the file, and for compressed clusters the bytes there."""
        if entry & COMPRESSED:
            return Kind.COMPRESSED, *compressed_place(entry, self.header.cluster_bits)
        if entry & ALL_ZEROS and not self.header.extended:
            if self.header.version == 2:
                raise self._damaged(entry, guest, "a zero cluster, which version 2 does not have")
            return Kind.ZERO, 0, 0
        host = entry & OFFSET
        if not host and not (self.header.has_data_file and entry & COPIED):
            return Kind.UNALLOCATED, 0, 0
        if host & self.header.cluster_size - 1:
            raise self._damaged(entry, guest, "a place that is no cluster boundary")
        return Kind.DATA, host, 0

    def _in_extended(self, table: "array[int]", start: int, stop: int) -> Iterator[Piece]:
        bits, size = self.header.cluster_bits, self.header.cluster_size
        while start < stop:
            index = start >> bits & (1 << self.header.table_bits) - 1
            entry, states = table[2 * index], table[2 * index + 1]
            base = start >> bits << bits
            end = min(base + size, stop)
            kind, host, packed = self._decode(entry, base)
            if kind is Kind.COMPRESSED:
                yield Piece(start, end - start, kind, host, packed)
            else:
                yield from self._subclusters(base, start, end, host if kind is Kind.DATA else None, states)
            start = end

    def _subclusters(self, base: int, start: int, end: int, host: int | None, states: int) -> Iterator[Piece]:
        """The pieces of one cluster: bit n of `states` says that subcluster n is data, bit 32 + n that it is zero."""
        size = self.header.cluster_size // SUBCLUSTERS
        data, zero = states & 0xFFFF_FFFF, states >> 32
        if data & zero or (data and host is None):
            raise self._damaged(states, base, "subclusters that are data and zero, or data without a place")
        while start < end:
            number = (start - base) // size
            kind = _subcluster(data, zero, number)
            stop = number + 1
            while base + stop * size < end and _subcluster(data, zero, stop) is kind:
                stop += 1
            piece_end = min(base + stop * size, end)
            place = (host or 0) + start - base if kind is Kind.DATA else 0
            yield Piece(start, piece_end - start, kind, place)
            start = piece_end

    def _damaged(self, entry: int, guest: int, what: str) -> ImageDamaged:
        return ImageDamaged(f"{self.source.name}: L2 entry {entry:#018x} for offset {guest:#x} of the disk has {what}")


def compressed_place(entry: int, cluster_bits: int) -> tuple[int, int]:
    """Where a compressed cluster begins, and how many bytes there may belong to it."""
    split = 62 - (cluster_bits - 8)
    host = entry & (1 << split) - 1
    sectors = (entry & COMPRESSED - 1) >> split
    return host, (sectors + 1) * SECTOR - host % SECTOR


def read_table(source: Source, header: Header, offset: int) -> "array[int]":
    """The L2 table at an offset; a table at the very end may be cut, the rest counts as zeros."""
    if offset & header.cluster_size - 1 or offset >= source.size:
        raise ImageDamaged(f"{source.name}: L2 table at {offset:#x}: no cluster boundary, or past the end of the file")
    return big_endian(source.peek(offset, header.cluster_size).ljust(header.cluster_size, b"\0"))


def big_endian(data: bytes) -> "array[int]":
    """The 64-bit numbers in the bytes."""
    numbers = array("Q", data)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _subcluster(data: int, zero: int, number: int) -> Kind:
    if data >> number & 1:
        return Kind.DATA
    return Kind.ZERO if zero >> number & 1 else Kind.UNALLOCATED
