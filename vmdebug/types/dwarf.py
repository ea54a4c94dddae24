"""The types of a program out of its DWARF, for a guest that carries none. One type is read when it is asked for.

dwarf_search finds entries, dwarf_units reads them, dwarf_records makes types of them.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from vmdebug.types import dwarf_forms as forms
from vmdebug.types.dwarf_forms import Damage
from vmdebug.types.dwarf_records import TAG_WORDS, Maker, damaged
from vmdebug.types.dwarf_search import Progress, Search, Sections
from vmdebug.types.dwarf_units import SKELETON, Entry
from vmdebug.types.errors import UnknownType
from vmdebug.types.model import Aggregate, Forward, Function, Type
from vmdebug.types.source import KernelSymbol, TypeSource

TAGS: Mapping[str, tuple[int, ...]] = {
    "struct": (forms.STRUCTURE, forms.CLASS),
    "union": (forms.UNION,),
    "enum": (forms.ENUMERATION,),
    "": (forms.TYPEDEF, forms.BASE),
}
SHOWN = (*TAG_WORDS, forms.TYPEDEF)
MAX_ALTERNATIVES = 4096
Found = TypeVar("Found")


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


class DwarfTypes(TypeSource):
    """The types of one file. `shift` is how far what it describes was moved from where it was linked to.

    `variables` names the types of variables that the file does not describe.
    """

    def __init__(
        self,
        name: str,
        sections: Sections,
        *,
        pointer: int = 8,
        shift: int = 0,
        variables: Mapping[str, str] | None = None,
        progress: Progress = silent,
    ) -> None:
        self.name = name
        self.pointer = pointer
        self._shift = shift
        self._table = variables or {}
        self._search = Search(sections, progress)
        self._maker = Maker(name, self._search, self._define, name)
        self._found: dict[tuple[str, str], Type | None] = {}

    def lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        if module is not None:
            return None
        key = (tag, name)
        if key not in self._found:
            self._found[key] = self._sound(lambda: self._look(tag, name))
        return self._found[key]

    def each(self) -> Iterator[Type]:
        seen = set[tuple[int, str]]()
        try:
            for entry in self._search.each_top(SHOWN):
                key = (entry.tag, self._search.name_of(entry))
                if key not in seen:
                    seen.add(key)
                    yield self._maker.make(entry)
        except (Damage, IndexError) as err:
            raise damaged(self.name, err) from err

    def excuse(self) -> str:
        """That the file's types lie in others, if they do."""
        units = self._sound(lambda: self._search.units.all)
        return f"the types of {self.name} lie in .dwo files" if units and units[0].kind == SKELETON else ""

    def alternatives(self, name: str, member: str) -> Iterator[Type]:
        """Every structure of that name that has the member: names repeat across a program."""
        tags = (*TAGS["struct"], *TAGS["union"])
        seen = set[int]()
        try:
            for entry in self._search.each_named(name, tags):
                found = self._maker.make(entry)
                if isinstance(found, Aggregate) and id(found) not in seen and len(seen) < MAX_ALTERNATIVES:
                    seen.add(id(found))
                    if found.has(member):
                        yield found
        except (Damage, IndexError) as err:
            raise damaged(self.name, err) from err

    def type_of_symbol(self, symbol: KernelSymbol) -> Type | None:
        if symbol.module:
            return None
        found = self._sound(lambda: self._variable(symbol))
        if found is None and symbol.name in self._table:
            try:
                return self.find(self._table[symbol.name])
            except UnknownType:
                return None
        return found

    def function(self, symbol: KernelSymbol) -> Function | None:
        if symbol.module:
            return None
        entry = self._sound(lambda: next(self._search.each_named(symbol.name, (forms.SUBPROGRAM,)), None))
        return self._sound(lambda: self._maker.function(entry)) if entry else None

    def _look(self, tag: str, name: str) -> Type | None:
        """A definition, else the first declaration."""
        defined = next(self._search.each_named(name, TAGS[tag]), None)
        found = defined or next(self._search.each_named(name, TAGS[tag], declared=True), None)
        return self._maker.make(found) if found else None

    def _define(self, tag: str, name: str) -> Type | None:
        found = self.lookup(tag, name, None)
        return None if isinstance(found, Forward) else found

    def _variable(self, symbol: KernelSymbol) -> Type | None:
        """The type of what lies at the symbol's address, else of what is defined or declared by its name."""
        address = symbol.value - self._shift
        if 0 <= address < 1 << 8 * self.pointer:
            entry = self._search.variable_at(address, self.pointer)
            if entry and (found := self._maker.variable(entry)):
                return found
        entry = self._variable_named(symbol.name, address)
        return self._maker.variable(entry) if entry else None

    def _variable_named(self, name: str, address: int) -> Entry | None:
        """The variable of that name that lies at the address, else the first, else a declaration of it."""
        tags = (forms.VARIABLE,)
        defined = list(islice(self._search.each_named(name, tags), MAX_ALTERNATIVES))
        there = (each for each in defined if self._search.address_of(each) == address)
        return (
            next(there, None)
            or next(iter(defined), None)
            or next(self._search.each_named(name, tags, declared=True), None)
        )

    def _sound(self, ask: Callable[[], Found]) -> Found:
        try:
            return ask()
        except (Damage, IndexError) as err:
            raise damaged(self.name, err) from err
