"""The tags of VMware's .vmss and .vmsn files: named values in named groups.

A header (magic, version, number of groups), a table of groups (name, position, size), and in each group tags up to a
zero: u16 with the name's length, the number of indices and the value's size; name, indices, value. A value may be a
block with a size of its own, padding before it. Files of the older kinds have 32-bit sizes there.
Specified nowhere in public; read by crash (vmware_vmss.c) and volatility (layers/vmware.py).
"""

import struct
from collections.abc import Iterator

from formats.errors import ImageDamaged, SourceEnd
from formats.lazy import dataclass
from formats.source import Source

MAGICS = (0xBED0BED0, 0xBED2BED0, 0xBED2BED2, 0xBED3BED3, 0xBAD1BAD1, 0xBAD2BAD2)
HEADER = struct.Struct("<3I")
GROUP = struct.Struct("<64s2Q")
MAX_GROUPS = 1 << 12
MAX_TAGS = 1 << 20
MAX_VALUE = 1 << 16  # bytes of a block that is read, not only placed
BLOCK, COMPRESSED = 63, 62


@dataclass(frozen=True)
class Group:
    name: str
    position: int
    size: int


@dataclass(frozen=True)
class Tag:
    """One value: its name, its indices, where its bytes lie; `memory_size` is what a block takes when unpacked."""

    name: str
    indices: tuple[int, ...]
    at: int
    size: int
    block: bool = False
    compressed: bool = False

    def read(self, source: Source) -> bytes:
        return source.peek(self.at, min(self.size, MAX_VALUE))

    def number(self, source: Source) -> int:
        return int.from_bytes(source.peek(self.at, min(self.size, 8)), "little")


def is_vmware(source: Source) -> bool:
    """True if the file has one of VMware's magic numbers and a table of groups inside the file."""
    head = source.peek(0, HEADER.size)
    if len(head) < HEADER.size:
        return False
    magic, _, count = HEADER.unpack(head)
    return magic in MAGICS and count > 0


def read_groups(source: Source) -> dict[str, Group]:
    """The groups by name."""
    _, _, count = HEADER.unpack(source.read(0, HEADER.size))
    if count > MAX_GROUPS or HEADER.size + count * GROUP.size > source.size:
        raise ImageDamaged(f"{source.name}: VMware state file with {count} groups, which do not fit into the file")
    table = source.read(HEADER.size, count * GROUP.size)
    groups = (Group(name.split(b"\0")[0].decode("latin-1"), *place) for name, *place in GROUP.iter_unpack(table))
    return {group.name: group for group in groups}


def each_tag(source: Source, group: Group) -> Iterator[Tag]:
    """The tags of a group; ImageDamaged where one does not fit into it."""
    end = min(group.position + group.size, source.size)
    wide = struct.Struct("<2QH") if source.peek(0, 1)[0] & 0xF else struct.Struct("<2IH")
    at = group.position
    try:
        for _ in range(MAX_TAGS):
            if at + 2 > end:
                return
            word = int.from_bytes(source.read(at, 2), "little")
            if not word:
                return
            tag = _read_tag(source, at + 2, word, wide)
            if tag.at + tag.size > end and not tag.block:
                raise SourceEnd(source.name, tag.at, tag.size, end)
            yield tag
            at = tag.at + tag.size
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: a tag of group {group.name!r} at {at:#x} does not fit") from err


def _read_tag(source: Source, at: int, word: int, wide: struct.Struct) -> Tag:
    name_size, count, size = word >> 8, word >> 6 & 3, word & 0x3F
    name = source.read(at, name_size).decode("latin-1")
    at += name_size
    indices = struct.unpack(f"<{count}I", source.read(at, 4 * count))
    at += 4 * count
    if size not in (BLOCK, COMPRESSED):
        return Tag(name, indices, at, size)
    stored, _, padding = wide.unpack(source.read(at, wide.size))
    return Tag(name, indices, at + wide.size + padding, stored, True, size == COMPRESSED)
