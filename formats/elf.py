"""The few parts of an ELF file that dump formats use: header, sections, segments, notes.

Specified in: System V ABI, chapters 4 and 5. Every count and offset is checked against the file first.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from formats.errors import ImageDamaged, SourceEnd
from formats.image import Note
from formats.lazy import dataclass
from formats.source import Source

MAGIC = b"\x7fELF"
ET_CORE = 4
EM_386, EM_ARM, EM_X86_64, EM_AARCH64 = 3, 40, 62, 183
PT_LOAD, PT_NOTE = 1, 4
PN_XNUM = 0xFFFF  # the true count of segments is in section 0's sh_info
MAX_SEGMENTS = 1 << 18
MAX_NOTES = 1 << 24  # bytes of notes: 4096 processors take about 4 MB
MAX_NOTE_COUNT = 1 << 16

IDENT = struct.Struct("<4sBBBBB7x")
HEADER = {1: struct.Struct("<16xHHIIIIIHHHHHH"), 2: struct.Struct("<16xHHIQQQIHHHHHH")}
SECTION = {1: struct.Struct("<IIIIIIIIII"), 2: struct.Struct("<IIQQQQIIQQ")}
SEGMENT32 = struct.Struct("<IIIIIIII")
SEGMENT64 = struct.Struct("<IIQQQQQQ")
NOTE = struct.Struct("<III")


@dataclass(frozen=True)
class Header:
    """The ELF header's fields that matter here; `bits` is the file's class."""

    bits: int
    type: int
    machine: int
    phoff: int
    shoff: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int


@dataclass(frozen=True)
class Section:
    name: str
    type: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    entsize: int


class Segment(NamedTuple):
    """One program header; there may be very many."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


def is_elf(source: Source) -> bool:
    """True if the file begins as a little-endian ELF file does."""
    head = source.peek(0, 6)
    return head[:4] == MAGIC and len(head) == 6 and head[4] in HEADER and head[5] == 1


def read_header(source: Source) -> Header:
    """The file header; ImageDamaged if the file ends inside it."""
    elf_class = source.peek(0, 6)[4]
    layout = HEADER[elf_class]
    try:
        fields = layout.unpack(source.read(0, layout.size))
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: ELF file ends inside its header") from err
    kind, machine, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx = fields
    bits = 32 * elf_class
    return Header(bits, kind, machine, phoff, shoff, phentsize, phnum, shentsize, shnum, shstrndx)


def read_sections(source: Source, header: Header) -> list[Section]:
    """Every section header, named. Names are empty where the table of names lies past the end of a cut file."""
    if not header.shnum:
        return []
    layout = SECTION[header.bits // 32]
    if header.shentsize != layout.size:
        raise ImageDamaged(f"{source.name}: section headers of {header.shentsize} bytes, expected {layout.size}")
    try:
        table = source.read(header.shoff, header.shnum * layout.size)
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: section headers lie at {header.shoff:#x}") from err
    raw = list(layout.iter_unpack(table))
    names = _string_table(source, raw, header.shstrndx)
    return [
        Section(_name_at(names, name), kind, addr, offset, size, link, info, entsize)
        for name, kind, _, addr, offset, size, link, info, _, entsize in raw
    ]


def read_segments(source: Source, header: Header, kind: int | None = None) -> list[Segment]:
    """Every program header, or those of one type, in the file's order."""
    count = segment_count(source, header)
    layout = SEGMENT64 if header.bits == 64 else SEGMENT32
    if count and header.phentsize != layout.size:
        raise ImageDamaged(f"{source.name}: program headers of {header.phentsize} bytes, expected {layout.size}")
    if count > MAX_SEGMENTS:
        raise ImageDamaged(f"{source.name}: {count} program headers, at most {MAX_SEGMENTS} make sense")
    try:
        table = source.read(header.phoff, count * layout.size)
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: {count} program headers lie at {header.phoff:#x}") from err
    raw = (fields for fields in layout.iter_unpack(table) if kind is None or fields[0] == kind)
    if header.bits == 64:
        return [Segment._make(fields[:7]) for fields in raw]
    return [Segment(t, fl, off, va, pa, fsz, msz) for t, off, va, pa, fsz, msz, fl, _ in raw]


def segment_count(source: Source, header: Header) -> int:
    """How many program headers there are; a count that does not fit the header stands in section 0."""
    if header.phnum != PN_XNUM or not header.shoff:
        return header.phnum
    layout = SECTION[header.bits // 32]
    try:
        info: int = layout.unpack(source.read(header.shoff, layout.size))[7]
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: section headers lie at {header.shoff:#x}") from err
    return info


def is_core(source: Source) -> bool:
    """True for a little-endian ELF core with program headers."""
    if not is_elf(source):
        return False
    header = read_header(source)
    return header.type == ET_CORE and header.phnum > 0


def read_notes(source: Source, header: Header) -> list[Note]:
    """The notes in all PT_NOTE segments, as far as the file has them; their number and bytes are bounded."""
    notes: list[Note] = []
    room = MAX_NOTES
    for segment in read_segments(source, header, PT_NOTE):
        data = source.peek(segment.offset, min(segment.filesz, room))
        room -= len(data)
        notes += islice(each_note(data), MAX_NOTE_COUNT - len(notes))
    return notes


def each_note(data: bytes, align: int = 4) -> Iterator[Note]:
    """The notes in a note section or segment; stops at the first that does not fit."""
    at = 0
    while at + NOTE.size <= len(data):
        namesz, descsz, kind = NOTE.unpack_from(data, at)
        name_at = at + NOTE.size
        desc_at = name_at + -(-namesz // 4) * 4
        if desc_at + descsz > len(data):
            return
        owner = data[name_at : name_at + namesz].split(b"\0")[0].decode("latin-1")
        yield Note(owner, kind, data[desc_at : desc_at + descsz])
        at = desc_at + -(-descsz // align) * align


def _string_table(source: Source, raw: list[tuple[int, ...]], index: int) -> bytes:
    if index >= len(raw):
        return b""
    offset, size = raw[index][4], raw[index][5]
    return source.peek(offset, min(size, 1 << 20)) if offset < source.size else b""


def _name_at(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at:end].decode("latin-1") if 0 <= at < len(names) and end >= 0 else ""
