"""A Linux kernel's symbols as a part of the symbol table: decoded when they are asked for, never all at once."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from vmdebug.symbols.kallsyms import Kallsyms
from vmdebug.symbols.table import Part, Symbol, SymbolTable

if TYPE_CHECKING:
    from vmdebug.guests.linux.generated import Generated
    from vmdebug.guests.linux.modules import Modules

KINDS = dict.fromkeys("tw", "FUNC") | dict.fromkeys("dbrvnsg", "OBJT")
MAX_FOUND = 1 << 12  # names remembered, and addresses
PADDING = "__pfx_"  # names the bytes in front of a function, 6.2 and later


def preference(symbol: Symbol) -> tuple[bool, bool, tuple[bool, bool, bool, str]]:
    """Smaller is better: names of the linker's and the compiler's making come last."""
    made = symbol.name.startswith(PADDING) or symbol.name.endswith("_text_start")
    return made, symbol.name.startswith("_"), symbol.rank


class KallsymsPart(Part):
    """The symbols of the kernel's image, out of its own table."""

    def __init__(self, kallsyms: Kallsyms, start: int, elsewhere: Callable[[], Part | None]) -> None:
        """`elsewhere` gives the symbols of another source, for what the table does not name."""
        super().__init__("")
        self._kallsyms = kallsyms
        self._start = start
        self._elsewhere = elsewhere
        self._found: dict[str, Symbol | None] = {}
        self._nearest: dict[int, Symbol | None] = {}

    @cached_property
    def all(self) -> list[Symbol]:
        return [_symbol(number, *record) for number, record in enumerate(self._kallsyms.each())]

    @cached_property
    def end(self) -> int:
        """`_end`: symbols above it name memory that was given back."""
        found = self.find("_end")  # without it the table names functions only
        return found.value if found else self._kallsyms.address(len(self._kallsyms) - 1)

    def find(self, name: str) -> Symbol | None:
        """The symbol of that name; of several the first global one, or the first. Dcmds ask for the same ones again."""
        if name not in self._found:
            if len(self._found) >= MAX_FOUND:
                self._found.clear()
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> Symbol | None:
        found = [self._symbol(number) for number in self._kallsyms.numbers(name)]
        if not found:
            others = self._elsewhere()
            return others.find(name) if others else None
        return next((symbol for symbol in found if symbol.bind == "GLOB"), found[0])

    def below(self, address: int) -> Symbol | None:
        """The best name at or closest below an address of the image. Stacks ask for the same ones again."""
        if not self._start <= address < self.end:
            return None
        if address not in self._nearest:
            if len(self._nearest) >= MAX_FOUND:
                self._nearest.clear()
            self._nearest[address] = self._find_below(address)
        return self._nearest[address]

    def _find_below(self, address: int) -> Symbol | None:
        symbols = [self._symbol(number) for number in self._kallsyms.below(address)]
        found, others = min(symbols, key=preference, default=None), self._elsewhere()
        other = others.below(address) if others else None
        return other if other and (found is None or other.value > found.value) else found

    def _symbol(self, number: int) -> Symbol:
        table = self._kallsyms
        return _symbol(number, *table.text(number), table.address(number), table.size(number))


def _symbol(number: int, letter: str, name: str, address: int, size: int) -> Symbol:
    kind = KINDS.get(letter.lower(), "NOTY")
    bind = "WEAK" if letter in "wWvV" else "GLOB" if letter.isupper() else "LOCL"
    return Symbol(name, address, size, kind, bind, index=number)


class ModularTable(SymbolTable):
    """The kernel's symbols, its modules' and those of code made at run time: an address is asked of the one module that
    it lies in, and of that code where it lies in none.
    """

    def __init__(self, main: Part, loaded: "Modules", generated: "Generated") -> None:
        super().__init__(main=main)
        self._loaded = loaded
        self._generated = generated

    @property
    def modules(self) -> list[Part]:
        return [*(module.symbols for module in self._loaded.all), *self._generated.parts]

    @modules.setter
    def modules(self, parts: list[Part]) -> None:
        """The parts come from the kernel's list."""

    def find(self, name: str, module: str | None = None) -> Symbol | None:
        if module is not None:
            return super().find(name, module)
        found = self.private.get(name) or self.main.find(name)
        return found or next((symbol for part in self.modules if (symbol := part.find(name))), None)

    def module(self, name: str) -> Part | None:
        found = next((module.symbols for module in self._loaded.all if module.name == name), None)
        return found or next((part for part in self._generated.parts if part.name == name), None)

    def nearest(self, address: int, distance: int = 0) -> tuple[Symbol, bool] | None:
        found = self._nearest_in(Part("", self.private.values()), address, distance)
        found = found or self._nearest_in(self.main, address, distance)
        if found:
            return found, False
        module = self._loaded.holding(address)
        found = self._nearest_in(module.symbols, address, distance) if module else self._generated.find(address)
        return (found, True) if found else None

    @staticmethod
    def _nearest_in(part: Part, address: int, distance: int) -> Symbol | None:
        symbol = part.below(address)
        return symbol if symbol and symbol.covers(address, distance) else None
