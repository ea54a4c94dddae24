"""Every kind of record and every rule of its layout, from bytes written by hand."""

import struct

import pytest

from vmdebug.types.ctf_container import Container
from vmdebug.types.errors import CtfError, CtfTruncated, TypeLoop, TypeTooLarge
from vmdebug.types.model import (
    Array,
    Const,
    Enum,
    Float,
    Forward,
    Function,
    Integer,
    Pointer,
    Restrict,
    Struct,
    Typedef,
    Union,
    Unknown,
    Void,
    Volatile,
)

SIGNED, CHAR, BOOL = 1, 2, 4
CHILD = {1: 0x8000, 2: 0x8000, 3: 0x8000_0000}


def test_unknown_is_padding_that_takes_an_id(section, opened):
    section.add("", 0)
    section.integer("int", 32, SIGNED)

    held = opened(section)

    assert isinstance(held.type(1), Unknown)
    assert held.type(2).name == "int"


@pytest.mark.parametrize(
    ("bits", "flags", "size", "expected"),
    [
        (32, SIGNED, 4, ("int", 4, True, False, False)),
        (32, 0, 4, ("int", 4, False, False, False)),
        (8, SIGNED | CHAR, 1, ("int", 1, True, True, False)),
        (8, BOOL, 1, ("int", 1, False, False, True)),
        (3, 0, 1, ("int", 1, False, False, False)),
    ],
)
def test_integer(section, opened, bits, flags, size, expected):
    section.integer("int", bits, flags, size)

    found = opened(section).type(1)

    assert isinstance(found, Integer)
    assert (found.name, found.size, found.signed, found.char, found.boolean) == expected
    assert found.bits == bits


def test_integer_keeps_the_bit_offset_of_its_encoding(section, opened):
    section.integer("int", 5, 0, 4, offset=3)

    assert opened(section).type(1).shift == 3


def test_void_is_an_integer_of_no_bits(section, opened):
    section.integer("void", 0, SIGNED, 0)
    section.pointer(1)

    held = opened(section)

    assert isinstance(held.type(1), Void)
    assert held.type(2).spelled == "void *"


@pytest.mark.parametrize(
    ("code", "size", "parts"),
    [(1, 4, 1), (2, 8, 1), (3, 8, 2), (4, 16, 2), (5, 32, 2), (6, 16, 1), (7, 8, 2), (10, 4, 1)],
)
def test_float(section, opened, code, size, parts):
    section.add("real", 2, size, struct.pack("<I", code << 24 | 8 * size))

    found = opened(section).type(1)

    assert isinstance(found, Float)
    assert (found.name, found.size, found.parts) == ("real", size, parts)


def test_pointer_has_the_size_of_the_symbol_table_s_class(section, opened):
    section.integer("int", 32, SIGNED)
    section.pointer(1)

    assert isinstance(opened(section).type(2), Pointer)
    assert opened(section).type(2).size == 8
    assert opened(section, pointer=4).type(2).size == 4


def test_array(section, opened):
    section.integer("int", 32, SIGNED)
    section.add("", 4, 0, struct.pack(f"<{section.word}{section.word}I", 1, 1, 5))

    found = opened(section).type(2)

    assert isinstance(found, Array)
    assert (found.element.name, found.count, found.size) == ("int", 5, 20)


def test_array_with_a_stated_size(section, opened):
    section.integer("int", 32, SIGNED)
    section.add("", 4, 64, struct.pack(f"<{section.word}{section.word}I", 1, 1, 5))

    assert opened(section).type(2).size == 64


@pytest.mark.parametrize(("arguments", "varargs"), [([], False), ([1], False), ([1, 2], False), ([1, 2, 0], True)])
def test_function_arguments_are_padded_to_an_even_number_up_to_version_2(section, opened, arguments, varargs):
    section.integer("int", 32, SIGNED)
    section.integer("long", 64, SIGNED)
    words = [*arguments, *([0xFFFF] if len(arguments) % 2 and section.version != 3 else [])]
    section.add("", 5, 2, struct.pack(f"<{len(words)}{section.word}", *words), length=len(arguments))
    section.integer("after", 16)

    held = opened(section)

    found = held.type(3)
    assert isinstance(found, Function)
    assert found.returns.name == "long"
    assert [argument.type.name for argument in found.arguments] == ["int", "long"][: len(arguments)]
    assert found.varargs == varargs
    assert held.type(4).name == "after"


