"""Units of DWARF: their headers, and the walk over their entries.

An entry is an abbreviation's number and the values of its attributes; those with children are followed by them, up to
a zero. A producer that says where the next sibling lies lets the walk skip the children.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

from vmdebug.types import dwarf_forms as forms
from vmdebug.types.dwarf_abbreviations import Abbreviation, Abbreviations, Table
from vmdebug.types.dwarf_forms import WORD, Damage, Data, Sizes, Value, uleb

TYPE_UNIT, SKELETON, SPLIT_COMPILE, SPLIT_TYPE = 2, 4, 5, 6  # unit types of version 5
MAX_UNITS = 1 << 17
MAX_ENTRIES = 1 << 24  # of one walk
MAX_LISTS = 4  # remembered


class Unit:
    """One unit: `start` and `end` lie in `data`; entries count from `base` on, so that two sections have one space."""

    __slots__ = ("abbreviations", "base", "data", "end", "entries", "kind", "signature", "sizes", "start", "type_at")

    def __init__(self, data: Data, start: int, base: int, in_types: bool) -> None:
        self.data, self.start, self.base = data, start, base
        length, at, offset = _length(data, start)
        self.end = at + length
        if self.end > len(data) or not length:
            raise Damage(f"the unit at {start:#x} has {length:#x} bytes, {len(data) - at:#x} are there")
        version = int.from_bytes(data[at : at + 2], "little")
        if not 2 <= version <= 5:
            raise Damage(f"the unit at {start:#x} is of version {version}, 2 to 5 are known")
        at += 2
        word = "I" if offset == 4 else "Q"
        if version == 5:
            self.kind, address, self.abbreviations = struct.unpack_from(f"<BB{word}", data, at)
        else:
            self.kind = TYPE_UNIT if in_types else 1
            self.abbreviations, address = struct.unpack_from(f"<{word}B", data, at)
        if address not in (2, 4, 8):
            raise Damage(f"the unit at {start:#x} has addresses of {address} bytes")
        at += offset + 1 + (version == 5)
        self.sizes = Sizes(version, address, offset)
        self.signature = self.type_at = 0
        if self.kind in (TYPE_UNIT, SPLIT_TYPE):
            self.signature, self.type_at = struct.unpack_from(f"<Q{word}", data, at)
            at += 8 + offset
        elif self.kind in (SKELETON, SPLIT_COMPILE):
            at += 8
        self.entries = at


class Entry:
    """One entry: its values are read when one is asked for."""

    __slots__ = ("_values", "abbreviation", "at", "unit", "values_at")

    def __init__(self, unit: Unit, at: int, values_at: int, abbreviation: Abbreviation) -> None:
        self.unit = unit
        self.at = at
        self.values_at = values_at
        self.abbreviation = abbreviation
        self._values: dict[int, tuple[int, Value]] | None = None

    @property
    def tag(self) -> int:
        return self.abbreviation.tag

    @property
    def number(self) -> int:
        """Where it lies among all entries."""
        return self.unit.base + self.at

    def has(self, attribute: int) -> bool:
        return attribute in self.abbreviation.forms

    def form(self, attribute: int) -> int:
        """The form of an attribute; 0 if the entry has none such."""
        return self.values.get(attribute, (0, 0))[0]

    def value(self, attribute: int) -> Value | None:
        found = self.values.get(attribute)
        return found[1] if found else None

    def integer(self, attribute: int) -> int | None:
        """The value of an attribute that is a number; None if there is none, or an expression."""
        found = self.value(attribute)
        return found if isinstance(found, int) else None

    @property
    def values(self) -> dict[int, tuple[int, Value]]:
        """The form and value of each attribute."""
        if self._values is None:
            self._values = {}
            at, data, sizes = self.values_at, self.unit.data, self.unit.sizes
            for attribute, form, implicit in self.abbreviation.specs:
                value, at = sizes.read(data, at, form, implicit)
                self._values[attribute] = form, value
        return self._values


class Units:
    """The units of .debug_info and .debug_types, and the walk over their entries; Damage where that is not sound."""

    def __init__(self, info: Data, types: Data, abbreviations: Data) -> None:
        self.info = info
        self.types = types
        self._abbreviations = Abbreviations(abbreviations)
        self._tops: dict[int, array[int]] = {}

    @cached_property
    def all(self) -> Sequence[Unit]:
        return [*_each_unit(self.info, 0, False), *_each_unit(self.types, len(self.info), True)]

    @cached_property
    def _starts(self) -> Sequence[int]:
        return [unit.base + unit.start for unit in self.all]

    def at(self, number: int) -> Unit:
        """The unit that an entry lies in, by the entry's number."""
        index = bisect_right(self._starts, number) - 1
        if index < 0 or number - self.all[index].base >= self.all[index].end:
            raise Damage(f"entry {number:#x} is in no unit")
        return self.all[index]

    def table(self, unit: Unit) -> Table:
        """The abbreviations of a unit."""
        return self._abbreviations.table(unit.abbreviations, unit.sizes)

    def entry(self, number: int) -> Entry:
        """The entry of that number."""
        unit = self.at(number)
        at = number - unit.base
        if at < unit.entries:
            raise Damage(f"entry {number:#x} lies in the head of its unit")
        found = self._entry(unit, at)
        if found is None:
            raise Damage(f"there is no entry at {number:#x}")
        return found

    def root(self, unit: Unit) -> Entry | None:
        """The entry of the unit itself."""
        return self._entry(unit, unit.entries) if unit.entries < unit.end else None

    def children(self, parent: Entry) -> Iterator[Entry]:
        """The entries right below one."""
        unit = parent.unit
        return (Entry(unit, at, values_at, found) for at, values_at, found in self.walk(parent))

    def walk(self, parent: Entry) -> Iterator[tuple[int, int, Abbreviation]]:
        """Where each entry right below one begins, where its values do, and what it has."""
        if not parent.abbreviation.children:
            return
        unit, table = parent.unit, self.table(parent.unit)
        data, start, end = unit.data, unit.start, unit.end
        at = self._behind_values(parent.values_at, unit, parent.abbreviation)
        for _ in range(MAX_ENTRIES):
            if at >= end or not data[at]:
                return
            code, values_at = uleb(data, at)
            found = table.get(code)
            if found is None:
                raise _unknown(unit, at, code)
            yield at, values_at, found
            place = found.sibling
            if place is not None:
                place += values_at
                at = start + int.from_bytes(data[place : place + 4], "little")
                if not place < at <= end:
                    raise _astray(unit, place, at)
            elif found.size is not None and not found.children:
                at = values_at + found.size
            else:
                at = self._behind(values_at, unit, table, found)

    def tops(self, unit: Unit) -> "array[int]":
        """Where in its section each entry right below the unit's own begins."""
        found = self._tops.get(unit.base + unit.start)
        if found is None:
            if len(self._tops) >= MAX_LISTS:
                self._tops.pop(next(iter(self._tops)))
            root = self.root(unit)
            found = array("Q", (at for at, _, _ in self.walk(root)) if root else ())
            self._tops[unit.base + unit.start] = found
        return found

    def top_around(self, unit: Unit, at: int) -> Entry | None:
        """The entry right below the unit's own that holds a place, itself or with its children."""
        tops = self.tops(unit)
        index = bisect_right(tops, at) - 1
        return self._entry(unit, tops[index]) if index >= 0 else None

    def _entry(self, unit: Unit, at: int) -> Entry | None:
        """The entry at a place; None for the zero that ends a list."""
        code, values_at = uleb(unit.data, at)
        if not code:
            return None
        found = self.table(unit).get(code)
        if found is None:
            raise _unknown(unit, at, code)
        return Entry(unit, at, values_at, found)

    def _behind_values(self, at: int, unit: Unit, abbreviation: Abbreviation) -> int:
        if abbreviation.size is not None:
            return at + abbreviation.size
        end_of, data = unit.sizes.end_of, unit.data
        for _, form, _ in abbreviation.specs:
            at = end_of(data, at, form)
        return at

    def _behind(self, at: int, unit: Unit, table: Table, abbreviation: Abbreviation) -> int:
        """Where an entry's values and children end."""
        data, end = unit.data, unit.end
        depth = 0
        for _ in range(MAX_ENTRIES):
            sibling = _sibling(at, unit, abbreviation) if abbreviation.children else 0
            if sibling:
                at = sibling
            else:
                at = self._behind_values(at, unit, abbreviation)
                depth += abbreviation.children
            while depth and at < end and not data[at]:
                at, depth = at + 1, depth - 1
            if not depth or at >= end:
                return at
            code, values_at = uleb(data, at)
            found = table.get(code)
            if found is None:
                raise _unknown(unit, at, code)
            at, abbreviation = values_at, found
        raise Damage(f"the unit at {unit.start:#x} has more than {MAX_ENTRIES} entries")


