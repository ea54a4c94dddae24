"""BTF, the types that a Linux kernel carries: one container, of the kernel or of a module on top of it.

A header, type records one after another (ids count from 1), strings. A module's container continues its base's ids and
string offsets. Records are found by one pass that keeps their offsets; each becomes a Type when it is first asked for.
Specified in: Documentation/bpf/btf.rst of Linux. The masks of the info word are the wide ones of 7.2; older kernels
leave the bits that they added at zero.
"""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property

from formats.cache import Cache
from vmdebug.errors import DebuggerError
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

MAGIC, VERSION = 0xEB9F, 1
HEADER = struct.Struct("<HBBI4I")
HEADS = struct.pack("<HBB", MAGIC, VERSION, 0)  # how every container begins
WORD = struct.Struct("<I")
MAX_BLOB = 256 << 20
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)
# Words behind a record's three: a fixed number, and so many for each of its vlen parts.
FIXED = {INT: 1, ARRAY: 3, VAR: 1, DECL_TAG: 1}
EACH = {STRUCT: 3, UNION: 3, ENUM: 2, FUNC_PROTO: 2, DATASEC: 3, ENUM64: 3}
KINDS = ENUM64 + 1
SIGNED, CHAR, BOOL = 1, 2, 4  # encoding of an INT
TAG_KINDS = {"struct": (STRUCT,), "union": (UNION,), "enum": (ENUM, ENUM64)}
PLAIN_KINDS = (TYPEDEF, INT, FLOAT)
MAX_NAME = 512
INDEX = "btf-1"  # what the cache calls the places of a container's records


