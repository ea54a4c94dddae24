"""Symbols and types out of a file that the user names, for guests that carry none: `--symbols FILE`."""

import struct
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from vmdebug.symbols.elf import ENTRY, ElfPart, Tables
from vmdebug.symbols.sections import BadSymbolFile, sections_of
from vmdebug.symbols.table import Part, Symbol

__all__ = ["BadSymbolFile", "MovedPart", "SymbolFile"]

DWARF = ("abbrev", "types", "str", "line_str", "str_offsets", "addr")
ENTRY_32 = struct.Struct("<IIIBBH")  # name, value, size, info, other, section
NOTE = struct.Struct("<III")
BUILD_ID = 3  # NT_GNU_BUILD_ID
MAX_NOTES = 64
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


class SymbolFile:
    """An ELF file's symbol table, and its BTF and DWARF if it has some; or a file that is BTF and nothing else.

    Only its headers are read before a look-up.
    """

    def __init__(self, path: Path, progress: Progress = silent) -> None:
        self.path = path
        self.progress = progress
        self.taken = False  # by the guest, which lacks what the file has
        if not path.is_file():
            raise BadSymbolFile(path, "no such file")
        self._elf = sections_of(path)
        self.bits = self._elf.bits  # 32 or 64; what is no ELF file is refused here

    @cached_property
    def has_symbols(self) -> bool:
        """True if it names anything: one that was stripped does not, nor does BTF alone."""
        return bool(self._elf.section(".symtab"))

    @cached_property
    def part(self) -> ElfPart:
        """Every symbol of the file at the address that it was linked to."""
        table, strings = bytes(self._elf.section(".symtab")), bytes(self._elf.section(".strtab"))
        if not table or not strings:
            raise BadSymbolFile(self.path, "it has no symbol table (.symtab)")
        if self.bits == 32:
            table = _widened(table)
        return ElfPart("", load=lambda: Tables(table, strings))

    @cached_property
    def btf(self) -> bytes:
        """The section .BTF, empty if there is none."""
        return bytes(self._elf.section(".BTF"))

    @cached_property
    def dwarf(self) -> Mapping[str, memoryview]:
        """The sections `.debug_...` that describe types, by the ends of their names; none if it has no DWARF."""
        info = self._elf.section(".debug_info") if self._elf.linked else memoryview(b"")
        if not info:
            return {}
        return {"info": info, **{name: self._elf.section(f".debug_{name}") for name in DWARF}}

    @cached_property
    def lacks(self) -> str:
        """Why there are no types in it."""
        if not self._elf.linked:
            return "it is an object file, which is not linked"
        link = bytes(self._elf.section(".gnu_debuglink")).split(b"\0", 1)[0].decode("utf-8", "replace")
        return f"it has neither .BTF nor DWARF{f', which is in the file {link}' if link else ''}"

    @cached_property
    def build_id(self) -> bytes:
        """What names the build, out of the file's notes; empty if they do not say."""
        names = (".notes", ".note.gnu.build-id")
        return next((found for name in names if (found := build_id(bytes(self._elf.section(name))))), b"")


def build_id(notes: bytes) -> bytes:
    """The build id among some ELF notes; empty if it is not there."""
    at = 0
    for _ in range(MAX_NOTES):
        if at + NOTE.size > len(notes):
            break
        name_size, size, kind = NOTE.unpack_from(notes, at)
        name_at = at + NOTE.size
        data_at = name_at + -(-name_size // 4) * 4
        if kind == BUILD_ID and notes[name_at : name_at + name_size] == b"GNU\0":
            return notes[data_at : data_at + size]
        at = data_at + -(-size // 4) * 4
    return b""


def _widened(table: bytes) -> bytes:
    """A symbol table of a 32-bit file as one of a 64-bit file."""
    whole = memoryview(table)[: len(table) // ENTRY_32.size * ENTRY_32.size]
    return b"".join(
        ENTRY.pack(name, info, other, section, value, size)
        for name, value, size, info, other, section in ENTRY_32.iter_unpack(whole)
    )


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