@pytest.mark.parametrize(("kind", "made"), [(6, Struct), (7, Union)])
def test_struct_and_union(section, opened, kind, made):
    section.integer("int", 32, SIGNED)
    section.struct("pair", 12, [("a", 1, 0), ("b", 1, 64)], kind)
    section.integer("after", 16)

    held = opened(section)

    found = held.type(2)
    assert isinstance(found, made)
    assert (found.name, found.size) == ("pair", 12)
    assert [(member.name, member.type.name, member.offset) for member in found.members] == [
        ("a", "int", 0),
        ("b", "int", 64),
    ]
    assert held.type(3).name == "after"


@pytest.mark.parametrize(("size", "large"), [(8191, False), (8192, True), (70000, True)])
def test_members_are_large_from_the_struct_s_size_on_not_their_offset(section2, opened, size, large):
    section2.integer("int", 32, SIGNED)
    member = section2.string("m")
    small = struct.pack("<IHH", member, 1, 96)
    wide = struct.pack("<IH2xII", member, 1, 1, 96)
    head, tail = (0xFFFF, struct.pack("<II", 0, size)) if size > 0xFFFE else (size, b"")
    section2.add("big", 6, head, tail + (wide if large else small), length=1)
    section2.integer("after", 16)

    held = opened(section2)

    assert held.type(2).size == size
    assert held.type(2).members[0].offset == (1 << 32 | 96 if large else 96)
    assert held.type(3).name == "after"


def test_version_1_has_neither_large_members_nor_large_sizes(sections, opened):
    section = sections(1)
    section.integer("int", 32, SIGNED)
    section.struct("big", 0xFFFF, [("m", 1, 96)])
    section.integer("after", 16)

    held = opened(section)

    assert held.type(2).size == 0xFFFF
    assert held.type(2).members[0].offset == 96
    assert held.type(3).name == "after"


@pytest.mark.parametrize(("size", "large"), [(8192, False), (1 << 29, True)])
def test_version_3_has_its_own_threshold(sections, opened, size, large):
    section = sections(3)
    section.integer("int", 32, SIGNED)
    member = section.string("m")
    section.add(
        "big", 6, size, struct.pack("<IIII", member, 1, 1, 96) if large else struct.pack("<III", member, 1, 96), 1
    )
    section.integer("after", 16)

    held = opened(section)

    assert held.type(2).members[0].offset == (1 << 32 | 96 if large else 96)
    assert held.type(3).name == "after"


def test_version_3_sentinel(sections, opened):
    section = sections(3)
    section.integer("int", 32, SIGNED)
    tail = struct.pack("<II", 1, 0) + struct.pack("<IIII", section.string("m"), 1, 0, 32)
    section.add("huge", 6, 0xFFFF_FFFF, tail, 1)

    found = opened(section).type(2)

    assert found.size == 1 << 32
    assert found.members[0].offset == 32


def test_a_reference_is_no_sentinel(section2, opened):
    section2.add("alias", 10, 0xFFFF)
    section2.integer("after", 16)

    assert opened(section2, parent=None).type(0x8002).name == "after"


def test_enum_has_signed_values(section, opened):
    values = [("MINUS", -1), ("ZERO", 0), ("ONE", 1), ("UNO", 1)]
    section.add("state", 8, 4, b"".join(struct.pack("<Ii", section.string(name), value) for name, value in values), 4)
    section.integer("after", 16)

    held = opened(section)

    found = held.type(1)
    assert isinstance(found, Enum)
    assert (found.size, list(found.values)) == (4, values)
    assert (found.by_value[1], found.by_name["UNO"]) == ("ONE", 1)
    assert held.type(2).name == "after"


def test_enum_without_a_size_has_four_bytes(section, opened):
    section.add("state", 8, 0, struct.pack("<Ii", section.string("A"), 1), 1)

    assert opened(section).type(1).size == 4


@pytest.mark.parametrize(("word", "tag"), [(6, "struct"), (7, "union"), (8, "enum"), (0, "struct")])
def test_forward_s_word_is_a_kind(section, opened, word, tag):
    section.integer("int", 32, SIGNED)
    section.add("later", 9, word)

    found = opened(section).type(2)

    assert isinstance(found, Forward)
    assert (found.tag, found.spelled) == (tag, f"{tag} later")


