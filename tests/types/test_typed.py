"""Typed objects: one read a structure, every kind of member, what happens at the edge of memory."""

import struct

import pytest

from vmdebug.errors import ReadFailed
from vmdebug.types.errors import UnknownMember, UnknownType, WrongKind
from vmdebug.types.model import (
    Array,
    Const,
    Enum,
    Float,
    Forward,
    Function,
    Integer,
    Member,
    Pointer,
    Struct,
    Typedef,
    Union,
    Void,
    known,
)
from vmdebug.types.source import TypeSource
from vmdebug.types.typed import Items, Named, Objects, Ptr, Typed

BASE = 0x1000
INT = Integer("int", 4, signed=True)
CHAR = Integer("char", 1, signed=True, char=True)
ULONG = Integer("unsigned long", 8)
STATE = Enum("state", 4, lambda: [("IDLE", 0), ("BUSY", 1)])


def structure(name, size, *members, made=Struct):
    return made(
        name, size, lambda: [Member(each, offset * 8, known(type_), *width) for each, offset, type_, *width in members]
    )


POINT = structure("point", 8, ("x", 0, INT), ("y", 4, INT))
NODE = structure(
    "node", 96,
    ("next", 0, Pointer(lambda: NODE)),
    ("id", 8, INT),
    ("state", 12, STATE),
    ("low", 16, INT, 3),
    ("flag", 17, Integer("bool", 1, boolean=True)),
    ("name", 20, Array(known(CHAR), 8)),
    ("at", 28, POINT),
    ("", 36, structure("", 4, ("inside", 0, INT))),
    ("values", 40, Array(known(ULONG), 2)),
    ("points", 56, Array(known(POINT), 2)),
    ("text", 72, Pointer(known(Const(known(CHAR))))),
    ("type", 80, INT),
    ("tail", 96, Array(known(INT), 0)),
)  # fmt: skip


class Memory:
    """Bytes at BASE; what lies elsewhere, or is absent, cannot be read. Keeps what was asked for."""

    def __init__(self, data, absent=()):
        self.data = bytes(data)
        self.absent = absent
        self.asked = []

    def read(self, address, size):
        self.asked.append((address, size))
        start = address - BASE
        gap = next((gap for gap in self.absent if address < gap.stop and gap.start < address + size), None)
        if gap is not None or start < 0 or start + size > len(self.data):
            raise ReadFailed(gap.start if gap is not None else address, "no mapping for address")
        return self.data[start : start + size]


class Types(TypeSource):
    def lookup(self, tag, name, module):
        names = {("struct", "node"): NODE, ("", "node_t"): Typedef(known(NODE), "node_t"), ("struct", "point"): POINT}
        return {**names, ("", "int"): INT, ("", "unsigned long"): ULONG}.get((tag, name))

    def each(self):
        return iter([NODE])


def node_bytes(next_=0, ident=7, state=1, low=0b101):
    data = struct.pack("<QiIBB2x8sii i QQ iiii Q i4x i", next_, ident, state, low, 1, b"hello\0zz", 3, -4, 99, 11, 12,
                       1, 2, 3, 4, BASE + 200, 5, 77)  # fmt: skip
    return data.ljust(200, b"\0") + b"some text\0" + bytes(90)


@pytest.fixture
def memory():
    return Memory(node_bytes(next_=BASE + 300) + node_bytes(ident=-1, state=9))


@pytest.fixture
def objects(memory):
    return Objects(Types(), memory.read)


@pytest.fixture
def node(objects):
    return objects.at("struct node", BASE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 7),
        ("low", -3),
        ("flag", True),
        ("inside", 99),
        ("at.x", 3),
        ("at.y", -4),
        ("values[1]", 12),
        ("points[1].x", 3),
        ("type", 5),
        ("state", 1),
        ("next", BASE + 300),
    ],
)
def test_members(node, name, value):
    assert node[name] == value


def test_a_structure_is_read_once(node, memory):
    assert memory.asked == []

    assert (node.id, node.at.x, node.values[0], list(node.points[1:]), node.name.string(), node.inside) == (
        7, 3, 11, [node.points[1]], "hello", 99)  # fmt: skip

    assert memory.asked == [(BASE, 96)]


def test_enums_know_their_names(node):
    assert isinstance(node.state, Named)
    assert (node.state.name, node.next.state.name, int(node.next.state)) == ("BUSY", None, 9)
    assert repr(node.state) == "<enum state 1 BUSY>"


def test_pointers_are_addresses_that_can_be_followed(node, memory):
    pointer = node.next

    assert isinstance(pointer, Ptr)
    assert pointer == BASE + 300
    assert hex(pointer) == hex(BASE + 300)
    assert pointer.id == pointer.deref().id == -1
    assert pointer["values[0]"] == 11
    assert memory.asked == [(BASE, 96), (BASE + 300, 96)]
    assert not pointer.next
    assert "id" in pointer
    assert "nothing" not in pointer
    assert repr(pointer) == f"<struct node * {BASE + 300:#x}>"


