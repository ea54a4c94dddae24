"""Sizes, spellings, members and paths of the one model of types."""

import pytest

from vmdebug.errors import NoTypes
from vmdebug.types.errors import BadPath, OutOfBounds, TypeLoop, UnknownMember, UnknownType, WrongKind
from vmdebug.types.model import (
    Argument,
    Array,
    Const,
    Enum,
    Function,
    Integer,
    Member,
    Pointer,
    Struct,
    Typedef,
    Union,
    Void,
    Volatile,
    known,
)
from vmdebug.types.paths import Follower, Place, each_step, locate, offset_of
from vmdebug.types.source import EmptyTypes, TypeSource
from vmdebug.types.spelling import integer_names, spell

INT = Integer("int", 4, signed=True)
CHAR = Integer("char", 1, signed=True, char=True)
VOID = Void()


def pointer(to):
    return Pointer(known(to))


def array(of, count):
    return Array(known(of), count)


def struct(name, size, *members, made=Struct):
    return made(
        name, size, lambda: [Member(name, offset, known(type_), *width) for name, offset, type_, *width in members]
    )


VNODE = struct("vnode", 16, ("v_flag", 0, INT), ("v_data", 64, pointer(VOID)))
HANDLER = Function(known(INT), [Argument(known(pointer(VNODE))), Argument(known(INT), "flags")])


@pytest.mark.parametrize(
    ("type_", "spelled"),
    [
        (INT, "int"),
        (pointer(VNODE), "struct vnode *"),
        (pointer(pointer(VOID)), "void **"),
        (array(pointer(VOID), 1), "void *[1]"),
        (pointer(array(INT, 4)), "int (*)[4]"),
        (array(array(INT, 3), 2), "int [2][3]"),
        (array(CHAR, 0), "char []"),
        (pointer(Function(known(INT))), "int (*)(void)"),
        (pointer(HANDLER), "int (*)(struct vnode *, int flags)"),
        (array(pointer(HANDLER), 2), "int (*[2])(struct vnode *, int flags)"),
        (Function(known(VOID), [Argument(known(INT))], varargs=True), "void (int, ...)"),
        (Function(known(VOID), varargs=True), "void (...)"),
        (Function(known(pointer(VOID))), "void *(void)"),
        (pointer(Const(known(CHAR))), "const char *"),
        (Const(known(pointer(CHAR))), "char *const"),
        (Const(known(Volatile(known(INT)))), "const volatile int"),
        (Typedef(known(INT), "int_t"), "int_t"),
        (struct("", 4), "struct"),
        (struct("u", 4, made=Union), "union u"),
        (Enum("e", 4, tuple), "enum e"),
    ],
)
def test_types_are_spelled_as_in_c(type_, spelled):
    assert type_.spelled == str(type_) == spelled


@pytest.mark.parametrize(
    ("type_", "declared"),
    [(INT, "int x"), (pointer(HANDLER), "int (*x)(struct vnode *, int flags)"), (array(INT, 4), "int x[4]"),
     (pointer(VNODE), "struct vnode *x"), (Const(known(pointer(CHAR))), "char *const x")],
)  # fmt: skip
def test_declarations(type_, declared):
    assert spell(type_, "x") == declared


def test_spelling_of_types_that_contain_themselves_ends():
    ouroboros = Pointer(lambda: ouroboros)
    twice = Function(lambda: twice, [Argument(lambda: twice), Argument(lambda: twice)])

    assert "(?)" in ouroboros.spelled
    assert "(?)" in twice.spelled


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("unsigned long", "long unsigned int"),
        ("long unsigned int", "unsigned long"),
        ("unsigned", "unsigned int"),
        ("unsigned int", "unsigned"),
        ("long", "long int"),
        ("long int", "long"),
        ("unsigned short", "short unsigned int"),
        ("long long unsigned int", "unsigned long long"),
        ("short", "short int"),
    ],
)
def test_names_of_integers_in_any_order(asked, other):
    names = list(integer_names(asked))

    assert names[0] == asked
    assert other in names


def test_other_names_have_one_form():
    assert list(integer_names("int_t")) == ["int_t"]
    assert list(integer_names("")) == [""]


def test_sizes():
    assert Typedef(known(array(Const(known(INT)), 3)), "t").size == 12
    assert (VOID.size, pointer(VOID).size, Pointer(known(VOID), 4).size, HANDLER.size) == (0, 8, 4, 0)
    assert array(INT, 0).flexible


def test_a_typedef_chain_has_a_bound():
    chain = INT
    for number in range(200):
        chain = Typedef(known(chain), f"t{number}")

    with pytest.raises(TypeLoop):
        chain.resolve()


# Members and paths.

INNER = struct("", 8, ("x", 0, INT), ("y", 32, INT))
OUTER = struct(
    "outer", 80,
    ("id", 0, INT), ("", 64, INNER), ("bits", 128, INT, 3), ("more", 131, INT, 5), ("items", 192, array(VNODE, 3)),
    ("p", 576, pointer(VNODE)),
)  # fmt: skip
OUTER_T = Typedef(known(OUTER), "outer_t")


@pytest.mark.parametrize(
    ("path", "offset"),
    [("id", 0), ("x", 8), ("y", 12), ("bits", 16), ("items", 24), ("items[2]", 56), ("items[0x2].v_data", 64),
     (".items[1].v_flag", 40), ("p", 72), ("", 0)],
)  # fmt: skip
def test_offsets_of_paths(path, offset):
    assert offset_of(OUTER_T, path) == offset


