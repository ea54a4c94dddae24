"""The container around the records: header, compression, strings, names, symbols."""

import struct
import zlib

import pytest

from vmdebug.types.ctf_container import Container
from vmdebug.types.errors import CtfError, CtfTruncated
from vmdebug.types.model import Forward, Integer

SIGNED = 1
OBJECT, FUNC, NOTYPE = 1, 2, 0
ABS = 0xFFF1


@pytest.mark.parametrize("compress", [False, True])
def test_plain_and_compressed_bodies_are_the_same(section, compress):
    section.integer("int", 32, SIGNED)

    held = Container("mod", section.encode(compress=compress))

    assert held.type(1).name == "int"
    assert len(held) == 1


def test_the_header_is_never_compressed(section2):
    section2.integer("int", 32, SIGNED)
    data = section2.encode(compress=True)

    assert zlib.decompress(data[36:])
    assert Container("mod", data).type(1).name == "int"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: b"\xcf\xf1" + data[2:], "big-endian"),
        (lambda data: b"\xf2\xdf" + data[2:], "magic is 0xdff2"),
        (lambda data: data[:2] + b"\x04" + data[3:], "version is 4"),
        (lambda data: data[:2] + b"\x00" + data[3:], "version is 0"),
    ],
)
def test_what_is_no_ctf_is_refused(section2, change, says):
    with pytest.raises(CtfError, match=says):
        Container("mod", change(section2.encode()))


@pytest.mark.parametrize(
    ("places", "says"),
    [
        ({3: 0x1000}, "out of order"),
        ({5: 0x4000}, "out of order"),
        ({2: 2}, "out of order"),
        ({6: 63 << 20, 7: 2 << 20}, "more than any kernel's"),
        ({6: 0xFFFF_FFFF}, "more than any kernel's"),
    ],
)
def test_sections_that_contradict_each_other_are_refused(section2, places, says):
    section2.integer("int", 32, SIGNED)

    with pytest.raises(CtfError, match=says):
        Container("mod", section2.encode(places=places))