def test_pointers_have_elements(objects):
    pointer = objects.pointer("unsigned long", BASE + 40)

    assert [pointer[0], pointer[1], pointer[-5]] == [11, 12, BASE + 300]
    assert pointer.deref() == 11
    assert pointer.cast("int")[1] == 0


def test_strings_behind_pointers(node):
    assert node.text.string() == "some text"
    assert node.text.string(4) == "some"


def test_a_null_pointer_cannot_be_read(node):
    with pytest.raises(ReadFailed, match=r"^8: no mapping"):
        assert node.next.next.id


def test_pointers_to_what_has_no_values(objects):
    for target in (Void(), Function(known(INT)), Forward("later")):
        with pytest.raises(WrongKind):
            objects.pointer(target, BASE).deref()
        with pytest.raises(WrongKind):
            assert objects.pointer(target, BASE)[1]
    with pytest.raises(WrongKind, match="int is not a struct or union type"):
        assert objects.pointer("int", BASE).x


def test_a_declaration_is_completed(objects):
    pointer = objects.pointer(Forward("point", define=lambda: POINT), BASE + 28)

    assert (pointer.x, pointer[1].x) == (3, 99)


def test_arrays(node):
    assert isinstance(node.values, Items)
    assert (len(node.values), list(node.values), node.values[-1], node.values[:1]) == (2, [11, 12], 12, [11])
    assert node.values == [11, 12]
    assert [point.x for point in node.points] == [1, 3]
    assert node.name.string() == "hello"
    assert node.name.bytes() == b"hello\0zz"
    assert node.points[1].address_ == BASE + 64
    with pytest.raises(IndexError):
        assert node.values[2]


def test_flexible_arrays_go_on_behind_the_structure(node):
    assert len(node.tail) == 0
    assert node.tail.at(0) == 0
    assert node.tail.address_ == BASE + 96
    assert node["tail[1]"] == 0


def test_arrays_of_their_own(objects, memory):
    found = objects.array("unsigned long", BASE + 40, 2)

    assert memory.asked == []
    assert (found.bytes(), list(found)) == (struct.pack("<QQ", 11, 12), [11, 12])
    assert [point.y for point in objects.array("struct point", BASE + 56, 2)] == [2, 4]
    assert objects.at("unsigned long [2]", BASE + 40) == [11, 12]


def test_unknown_members(node, memory):
    with pytest.raises(UnknownMember, match="failed to find member nothing of struct node"):
        assert node.nothing
    assert not hasattr(node, "nothing")
    assert getattr(node, "nothing", 3) == 3
    assert "id" in node
    assert "at.x" in node
    assert "values[9]" not in node
    assert "at.z" not in node
    assert memory.asked == []


def test_names_of_its_own_do_not_hide_members(node):
    assert (node.type, node.address_, int(node), node.type_.spelled) == (5, BASE, BASE, "struct node")
    assert node.bytes_() == node_bytes(next_=BASE + 300)[:96]
    assert node.at.bytes_() == struct.pack("<ii", 3, -4)
    assert "values" in dir(node)
    assert repr(node) == "<struct node at 0x1000>"


def test_equality_is_of_type_and_place(objects, node):
    assert node == objects.at("struct node", BASE)
    assert node != objects.at("struct node", BASE + 8)
    assert node != objects.at("struct point", BASE)
    assert len({node, objects.at("struct node", BASE)}) == 1


def test_members_can_be_pointed_to(node):
    assert node.refer_("at.y") == BASE + 32
    assert node.refer_("points")[0][1].x == 3


def test_the_container_of_a_member(objects):
    found = objects.container(BASE + 32, "struct node", "at.y")

    assert found == objects.at("struct node", BASE)
    assert (objects.sizeof("node_t"), objects.offsetof("node_t", "points[1].y")) == (96, 68)


def test_scalars_are_read_at_once(objects):
    assert objects.at("int", BASE + 8) == 7
    with pytest.raises(UnknownType):
        objects.at("nothing", BASE)
    with pytest.raises(ReadFailed):
        objects.at("int", 0)


def test_a_structure_that_cannot_be_read_whole_is_read_by_members():
    memory = Memory(node_bytes(next_=BASE + 300), absent=[range(BASE + 40, BASE + 56)])
    node = Objects(Types(), memory.read).at("struct node", BASE)

    assert (node.id, node.low, node.at.y, node.points[1].x, node.name.string()) == (7, -3, -4, 3, "hello")
    with pytest.raises(ReadFailed, match=f"^{BASE + 40:x}: no mapping"):
        assert node.values[0]
    with pytest.raises(ReadFailed, match=f"^{BASE + 40:x}: no mapping"):
        node.bytes_()
    assert node.state.name == "BUSY"