def _each_unit(data: Data, base: int, in_types: bool) -> Iterator[Unit]:
    at = 0
    for _ in range(MAX_UNITS):
        if at >= len(data):
            return
        try:
            unit = Unit(data, at, base, in_types)
        except struct.error:
            raise Damage(f"the unit at {at:#x} is cut short") from None
        yield unit
        at = unit.end
    raise Damage(f"more than {MAX_UNITS} units")


def _length(data: Data, at: int) -> tuple[int, int, int]:
    """The length of a unit, where it begins to count, and how long its offsets are."""
    (length,) = WORD.unpack_from(data, at)
    if length == 0xFFFF_FFFF:
        (length,) = struct.unpack_from("<Q", data, at + 4)
        return length, at + 12, 8
    return length, at + 4, 4


def _sibling(at: int, unit: Unit, abbreviation: Abbreviation) -> int:
    """Where an entry's next sibling lies, 0 where it does not say; it can only lie behind the entry."""
    place, form = abbreviation.places.get(forms.SIBLING), abbreviation.forms.get(forms.SIBLING)
    if place is None or form not in forms.UNIT_REFERENCES:
        return 0
    value, _ = unit.sizes.read(unit.data, at + place, form, 0)
    found = unit.start + value if isinstance(value, int) else 0
    if not at < found <= unit.end:
        raise _astray(unit, at, found)
    return found


def _astray(unit: Unit, at: int, found: int) -> Damage:
    return Damage(f"the entry before {unit.base + at:#x} has its next sibling at {unit.base + found:#x}")


def _unknown(unit: Unit, at: int, code: int) -> Damage:
    return Damage(f"the entry at {unit.base + at:#x} has abbreviation {code}, which its unit lacks")
