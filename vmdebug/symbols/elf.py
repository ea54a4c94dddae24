"""ELF symbol tables as they lie in memory.

A table stays bytes: a name is searched in the strings, an address in the sorted values, and only the symbol that is
the answer becomes a Symbol. Specified in: System V ABI, chapter 4 (Elf64_Sym).
"""

import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from functools import cached_property
from itertools import chain, compress, count

from formats.lazy import dataclass
from vmdebug.symbols.table import Part, Symbol

ENTRY = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
NAMES = struct.Struct("<I20x")
VALUES = struct.Struct("<8xQ8x")
SHN_UNDEF, STB_LOCAL = 0, 0
KINDS = {0: "NOTY", 1: "OBJT", 2: "FUNC", 3: "SECT", 4: "FILE", 5: "COMM", 6: "TLS", 13: "REGI"}
BINDS = {0: "LOCL", 1: "GLOB", 2: "WEAK"}
MAX_NAME = 1024


@dataclass(frozen=True)
class Tables:
    """The bytes of a symbol table and of its strings."""

    symbols: bytes = b""
    strings: bytes = b""

    def name(self, offset: int) -> str:
        """The string at an offset; what follows a missing NUL or lies outside is cut off."""
        end = self.strings.find(b"\0", offset, offset + MAX_NAME)
        text = self.strings[offset : end if end >= 0 else offset + MAX_NAME]
        return text.decode("utf-8", "backslashreplace")


def each_entry(tables: Tables) -> Iterator[tuple[str, int, int, int]]:
    """Name, type, section and value of every entry in the table's own order, the first, which is empty, included."""
    whole = memoryview(tables.symbols)[: len(tables.symbols) // ENTRY.size * ENTRY.size]
    for name, info, _, section, value, _ in ENTRY.iter_unpack(whole):
        yield tables.name(name), info & 0xF, section, value


@dataclass
class ElfPart(Part):
    """The symbol table of one module, read at its first use."""

    load: Callable[[], Tables] = Tables
    _found: dict[str, Symbol | None] = field(default_factory=dict)

    @cached_property
    def tables(self) -> Tables:
        return self.load()

    @cached_property
    def all(self) -> list[Symbol]:
        return list(self.each())

    def each(self) -> Iterator[Symbol]:
        """Every named symbol in the table's own order."""
        return (self._symbol(index, entry) for index, entry in enumerate(self._entries()) if entry[0])

    def find(self, name: str) -> Symbol | None:
        """The symbol of that name: defined before undefined, global before others, then the first."""
        if name not in self._found:
            candidates = [self.at(index) for index in self._named(name)]
            self._found[name] = min(candidates, key=lambda symbol: symbol.bind != "GLOB", default=None)
        return self._found[name]

    def below(self, address: int) -> Symbol | None:
        """The best symbol at the highest value at or below the address."""
        values, indexes = self._by_value
        end = bisect_right(values, address)
        if not end:
            return None
        start = bisect_left(values, values[end - 1])
        return min((self.at(index) for index in indexes[start:end]), key=lambda symbol: symbol.rank)

    def at(self, index: int) -> Symbol:
        """The symbol of that number in the table."""
        return self._symbol(index, ENTRY.unpack_from(self.tables.symbols, index * ENTRY.size))

    @cached_property
    def span(self) -> tuple[int, int]:
        """The lowest and the highest value of the table; (1, 0) for an empty one."""
        values = list(filter(None, chain.from_iterable(VALUES.iter_unpack(self._whole()))))
        return (min(values), max(values)) if values else (1, 0)

    def _whole(self) -> memoryview:
        data = memoryview(self.tables.symbols)
        return data[: len(data) // ENTRY.size * ENTRY.size]

    def _entries(self) -> Iterator[tuple[int, ...]]:
        return ENTRY.iter_unpack(self._whole())

    def _named(self, name: str) -> Iterator[int]:
        """The numbers of the defined symbols of that name. Linkers let a name end in the tail of a longer one."""
        wanted = re.compile(re.escape(name.encode()) + b"\0")
        offsets = {match.start() for match in wanted.finditer(self.tables.strings)} if name else ()
        if not offsets:
            return
        held = map(offsets.__contains__, chain.from_iterable(NAMES.iter_unpack(self._whole())))
        for index in compress(count(), held):
            _, _, _, section, value, _ = ENTRY.unpack_from(self.tables.symbols, index * ENTRY.size)
            if section != SHN_UNDEF or value:
                yield index

    @cached_property
    def _by_value(self) -> tuple[list[int], list[int]]:
        """The values that an address may belong to, and their symbols' numbers.

        Local ones of size 0, unnamed ones and those at 0 are never used.
        """
        usable = sorted(
            (value, index)
            for index, (name, info, _, _, value, size) in enumerate(self._entries())
            if name and value and (size or info >> 4 != STB_LOCAL)
        )
        return [value for value, _ in usable], [index for _, index in usable]

    def _symbol(self, index: int, entry: tuple[int, ...]) -> Symbol:
        name, info, other, _, value, size = entry
        kind, bind = KINDS.get(info & 0xF, "?"), BINDS.get(info >> 4, "?")
        return Symbol(self.tables.name(name), value, size, kind, bind, self.name, index, other)


@dataclass
class MergedPart(Part):
    """The symbols of all modules as one part: locals first, then the rest, each in load order."""

    parts: Sequence[ElfPart] = ()
    complete: bool = True
    _found: dict[str, Symbol | None] = field(default_factory=dict)

    @cached_property
    def all(self) -> list[Symbol]:
        symbols = [symbol for part in self.parts for symbol in part.all]
        return sorted(symbols, key=lambda symbol: symbol.bind != "LOCL")

    def find(self, name: str) -> Symbol | None:
        """The first global symbol of that name in load order, else the first of any binding."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> Symbol | None:
        first = None
        for part in self.parts:
            symbol = part.find(name)
            if symbol and symbol.bind == "GLOB":
                return symbol
            first = first or symbol
        return first

    def below(self, address: int) -> Symbol | None:
        """The best symbol at the highest value at or below the address."""
        best: Symbol | None = None
        for part in [part for low, high, part in self._spans if low <= address <= high]:
            best = _better(best, part.below(address))
        floor = best.value if best else 0
        ended = [(high, part) for _, high, part in self._spans if floor <= high < address]
        for high, part in sorted(ended, key=lambda pair: -pair[0]):
            if best and high < best.value:
                break
            best = _better(best, part.below(address))
        return best

    @cached_property
    def _spans(self) -> list[tuple[int, int, ElfPart]]:
        return [(*part.span, part) for part in self.parts]


def _better(held: Symbol | None, found: Symbol | None) -> Symbol | None:
    """The closer of two symbols below an address; of equal ones the better."""
    if held is None or found is None:
        return held or found
    return min(held, found, key=lambda symbol: (-symbol.value, symbol.rank))