def test_a_structure_that_cannot_be_read_at_all():
    node = Objects(Types(), Memory(b"").read).at("struct node", BASE)

    with pytest.raises(ReadFailed, match=f"^{BASE + 8:x}: no mapping"):
        assert node.id


def test_large_structures_are_read_by_members():
    huge = structure("huge", 1 << 20, ("first", 0, INT), ("many", 8, Array(known(ULONG), 100)), ("far", 900, POINT))
    memory = Memory(struct.pack("<i4x100Q", 5, *range(100)) + bytes(92) + struct.pack("<ii", 1, 2))
    node = Objects(Types(), memory.read).at(huge, BASE)

    assert (node.first, node.many[99], list(node.many)[:2], node.far.y) == (5, 99, [0, 1], 2)
    assert max(size for _, size in memory.asked) == 800


def test_huge_arrays_are_read_by_elements():
    memory = Memory(struct.pack("<4Q", 1, 2, 3, 4))
    found = Objects(Types(), memory.read).array(ULONG, BASE, 1 << 30)

    assert found[2] == 3
    assert memory.asked == [(BASE + 16, 8)]


def test_members_that_lie_outside_their_structure_are_read_where_they_are():
    odd = structure("odd", 4, ("in", 0, INT), ("out", 8, INT), ("bits", 3, Integer("int", 8), 40))
    node = Objects(Types(), Memory(struct.pack("<iii", 1, 2, 3)).read).at(odd, BASE)

    assert (node["in"], node.out, node.bits) == (1, 3, 2 << 8)


@pytest.mark.parametrize(
    ("type_", "data", "value"),
    [
        (Float("float", 4), struct.pack("<f", 1.5), 1.5),
        (Float("double", 8), struct.pack("<d", -0.1), -0.1),
        (Float("long double", 16), bytes.fromhex("00000000000000c0ff3f") + bytes(6), 1.5),
        (Float("long double", 16), bytes.fromhex("00000000000000c0ffbf") + bytes(6), -1.5),
        (Float("long double", 16), bytes(16), 0.0),
        (Float("long double", 16), bytes.fromhex("0000000000000080ff7f") + bytes(6), float("inf")),
        (Float("long double", 16), bytes.fromhex("00000000000000c0fe7f") + bytes(6), float("inf")),
        (Float("complex", 16, parts=2), struct.pack("<dd", 1, 2), 1 + 2j),
        (Integer("u128", 16), struct.pack("<QQ", 1, 2), 1 | 2 << 64),
        (Integer("u24", 3), b"\1\2\3", 0x030201),
        (Integer("s5", 1, bits=5, signed=True), b"\xff", -1),
        (Integer("u5", 2, bits=5, shift=3), b"\xf8\xff", 31),
        (Pointer(known(INT), 4), b"\1\2\3\4", 0x04030201),
        (Enum("small", 1, lambda: [("MINUS", -1)]), b"\xff", -1),
    ],
)
def test_numbers(type_, data, value):
    assert Objects(Types(), Memory(data).read).at(type_, BASE) == value


def test_not_a_number():
    data = bytes.fromhex("01000000000000c0ff7f") + bytes(6)

    assert str(Objects(Types(), Memory(data).read).at(Float("long double", 16), BASE)) == "nan"


@pytest.mark.parametrize(
    ("type_", "start", "bits", "value"),
    [(INT, 0, 4, -1), (INT, 4, 3, 3), (INT, 7, 9, 0b101010101 - 512), (ULONG, 4, 64, 0x0AAA_AAAA_AAAA_AAAB)],
)
def test_bit_fields_that_cross_bytes(type_, start, bits, value):
    held = Struct("s", 10, lambda: [Member("m", start, known(type_), bits)])
    data = bytes.fromhex("bfaaaaaaaaaaaaaaa000")

    assert Objects(Types(), Memory(data).read).at(held, BASE).m == value


def test_enum_bit_fields_have_names():
    held = Struct("s", 4, lambda: [Member("m", 3, known(STATE), 2)])

    found = Objects(Types(), Memory(b"\x08\0\0\0").read).at(held, BASE).m

    assert (found, found.name) == (1, "BUSY")


def test_unions_share_their_bytes():
    union = structure("u", 8, ("whole", 0, ULONG), ("low", 0, INT), made=Union)

    found = Objects(Types(), Memory(struct.pack("<Q", 1 << 32 | 5)).read).at(union, BASE)

    assert (found.whole, found.low) == (1 << 32 | 5, 5)
    assert isinstance(found, Typed)