def test_the_place_of_a_bit_field():
    place = locate(OUTER_T, "more")

    assert (place.address, place.bit, place.bits) == (16, 3, 5)


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("nothing", UnknownMember, "failed to find member nothing of outer_t: no such member of structure or union"),
        ("id.x", WrongKind, "int is not a struct or union type"),
        ("id->x", WrongKind, "int is not a pointer type"),
        ("p.v_flag", WrongKind, r"struct vnode \* is not a struct or union type"),
        ("items[1", BadPath, r"no trailing '\]'"),
        ("items[3]", OutOfBounds, r"index 3 is outside of array bounds \[0 .. 2\]"),
        ("items[-1]", OutOfBounds, "index -1 is outside"),
        ("items[one]", BadPath, "'one' is not an index"),
        ("id[0]", BadPath, "cannot index into non-array, non-pointer type"),
        ("id,x", BadPath, "',' is not a valid delimiter"),
        ("p->v_flag", BadPath, r"cannot follow a pointer of type struct vnode \* without an address"),
        ("." * 600, UnknownMember, r"failed to find member \. of outer_t"),
        ("[0]" * 600, BadPath, "cannot index"),
    ],
)
def test_paths_that_cannot_be_followed(path, error, says):
    with pytest.raises(error, match=says):
        locate(OUTER_T, path)


def test_a_path_has_a_bounded_number_of_steps():
    with pytest.raises(BadPath, match="more than 256 members deep"):
        list(each_step("a" + ".a" * 300))


def test_pointers_are_followed_where_they_can_be_read():
    follower = Follower(pointer=lambda place: {0x1048: 0x9000}[place.address])

    place = follower.follow(Place(OUTER_T, 0x1000), "p->v_data")

    assert (place.address, place.type.spelled) == (0x9008, "void *")
    assert follower.follow(Place(OUTER_T, 0x1000), "p[2]").address == 0x9020
    assert follower.follow(Place(OUTER_T, 0x1000), "p[0]").arrow
    assert not follower.follow(Place(OUTER_T, 0x1000), "p[1]").arrow
    assert follower.follow(Place(pointer(OUTER_T), 0x1048), "id").address == 0x9000


def test_a_void_pointer_has_no_elements():
    follower = Follower(pointer=lambda place: 0x9000)

    with pytest.raises(BadPath, match="cannot dereference void type"):
        follower.follow(Place(VNODE, 0), "v_data[1]")


def test_an_index_beyond_an_array_may_be_allowed():
    heard = []
    follower = Follower(beyond=heard.append)

    assert follower.follow(Place(OUTER, 0), "items[4]").address == 24 + 4 * 16
    assert [str(error) for error in heard] == ["index 4 is outside of array bounds [0 .. 2]"]


def test_unknown_members_are_attribute_errors():
    with pytest.raises(AttributeError):
        OUTER.find("nothing")
    assert not OUTER.has("nothing")
    assert OUTER.names == ["id", "bits", "more", "items", "p", "x", "y"]


def test_exponentially_nested_anonymous_members_have_a_bound():
    nested = struct("leaf", 4, ("x", 0, INT))
    for depth in range(40):
        nested = struct(f"s{depth}", 4, ("", 0, nested), ("", 0, nested))

    assert nested.names == ["x"]


# Bit-fields however they are described.


@pytest.mark.parametrize(
    ("member", "start", "bits"),
    [
        (Member("whole", 32, known(INT)), 32, None),
        (Member("stated", 35, known(INT), 5), 35, 5),
        (Member("stated whole", 32, known(INT), 32), 32, None),
        (Member("stated off", 35, known(INT), 32), 35, 32),
        (Member("by type", 32, known(Integer("int", 4, bits=7))), 32, 7),
        (Member("by type, shifted", 32, known(Integer("int", 4, bits=7, shift=3))), 35, 7),
        (Member("byte at a bit", 4, known(CHAR)), 4, 8),
        (Member("enum", 3, known(Enum("e", 4, tuple)), 2), 3, 2),
        (Member("struct", 64, known(VNODE)), 64, None),
        (Member("no bits", 64, known(Integer("int", 4, bits=0))), 64, None),
    ],
)
def test_bit_fields(member, start, bits):
    assert (member.start, member.bits) == (start, bits)


# Enums.


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ([0, 1, 2, 4], True),
        ([1], True),
        ([0], False),
        ([], False),
        ([0, 1, 3], False),
        ([-1, 1], False),
        ([0, 0, 8], True),
    ],
)
def test_enums_of_single_bits(values, flags):
    assert Enum("e", 4, lambda: [(f"N{n}", value) for n, value in enumerate(values)]).flags == flags


# Sources.


class Some(TypeSource):
    def lookup(self, tag, name, module):
        return {("struct", "vnode"): VNODE, ("", "long unsigned int"): INT}.get((tag, name))

    def each(self):
        return iter([VNODE, INT])


def test_a_source_finds_integers_by_any_spelling():
    source = Some()

    assert source.find("unsigned long") is INT
    assert source.find("void *").spelled == "void *"
    assert source.find("struct vnode *[3]").size == 24
    assert list(source.each_name()) == ["struct vnode", "int"]
    with pytest.raises(UnknownType, match="failed to look up type unsigned short"):
        source.find("unsigned short")


def test_no_types_and_why():
    source = EmptyTypes("the kernel was built without them")

    assert list(source.each()) == []
    assert not source.knows("int")
    assert source.type_of_symbol(None) is None
    assert source.function(None) is None
    with pytest.raises(NoTypes, match="the kernel was built without them"):
        source.find("int")