@pytest.mark.parametrize(("version", "place", "word"), [(2, 5, 4), (2, 3, 2), (3, 3, 4)])
def test_sections_are_aligned(sections, version, place, word):
    section = sections(version)
    section.integer("int", 32, SIGNED)
    starts = {2: 0, 3: 0, 4: 0, 5: 0, **dict.fromkeys(range(place, 6), word // 2)}

    with pytest.raises(CtfError, match="aligned"):
        Container("mod", section.encode(places=starts))


def test_a_body_that_is_cut_is_refused(section2):
    section2.integer("int", 32, SIGNED)
    data, packed = section2.encode(), section2.encode(compress=True)

    for size in range(36, len(data)):
        with pytest.raises(CtfTruncated):
            Container("mod", data[:size])
    for size in range(36, len(packed)):
        with pytest.raises(CtfError):
            Container("mod", packed[:size])


def test_a_body_longer_than_its_header_says_is_refused(section2):
    section2.integer("int", 32, SIGNED)
    data = section2.encode()
    bomb = data[:3] + b"\x01" + data[4:36] + zlib.compress(data[36:] + bytes(1 << 24))

    with pytest.raises(CtfError, match="does not end after"):
        Container("mod", bomb)


def test_a_raw_deflate_stream_is_refused(section2):
    data = section2.encode()
    raw = zlib.compressobj(wbits=-15)

    with pytest.raises(CtfError, match="does not unpack"):
        Container("mod", data[:3] + b"\x01" + data[4:36] + raw.compress(data[36:]) + raw.flush())


# Strings.


def test_names_with_bit_31_are_in_the_elf_strings(section, opened):
    section.integer((1 << 31) | 5, 32, SIGNED)

    held = opened(section, elf=b"\0foo\0name\0")

    assert held.type(1).name == "name"
    assert held.find("", "name") is held.type(1)


@pytest.mark.parametrize("reference", [(1 << 31) | 1, (1 << 31) | 0x7000, 0x5000, 0x7FFF_FFFF])
def test_names_that_are_nowhere_are_unknown(section, opened, reference):
    section.integer(reference, 32, SIGNED)

    assert opened(section).type(1).name == "(?)"


def test_an_unterminated_last_string_is_unknown(section2, opened):
    section2.integer("int", 32, SIGNED)
    section2.strings += b"tail"
    section2.integer(len(section2.strings) - 4, 16)
    data = section2.encode()

    held = opened(data.rstrip(b"\0"))

    assert held.type(1).name == "int"
    assert held.type(2).name == "(?)"


# Names.


def test_each_kind_of_tag_has_its_own_namespace(section, opened):
    section.integer("foo", 32, SIGNED)
    section.struct("foo", 4, [("a", 1, 0)])
    section.struct("foo", 8, [("a", 1, 0)], kind=7)
    section.add("foo", 8, 4)

    held = opened(section)

    assert [held.find(tag, "foo") for tag in ("", "struct", "union", "enum")] == [held.type(n) for n in (1, 2, 3, 4)]
    assert held.find("struct", "fo") is None
    assert held.find("struct", "") is None


def test_of_several_structures_the_last_is_taken(section, opened):
    section.integer("int", 32, SIGNED)
    section.struct("foo", 4, [("a", 1, 0)])
    section.struct("foo", 8, [("a", 1, 0)])

    assert opened(section).find("struct", "foo").size == 8


def test_of_several_typedefs_the_last_is_taken(section, opened):
    section.integer("int", 32, SIGNED)
    section.integer("long", 64, SIGNED)
    section.add("foo_t", 10, 1)
    section.add("foo_t", 10, 2)

    assert opened(section).find("", "foo_t").size == 8


def test_of_several_integers_the_first_is_taken_unless_it_has_no_bits(section, opened):
    section.integer("unsigned", 32)
    section.integer("unsigned", 3, 0, 1)
    section.integer("odd", 0, 0, 4)
    section.integer("odd", 16, 0, 2)
    section.integer("odd", 5, 0, 1)

    held = opened(section)

    assert held.find("", "unsigned").bits == 32
    assert held.find("", "odd").bits == 16


def test_a_definition_comes_before_a_forward_declaration(section, opened):
    section.integer("int", 32, SIGNED)
    section.struct("foo", 4, [("a", 1, 0)])
    section.add("foo", 9, 6)
    section.add("bar", 9, 6)

    held = opened(section)

    assert held.find("struct", "foo").size == 4
    assert isinstance(held.find("struct", "bar"), Forward)
    assert held.find("union", "bar") is None


def test_a_name_may_be_the_tail_of_another_s_string(section2, opened):
    section2.integer("unsigned", 32)
    section2.integer(section2.strings.find(b"signed"), 32, SIGNED)

    held = opened(section2)

    assert held.find("", "signed") is held.type(2)
    assert held.find("", "unsigned") is held.type(1)


def test_hidden_types_are_found_by_name_but_not_listed(section, opened):
    section.add("seen", 1, 4, struct.pack("<I", 32))
    section.add("hidden", 1, 4, struct.pack("<I", 32), root=0)
    section.add("later", 9, 6)
    section.struct("tag", 4, [])

    held = opened(section)

    assert list(held.each_name()) == ["seen", "struct tag"]
    assert [found.name for found in held.each()] == ["seen", "tag"]
    assert isinstance(held.find("", "hidden"), Integer)


# Parents.


def test_a_child_s_first_type_is_behind_the_bit_of_its_version(section, sections, opened):
    bit = 0x8000_0000 if section.version == 3 else 0x8000
    base = sections(section.version)
    base.integer("int", 32, SIGNED)
    section.pointer(1)
    section.struct("mine", 8, [("p", bit | 1, 0)])
    section.pointer(bit | 2)
    data = section.encode() if section.version == 1 else section.encode(parent="base")

    held = opened(data, parent=opened(base, name="base"))

    assert held.child
    assert held.type(1).name == "int"
    assert held.type(bit | 1).spelled == "int *"
    assert held.type(bit | 3).target.members[0].type.spelled == "int *"
    assert held.find("struct", "mine") is held.type(bit | 2)


@pytest.mark.parametrize("type_id", [1, 0x7FFF])
def test_ids_below_the_bit_are_the_parent_s(section2, opened, type_id):
    section2.pointer(type_id)
    data = section2.encode(parent="genunix")

    held = opened(data, parent=None)

    assert held.child
    assert held.parent_name == "genunix"
    assert held.type(0x8001).spelled == "(?) *"


def test_labels(section2, opened):
    label = struct.pack("<II", section2.string("20240101"), 1)
    section2.integer("int", 32, SIGNED)

    assert opened(section2, labels=label).labels == ["20240101"]


# Symbols.


def ids(section, *words):
    return struct.pack(f"<{len(words)}{section.word}", *words)


def test_objects_are_matched_in_the_order_of_the_symbols(section, opened):
    section.integer("int", 32, SIGNED)
    section.integer("long", 64, SIGNED)
    symbols = [
        ("", NOTYPE, 0, 0),
        ("_START_", OBJECT, 1, 0x10),
        ("undefined", OBJECT, 0, 0),
        ("first", OBJECT, 1, 0x10),
        ("a_function", FUNC, 1, 0x20),
        ("zero_abs", OBJECT, ABS, 0),
        ("untyped", OBJECT, 1, 0x30),
        ("abs", OBJECT, ABS, 8),
        ("_END_", OBJECT, 1, 0x40),
        ("", OBJECT, 1, 0x50),
        ("section", 3, 1, 0),
        ("last", OBJECT, 2, 0),
        ("beyond", OBJECT, 2, 0),
    ]

    held = opened(section, symbols=symbols, objects=ids(section, 1, 0, 2, 1))

    found = {name: held.type_of(number) for number, (name, *_) in enumerate(symbols) if name}
    assert {name: type_.name for name, type_ in found.items() if type_} == {
        "first": "int",
        "abs": "long",
        "last": "int",
    }


def test_functions_are_matched_without_padding(section, opened):
    section.integer("int", 32, SIGNED)
    section.integer("long", 64, SIGNED)
    function = section.info(5, 1), 1, 2
    varargs = section.info(5, 2), 2, 1, 0
    plain = section.info(5, 0), 2
    symbols = [("one", FUNC, 1, 0), ("", FUNC, 1, 0), ("skipped", FUNC, 1, 0), ("undefined", FUNC, 0, 0),
               ("many", FUNC, 1, 0), ("none", FUNC, 1, 0), ("beyond", FUNC, 1, 0)]  # fmt: skip

    held = opened(section, symbols=symbols, functions=ids(section, *function, 0, *varargs, *plain))

    shown = [held.function(number).spelled if held.function(number) else None for number in range(len(symbols))]
    assert shown == ["int (long)", None, None, None, "long (int, ...)", "long (void)", None]


def test_nonsense_in_the_function_section_ends_it(section, opened):
    section.integer("int", 32, SIGNED)
    symbols = [("one", FUNC, 1, 0), ("two", FUNC, 1, 0), ("three", FUNC, 1, 0)]

    held = opened(section, symbols=symbols, functions=ids(section, section.info(5, 0), 1, section.info(6, 1), 1))

    assert [bool(held.function(number)) for number in range(3)] == [True, False, False]


def test_a_function_record_that_ends_behind_its_section_is_not_used(section, opened):
    section.integer("int", 32, SIGNED)

    held = opened(section, symbols=[("one", FUNC, 1, 0)], functions=ids(section, section.info(5, 40), 1))

    assert held.function(0) is None
