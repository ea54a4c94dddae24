"""Entries of DWARF by name and by address, without reading what is between them.

A kernel has millions of entries. A name's place among the strings is searched first; its offset, as bytes, is then
searched in the entries, which finds the few places that may name something so. Only their units are walked, to see
which entry each place belongs to.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import TypeVar

from formats.lazy import dataclass
from vmdebug.types import dwarf_forms as forms
from vmdebug.types.dwarf_abbreviations import Abbreviation, Table
from vmdebug.types.dwarf_forms import Data, Value, string_at, uleb
from vmdebug.types.dwarf_units import Entry, Unit, Units

CHUNK = 4 << 20  # units are searched in groups of about so many bytes
FEW = 8  # patterns; for more of them all words are looked at at once
PATIENCE = 0.5  # seconds of work that need no progress shown
MAX_CANDIDATES = 1 << 20  # places of one group that are looked at for a name
OP_ADDR, OP_ADDRX = b"\x03", b"\xa1"

Progress = Callable[[str, int, int], None]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Sections:
    """What is read of a file: each section's bytes, empty if it has none such."""

    info: Data = b""
    abbrev: Data = b""
    types: Data = b""
    str: Data = b""
    line_str: Data = b""
    str_offsets: Data = b""
    addr: Data = b""


class Search:
    """Finds entries right below their units; Damage where the data is not sound."""

    def __init__(self, sections: Sections, progress: Progress) -> None:
        self.sections = sections
        self.units = Units(sections.info, sections.types, sections.abbrev)
        self._progress = progress
        self._bases: dict[int, int] = {}

    def name_of(self, entry: Entry) -> str:
        """What an entry is called; "" for one without a name, or whose name lies in another file."""
        return self.text(entry, forms.NAME).decode("utf-8", "backslashreplace")

    def text(self, entry: Entry, attribute: int) -> bytes:
        form, value = entry.values.get(attribute, (0, b""))
        if isinstance(value, bytes):
            return value
        if form == forms.STRP:
            return string_at(self.sections.str, value)
        if form == forms.LINE_STRP:
            return string_at(self.sections.line_str, value)
        return self._indexed(entry.unit, value) if form in forms.INDEXED_STRINGS else b""

    def each_named(self, name: str, tags: Collection[int], declared: bool = False) -> Iterator[Entry]:
        """The entries of that name that have one of the tags, in their order; only `declared` ones, or none."""
        wanted = _Wanted(self.sections, name.encode(), tags, declared)
        for group in self._groups():
            for unit, places in self._places(group, wanted):
                yield from self._entries_at(unit, places, wanted)

    def variable_at(self, address: int, size: int) -> Entry | None:
        """The variable that lies at an address, which has `size` bytes; None if none right below a unit does."""
        location = OP_ADDR + address.to_bytes(size, "little")
        pattern = re.compile(re.escape(location), re.DOTALL)
        for group in self._groups():
            data, start, end = group[0].data, group[0].start, group[-1].end
            for match in pattern.finditer(memoryview(data)[start:end]):
                at = start + match.start()
                found = self.units.top_around(self.units.at(group[0].base + at), at)
                if found and found.tag == forms.VARIABLE and found.value(forms.LOCATION) == location:
                    return found
        return None

    def address_of(self, entry: Entry) -> int | None:
        """Where a variable lies; None where that is not one address."""
        said, size = entry.value(forms.LOCATION), entry.unit.sizes.address
        if not isinstance(said, bytes):
            return None
        if said[:1] == OP_ADDR and len(said) == 1 + size:
            return int.from_bytes(said[1:], "little")
        if said[:1] != OP_ADDRX:
            return None
        number, end = uleb(said, 1)
        root = self.units.root(entry.unit)
        base = root.integer(forms.ADDR_BASE) if root else None
        at = (base or 0) + number * size
        word = bytes(self.sections.addr[at : at + size])
        return int.from_bytes(word, "little") if end == len(said) and len(word) == size else None

    def each_top(self, tags: Collection[int]) -> Iterator[Entry]:
        """The definitions right below the units that have one of the tags and a name; of each name at least one."""
        seen, units = set[tuple[int, bytes]](), self.units.all
        for unit in self._told("reading DWARF", [(unit, number) for number, unit in enumerate(units)], len(units)):
            root, data, size = self.units.root(unit), unit.data, unit.sizes.offset
            for at, values_at, found in self.units.walk(root) if root else ():
                if found.tag not in tags or found.declared or forms.NAME not in found.forms:
                    continue
                place = found.places.get(forms.NAME)
                if place is not None and found.forms[forms.NAME] == forms.STRP:
                    key = found.tag, bytes(data[values_at + place : values_at + place + size])
                    if key in seen:
                        continue
                    seen.add(key)
                yield Entry(unit, at, values_at, found)

    def _groups(self) -> Iterator[Sequence[Unit]]:
        """Neighbouring units of one section, a few megabytes at a time."""
        total = len(self.sections.info) + len(self.sections.types)
        return self._told("searching DWARF", self._each_group(), total)

    def _each_group(self) -> Iterator[tuple[Sequence[Unit], int]]:
        """The groups, and how many bytes lie before each."""
        units, at = self.units.all, 0
        while at < len(units):
            end, first = at + 1, units[at]
            while end < len(units) and units[end].base == first.base and units[end].end <= first.start + CHUNK:
                end += 1
            yield units[at:end], first.base + first.start
            at = end

    def _told(self, what: str, parts: Iterable[tuple[Part, int]], total: int) -> Iterator[Part]:
        """The parts; how far they have come is shown when that takes long, and wiped at the end, early or not."""
        began, shown = time.monotonic(), False
        try:
            for part, done in parts:
                if shown or time.monotonic() - began > PATIENCE:
                    self._progress(what, done, total)
                    shown = True
                yield part
        finally:
            if shown:
                self._progress(what, total, total)

    def _places(self, group: Sequence[Unit], wanted: "_Wanted") -> Iterator[tuple[Unit, list[int]]]:
        """The units of a group that may name something so, and the places in each where they may."""
        data, start, end = group[0].data, group[0].start, group[-1].end
        found = sorted(islice(wanted.each_place(memoryview(data)[start:end], start), MAX_CANDIDATES))
        at = 0
        for unit in group:
            first = at = bisect_left(found, unit.start, at)
            at = bisect_left(found, unit.end, at)
            if at > first or wanted.indexed:
                yield unit, found[first:at]

    def _entries_at(self, unit: Unit, places: list[int], wanted: "_Wanted") -> Iterator[Entry]:
        """Those of the places that belong to a wanted entry's name; all entries where names are numbers of strings."""
        table = self.units.table(unit)
        if wanted.indexed and table.indexed:
            base = self._strings_base(unit)
            if wanted.has_number(base, self._strings_end(unit, base)):
                root = self.units.root(unit)
                yield from (each for each in self.units.children(root) if self._is(each, wanted)) if root else ()
            return
        named, last = wanted.beginnings(table), -1
        for place in places:
            if not any(_fits(unit.data, place, code, distance) for code, distance in named):
                continue
            found = self.units.top_around(unit, place)
            if found and found.at != last and self._is(found, wanted):
                last = found.at
                yield found

    def _is(self, entry: Entry, wanted: "_Wanted") -> bool:
        return wanted.takes(entry.abbreviation) and self.text(entry, forms.NAME) == wanted.name

    # Strings that entries name by a number, out of a table of offsets.

    def _indexed(self, unit: Unit, number: int) -> bytes:
        size = unit.sizes.offset
        at = self._strings_base(unit) + number * size
        word = bytes(self.sections.str_offsets[at : at + size])
        return string_at(self.sections.str, int.from_bytes(word, "little")) if len(word) == size else b""

    def _strings_base(self, unit: Unit) -> int:
        """Where in .debug_str_offsets the unit's own offsets begin: behind a header, unless the unit says."""
        key = unit.base + unit.start
        if key not in self._bases:
            root = self.units.root(unit)
            said: Value | None = root.value(forms.STR_OFFSETS_BASE) if root else None
            otherwise = (8 if unit.sizes.offset == 4 else 16) if unit.sizes.key[0] >= 5 else 0
            self._bases[key] = said if isinstance(said, int) else otherwise
        return self._bases[key]

    def _strings_end(self, unit: Unit, base: int) -> int:
        """Where the unit's own offsets end, by the length before them."""
        if unit.sizes.key[0] < 5:
            return len(self.sections.str_offsets)
        size = unit.sizes.offset
        return base - 4 + int.from_bytes(bytes(self.sections.str_offsets[max(base - 4 - size, 0) : base - 4]), "little")