class BtfError(DebuggerError):
    """BTF that cannot be used: whose, and what is wrong with it."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"failed to load BTF of {name}: {found}")
        self.name = name
        self.found = found


class Btf:
    """One container. `base` is the kernel's, for a module's. `cache` keeps where its records begin."""

    def __init__(
        self, name: str, data: bytes, base: "Btf | None" = None, pointer: int = 8, cache: Cache | None = None
    ) -> None:
        self.name = name
        self.base = base
        self.pointer = pointer
        self._cache = cache
        self._data = data
        self._types, self._strings = _sections(name, data)
        self._words = memoryview(data)[slice(*self._types)].cast("I")
        self._first = base.count if base else 1
        self._string_base = base.string_end if base else 0
        self._made: dict[int, Type] = {}

    @property
    def count(self) -> int:
        """One more than the last id."""
        return self._first + len(self._offsets)

    @property
    def string_end(self) -> int:
        return self._string_base + len(self._strings)

    def type(self, number: int) -> Type:
        """The type of an id, in this container or its base; Unknown for one that does not exist."""
        if number < self._first:
            return self.base.type(number) if self.base else Void()
        found = self._made.get(number)
        if found is None:
            in_range = number - self._first < len(self._offsets)
            found = self._made[number] = self._make(number) if in_range else Unknown()
        return found

    def find(self, kinds: Sequence[int], name: str) -> Iterator[int]:
        """The ids of these kinds with that name, in this container only."""
        offset = self._string_offset(name)
        for index in self._indexes_named(offset) if offset is not None else ():
            if self._kind(index) in kinds:
                yield self._first + index

    def variables(self, name: str) -> Iterator[Type]:
        """The types of the variables of that name."""
        for number in self.find((VAR,), name):
            yield self.type(self._words[self._offsets[number - self._first] + 2])

    def each(self, kinds: Sequence[int]) -> Iterator[int]:
        """Every id of these kinds, in order."""
        return (self._first + index for index in range(len(self._offsets)) if self._kind(index) in kinds)

    def text(self, offset: int) -> str:
        """The string at an offset, of this container or its base; "" where there is none."""
        if offset < self._string_base:
            return self.base.text(offset) if self.base else ""
        start = offset - self._string_base
        end = self._strings.find(b"\0", start, start + MAX_NAME)
        return self._strings[start:end].decode("utf-8", "replace") if 0 <= start < end else ""

    @cached_property
    def _offsets(self) -> Sequence[int]:
        """Where each record begins, in words; kept from run to run under the digest of the records."""
        if self._cache is None:
            return self._walk()
        from hashlib import blake2b

        key = blake2b(self._words).hexdigest()
        kept = self._cache.load(INDEX, key)
        if kept and len(kept) % WORD.size == 0:
            return kept.cast("I")
        offsets = self._walk()
        self._cache.store(INDEX, key, [memoryview(offsets).cast("B")])
        return offsets

    def _walk(self) -> "array[int]":
        words, offsets = self._words, array("I")
        fixed = [3 + FIXED.get(kind, 0) for kind in range(KINDS)]
        each = [EACH.get(kind, 0) for kind in range(KINDS)]
        at, end, append = 0, len(words), offsets.append
        try:
            while at < end:
                info = words[at + 1]
                kind = info >> 24 & 0x7F
                append(at)
                at += fixed[kind] + each[kind] * (info & 0xFFFFFF)
        except IndexError:
            raise BtfError(self.name, f"record {len(offsets)} is of no known kind, or cut short") from None
        if at != end:
            raise BtfError(self.name, f"record {len(offsets)} ends behind the type section")
        return offsets

    def _kind(self, index: int) -> int:
        return self._words[self._offsets[index] + 1] >> 24 & 0x7F

    def _indexes_named(self, offset: int) -> Iterator[int]:
        """The records whose first word is the name: found by a search of the bytes, told from others by their place."""
        wanted, data, offsets = WORD.pack(offset), self._data, self._offsets
        start, end = self._types
        at = data.find(wanted, start, end)
        while at >= 0:
            place, part = divmod(at - start, WORD.size)
            index = bisect_left(offsets, place)
            if not part and index < len(offsets) and offsets[index] == place:
                yield index
            at = data.find(wanted, at + 1, end)

    def _string_offset(self, name: str) -> int | None:
        """Where a name lies among the strings: they hold each only once, a base's are not repeated."""
        wanted = name.encode() + b"\0"
        if self._strings.startswith(wanted):
            return self._string_base
        at = self._strings.find(b"\0" + wanted)
        if at >= 0:
            return self._string_base + at + 1
        return self.base._string_offset(name) if self.base else None

    def _make(self, number: int) -> Type:
        at = self._offsets[number - self._first]
        name_at, info, word = self._words[at : at + 3]
        maker = MAKERS.get(info >> 24 & 0x7F)
        return maker(self, at + 3, self.text(name_at), info, word) if maker else Unknown()

    def _to(self, number: int) -> Reference:
        return lambda: self.type(number)

    # Makers: (position behind the three words, name, info, size or type).

    def _integer(self, at: int, name: str, info: int, size: int) -> Type:
        word = self._words[at]
        bits, shift, encoding = word & 0xFF, word >> 16 & 0xFF, word >> 24 & 0xF
        char = bool(encoding & CHAR) or name in ("char", "signed char")
        signed = bool(encoding & SIGNED) or (char and not name.startswith("unsigned"))
        return Integer(
            name, size, bits=bits, signed=signed, char=char, boolean=bool(encoding & BOOL), shift=shift,
            module=self.name,
        )  # fmt: skip

    def _float(self, at: int, name: str, info: int, size: int) -> Type:
        return Float(name, size, module=self.name)

    def _pointer(self, at: int, name: str, info: int, to: int) -> Type:
        return Pointer(self._to(to), self.pointer, module=self.name)

    def _array(self, at: int, name: str, info: int, word: int) -> Type:
        element, _, count = self._words[at : at + 3]
        return Array(self._to(element), count, module=self.name)

    def _aggregate(self, at: int, name: str, info: int, size: int) -> Type:
        kind = Struct if info >> 24 & 0x7F == STRUCT else Union
        fields, count = bool(info >> 31), info & 0xFFFFFF

        def load() -> Sequence[Member]:
            return list(self._members(at, count, fields))

        return kind(name, size, load, module=self.name)

    def _members(self, at: int, count: int, fields: bool) -> Iterator[Member]:
        for place in range(at, at + 3 * count, 3):
            name, to, offset = self._words[place : place + 3]
            width = offset >> 24 if fields else 0
            yield Member(self.text(name), offset & 0xFFFFFF if fields else offset, self._to(to), width or None)

    def _enum(self, at: int, name: str, info: int, size: int) -> Type:
        signed, count = bool(info >> 31), info & 0xFFFFFF
        wide = info >> 24 & 0x7F == ENUM64

        def load() -> Sequence[tuple[str, int]]:
            return list(self._values(at, count, wide, signed))

        return Enum(name, size, load, signed=signed or not wide, module=self.name)

    def _values(self, at: int, count: int, wide: bool, signed: bool) -> Iterator[tuple[str, int]]:
        step, bits = (3, 64) if wide else (2, 32)
        for place in range(at, at + step * count, step):
            value = self._words[place + 1] | (self._words[place + 2] << 32 if wide else 0)
            negative = (signed or not wide) and value >> (bits - 1)
            yield self.text(self._words[place]), value - (1 << bits) if negative else value

    def _forward(self, at: int, name: str, info: int, word: int) -> Type:
        return Forward(name, "union" if info >> 31 else "struct", module=self.name)

    def _typedef(self, at: int, name: str, info: int, to: int) -> Type:
        return Typedef(self._to(to), name, module=self.name)

    def _const(self, at: int, name: str, info: int, to: int) -> Type:
        return Const(self._to(to), module=self.name)

    def _volatile(self, at: int, name: str, info: int, to: int) -> Type:
        return Volatile(self._to(to), module=self.name)

    def _restrict(self, at: int, name: str, info: int, to: int) -> Type:
        return Restrict(self._to(to), module=self.name)

    def _tagged(self, at: int, name: str, info: int, to: int) -> Type:
        """An attribute that says nothing of the layout: the type that it is put on."""
        return Typedef(self._to(to), self.type(to).name, module=self.name)

    def _prototype(self, at: int, name: str, info: int, to: int) -> Type:
        count = info & 0xFFFFFF
        pairs = [(self._words[place], self._words[place + 1]) for place in range(at, at + 2 * count, 2)]
        varargs = bool(pairs) and pairs[-1] == (0, 0)
        arguments = [Argument(self._to(number), self.text(text)) for text, number in pairs[: count - varargs]]
        return Function(self._to(to), arguments, varargs=varargs, module=self.name)

    def _function(self, at: int, name: str, info: int, to: int) -> Type:
        prototype = self.type(to)
        if not isinstance(prototype, Function):
            return Unknown()
        return Function(
            lambda: prototype.returns, prototype.arguments, varargs=prototype.varargs, name=name, module=self.name
        )


