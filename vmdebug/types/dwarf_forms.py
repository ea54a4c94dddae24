"""The codes of DWARF that a reader of types meets, and how each form of an attribute's value is read.

Specified in: DWARF Debugging Information Format, versions 2 to 5, chapter 7.5; the GNU forms in binutils.
"""

import struct
from collections.abc import Mapping, Sequence

from vmdebug.errors import DebuggerError

Data = bytes | memoryview

# Tags.
ARRAY, CLASS, ENUMERATION, PARAMETER, MEMBER, POINTER, REFERENCE = 0x01, 0x02, 0x04, 0x05, 0x0D, 0x0F, 0x10
STRUCTURE, SUBROUTINE, TYPEDEF, UNION, VARARGS = 0x13, 0x15, 0x16, 0x17, 0x18
SUBRANGE, BASE, CONST, ENUMERATOR, SUBPROGRAM, VARIABLE, VOLATILE = 0x21, 0x24, 0x26, 0x28, 0x2E, 0x34, 0x35
RESTRICT, RVALUE_REFERENCE, ATOMIC = 0x37, 0x42, 0x47

# Attributes.
SIBLING, LOCATION, NAME, BYTE_SIZE, BIT_OFFSET, BIT_SIZE = 0x01, 0x02, 0x03, 0x0B, 0x0C, 0x0D
CONST_VALUE, UPPER_BOUND, ABSTRACT_ORIGIN, COUNT, MEMBER_LOCATION = 0x1C, 0x2F, 0x31, 0x37, 0x38
DECL_LINE, DECLARATION, ENCODING, SPECIFICATION, TYPE = 0x3B, 0x3C, 0x3E, 0x47, 0x49
SIGNATURE, DATA_BIT_OFFSET, STR_OFFSETS_BASE, ADDR_BASE = 0x69, 0x6B, 0x72, 0x73

# Forms.
INDIRECT, IMPLICIT_CONST, STRING, SDATA = 0x16, 0x21, 0x08, 0x0D
STRP, LINE_STRP, REF_ADDR, REF4, REF_SIG8 = 0x0E, 0x1F, 0x10, 0x13, 0x20
ADDRESS, OFFSET, REFERENCE_SIZE = -1, -2, -3  # sizes that the unit decides
SIZES: Mapping[int, int] = {
    0x01: ADDRESS, 0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x0C: 1, STRP: OFFSET, REF_ADDR: REFERENCE_SIZE,
    0x11: 1, 0x12: 2, REF4: 4, 0x14: 8, 0x17: OFFSET, 0x19: 0, 0x1C: 4, 0x1D: OFFSET, 0x1E: 16, LINE_STRP: OFFSET,
    REF_SIG8: 8, IMPLICIT_CONST: 0, 0x24: 8, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4,
    0x1F20: OFFSET, 0x1F21: OFFSET,
}  # fmt: skip
BLOCK_LENGTHS = {0x03: 2, 0x04: 4, 0x0A: 1}  # block2, block4, block1: bytes of the length before the block
ULEB_BLOCKS = (0x09, 0x18)  # block, exprloc
ULEBS = (0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23, 0x1F01, 0x1F02)
INDEXED_STRINGS = frozenset([0x1A, 0x25, 0x26, 0x27, 0x28, 0x1F02])  # strx and its fixed sizes, GNU_str_index
UNIT_REFERENCES = frozenset([0x11, 0x12, 0x13, 0x14, 0x15])  # offsets from the unit's own start
CONSTANTS = frozenset([0x05, 0x06, 0x07, 0x0B, 0x0F, SDATA, 0x1E, IMPLICIT_CONST])
BLOCKS = frozenset([*BLOCK_LENGTHS, *ULEB_BLOCKS])
MAX_ULEB = 19  # bytes: 128 bits are more than any value here
MAX_STRING = 4096

Value = int | bytes


class DwarfError(DebuggerError):
    """DWARF that cannot be used: of which file, and what is wrong with it."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"failed to load DWARF of {name}: {found}")
        self.name = name
        self.found = found


class Damage(Exception):
    """What is wrong with the bytes; whoever knows the file's name makes a DwarfError of it."""


