"""The type records of one CTF body: where each begins, and types made of them on demand.

Records have no index: one pass finds where they begin, keeps each one's name and kind, and checks that it ends inside
its section. All else is read when a type is asked for.
"""

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from vmdebug.types import ctf_layout as layout
from vmdebug.types.ctf_layout import Header
from vmdebug.types.errors import CtfError
from vmdebug.types.model import (
    Argument,
    Array,
    Const,
    Enum,
    Float,
    Forward,
    Function,
    Integer,
    Member,
    Pointer,
    Qualified,
    Reference,
    Restrict,
    Struct,
    Type,
    Typedef,
    Union,
    Unknown,
    Void,
    Volatile,
)

WIDE = struct.Struct("<II")  # a 64-bit size, high word first
ENCODING = struct.Struct("<I")
ENUMERATOR = struct.Struct("<Ii")
SIGNED, CHAR, BOOL = 1, 2, 4
COMPLEX, INTERVAL, IMAGINARY = range(3, 6), range(7, 10), range(10, 13)
QUALIFIED: dict[int, type[Qualified]] = {
    layout.VOLATILE: Volatile,
    layout.CONST: Const,
    layout.RESTRICT: Restrict,
}
TAGS = {layout.STRUCT: "struct", layout.UNION: "union", layout.ENUM: "enum"}


class Record:
    """The head of a record, and where its trailing data begin."""

    __slots__ = ("data", "kind", "length", "name", "root", "size", "word")

    def __init__(self, name: int, kind: int, root: bool, length: int, word: int, size: int, data: int) -> None:
        self.name = name
        self.kind = kind
        self.root = root
        self.length = length
        self.word = word  # the type it refers to
        self.size = size
        self.data = data


class Records:
    """All records of a body, by number from 0."""

    def __init__(self, module: str, header: Header, body: bytes) -> None:
        self.module = module
        self.header = header
        self.version = header.version
        self.body = body
        self.references = 0  # every type that a record refers to, or-ed: tells a child from a parent
        self.starts, self.names, self.kinds = self._index()

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> Record:
        return self._head(self.starts[number])

    def _head(self, at: int) -> Record:
        version = self.version
        name, info, word = version.record.unpack_from(self.body, at)
        kind, data, size = info >> version.kind_shift, at + version.record.size, word
        if word == version.sentinel and kind in layout.SIZED:
            high, low = WIDE.unpack_from(self.body, data)
            size, data = high << 32 | low, data + WIDE.size
        root = bool(info >> version.root_shift & 1)
        return Record(name, kind, root, info & version.length_mask, word, size, data)

    def _index(self) -> "tuple[array[int], array[int], bytes]":
        """Where each record begins, its name and its kind."""
        version, body = self.version, self.body
        at, end = self.header.types, self.header.strings
        starts, names, kinds = array("I"), array("I"), bytearray()
        unpack, size, shift = version.record.unpack_from, version.record.size, version.kind_shift
        references, step = 0, self._steps()
        while at + size <= end:
            name, info, word = unpack(body, at)
            kind = info >> shift
            if kind >= layout.KINDS:
                raise CtfError(self.module, f"type {len(starts) + 1} has the unknown kind {kind}")
            starts.append(at)
            names.append(name)
            kinds.append(kind)
            if kind in layout.REFERRING:
                references |= word
            at += step[kind](info, word, at)
        if at != end:
            raise CtfError(self.module, f"type {len(starts)} ends at {at:#x}, its section at {end:#x}")
        if len(starts) >= version.child:
            raise CtfError(self.module, f"{len(starts)} types are more than its version has numbers for")
        self.references = references
        return starts, names, bytes(kinds)

    def _steps(self) -> list[Callable[[int, int, int], int]]:
        """For each kind, how long a record is: from its info, its size or type, and its place."""
        version, body, end = self.version, self.body, self.header.strings
        size, word, mask, sentinel = version.record.size, version.word.size, version.length_mask, version.sentinel
        small, large = version.member.size, version.large_member.size
        threshold = version.large_from or 1 << 64

        def wide(at: int) -> int:
            """The 64-bit size behind a record's head; one that lies behind the section makes the record too long."""
            if at + size + WIDE.size > end:
                return -1
            high, low = WIDE.unpack_from(body, at + size)
            return int(high) << 32 | int(low)

        def sized(trailing: int) -> Callable[[int, int, int], int]:
            whole = size + trailing
            return lambda info, stated, at: whole if stated != sentinel else whole + WIDE.size

        def members(info: int, stated: int, at: int) -> int:
            if stated != sentinel:
                return size + (info & mask) * (large if stated >= threshold else small)
            stated = wide(at)
            return size + WIDE.size + (info & mask) * (large if stated >= threshold else small)

        def values(info: int, stated: int, at: int) -> int:
            return size + (info & mask) * ENUMERATOR.size + (WIDE.size if stated == sentinel else 0)

        def arguments(info: int, stated: int, at: int) -> int:
            count = info & mask
            return size + (count + (count & version.even_arguments)) * word

        steps: list[Callable[[int, int, int], int]] = [lambda info, stated, at: size] * layout.KINDS
        steps[layout.INTEGER] = steps[layout.FLOAT] = sized(ENCODING.size)
        steps[layout.ARRAY], steps[layout.FUNCTION] = sized(version.array.size), arguments
        steps[layout.STRUCT] = steps[layout.UNION] = members
        steps[layout.ENUM] = values
        return steps

    def member_format(self, record: Record) -> tuple[struct.Struct, bool]:
        """How the members of a structure are packed, and whether their offsets have two words."""
        threshold = self.version.large_from
        large = threshold is not None and record.size >= threshold
        return (self.version.large_member if large else self.version.member), large