Maker = Callable[[Btf, int, str, int, int], Type]
MAKERS: dict[int, Maker] = {
    INT: Btf._integer,
    FLOAT: Btf._float,
    PTR: Btf._pointer,
    ARRAY: Btf._array,
    STRUCT: Btf._aggregate,
    UNION: Btf._aggregate,
    ENUM: Btf._enum,
    ENUM64: Btf._enum,
    FWD: Btf._forward,
    TYPEDEF: Btf._typedef,
    CONST: Btf._const,
    VOLATILE: Btf._volatile,
    RESTRICT: Btf._restrict,
    TYPE_TAG: Btf._tagged,
    FUNC_PROTO: Btf._prototype,
    FUNC: Btf._function,
}


def find_blob(data: bytes) -> bytes:
    """The largest whole container in a run of memory; empty if there is none."""
    found = b""
    at = data.find(HEADS)
    while at >= 0:
        with suppress(BtfError):
            _, (text, end) = _places("", data, at)
            if end - at > len(found) and not data[text] and not data[end - 1]:
                found = data[at:end]
        at = data.find(HEADS, at + 1)
    return found


def _sections(name: str, data: bytes) -> tuple[tuple[int, int], bytes]:
    """Where the type records begin and end, and the strings."""
    types, text = _places(name, data, 0)
    return types, data[slice(*text)]


def _places(name: str, data: bytes, at: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the type records and the strings of a container that begins there begin and end."""
    size = len(data) - at
    if size < HEADER.size:
        raise BtfError(name, f"{size} bytes are no header")
    magic, version, _, length, type_at, type_size, text_at, text_size = HEADER.unpack_from(data, at)
    if magic != MAGIC or version != VERSION:
        raise BtfError(name, f"magic {magic:#x}, version {version}, expected {MAGIC:#x}, {VERSION}")
    types_end, text_end = length + type_at + type_size, length + text_at + text_size
    if max(types_end, text_end) > min(size, MAX_BLOB) or type_size % 4 or length < HEADER.size:
        raise BtfError(name, f"sections up to {max(types_end, text_end):#x} in {size:#x} bytes")
    start = at + length
    return (start + type_at, at + types_end), (start + text_at, at + text_end)
