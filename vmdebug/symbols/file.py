"""Symbols and types out of an ELF file that the user names, for guests that carry none: `--symbols FILE`."""

from functools import cached_property
from pathlib import Path

from vmdebug.errors import DebuggerError
from vmdebug.symbols.elf import ElfPart, Tables
from vmdebug.symbols.table import Part, Symbol


class BadSymbolFile(DebuggerError):
    def __init__(self, path: Path, found: str) -> None:
        super().__init__(f"{path}: cannot be used for symbols: {found}")


class SymbolFile:
    """An ELF file's symbol table, and its BTF if it has some. Read at the first look-up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise BadSymbolFile(path, "no such file")

    @cached_property
    def part(self) -> ElfPart:
        """Every symbol of the file at the address that it was linked to."""
        table = self._section(".symtab")
        strings = self._section(".strtab")
        if not table or not strings:
            raise BadSymbolFile(self.path, "it has no symbol table (.symtab)")
        return ElfPart("", load=lambda: Tables(table, strings))

    @cached_property
    def btf(self) -> bytes:
        """The section .BTF, empty if there is none."""
        return self._section(".BTF")

    def _section(self, name: str) -> bytes:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        try:
            with self.path.open("rb") as stream:
                section = ELFFile(stream).get_section_by_name(name)
                return bytes(section.data()) if section else b""
        except (ELFError, OSError, ValueError) as err:
            raise BadSymbolFile(self.path, str(err) or type(err).__name__) from err


class MovedPart(Part):
    """A part's symbols, all at addresses that are `shift` higher: a kernel that was moved when it booted."""

    def __init__(self, part: Part, shift: int) -> None:
        super().__init__(part.name, complete=True)
        self._part = part
        self._shift = shift

    @cached_property
    def all(self) -> list[Symbol]:
        return [self._moved(symbol) for symbol in self._part.all]

    def find(self, name: str) -> Symbol | None:
        found = self._part.find(name)
        return self._moved(found) if found else None

    def below(self, address: int) -> Symbol | None:
        found = self._part.below(address - self._shift)
        return self._moved(found) if found else None

    def _moved(self, symbol: Symbol) -> Symbol:
        if not self._shift:
            return symbol
        value = symbol.value + self._shift
        return Symbol(
            symbol.name, value, symbol.size, symbol.kind, symbol.bind, symbol.module, symbol.index, symbol.other
        )
