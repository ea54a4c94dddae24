"""CTF containers byte by byte, as the specification lays them out: no code shared with the reader or with fixtures/."""

import struct
import zlib

import pytest

from vmdebug.types.ctf_container import Container

KIND_SHIFT = {1: 12, 2: 11, 3: 26}
ROOT_SHIFT = {1: 11, 2: 10, 3: 25}


class Section:
    """A section under construction: strings get offsets, records numbers."""

    def __init__(self, version=2):
        self.version = version
        self.strings = bytearray(b"\0")
        self.records = []
        self.word = "I" if version == 3 else "H"

    def string(self, text):
        if not text:
            return 0
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def info(self, kind, length=0, root=1):
        return kind << KIND_SHIFT[self.version] | root << ROOT_SHIFT[self.version] | length

    def add(self, name, kind, word=0, tail=b"", length=0, root=1):
        """One record; `name` is a text or a string reference. Gives its number from 1."""
        reference = name if isinstance(name, int) else self.string(name)
        self.records.append(
            struct.pack(f"<I{self.word}{self.word}", reference, self.info(kind, length, root), word) + tail
        )
        return len(self.records)

    def integer(self, name, bits, flags=0, size=None, offset=0):
        encoding = struct.pack("<I", flags << 24 | offset << 16 | bits)
        return self.add(name, 1, bits // 8 if size is None else size, encoding)

    def struct(self, name, size, members, kind=6):
        """Members are (name, type, bit offset), in the small form."""
        layout = "<III" if self.version == 3 else "<IHH"
        tail = b"".join(struct.pack(layout, self.string(each), type_id, offset) for each, type_id, offset in members)
        return self.add(name, kind, size, tail, len(members))

    def pointer(self, to):
        return self.add("", 3, to)

    def encode(self, *, compress=False, labels=b"", objects=b"", functions=b"", parent="", label="", places=None):
        parlabel, parname = self.string(label), self.string(parent)
        gap = bytes(-len(labels + objects + functions) % 4)
        types = b"".join(self.records)
        body = labels + objects + functions + gap + types + bytes(self.strings)
        starts = [0, len(labels), len(labels + objects), len(labels + objects + functions + gap)]
        words = [*starts, starts[-1] + len(types), len(self.strings)]
        words = words[1:] if self.version == 1 else [parlabel, parname, *words]
        for place, value in (places or {}).items():
            words[place] = value
        head = struct.pack("<HBB", 0xCFF1, self.version, int(compress)) + struct.pack(f"<{len(words)}I", *words)
        return head + (zlib.compress(body) if compress else body)


@pytest.fixture(params=[1, 2, 3])
def section(request):
    return Section(request.param)


@pytest.fixture
def section2():
    return Section(2)


@pytest.fixture
def sections():
    """Makes sections of a version."""
    return Section


@pytest.fixture
def opened():
    """Opens a section that stands for itself."""

    def open_(section, *, name="mod", elf=b"", symbols=(), parent=None, pointer=8, **places):
        data = section.encode(**places) if isinstance(section, Section) else section
        return Container(name, data, strings=lambda: elf, symbols=lambda: symbols, parent=lambda child: parent,
                         pointer=pointer)  # fmt: skip

    return open_