class _Wanted:
    """Entries of some tags and of a name, and the bytes by which they may refer to it."""

    def __init__(self, sections: Sections, name: bytes, tags: Collection[int], declared: bool) -> None:
        self.name = name
        self.tags = tags
        self.declared = declared
        self.indexed = len(sections.str_offsets) > 0
        self._sections = sections

    @cached_property
    def offsets(self) -> Sequence[int]:
        """Where the name lies among the strings: linkers let one end in the tail of a longer one."""
        pattern = re.compile(re.escape(self.name) + b"\0", re.DOTALL)
        tables = self._sections.str, self._sections.line_str
        return sorted({match.start() for table in tables for match in pattern.finditer(table)})

    def each_place(self, data: memoryview, start: int) -> Iterator[int]:
        """Where in some entries the name stands, or an offset of it; others may have the same bytes."""
        inline = re.compile(re.escape(self.name) + b"\0", re.DOTALL)
        yield from (start + match.start() for match in inline.finditer(data))
        if len(self.offsets) > FEW:
            yield from (start + at for at in _each_word(data, self.offsets))
            return
        for offset in self.offsets:
            pattern = re.compile(re.escape(offset.to_bytes(4, "little")), re.DOTALL)
            yield from (start + match.start() for match in pattern.finditer(data))

    def takes(self, abbreviation: Abbreviation) -> bool:
        return abbreviation.tag in self.tags and abbreviation.declared == self.declared

    def beginnings(self, table: Table) -> Sequence[tuple[bytes, int | None]]:
        """How such entries begin: their number, and how far behind it their name is, if that is fixed."""
        taken = ((code, each) for code, each in table.items() if self.takes(each) and forms.NAME in each.forms)
        return [(_encoded(code), each.places.get(forms.NAME)) for code, each in taken]

    def has_number(self, base: int, end: int) -> bool:
        """True if the strings whose offsets lie between two places include the name."""
        return bisect_left(self._numbered, base) < bisect_left(self._numbered, end)

    @cached_property
    def _numbered(self) -> Sequence[int]:
        table = memoryview(self._sections.str_offsets)
        words = chain.from_iterable(self._each_offset(table, offset) for offset in self.offsets)
        return sorted(words)

    @staticmethod
    def _each_offset(table: memoryview, offset: int) -> Iterator[int]:
        pattern = re.compile(re.escape(offset.to_bytes(4, "little")), re.DOTALL)
        return (match.start() for match in pattern.finditer(table))


def _each_word(data: memoryview, wanted: Sequence[int]) -> Iterator[int]:
    """Where any of many words stands: each number of four bytes, at every byte, is looked up in a table of bits."""
    import numpy

    least, span = wanted[0], wanted[-1] - wanted[0]
    known = numpy.zeros(span + 1, dtype=bool)
    known[numpy.array(wanted) - least] = True
    for first in range(min(4, len(data))):
        words = numpy.frombuffer(data, "<u4", (len(data) - first) // 4, first) - numpy.uint32(least)
        near = numpy.flatnonzero(words <= span)  # what is less than the least has wrapped around
        yield from (first + 4 * near[known[words[near]]]).tolist()


def _encoded(code: int) -> bytes:
    found = bytearray()
    while code >= 0x80:
        found.append(code & 0x7F | 0x80)
        code >>= 7
    return bytes((*found, code))


def _fits(data: Data, place: int, code: bytes, distance: int | None) -> bool:
    """True if an entry that begins so may have its name at a place."""
    if distance is None:
        return True
    start = place - distance - len(code)
    return start >= 0 and data[start : start + len(code)] == code