def uleb(data: Data, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and where it ends; IndexError behind the data."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    for end in range(at + 1, at + MAX_ULEB):
        byte = data[end]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, end + 1
        shift += 7
    raise Damage(f"a number at {at:#x} does not end")


def sleb(data: Data, at: int) -> tuple[int, int]:
    """A signed LEB128 number and where it ends."""
    value, end = uleb(data, at)
    bits = 7 * (end - at)
    return (value - (1 << bits) if value >> (bits - 1) else value), end


def string_at(data: Data, at: int) -> bytes:
    """The bytes up to the NUL; what is longer than any name is cut off."""
    return bytes(data[at : at + MAX_STRING]).split(b"\0", 1)[0] if at >= 0 else b""


class Sizes:
    """What the forms need of a unit: how long addresses and offsets are."""

    def __init__(self, version: int, address: int, offset: int) -> None:
        self.address = address
        self.offset = offset
        self.reference = address if version == 2 else offset
        self.key = (version, address, offset)

    def of(self, form: int) -> int | None:
        """The bytes that a value of a form takes; None where the value says it."""
        size = SIZES.get(form)
        if size is None or size >= 0:
            return size
        return {ADDRESS: self.address, OFFSET: self.offset, REFERENCE_SIZE: self.reference}[size]

    def read(self, data: Data, at: int, form: int, implicit: int) -> tuple[Value, int]:
        """A value and where it ends: a number, or the bytes of a block or an inline string."""
        size = self.of(form)
        if size is not None:
            return (implicit if form == IMPLICIT_CONST else _number(data, at, size, form)), at + size
        if form in ULEBS:
            return uleb(data, at)
        if form == SDATA:
            return sleb(data, at)
        if form == STRING:
            text = string_at(data, at)
            return text, self.end_of(data, at, form)
        if form == INDIRECT:
            form, at = uleb(data, at)
            if form == INDIRECT:
                raise Damage(f"an indirect form at {at:#x} is itself indirect")
            return self.read(data, at, form, 0)
        end = self.end_of(data, at, form)
        start = at + BLOCK_LENGTHS[form] if form in BLOCK_LENGTHS else uleb(data, at)[1]
        return bytes(data[start:end]), end

    def end_of(self, data: Data, at: int, form: int) -> int:
        """Where a value ends that is not of a fixed size."""
        size = self.of(form)
        if size is not None:
            return at + size
        if form == STRING:
            return _end_of_string(data, at)
        if form in ULEBS or form == SDATA:
            return uleb(data, at)[1]
        if form in ULEB_BLOCKS:
            length, at = uleb(data, at)
            return at + length
        if form in BLOCK_LENGTHS:
            width = BLOCK_LENGTHS[form]
            return at + width + int.from_bytes(data[at : at + width], "little")
        if form == INDIRECT:
            form, at = uleb(data, at)
            if form != INDIRECT:
                return self.end_of(data, at, form)
        raise Damage(f"form {form:#x} at {at:#x} is not known")


def _number(data: Data, at: int, size: int, form: int) -> int:
    if size == 0:
        return 1  # flag_present
    if len(data) < at + size:
        raise IndexError
    return int.from_bytes(data[at : at + size], "little")


def _end_of_string(data: Data, at: int) -> int:
    step = 64
    for start in range(at, len(data), step):
        end = bytes(data[start : start + step]).find(b"\0")
        if end >= 0:
            return start + end + 1
    raise IndexError


def compiled(sizes: Sizes, specs: Sequence[tuple[int, int, int]]) -> tuple[int | None, Mapping[int, int]]:
    """The size of a record of these (attribute, form, implicit value), or None, and where its attributes begin.

    Places are known up to the first value whose size only its bytes tell.
    """
    at = 0
    places: dict[int, int] = {}
    for attribute, form, _ in specs:
        places.setdefault(attribute, at)
        size = sizes.of(form)
        if size is None:
            return None, places
        at += size
    return at, places


WORD = struct.Struct("<I")
