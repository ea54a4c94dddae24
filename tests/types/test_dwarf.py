"""DWARF byte by byte: forms that this machine's compiler does not write, and data that is not sound."""

import struct
import time
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmdebug.declarations import declaration
from vmdebug.errors import DebuggerError
from vmdebug.symbols.table import Symbol
from vmdebug.types.dwarf import DwarfTypes
from vmdebug.types.dwarf_forms import DwarfError
from vmdebug.types.dwarf_search import Sections
from vmdebug.types.model import Aggregate, Forward

UNIT, BASE, STRUCT, MEMBER, POINTER = 0x11, 0x24, 0x13, 0x0D, 0x0F
SIBLING, NAME, SIZE, ENCODING, LOCATION, TYPE, BIT_SIZE, BIT_OFFSET = 0x01, 0x03, 0x0B, 0x3E, 0x38, 0x49, 0x0D, 0x0C
DECLARATION, STRINGS_AT, ADDRESSES_AT, PLACE, VARIABLE, EXPR = 0x3C, 0x72, 0x73, 0x02, 0x34, 0x18
DATA1, STRP, STRX1, REF4, SEC, FLAG, BLOCK1, INLINE, ALT = 0x0B, 0x0E, 0x25, 0x13, 0x17, 0x19, 0x0A, 0x08, 0x1F21


