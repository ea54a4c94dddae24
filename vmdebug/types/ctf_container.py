"""One module's CTF: its types by number and by name, and what its symbols are.

Strings are of two tables, the container's own and the ELF strings of the module's symbol table. The types of a child
continue its parent's: a type id says by one bit whose it is.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from vmdebug.types import ctf_layout as layout
from vmdebug.types.ctf_layout import read_body, read_header
from vmdebug.types.ctf_records import Maker, Records
from vmdebug.types.ctf_symbols import RawSymbol, SymbolMap
from vmdebug.types.model import Function, Type, Unknown, Void

ELF_STRINGS = 1 << 31  # of a string reference: the offset is one into the ELF string table
MAX_NAME = 1024
LABEL = struct.Struct("<II")
REFERENCE = struct.Struct("=I")  # a string reference as an array of them keeps it
TAGS = {layout.STRUCT: "struct", layout.UNION: "union", layout.ENUM: "enum"}
ENCODING_BITS = struct.Struct("<H2x")


class Container:
    """A container whose header, body and records are sound; CtfError is raised where they are not.

    `strings` and `symbols` are called when they are first needed, `parent` when a type of the parent is, `complete` to
    find what is only declared here.
    """

    def __init__(
        self,
        name: str,
        data: bytes,
        *,
        strings: Callable[[], bytes] = bytes,
        symbols: Callable[[], Iterable[RawSymbol]] = tuple,
        parent: "Callable[[Container], Container | None]" = lambda child: None,
        complete: Callable[[str, str], Type | None] = lambda tag, name: None,
        pointer: int = 8,
    ) -> None:
        self.name = name
        self.header = read_header(name, data)
        self._body = read_body(name, self.header, data)
        self._records = Records(name, self.header, self._body)
        self._maker = Maker(self._records, self.string, self.type, complete, pointer)
        self._load_strings = strings
        self._load_symbols = symbols
        self._find_parent = parent
        self._made: dict[int, Type] = {}
        self.child = bool(self.header.parent or self._records.references & self.header.version.child)

    def __len__(self) -> int:
        return len(self._records)

    def type(self, type_id: int) -> Type:
        """The type of that id, here or in the parent; what no record describes is Unknown."""
        bit = self.header.version.child
        if type_id == 0:
            return Void(module=self.name)
        if self.child and not type_id & bit:
            return self.parent.type(type_id) if self.parent is not None else Unknown(module=self.name)
        number = (type_id & (bit - 1)) - 1
        found = self._made.get(number)
        if found is None:
            known = 0 <= number < len(self._records)
            found = self._maker.make(number) if known else Unknown(module=self.name)
            self._made[number] = found
        return found

    def find(self, tag: str, name: str) -> Type | None:
        """The container's own type of that name, a definition before a declaration."""
        kinds = self._records.kinds
        numbers = [number for number in self._named(name) if kinds[number] and self._tag(number) == tag]
        defined = [number for number in numbers if kinds[number] != layout.FORWARD]
        if tag or not defined:
            chosen = (defined or numbers)[-1:]
        else:
            chosen = [self._preferred(defined)]
        return self._own(chosen[0]) if chosen else None

    def each(self) -> Iterator[Type]:
        """The types that have a name and are not hidden."""
        return (self._own(number) for number in self._visible())

    def each_name(self) -> Iterator[str]:
        """The names of those types, with their tags."""
        for number in self._visible():
            yield f"{self._tag(number)} {self.string(self._records.names[number])}".lstrip()

    def type_of(self, symbol: int) -> Type | None:
        """The type of the variable whose symbol has that number."""
        type_id = self._symbols.objects.get(symbol)
        return self.type(type_id) if type_id else None

    def function(self, symbol: int, name: str = "") -> Function | None:
        """The prototype of the function whose symbol has that number."""
        found = self._symbols.prototype(symbol)
        if found is None:
            return None
        returns, arguments = found
        return self._maker.function(lambda: self.type(returns), arguments, name)

    @cached_property
    def parent(self) -> "Container | None":
        return self._find_parent(self) if self.child else None

    @property
    def parent_name(self) -> str:
        """The module that its types build on, "" where it does not say."""
        return self.string(self.header.parent)

    @property
    def parent_label(self) -> str:
        return self.string(self.header.parent_label)

    @property
    def labels(self) -> Sequence[str]:
        """The marks that children check: of which build the types are."""
        section = self._body[self.header.labels : self.header.objects]
        whole = len(section) // LABEL.size * LABEL.size
        return [self.string(name) for name, _ in LABEL.iter_unpack(section[:whole])]

    def string(self, reference: int) -> str:
        """The string of a reference; `(?)` where there is none."""
        offset = reference & (ELF_STRINGS - 1)
        if reference & ELF_STRINGS:
            return _string(self._elf_strings, offset, len(self._elf_strings))
        if offset == 0:
            return ""
        return _string(self._body, self.header.strings + offset, len(self._body))

    @cached_property
    def _elf_strings(self) -> bytes:
        return self._load_strings()

    @cached_property
    def _symbols(self) -> SymbolMap:
        return SymbolMap(self.header, self._body, self._load_symbols())

    @cached_property
    def _name_bytes(self) -> bytes:
        """The records' names as they are kept, to be searched."""
        return self._records.names.tobytes()

    def _named(self, name: str) -> list[int]:
        """The records of that name. Strings, then names are searched, which is quicker than an index of all."""
        if not name:
            return []
        pattern = re.compile(re.escape(name.encode()) + b"\0")
        start = self.header.strings
        own = [match.start() - start for match in pattern.finditer(self._body, start)]
        elf = [match.start() | ELF_STRINGS for match in pattern.finditer(self._elf_strings)]
        return sorted(number for reference in (*own, *elf) if reference for number in self._bearing(reference))

    def _bearing(self, reference: int) -> Iterator[int]:
        """The records whose name is that string."""
        wanted = REFERENCE.pack(reference)
        at = self._name_bytes.find(wanted)
        while at >= 0:
            if at % REFERENCE.size == 0:
                yield at // REFERENCE.size
            at = self._name_bytes.find(wanted, at + 1)

    def _own(self, number: int) -> Type:
        return self.type((number + 1) | (self.header.version.child if self.child else 0))

    def _tag(self, number: int) -> str:
        """The namespace of a record: struct, union, enum, or "" for all others."""
        kind = self._records.kinds[number]
        if kind == layout.FORWARD:
            kind = self._records[number].word or layout.STRUCT
        return TAGS.get(kind, "")

    def _preferred(self, numbers: list[int]) -> int:
        """Of several, the last; but of numbers, whose bit-fields share their name, the first that has bits."""
        chosen = numbers[0]
        for number in numbers[1:]:
            if self._records.kinds[number] not in (layout.INTEGER, layout.FLOAT) or not self._bits(chosen):
                chosen = number
        return chosen

    def _bits(self, number: int) -> int:
        """How many bits an integer or float has; of any other type 1."""
        if self._records.kinds[number] not in (layout.INTEGER, layout.FLOAT):
            return 1
        bits: int = ENCODING_BITS.unpack_from(self._body, self._records[number].data)[0]
        return bits

    def _visible(self) -> Iterator[int]:
        kinds, names = self._records.kinds, self._records.names
        for number, kind in enumerate(kinds):
            if names[number] and kind not in (layout.UNKNOWN, layout.FORWARD) and self._records[number].root:
                yield number


def _string(table: bytes, offset: int, end: int) -> str:
    stop = table.find(b"\0", offset, min(end, offset + MAX_NAME))
    if offset >= end or stop < 0:
        return "(?)"
    return table[offset:stop].decode("utf-8", "backslashreplace")
