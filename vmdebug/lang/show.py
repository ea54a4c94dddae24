"""How values become text in a session: names of addresses, numbers in the current radix."""

from collections.abc import Callable

from vmdebug.lang.numbers import show_number, signed
from vmdebug.lang.paint import wants_colour
from vmdebug.lang.settings import Settings
from vmdebug.symbols.table import SymbolTable


class SessionShow:
    """Show of dcmd.py over a session's settings and symbols."""

    def __init__(self, settings: Settings, terminal: bool, symbols: Callable[[], SymbolTable]) -> None:
        self._settings = settings
        self._terminal = terminal
        self._symbols = symbols
        self.in_shell = False  # the text goes into a shell's pipe
        self.piped = False

    @property
    def width(self) -> int | None:
        return None if self.in_shell else self._settings.width

    @property
    def wrap(self) -> int | None:
        return self.width if self._settings.autowrap else None

    @property
    def terminal(self) -> bool:
        return self._terminal and not self.in_shell

    @property
    def colour(self) -> bool:
        return self.terminal and wants_colour(self._settings.term)

    def symbol(self, address: int) -> str:
        return self.symbol_or_empty(address) or show_number(address, 16, prefix=True)

    def symbol_or_empty(self, address: int) -> str:
        found = self._symbols().nearest(address, self._settings.distance)
        if found is None:
            return ""
        symbol, private = found
        name = self.name(symbol.name)
        name = f"{symbol.module}`{name}" if private and symbol.module else name
        offset = address - symbol.value
        return f"{name}+{show_number(offset, self._settings.radix, prefix=True)}" if offset else name

    def name(self, name: str) -> str:
        """A symbol's name as the user wants to read it."""
        if not self._settings.demangling:
            return name
        from vmdebug.lang.demangle import readable

        return readable(name, self._settings.demangle_flags)

    def number(self, value: int, *, signed: bool = False, prefix: bool = False) -> str:
        return show_number(_signed(value) if signed else value, self._settings.radix, prefix)


def _signed(value: int) -> int:
    return signed(value) if value >= 0 else value