class Maker:
    """Makes types of records. `name` and `type_of` read string references and type ids."""

    def __init__(
        self,
        records: Records,
        name: Callable[[int], str],
        type_of: Callable[[int], Type],
        complete: Callable[[str, str], Type | None],
        pointer: int,
    ) -> None:
        self._records = records
        self._name = name
        self._type_of = type_of
        self._complete = complete
        self._pointer = pointer

    def make(self, number: int) -> Type:
        """The type of a record."""
        record, module = self._records[number], self._records.module
        name, to = self._name(record.name), partial(self._type_of, record.word)
        match record.kind:
            case layout.INTEGER | layout.FLOAT:
                return self._number(record, name)
            case layout.POINTER:
                return Pointer(to, self._pointer, module=module)
            case layout.ARRAY:
                return self._array(record)
            case layout.FUNCTION:
                arguments = self._words(record.data, record.length)
                return self.function(to, arguments, name)
            case layout.STRUCT:
                return Struct(name, record.size, lambda: list(self._members(record)), module=module)
            case layout.UNION:
                return Union(name, record.size, lambda: list(self._members(record)), module=module)
            case layout.ENUM:
                return Enum(name, record.size or 4, lambda: list(self._enumerators(record)), module=module)
            case layout.FORWARD:
                tag = TAGS.get(record.word, "struct")
                return Forward(name, tag, partial(self._complete, tag, name), module=module)
            case layout.TYPEDEF:
                return Typedef(to, name, module=module)
            case layout.UNKNOWN:
                return Unknown(module=module)
            case kind:
                return QUALIFIED[kind](to, name, module=module)

    def function(self, returns: Reference, arguments: Sequence[int], name: str = "") -> Function:
        """A prototype; a last argument of type 0 means that more may follow."""
        varargs = bool(arguments) and arguments[-1] == 0
        known = arguments[:-1] if varargs else arguments
        made = [Argument(partial(self._type_of, each)) for each in known]
        return Function(returns, made, varargs=varargs, name=name, module=self._records.module)

    def _number(self, record: Record, name: str) -> Type:
        (word,) = ENCODING.unpack_from(self._records.body, record.data)
        bits, shift, code = word & 0xFFFF, word >> 16 & 0xFF, word >> 24
        module = self._records.module
        if record.kind == layout.FLOAT:
            return Float(name, record.size, parts=2 if code in COMPLEX or code in INTERVAL else 1, module=module)
        if not bits and name == "void":
            return Void(module=module)
        flags = {"signed": bool(code & SIGNED), "char": bool(code & CHAR), "boolean": bool(code & BOOL)}
        return Integer(name, record.size, bits=bits, shift=shift, module=module, **flags)

    def _array(self, record: Record) -> Type:
        element, _, count = self._records.version.array.unpack_from(self._records.body, record.data)
        return Array(partial(self._type_of, element), count, stated=record.size, module=self._records.module)

    def _words(self, at: int, count: int) -> Sequence[int]:
        return struct.unpack_from(f"<{count}{self._records.version.word.format[-1]}", self._records.body, at)

    def _members(self, record: Record) -> Iterator[Member]:
        packed, large = self._records.member_format(record)
        data = memoryview(self._records.body)[record.data : record.data + record.length * packed.size]
        for name, type_id, *offset in packed.iter_unpack(data):
            bits = offset[-2] << 32 | offset[-1] if large else offset[0]
            yield Member(self._name(name), bits, partial(self._type_of, type_id))

    def _enumerators(self, record: Record) -> Iterator[tuple[str, int]]:
        data = memoryview(self._records.body)[record.data : record.data + record.length * ENUMERATOR.size]
        for name, value in ENUMERATOR.iter_unpack(data):
            yield self._name(name), value