def uleb(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


class Unit:
    """A unit under construction: an abbreviation for each entry."""

    def __init__(self, version=5, strings=b"\0", offsets=()):
        self.version = version
        self.strings = bytearray(strings)
        self.offsets = list(offsets)
        self.abbreviations = bytearray()
        self.entries = bytearray()
        self.count = 0
        self.head = 12 if version == 5 else 11

    @property
    def here(self):
        """The offset that the next entry will have."""
        return self.head + len(self.entries)

    def string(self, text):
        at = self.strings.find(text.encode() + b"\0")
        if at < 0:
            at = len(self.strings)
            self.strings += text.encode() + b"\0"
        return at

    def number(self, text):
        """A string by its number."""
        self.offsets.append(self.string(text))
        return len(self.offsets) - 1

    def add(self, tag, *values, children=False):
        """One entry of (attribute, form, bytes); gives its offset."""
        at = self.here
        self.count += 1
        self.abbreviations += uleb(self.count) + uleb(tag) + bytes([children])
        self.abbreviations += b"".join(uleb(attribute) + uleb(form) for attribute, form, _ in values) + b"\0\0"
        self.entries += uleb(self.count) + b"".join(data for _, _, data in values)
        return at

    def end(self):
        self.entries += b"\0"

    def sections(self, **changed):
        body = bytes(self.entries)
        head = struct.pack("<HBBI", 5, 1, 8, 0) if self.version == 5 else struct.pack("<HIB", self.version, 0, 8)
        offsets = struct.pack(f"<{len(self.offsets)}I", *self.offsets)
        table = struct.pack("<IHH", len(offsets) + 4, 5, 0) + offsets if offsets else b""
        made = {
            "info": struct.pack("<I", len(head + body)) + head + body, "abbrev": bytes(self.abbreviations) + b"\0",
            "str": bytes(self.strings), "str_offsets": table,
        }  # fmt: skip
        return Sections(**(made | changed))


def word(value, size=4):
    return value.to_bytes(size, "little")


def numbered(name):
    """A unit whose entries name themselves by numbers of strings, as clang's do: struct NAME with one member."""
    unit = Unit()
    root = [(STRINGS_AT, SEC, word(8))]
    unit.add(UNIT, *root, children=True)
    integer = unit.add(BASE, (NAME, STRX1, word(unit.number("int"), 1)), (ENCODING, DATA1, b"\5"), (SIZE, DATA1, b"\4"))
    unit.add(STRUCT, (NAME, STRX1, word(unit.number(name), 1)), (SIZE, DATA1, b"\4"), children=True)
    unit.add(
        MEMBER, (NAME, STRX1, word(unit.number("first"), 1)), (TYPE, REF4, word(integer)), (LOCATION, DATA1, b"\0")
    )
    unit.end()
    unit.end()
    return unit


def test_names_may_be_numbers_of_strings():
    types = DwarfTypes("file", numbered("thing").sections())

    found = types.find("struct thing")

    assert [(member.name, member.type.spelled) for member in found.members] == [("first", "int")]
    assert list(types.each_name()) == ["struct thing"]
    assert not types.knows("struct first")


def test_a_number_of_a_string_that_is_not_there_names_nothing():
    types = DwarfTypes("file", numbered("thing").sections(str_offsets=b""))

    assert not types.knows("struct thing")
    assert [found.name for found in types.each()] == [""]


def test_variables_of_one_name_are_told_by_numbers_of_addresses():
    unit = Unit()
    unit.add(UNIT, (ADDRESSES_AT, SEC, word(8)), children=True)
    kinds = [unit.add(BASE, (NAME, INLINE, name), (SIZE, DATA1, b"\4")) for name in (b"a\0", b"b\0")]
    for number, kind in enumerate(kinds):
        at = (PLACE, EXPR, b"\2\xa1" + word(number, 1))
        unit.add(VARIABLE, (NAME, INLINE, b"same\0"), (TYPE, REF4, word(kind)), at)
    unit.end()
    places = 0xFFFF_FFFF_8100_1000, 0xFFFF_FFFF_8100_2000
    table = struct.pack("<IHBBQQ", 20, 5, 8, 0, *places)
    types = DwarfTypes("file", unit.sections(addr=table), shift=0x1000)

    found = [types.type_of_symbol(Symbol("same", place + 0x1000, 4)).name for place in (*places, 0x5000)]

    assert found == ["a", "b", "a"]


def old_bits():
    """A unit of version 2 with bit-fields: int a : 3 at 0, b : 7 above it, and behind them a pointer to itself."""
    unit = Unit(version=2)
    unit.add(UNIT, children=True)
    integer = unit.add(BASE, (NAME, INLINE, b"unsigned int\0"), (ENCODING, DATA1, b"\7"), (SIZE, DATA1, b"\4"))
    pointer = unit.add(POINTER, (SIZE, DATA1, b"\x08"), (TYPE, REF4, word(unit.here + 6)))
    unit.add(STRUCT, (NAME, STRP, word(unit.string("holder"))), (SIZE, DATA1, b"\x10"), children=True)
    for name, bits, before in ((b"a\0", 3, 29), (b"b\0", 7, 22)):
        unit.add(
            MEMBER, (NAME, INLINE, name), (TYPE, REF4, word(integer)), (SIZE, DATA1, b"\4"),
            (BIT_SIZE, DATA1, word(bits, 1)), (BIT_OFFSET, DATA1, word(before, 1)), (LOCATION, BLOCK1, b"\2\x23\0"),
        )  # fmt: skip
    unit.add(MEMBER, (NAME, INLINE, b"next\0"), (TYPE, REF4, word(pointer)), (LOCATION, BLOCK1, b"\2\x23\x08"))
    unit.end()
    unit.end()
    return unit


def test_bit_fields_that_count_from_the_top_lie_where_they_are():
    found = DwarfTypes("file", old_bits().sections()).find("struct holder")

    assert [(member.name, member.start, member.bits, member.type.spelled) for member in found.members] == [
        ("a", 0, 3, "unsigned int"), ("b", 3, 7, "unsigned int"), ("next", 64, None, "struct holder *"),
    ]  # fmt: skip
    assert found.find("next").type.target is found


def test_a_name_in_a_file_beside_is_left_out():
    unit = Unit()
    unit.add(UNIT, children=True)
    unit.add(STRUCT, (NAME, ALT, word(0)), (SIZE, DATA1, b"\4"))
    unit.end()

    assert [found.spelled for found in DwarfTypes("file", unit.sections()).each()] == ["struct"]


def test_a_declaration_that_nothing_defines_is_one():
    unit = Unit()
    unit.add(UNIT, children=True)
    unit.add(STRUCT, (NAME, INLINE, b"gone\0"), (DECLARATION, FLAG, b""))
    unit.end()

    assert isinstance(DwarfTypes("file", unit.sections()).find("struct gone"), Forward)


def broken(**changed):
    unit = numbered("thing")
    return DwarfTypes("vmlinux", unit.sections(**changed))


def test_progress_is_shown_only_where_it_takes_long_and_is_wiped(monkeypatch):
    told = []
    types = DwarfTypes("file", numbered("thing").sections(), progress=lambda *words: told.append(words))
    size = len(types._search.sections.info)

    types.find("struct thing")
    list(types.each())
    quick = list(told)
    monkeypatch.setattr("vmdebug.types.dwarf_search.PATIENCE", -1)
    types.find("int")
    list(types.each())

    assert quick == []
    assert told == [
        ("searching DWARF", 0, size), ("searching DWARF", size, size), ("reading DWARF", 0, 1), ("reading DWARF", 1, 1),
    ]  # fmt: skip


INFO, ABBREV = numbered("thing").sections().info, numbered("thing").sections().abbrev


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"info": INFO[:-3]}, r"the unit at 0x0 has 0x\w+ bytes, 0x\w+ are there"),
        ({"info": INFO[:7]}, r"the unit at 0x0 has 0x\w+ bytes, 0x3 are there"),
        ({"info": INFO[:3]}, "the unit at 0x0 is cut short"),
        ({"info": INFO[:4] + b"\x09" + INFO[5:]}, "the unit at 0x0 is of version 9, 2 to 5 are known"),
        ({"info": INFO[:7] + b"\x03" + INFO[8:]}, "the unit at 0x0 has addresses of 3 bytes"),
        ({"info": INFO[:8] + b"\xff\xff\0\0" + INFO[12:]}, "the abbreviations at 0xffff lie behind their section"),
        ({"info": INFO[:12] + b"\x70" + INFO[13:]}, "the entry at 0xc has abbreviation 112, which its unit lacks"),
        ({"abbrev": ABBREV[:5]}, "the abbreviations at 0x0 do not end"),
        ({"abbrev": ABBREV.replace(b"\x72\x17", b"\x72\x7e")}, "form 0x7e at 0xd is not known"),
    ],
)
def test_what_is_damaged_is_said_in_one_line(changed, said):
    types = broken(**changed)

    with pytest.raises(DwarfError, match=f"^failed to load DWARF of vmlinux: {said}$"):
        types.find("struct thing")


