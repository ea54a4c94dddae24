"""Abbreviations of DWARF: which attributes the entries of a unit have, by the number that each begins with."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from vmdebug.types import dwarf_forms as forms
from vmdebug.types.dwarf_forms import INDEXED_STRINGS, Damage, Data, Sizes, compiled, uleb

Spec = tuple[int, int, int]  # attribute, form, the value that the form implies
MAX_ABBREVIATIONS = 1 << 16  # of one table
MAX_TABLES = 64  # remembered
# Pairs of attribute and form, with its value for the form that implies one, up to a pair of zeros.
SPECS = re.compile(rb"(?>(?!\0\0)[\x80-\xff]{0,4}[\0-\x7f](?>![\x80-\xff]{0,18}|[\x80-\xff]{0,4})[\0-\x7f]){0,256}\0\0")


class Abbreviation:
    """What entries of one number have.

    `size` is that of all values, or None; `places` where attributes begin; `sibling` the place of four bytes that say
    where the next sibling lies, or None.
    """

    __slots__ = ("children", "declared", "forms", "places", "sibling", "size", "specs", "tag")

    def __init__(self, tag: int, children: bool, specs: Sequence[Spec], sizes: Sizes) -> None:
        self.tag = tag
        self.children = children
        self.specs = specs
        self.forms = {attribute: form for attribute, form, _ in reversed(specs)}
        self.size, self.places = compiled(sizes, specs)
        self.declared = forms.DECLARATION in self.forms
        said = children and self.forms.get(forms.SIBLING) == forms.REF4
        self.sibling = self.places.get(forms.SIBLING) if said else None


class Table(dict[int, Abbreviation]):
    """The abbreviations of a unit by their numbers."""

    @cached_property
    def indexed(self) -> bool:
        """True if entries name themselves by the number of a string."""
        return any(each.forms.get(forms.NAME) in INDEXED_STRINGS for each in self.values())


class Abbreviations:
    """The section of abbreviations, of which each unit uses a table."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._tables: dict[tuple[int, ...], Table] = {}
        self._known: dict[tuple[object, ...], Abbreviation] = {}

    def table(self, at: int, sizes: Sizes) -> Table:
        """The table at an offset, for units of such sizes."""
        key = (at, *sizes.key)
        found = self._tables.get(key)
        if found is None:
            if len(self._tables) >= MAX_TABLES:
                self._tables.pop(next(iter(self._tables)))
            found = self._tables[key] = self._read(at, sizes)
        return found

    def _read(self, start: int, sizes: Sizes) -> Table:
        data, at, table = self._data, start, Table()
        if at >= len(data):
            raise Damage(f"the abbreviations at {at:#x} lie behind their section")
        while at < len(data):
            code, at = uleb(data, at)
            if not code:
                break
            tag, at = uleb(data, at)
            specs = SPECS.match(data, at + 1)
            if specs is None or len(table) >= MAX_ABBREVIATIONS:
                raise Damage(f"the abbreviations at {start:#x} do not end")
            table[code] = self._abbreviation(tag, bool(data[at]), specs[0], sizes)
            at = specs.end()
        return table

    def _abbreviation(self, tag: int, children: bool, specs: bytes, sizes: Sizes) -> Abbreviation:
        """One object for all that are alike: the units of a program have much the same ones."""
        key = (tag, children, specs, *sizes.key)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MAX_ABBREVIATIONS:
                self._known.clear()
            found = self._known[key] = Abbreviation(tag, children, list(_each_spec(bytes(specs))), sizes)
        return found


def _each_spec(specs: bytes) -> Iterator[Spec]:
    at = 0
    while at < len(specs) - 2:
        attribute, at = uleb(specs, at)
        form, at = uleb(specs, at)
        implicit = 0
        if form == forms.IMPLICIT_CONST:
            implicit, at = forms.sleb(specs, at)
        yield attribute, form, implicit
