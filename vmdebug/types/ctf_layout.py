"""CTF as it lies in its section: the words of versions 1, 2 and 3, and the header.

    preamble   magic, version, flags; then, plain, the offsets of the sections
    body       labels, objects, functions, types, strings; offsets count from its start; one zlib stream if flags say so

Specified in: sys/ctf.h of illumos (versions 1 and 2) and of FreeBSD (version 3).
"""

import struct
import zlib
from typing import NamedTuple

from vmdebug.types.errors import CtfError, CtfTruncated

MAGIC, MAGIC_SWAPPED = 0xCFF1, 0xF1CF
COMPRESSED = 1
MAX_BODY = 64 << 20

PREAMBLE = struct.Struct("<HBB")
PLACES = struct.Struct("<8I")  # parlabel, parname, then the offsets
PLACES_V1 = struct.Struct("<5I")  # the offsets, without that of labels

UNKNOWN, INTEGER, FLOAT, POINTER, ARRAY, FUNCTION, STRUCT, UNION, ENUM, FORWARD = range(10)
TYPEDEF, VOLATILE, CONST, RESTRICT = range(10, 14)
KINDS = RESTRICT + 1
SIZED = frozenset([INTEGER, FLOAT, ARRAY, STRUCT, UNION, ENUM])  # whose third word is a size; of others it is a type
REFERRING = frozenset([POINTER, FUNCTION, TYPEDEF, VOLATILE, CONST, RESTRICT])


class Version(NamedTuple):
    """How one version packs its words."""

    number: int
    word: struct.Struct  # a type id or an info word in the object and function sections
    record: struct.Struct  # name, info, size or type
    sentinel: int | None  # the size that says: 64 bits follow
    kind_shift: int
    root_shift: int
    length_mask: int
    child: int  # the bit of a type id that says: not the parent's
    array: struct.Struct  # element, index, count
    member: struct.Struct  # name, type, bit offset
    large_member: struct.Struct  # name, type, bit offset high and low
    large_from: int | None  # the size in bytes of a structure from which on its members are large
    even_arguments: bool


VERSIONS = {
    1: Version(1, struct.Struct("<H"), struct.Struct("<IHH"), None, 12, 11, 0x7FF, 0x8000, struct.Struct("<HHI"),
               struct.Struct("<IHH"), struct.Struct("<IHHII"), None, True),
    2: Version(2, struct.Struct("<H"), struct.Struct("<IHH"), 0xFFFF, 11, 10, 0x3FF, 0x8000, struct.Struct("<HHI"),
               struct.Struct("<IHH"), struct.Struct("<IH2xII"), 8192, True),
    3: Version(3, struct.Struct("<I"), struct.Struct("<III"), 0xFFFF_FFFF, 26, 25, 0xFF_FFFF, 0x8000_0000,
               struct.Struct("<III"), struct.Struct("<III"), struct.Struct("<IIII"), 1 << 29, False),
}  # fmt: skip


class Header(NamedTuple):
    """Where the sections of a body begin, and whose child it is (string references, 0 for none)."""

    version: Version
    size: int
    compressed: bool
    parent_label: int
    parent: int
    labels: int
    objects: int
    functions: int
    types: int
    strings: int
    strings_size: int

    @property
    def body_size(self) -> int:
        return self.strings + self.strings_size


def read_header(module: str, data: bytes) -> Header:
    """The header of a container; CtfError where it is none, or its sections contradict each other."""
    if len(data) < PREAMBLE.size:
        raise CtfTruncated(module, "header", PREAMBLE.size, len(data))
    magic, number, flags = PREAMBLE.unpack_from(data)
    if magic != MAGIC:
        order = " (it is big-endian)" if magic == MAGIC_SWAPPED else ""
        raise CtfError(module, f"its magic is {magic:#06x}, not {MAGIC:#06x}{order}")
    version = VERSIONS.get(number)
    if version is None:
        raise CtfError(module, f"its version is {number}, known are 1, 2 and 3")
    places = PLACES_V1 if number == 1 else PLACES
    size = PREAMBLE.size + places.size
    if len(data) < size:
        raise CtfTruncated(module, "header", size, len(data))
    words = places.unpack_from(data, PREAMBLE.size)
    if number == 1:
        words = (0, 0, words[0], *words)  # no parent, no labels
    header = Header(version, size, bool(flags & COMPRESSED), *words)
    _check(module, header)
    return header


def _check(module: str, header: Header) -> None:
    """The sections follow each other, are aligned, and fit into memory."""
    starts = [header.labels, header.objects, header.functions, header.types, header.strings]
    if starts != sorted(starts):
        raise CtfError(module, f"its sections are out of order: {', '.join(map(hex, starts))}")
    word = header.version.word.size
    if (header.labels % 4 and header.version.number != 1) or header.types % 4:
        raise CtfError(module, f"labels at {header.labels:#x} and types at {header.types:#x} are not both aligned to 4")
    if header.objects % word or header.functions % word:
        found = f"objects at {header.objects:#x} and functions at {header.functions:#x}"
        raise CtfError(module, f"{found} are not both aligned to {word}")
    if header.body_size > MAX_BODY:
        raise CtfError(module, f"{header.body_size:#x} bytes are more than any kernel's ({MAX_BODY:#x})")


def read_body(module: str, header: Header, data: bytes) -> bytes:
    """What follows the header, unpacked: exactly as many bytes as the header says."""
    wanted = header.body_size
    if not header.compressed:
        if len(data) - header.size < wanted:
            raise CtfTruncated(module, "body", wanted, len(data) - header.size)
        return data[header.size : header.size + wanted]
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(data[header.size :], wanted + 1)
    except zlib.error as err:
        raise CtfError(module, f"its body does not unpack: {err}") from err
    if len(body) != wanted or not stream.eof:
        raise (
            CtfTruncated(module, "unpacked body", wanted, len(body))
            if len(body) < wanted
            else CtfError(module, f"its body does not end after the {wanted} bytes that its header says")
        )
    return body