@pytest.mark.parametrize(("kind", "made", "spelled"), [
    (10, Typedef, "name"), (11, Volatile, "volatile int"), (12, Const, "const int"), (13, Restrict, "restrict int"),
])  # fmt: skip
def test_aliases(section, opened, kind, made, spelled):
    section.integer("int", 32, SIGNED)
    section.add("name" if kind == 10 else "", kind, 1)

    found = opened(section).type(2)

    assert isinstance(found, made)
    assert (found.resolve().name, found.size, found.spelled) == ("int", 4, spelled)


def test_bit_fields(section, opened):
    section.integer("unsigned int", 32)
    section.integer("unsigned int", 3, 0, 1)
    section.struct("flags", 4, [("whole", 1, 0), ("a", 2, 32), ("b", 2, 35)])

    members = opened(section).type(3).members

    assert [(member.name, member.start, member.bits) for member in members] == [
        ("whole", 0, None),
        ("a", 32, 3),
        ("b", 35, 3),
    ]


def test_the_encoding_s_offset_moves_a_bit_field(section, opened):
    section.integer("unsigned int", 3, 0, 4, offset=5)
    section.struct("flags", 4, [("a", 1, 32)])

    member = opened(section).type(2).members[0]

    assert (member.start, member.bits) == (37, 3)


def test_anonymous_members_are_looked_through(section, opened):
    section.integer("int", 32, SIGNED)
    section.struct("", 8, [("x", 1, 0), ("y", 1, 32)])
    section.struct("outer", 16, [("a", 1, 0), ("", 2, 64)])

    outer = opened(section).type(3)

    assert outer.names == ["a", "x", "y"]
    assert outer.find("y").offset == 96


@pytest.mark.parametrize("kind", range(14, 16))
def test_an_unknown_kind_is_refused(sections, opened, kind):
    section = sections(2)
    section.add("strange", kind)

    with pytest.raises(CtfError, match=f"type 1 has the unknown kind {kind}"):
        opened(section)


@pytest.mark.parametrize("cut", range(1, 20))
def test_every_record_must_end_inside_its_section(section, cut):
    section.integer("int", 32, SIGNED)
    section.struct("pair", 12, [("a", 1, 0), ("b", 1, 64)])
    whole = b"".join(section.records)
    section.records = [whole[:-cut]]

    with pytest.raises(CtfError):
        Container("mod", section.encode())


def test_a_size_behind_the_section_is_refused(section2):
    section2.add("big", 6, 0xFFFF)

    with pytest.raises(CtfError, match="type 1 ends"):
        Container("mod", section2.encode())


def test_more_types_than_numbers_are_refused(section2):
    section2.records = [section2.add("", 0) and section2.records[0]] * 0x8000

    with pytest.raises(CtfError, match="more than its version has numbers for"):
        Container("mod", section2.encode())


def test_typedefs_that_never_end(section, opened):
    section.add("ouro", 10, 2)
    section.add("boros", 10, 1)

    with pytest.raises(TypeLoop, match="ouro"):
        opened(section).type(1).resolve()


def test_arrays_that_never_end(section, opened):
    section.add("", 4, 0, struct.pack(f"<{section.word}{section.word}I", 1, 1, 1))

    with pytest.raises(TypeLoop):
        assert opened(section).type(1).size


def test_arrays_larger_than_memory(section, opened):
    section.integer("long", 64, SIGNED)
    section.add("", 4, 0, struct.pack(f"<{section.word}{section.word}I", 1, 1, 0xFFFF_FFFF))
    section.add("", 4, 0, struct.pack(f"<{section.word}{section.word}I", 2, 1, 0xFFFF_FFFF))

    with pytest.raises(TypeTooLarge):
        assert opened(section).type(3).size


def test_a_struct_that_contains_itself_anonymously_ends(section, opened):
    section.integer("int", 32, SIGNED)
    section.struct("loop", 8, [("a", 1, 0), ("", 2, 32)])

    assert opened(section).type(2).names == ["a"]


def test_ids_without_a_record_are_unknown(section, opened):
    section.pointer(99)

    held = opened(section)

    assert isinstance(held.type(77), Unknown)
    assert held.type(1).spelled == "(?) *"


def test_truncated_header(section):
    data = section.encode()

    for size in range(24 if section.version == 1 else 36):
        with pytest.raises(CtfTruncated, match="header"):
            Container("mod", data[:size])
