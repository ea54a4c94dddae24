"""The names of a Linux kernel's kallsyms: tables of compressed names, found in memory by their structure.

The index of the 256 tokens is decisive: it holds exactly the offsets of the tokens in front of it. From there the
markers are found backwards, and the names in front of them, which must lead from marker to marker.
Written by: scripts/kallsyms.c of Linux; read by kernel/kallsyms.c.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import chain

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError

DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
TOKENS, DIGIT_TOKEN = 256, 0x30
MAX_TOKEN = 512
GROUP = 256  # records between two markers
MIN_GROUP, MAX_GROUP = 512, 51_200  # bytes that 256 records take
MIN_SYMBOLS, MAX_SYMBOLS = 1_000, 4_000_000
STRIDE = 16  # words between two looks for the markers in front of the table of sequences
NEAR = 2 * STRIDE * GROUP * 3 // 4  # words of sequences that fewer markers than a stride may have: each is looked at

U16S, WORD, LONG = struct.Struct("<256H"), struct.Struct("<I"), struct.Struct("<Q")


class BrokenNames(DebuggerError):
    def __init__(self, names: int, number: int) -> None:
        super().__init__(f"the kallsyms names at {names:#x} are damaged: record {number} lies behind all of them")
        self.number = number


@dataclass(frozen=True)
class Names:
    """The names' part of the tables, as offsets into `data`, whose first byte is at `base`."""

    base: int
    data: bytes
    count: int
    names_at: int
    markers: Sequence[int]
    tokens: Sequence[bytes]
    tokens_at: int
    index_end: int
    long_records: bool  # a length byte with bit 7 set has a second one (6.1 and later)
    count_at: int

    def record(self, number: int) -> tuple[int, int]:
        """Where the token codes of a record lie: offset and length."""
        try:
            return self._span(self.after(self.names_at + self.markers[number // GROUP], number % GROUP))
        except IndexError:
            raise BrokenNames(self.base + self.names_at, number) from None

    def decode(self, at: int, length: int) -> bytes:
        """A record's text: the type letter, then the name."""
        tokens = self.tokens
        return b"".join([tokens[code] for code in self.data[at : at + length]])

    def each(self) -> Iterator[bytes]:
        """Every record's text in order."""
        at, data, tokens = self.names_at, self.data, self.tokens
        end = len(data) - 2
        for number in range(self.count):
            if at > end:
                raise BrokenNames(self.base + self.names_at, number)
            length = data[at]
            at += 1
            if length & 0x80 and self.long_records:
                length = (length & 0x7F) | data[at] << 7
                at += 1
            yield b"".join([tokens[code] for code in data[at : at + length]])
            at += length

    def after(self, at: int, records: int) -> int:
        """Where the record lies that follows so many from `at` on; IndexError behind the data."""
        data = self.data
        if not self.long_records:
            for _ in range(records):
                at += data[at] + 1
            return at
        for _ in range(records):
            length = data[at]
            at += length + 1 if length < 0x80 else ((length & 0x7F) | data[at + 1] << 7) + 2
        return at

    def _span(self, at: int) -> tuple[int, int]:
        length = self.data[at]
        if length & 0x80 and self.long_records:
            return at + 2, (length & 0x7F) | self.data[at + 1] << 7
        return at + 1, length


def find_names(base: int, data: bytes, word: int = 8) -> Iterator[Names]:
    """Every complete set of name tables in a run of memory; `word` is the size of a long in bytes."""
    hit = data.find(DIGITS)
    while hit >= 0:
        for tokens_at in _token_starts(data, hit, base):
            table = _tokens(data, tokens_at, hit)
            if table:
                found = _names(base, data, tokens_at, *table, word)
                if found:
                    yield found
        hit = data.find(DIGITS, hit + 1)


def _token_starts(data: bytes, hit: int, base: int) -> Iterator[int]:
    """Where token 0 may begin, the nearest first: 48 strings before the token of the digit 0, aligned to 4."""
    at = hit
    for _ in range(DIGIT_TOKEN - 1):
        start = data.rfind(b"\0", max(at - MAX_TOKEN, 0), at - 1) + 1
        if not 0 < start < at:
            return
        at = start
    first = data.rfind(b"\0", max(at - MAX_TOKEN, 0), at - 1) + 1
    for start in range(at - 2, first - 1, -1):
        if (base + start) % 4 == 0:
            yield start


def _tokens(data: bytes, start: int, hit: int) -> tuple[list[bytes], int] | None:
    """The 256 tokens and the end of their index, if an index of exactly these offsets follows."""
    at, offsets = start, []
    for number in range(TOKENS):
        if number == DIGIT_TOKEN and at != hit:
            return None
        offsets.append(at - start)
        end = data.find(b"\0", at, at + MAX_TOKEN)
        if end < 0:
            return None
        at = end + 1
    if offsets[-1] > 0xFFFF:
        return None
    index = U16S.pack(*offsets)
    index_at = data.find(index, at, at + 16 + len(index))
    if index_at < 0:
        return None
    ends = [*offsets[1:], at - start]
    tokens = [data[start + a : start + b - 1] for a, b in zip(offsets, ends, strict=True)]
    return tokens, index_at + len(index)


def _names(base: int, data: bytes, tokens_at: int, tokens: list[bytes], index_end: int, word: int) -> Names | None:
    for markers_at, markers in _markers(base, data, tokens_at):
        last = markers[-1]
        for start in range(markers_at - last, max(markers_at - last - GROUP * 64, 0), -1):
            if (base + start) % 4:
                continue
            for count_at in {start - word, start - 4}:
                count = WORD.unpack_from(data, count_at)[0] if count_at >= 0 else 0
                if not MIN_SYMBOLS <= count <= MAX_SYMBOLS or -(-count // GROUP) != len(markers):
                    continue
                for long_records in (True, False):
                    names = Names(
                        base, data, count, start, markers, tokens, tokens_at, index_end, long_records, count_at
                    )
                    if _keeps_markers(names, markers_at):
                        return names
    return None


def _markers(base: int, data: bytes, tokens_at: int) -> Iterator[tuple[int, Sequence[int]]]:
    """The tables of markers that may belong to the tokens: right in front of them, or with the sequences between."""
    for layout in (WORD, LONG):
        for gap in (0, 4):
            found = _markers_ending(data, tokens_at - gap, layout)
            if found:
                yield found
    end = tokens_at - tokens_at % 4 + (-base) % 4
    words = memoryview(data)[end % 4 : end].cast("I")
    low = max(len(words) - 3 * MAX_SYMBOLS // 4, 4)
    near = max(len(words) - NEAR, low)
    for at in chain(range(len(words) - 4, near, -1), range(near, low, -STRIDE)):
        a, b, c, d = words[at - 3], words[at - 2], words[at - 1], words[at]
        if _steps(a, b) and _steps(b, c) and _steps(c, d):
            stop = at
            while stop + 1 < len(words) and _steps(words[stop], words[stop + 1]):
                stop += 1
            found = _markers_ending(data, end % 4 + (stop + 1) * 4, WORD)
            if found:
                yield found
                return


def _steps(one: int, next_one: int) -> bool:
    return MIN_GROUP <= next_one - one <= MAX_GROUP


def _markers_ending(data: bytes, end: int, layout: struct.Struct) -> tuple[int, Sequence[int]] | None:
    """The table of markers that ends there: rising from 0 by what 256 records take."""
    values: list[int] = []
    at = end - layout.size
    while at >= 0:
        (value,) = layout.unpack_from(data, at)
        if values and not _steps(value, values[-1]):
            return None
        values.append(value)
        if value == 0:
            break
        at -= layout.size
    if len(values) * GROUP < MIN_SYMBOLS or values[-1] != 0:
        return None
    return at, values[::-1]


def _keeps_markers(names: Names, end: int) -> bool:
    """True if the records lead from marker to marker: checked at the first, the last and some between."""
    at = len(names.markers) - 1
    for group in {0, 1, at // 2, at - 1, at} | set(range(0, at, max(at // 16, 1))):
        if not 0 <= group <= at:
            continue
        try:
            place = names.after(names.names_at + names.markers[group], min(GROUP, names.count - group * GROUP))
        except IndexError:
            return False
        if group < at and place != names.names_at + names.markers[group + 1]:
            return False
        if group == at and not 0 <= end - place < 8:
            return False
    return True
