"""What CTF knows of symbols: its object and function sections, matched to a symbol table by order.

The sections have one entry for each symbol that can have one, without its number: only the table that the linker
wrote, in its own order and with its own section numbers, tells which entry is whose.
"""

from collections.abc import Iterable

from vmdebug.types import ctf_layout as layout
from vmdebug.types.ctf_layout import Header

RawSymbol = tuple[str, int, int, int]  # name, type (st_info & 15), section number, value

OBJECT, FUNC = 1, 2
SHN_UNDEF, SHN_ABS = 0, 0xFFF1
WITHOUT_DATA = ("", "_START_", "_END_")


class SymbolMap:
    """By a symbol's number: the type id of a variable, and where the record of a function begins."""

    def __init__(self, header: Header, body: bytes, symbols: Iterable[RawSymbol]) -> None:
        self.objects: dict[int, int] = {}
        self.functions: dict[int, int] = {}
        self._header = header
        self._body = body
        self._match(symbols)

    def prototype(self, number: int) -> tuple[int, list[int]] | None:
        """The return type and the argument types of a function, by their ids."""
        at = self.functions.get(number)
        if at is None:
            return None
        word, version = self._header.version.word, self._header.version
        (info,) = word.unpack_from(self._body, at)
        count = (info & version.length_mask) + 1
        returns, *arguments = [word.unpack_from(self._body, at + word.size * (1 + n))[0] for n in range(count)]
        return returns, arguments

    def _match(self, symbols: Iterable[RawSymbol]) -> None:
        read, size = self._header.version.word.unpack_from, self._header.version.word.size
        place, end = self._header.objects, self._header.functions
        record: int | None = end
        for number, (name, kind, section, value) in enumerate(symbols):
            if section == SHN_UNDEF or name in WITHOUT_DATA:
                continue
            if kind == OBJECT and place + size <= end and (section != SHN_ABS or value):
                if type_id := read(self._body, place)[0]:
                    self.objects[number] = type_id
                place += size
            elif kind == FUNC and record is not None:
                record = self._function(number, record)

    def _function(self, number: int, at: int) -> int | None:
        """Note the function's record, and give the next one's place; None behind the last or at nonsense."""
        version, size = self._header.version, self._header.version.word.size
        if at + size > self._header.types:
            return None
        info: int = version.word.unpack_from(self._body, at)[0]
        kind, count = info >> version.kind_shift, info & version.length_mask
        if kind == layout.UNKNOWN and count == 0:
            return at + size
        after = at + size * (count + 2)
        if kind != layout.FUNCTION or after > self._header.types:
            return None
        self.functions[number] = at
        return after
