"""A bitmap in a file, least significant bit first: is bit n set, and how many are set before it.

Counting is done with the integers' own population count on 4 KiB at a time, as far as a question needs; each block
gets a table of counts for every 512 bits when it is first asked for.
"""

from array import array

from formats.source import Source

BLOCK_BITS = 1 << 15
BLOCK = BLOCK_BITS // 8
STEP_BITS = 1 << 9
STEP = STEP_BITS // 8


class Bitmap:
    """`bits` bits from `offset` on. Nothing is read before the first question."""

    def __init__(self, source: Source, offset: int, bits: int) -> None:
        self.bits = bits
        self._source = source
        self._offset = offset
        self._bytes: memoryview | None = None
        self._before = [0]  # bits set before each block
        self._tables: dict[int, array[int]] = {}

    @property
    def data(self) -> memoryview:
        """The bytes, those behind the last bit left out."""
        if self._bytes is None:
            self._bytes = self._source.view(self._offset, -(-self.bits // 8))
        return self._bytes

    def test(self, number: int) -> bool:
        return bool(self.data[number >> 3] >> (number & 7) & 1)

    def rank(self, number: int) -> int:
        """How many bits are set below `number`, which is at most `bits`."""
        table = self._tables.get(number >> 15)
        if table is None:
            table = self._count_block(number >> 15)
        at = number >> 9 << 6
        word = int.from_bytes(self.data[at : at + STEP], "little") & ((1 << (number & 511)) - 1)
        return table[number >> 9 & 63] + word.bit_count()

    def count(self) -> int:
        """How many bits are set."""
        return self.rank(self.bits)

    def all_set(self, first: int, count: int) -> bool:
        """True if every bit of a range is set."""
        word = int.from_bytes(self.data[first >> 3 : (first + count + 7) >> 3], "little") >> (first & 7)
        return word & ((1 << count) - 1) == (1 << count) - 1

    def _count_block(self, block: int) -> "array[int]":
        while len(self._before) <= block:
            at = (len(self._before) - 1) * BLOCK
            self._before.append(self._before[-1] + _count(self.data[at : at + BLOCK]))
        table = array("Q")
        found = self._before[block]
        for at in range(block * BLOCK, (block + 1) * BLOCK, STEP):
            table.append(found)
            found += _count(self.data[at : at + STEP])
        self._tables[block] = table
        return table


def count_difference(first: Bitmap, second: Bitmap) -> int:
    """How many bits are set in `first` and not in `second`, which is as long."""
    found = 0
    for at in range(0, len(first.data), BLOCK):
        mine = int.from_bytes(first.data[at : at + BLOCK], "little")
        other = int.from_bytes(second.data[at : at + BLOCK], "little")
        found += (mine & ~other & _mask(first.bits - 8 * at)).bit_count()
    return found


def last_set(bitmap: Bitmap) -> int:
    """The highest bit that is set, -1 if none is."""
    for at in range((len(bitmap.data) - 1) // BLOCK * BLOCK, -1, -BLOCK):
        word = int.from_bytes(bitmap.data[at : at + BLOCK], "little") & _mask(bitmap.bits - 8 * at)
        if word:
            return 8 * at + word.bit_length() - 1
    return -1


def _count(data: memoryview) -> int:
    return int.from_bytes(data, "little").bit_count()


def _mask(bits: int) -> int:
    return (1 << min(max(bits, 0), BLOCK_BITS)) - 1