def test_a_sibling_that_lies_before_ends_the_walk():
    unit = Unit()
    unit.add(UNIT, children=True)
    unit.add(STRUCT, (SIBLING, REF4, word(5)), (NAME, INLINE, b"first\0"), (SIZE, DATA1, b"\4"), children=True)
    unit.end()
    unit.add(STRUCT, (NAME, INLINE, b"second\0"), (SIZE, DATA1, b"\4"))
    unit.end()

    with pytest.raises(DwarfError, match="has its next sibling at 0x5"):
        DwarfTypes("file", unit.sections()).find("struct second")


def test_an_enum_that_is_its_own_number_is_finite():
    unit = Unit()
    unit.add(UNIT, children=True)
    unit.add(0x04, (NAME, INLINE, b"self\0"), (SIZE, DATA1, b"\4"), (TYPE, REF4, word(unit.here)))
    unit.end()

    assert DwarfTypes("file", unit.sections()).find("enum self").size == 4


def test_a_structure_inside_itself_is_finite():
    unit = Unit()
    unit.add(UNIT, children=True)
    at = unit.add(STRUCT, (NAME, INLINE, b"self\0"), (SIZE, DATA1, b"\4"), children=True)
    unit.add(MEMBER, (TYPE, REF4, word(at)), (LOCATION, DATA1, b"\0"))
    unit.end()
    unit.end()
    found = DwarfTypes("file", unit.sections()).find("struct self")

    assert isinstance(found, Aggregate)
    assert list(found.names) == []


EDIT = st.tuples(st.sampled_from(["info", "abbrev", "str", "str_offsets"]), st.integers(0, 400), st.binary(max_size=4))
SOUND = {"numbered": numbered("thing").sections(), "old": old_bits().sections()}


def edited(sections, edits):
    held = {name: bytearray(getattr(sections, name)) for name in ("info", "abbrev", "str", "str_offsets")}
    for name, at, data in edits:
        if at < len(held[name]):
            held[name][at : at + len(data)] = data
    return Sections(**{name: bytes(data) for name, data in held.items()})


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SOUND)), st.lists(EDIT, min_size=1, max_size=6), st.integers(0, 400))
def test_damaged_data_ends_in_types_or_one_error(which, edits, cut):
    sections = edited(SOUND[which], edits)
    if cut % 5 == 0:
        sections = Sections(sections.info[:cut], sections.abbrev, b"", sections.str, b"", sections.str_offsets)
    types, start = DwarfTypes("file", sections), time.monotonic()

    for ask in (lambda: types.find("struct thing"), lambda: types.find("struct holder"), lambda: list(types.each())):
        try:
            found = ask()
            for each in found if isinstance(found, list) else [found]:
                if isinstance(each, Aggregate):
                    list(each.names)
                    list(islice(declaration(each), 100))
        except DebuggerError:
            pass

    assert time.monotonic() - start < 5
