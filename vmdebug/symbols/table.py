"""Symbols by name and by address, in mdb's order of preference.

A table is a main part (the kernel's exported names, all modules merged) and one part for each module. Look-ups by name
try the private names that the user added, the main part, then the modules in load order; look-ups by address take the
closest at or below. Equal addresses are ranked: a size, then a type, then not weak, then by name.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import cached_property

from formats.lazy import dataclass


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol. `kind` and `bind` use mdb's words (FUNC OBJT NOTY SECT FILE; GLOB LOCL WEAK)."""

    name: str
    value: int
    size: int
    kind: str = "NOTY"
    bind: str = "GLOB"
    module: str = ""
    index: int = 0
    other: int = 0
    shndx: int = 0xFFF1  # SHN_ABS: a dump knows no sections

    def covers(self, address: int, distance: int = 0) -> bool:
        """True if the address counts as inside: within the size, or within `distance` when one is set."""
        return 0 <= address - self.value < (distance or max(self.size, 1))

    @property
    def rank(self) -> tuple[bool, bool, bool, str]:
        """Smaller is better among symbols of one address."""
        return (self.size == 0, self.kind == "NOTY", self.bind == "WEAK", self.name)


@dataclass
class Part:
    """The symbols of one module, or of the whole kernel; indexes are made at the first look-up.

    A part that is `complete` has every symbol of the kernel, so that the modules' own need not be asked for an address.
    """

    name: str
    symbols: Iterable[Symbol] = ()
    complete: bool = False

    @cached_property
    def all(self) -> list[Symbol]:
        return list(self.symbols)

    def find(self, name: str) -> Symbol | None:
        """The symbol of that name, a global one before others."""
        return self.by_name.get(name)

    @cached_property
    def by_name(self) -> dict[str, Symbol]:
        found: dict[str, Symbol] = {}
        for symbol in self.all:
            if symbol.name not in found or symbol.bind == "GLOB" != found[symbol.name].bind:
                found[symbol.name] = symbol
        return found

    @cached_property
    def _by_address(self) -> tuple[list[int], list[Symbol]]:
        """One symbol an address, the best; local ones of size 0 and those at 0 are never used."""
        usable = [s for s in self.all if s.value and s.name and (s.size or s.bind != "LOCL")]
        best: dict[int, Symbol] = {}
        for symbol in usable:
            held = best.get(symbol.value)
            if held is None or symbol.rank < held.rank:
                best[symbol.value] = symbol
        values = sorted(best)
        return values, [best[value] for value in values]

    def below(self, address: int) -> Symbol | None:
        """The symbol at or closest below the address."""
        values, symbols = self._by_address
        at = bisect_right(values, address)
        return symbols[at - 1] if at else None


@dataclass
class SymbolTable:
    """What a guest's names are. `why` says, where there are none, why not."""

    main: Part = field(default_factory=lambda: Part("", ()))
    modules: list[Part] = field(default_factory=list)
    private: dict[str, Symbol] = field(default_factory=dict)
    why: str = ""

    def module(self, name: str) -> Part | None:
        return next((part for part in self.modules if part.name == name), None)

    def find(self, name: str, module: str | None = None) -> Symbol | None:
        """The symbol of that name; only that module's if one is named."""
        if module is not None:
            part = self.module(module)
            return part.find(name) if part else None
        if name in self.private:
            return self.private[name]
        parts = (self.main,) if self.main.complete else (self.main, *self.modules)
        return next((found for part in parts if (found := part.find(name))), None)

    def nearest(self, address: int, distance: int = 0) -> tuple[Symbol, bool] | None:
        """The closest symbol that covers the address, and whether only a module's own table has it."""
        best: tuple[Symbol, bool] | None = None
        private = Part("", self.private.values())
        modules = () if self.main.complete else self.modules
        for part in (private, self.main, *modules):
            symbol = part.below(address)
            if symbol is None or not symbol.covers(address, distance):
                continue
            if best is None or symbol.value > best[0].value:
                best = symbol, part in self.modules
        return best

    def each(self, module: str | None = None) -> Iterator[Symbol]:
        """Every symbol of the kernel, or of one module."""
        part = self.main if module is None else self.module(module)
        yield from part.all if part else ()
