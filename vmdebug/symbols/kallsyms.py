"""The Linux kernel's own symbol table, kallsyms, as it lies in memory: names and addresses both ways, on demand.

Records are sorted by address; the addresses are stored in one of several schemes, before or behind the names, and
since 6.2 the record numbers sorted by name are there too. The order changed over the releases and stable kernels carry
changes back, so nothing here looks at a version: a scheme is right if it gives the image's first symbol its address.
Written by: scripts/kallsyms.c of Linux; read by kernel/kallsyms.c.
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import pairwise

from formats.lazy import dataclass
from vmdebug.symbols.kallsyms_names import LONG, WORD, BrokenNames, Names, find_names

SIGNED = struct.Struct("<i")
SAMPLES, ENDS = 64, 8  # numbers sorted by name that are looked at: some, and all at both ends, where a shift shows
NEARBY = 64  # bytes in which the base of the addresses and the number of the names lie, beside the tables
MAX_SYMBOL_SIZE = 1 << 16  # a symbol's size is a guess from its successor: not over a gap


@dataclass(frozen=True)
class Addresses:
    """How record numbers become addresses: a table in `data`, of entries of some size, and a scheme."""

    scheme: str
    at: int
    entry: int
    of: Callable[[int], int]


class Kallsyms:
    """A whole kallsyms: names and addresses both ways. Nothing is decoded before it is asked for."""

    def __init__(self, names: Names, addresses: Addresses, sequence_at: int | None) -> None:
        self.names = names
        self.addresses = addresses
        self._sequence_at = sequence_at

    def __len__(self) -> int:
        return self.names.count

    @property
    def extent(self) -> tuple[int, int]:
        """Offsets into the data that was searched: from the first of the tables to behind the last."""
        names, table, sequence = self.names, self.addresses.at, self._sequence_at
        starts = [names.names_at, names.count_at, table]
        ends = [names.index_end, table + self.addresses.entry * names.count]
        if sequence is not None:
            starts.append(sequence)
            ends.append(sequence + 3 * names.count)
        return max(min(starts) - NEARBY, 0), min(max(ends) + NEARBY, len(names.data))

    def address(self, number: int) -> int:
        return self.addresses.of(number)

    def text(self, number: int) -> tuple[str, str]:
        """A record's type letter and name."""
        decoded = self.names.decode(*self.names.record(number)).decode("utf-8", "replace")
        return decoded[:1], decoded[1:]

    def numbers(self, name: str) -> list[int]:
        """The records of that name: names repeat."""
        if self._sequence_at is None:
            return self._by_name.get(name.encode(), [])
        wanted = name.encode()
        order = range(self.names.count)
        first = bisect_left(order, wanted, key=self._name_by_rank)
        last = first + 1  # most names are borne once
        if last < self.names.count and self._name_by_rank(last) == wanted:
            last = bisect_right(order, wanted, lo=last, key=self._name_by_rank)
        elif first == self.names.count or self._name_by_rank(first) != wanted:
            return []
        return sorted(self._number_of_rank(rank) for rank in range(first, last))

    def below(self, address: int) -> range:
        """The records at the highest address that is not above; several names may be one address."""
        order = range(self.names.count)
        end = bisect_right(order, address, key=self.address)
        if not end:
            return range(0)
        return range(bisect_left(order, self.address(end - 1), key=self.address), end)

    def size(self, number: int) -> int:
        """Up to the next different address, as far as that can be the same symbol."""
        address = self.address(number)
        after = bisect_right(range(self.names.count), address, key=self.address)
        if after == self.names.count:
            return 0
        return min(self.address(after) - address, MAX_SYMBOL_SIZE)

    def each(self) -> Iterator[tuple[str, str, int, int]]:
        """Every record in order: its type letter, name, address and size. Far quicker than asking for each."""
        addresses = [self.address(number) for number in range(self.names.count)]
        sizes = [0] * len(addresses)
        for number in range(len(addresses) - 2, -1, -1):
            gap = addresses[number + 1] - addresses[number]
            sizes[number] = min(gap, MAX_SYMBOL_SIZE) if gap > 0 else sizes[number + 1]
        for text, address, size in zip(self.names.each(), addresses, sizes, strict=True):
            decoded = text.decode("utf-8", "replace")
            yield decoded[:1], decoded[1:], address, size

    @cached_property
    def _by_name(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for number, text in enumerate(self.names.each()):
            found.setdefault(text[1:], []).append(number)
        return found

    def _number_of_rank(self, rank: int) -> int:
        at = (self._sequence_at or 0) + 3 * rank
        return int.from_bytes(self.names.data[at : at + 3], "big")

    def _name_by_rank(self, rank: int) -> bytes:
        return self.names.decode(*self.names.record(self._number_of_rank(rank)))[1:]


def find_kallsyms(base: int, data: bytes, text: int, word: int = 8) -> Kallsyms | None:
    """The kallsyms in a run of memory whose `_text` or `_stext` is at `text`; None if there is none."""
    for names in find_names(base, data, word):
        with suppress(BrokenNames):  # a copy that was partly overwritten; the whole one may follow
            known = list(_numbers_of_text(names))
            for addresses in _schemes(names, word):
                if any(addresses.of(number) == text for number in known):
                    return Kallsyms(names, addresses, _sequence(names, addresses, word))
    return None


def _numbers_of_text(names: Names) -> Iterator[int]:
    """The records of the image's first symbols; one of them decides the scheme of the addresses."""
    wanted = {b"_text", b"_stext"}
    for number, text in enumerate(names.each()):
        if text[1:] in wanted:
            wanted.remove(text[1:])
            yield number
        if not wanted:
            return


def _schemes(names: Names, word: int) -> Iterator[Addresses]:
    """Every way in which the addresses may be stored, those in front of the names first."""
    count, data = names.count, names.data
    longs = LONG if word == 8 else WORD
    before = names.count_at - word - _rounded(4 * count, word)
    for at in (before, names.count_at - word - 4 * count):
        if _lies_in(data, at, 4 * count) and _lies_in(data, names.count_at - word, word):
            yield from _relative(data, at, names.count_at - word, longs)
    behind = names.index_end + (-(names.base + names.index_end)) % word
    base_at = behind + _rounded(4 * count, word)
    if _lies_in(data, behind, 4 * count) and _lies_in(data, base_at, word):
        yield from _relative(data, behind, base_at, longs)
    for at in (names.index_end, names.index_end + (-(names.base + names.index_end)) % 4):
        if _lies_in(data, at, 4 * count):
            yield _placed(data, at, names.base)
    for at in (names.count_at - _rounded(word * count, word), behind):
        if _lies_in(data, at, word * count):
            yield _absolute(data, at, longs)


def _lies_in(data: bytes, at: int, size: int) -> bool:
    return at >= 0 and at + size <= len(data)


def _relative(data: bytes, at: int, base_at: int, longs: struct.Struct) -> Iterator[Addresses]:
    base = int(longs.unpack_from(data, base_at)[0])
    mask = (1 << 8 * longs.size) - 1

    def per_cpu_absolute(number: int) -> int:
        offset = int(SIGNED.unpack_from(data, at + 4 * number)[0])
        return offset if offset >= 0 else (base - 1 - offset) & mask

    def plain(number: int) -> int:
        return (base + int(WORD.unpack_from(data, at + 4 * number)[0])) & mask

    yield Addresses("base-relative, per-CPU absolute", at, 4, per_cpu_absolute)
    yield Addresses("base-relative", at, 4, plain)


def _placed(data: bytes, at: int, base: int) -> Addresses:
    def place_relative(number: int) -> int:
        return base + at + 4 * number + int(SIGNED.unpack_from(data, at + 4 * number)[0])

    return Addresses("place-relative", at, 4, place_relative)


def _absolute(data: bytes, at: int, longs: struct.Struct) -> Addresses:
    def absolute(number: int) -> int:
        return int(longs.unpack_from(data, at + longs.size * number)[0])

    return Addresses("absolute", at, longs.size, absolute)


def _sequence(names: Names, addresses: Addresses, word: int) -> int | None:
    """Where the record numbers sorted by name lie, if the kernel has them: checked on a sample."""
    count = names.count
    behind_offsets = addresses.at + _rounded(4 * count, word)
    candidates = [
        names.tokens_at - _rounded(3 * count, 8),
        names.tokens_at - _rounded(3 * count, 4),
        behind_offsets + word,
        behind_offsets,
        addresses.at + 4 * count,
        addresses.at + _rounded(word * count, word),
    ]
    return next((at for at in candidates if _is_sequence(names, at)), None)


def _is_sequence(names: Names, at: int) -> bool:
    if at < 0 or at + 3 * names.count > len(names.data):
        return False
    step = max(names.count // SAMPLES, 1)
    ranks = sorted({*range(0, names.count, step), *range(ENDS), *range(names.count - ENDS, names.count)})
    numbers = [int.from_bytes(names.data[at + 3 * rank : at + 3 * rank + 3], "big") for rank in ranks]
    if max(numbers) >= names.count or len(set(numbers)) < len(numbers):
        return False
    texts = [names.decode(*names.record(number))[1:] for number in numbers]
    return all(one <= after for one, after in pairwise(texts))


def _rounded(size: int, to: int) -> int:
    return -(-size // to) * to
