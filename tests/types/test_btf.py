"""BTF of every kind, split BTF, damaged BTF: written by fixtures, read back as types."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.cdecl import declare
from fixtures.ctf import Container
from fixtures.linux import btf as writer
from vmdebug.errors import DebuggerError
from vmdebug.types.btf import Btf, BtfError
from vmdebug.types.btf_source import BtfTypes
from vmdebug.types.model import Aggregate, Enum

DECLARATIONS = """
typedef unsigned int u32;
enum state { RUNNING, SLEEPING = 4, LOST = -1 };
struct later;
struct node { struct node *next; u32 a : 3, b : 7, : 4, c : 18; union { long whole; char part[8]; }; };
struct holder { struct node nodes[2][3]; const volatile char *name; struct later *later; int (*call)(int, ...); };
"""


def made():
    types = Container()
    declare(types, DECLARATIONS)
    blob = writer.Btf.of(types)
    number = types.find("int")
    blob.enum64("wide", {"HIGH": 1 << 40, "ALL": (1 << 64) - 1})
    blob.enum64("cold", {"BELOW": -(1 << 35)}, signed=True)
    blob.floating("double", 8)
    proto = blob.prototype(number, [("first", number)], varargs=True)
    blob.tag("bpf_kfunc", blob.function("do_work", proto))
    tagged = blob.reference(writer.TYPE_TAG, types.find("struct node"), "user")
    blob.reference(writer.TYPEDEF, blob.reference(writer.PTR, tagged), "node_ptr")
    variable = blob.variable("current_holder", types.find("struct holder"))
    blob.section(".data..percpu", 0x1000, [writer.Section(variable, 0x40, 184)])
    old = blob.integer("u8 bits", 1, 3, shift=2)
    blob.aggregate(writer.STRUCT, "old_fields", 4, [("low", old, 0, 0), ("next", old, 8, 0)])
    return types, blob


@pytest.fixture
def types():
    _, blob = made()
    return BtfTypes(Btf("vmlinux", blob.encode()), lambda _: {}, {"holders": "struct holder"})


def test_members_lie_where_the_compiler_put_them(types):
    node = types.find("struct node")

    assert [(m.name, m.offset, m.bits) for m in node.members] == [
        ("next", 0, None), ("a", 64, 3), ("b", 67, 7), ("c", 78, 18), ("", 128, None),
    ]  # fmt: skip
    assert (node.find("part").start, node.size, types.find("struct holder").size) == (128, 24, 168)


def test_fields_of_older_compilers_are_told_by_their_integer(types):
    low = types.find("struct old_fields").members[0]

    assert (low.type.bits, low.type.shift, low.type.size) == (3, 2, 1)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("state", [("RUNNING", 0), ("SLEEPING", 4), ("LOST", -1)]),
        ("wide", [("HIGH", 1 << 40), ("ALL", (1 << 64) - 1)]),
        ("cold", [("BELOW", -(1 << 35))]),
    ],
)
def test_enumerators_have_their_values(types, name, values):
    assert list(types.find(f"enum {name}").values) == values


def test_functions_have_arguments_and_say_if_more_may_follow():
    _, blob = made()
    found = Btf("vmlinux", blob.encode())
    (number,) = found.find((writer.FUNC,), "do_work")

    function = found.type(number)

    assert [(a.name, a.type.name) for a in function.arguments] == [("first", "int")]
    assert function.varargs
    assert function.returns.name == "int"


def test_tags_say_nothing_of_the_layout(types):
    assert types.find("node_ptr").size == 8


def test_variables_have_their_sections_types():
    _, blob = made()

    assert [kind.name for kind in Btf("vmlinux", blob.encode()).variables("current_holder")] == ["holder"]


@pytest.mark.parametrize("header", [24, 32])
def test_headers_may_be_longer(header):
    _, blob = made()

    assert Btf("vmlinux", blob.encode(header)).count == Btf("vmlinux", blob.encode()).count


@pytest.mark.parametrize("header", [24, 32])
def test_a_modules_types_go_on_where_the_kernels_end(header):
    types, base = made()
    own = writer.Btf(base)
    pointer = own.reference(writer.PTR, types.find("struct node"))
    own.aggregate(writer.STRUCT, "driver", 16, [("next", pointer, 0, 0), ("fresh", types.find("int"), 64, 0)])
    kernel = Btf("vmlinux", base.encode())
    split = BtfTypes(kernel, lambda _: {"drv": lambda: own.encode(header)}, {})

    driver = split.find("struct driver")

    assert [(m.name, m.offset, m.type.name) for m in driver.members] == [("next", 0, ""), ("fresh", 64, "int")]
    assert driver.members[0].type.target.name == "node"
    assert driver.module == "drv"


def test_a_damaged_module_leaves_the_kernels_types():
    _, base = made()
    kernel = Btf("vmlinux", base.encode())
    split = BtfTypes(kernel, lambda _: {"drv": lambda: b"\x9f\xeb" + bytes(40)}, {})

    assert split.find("struct node").size == 24
    assert not split.loads("drv")
    assert "failed to load BTF of drv: magic 0xeb9f, version 0" in split.problems["drv"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x9f\xeb\x01", "3 bytes are no header"),
        (bytes(24), "magic 0x0"),
        (b"\x9f\xeb\x01\0" + (24).to_bytes(4, "little") + b"\xff" * 16, "sections up to"),
    ],
)
def test_what_is_no_btf_is_refused(data, message):
    with pytest.raises(BtfError, match=message):
        Btf("vmlinux", data)


EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(edits=EDITS, cut=st.none() | st.floats(0, 1))
def test_mutants_end_in_types_or_one_error(edits, cut):
    data = bytearray(made()[1].encode())
    for place, value in edits:
        data[int(place * len(data))] = value

    try:
        types = BtfTypes(Btf("vmlinux", bytes(data if cut is None else data[: int(cut * len(data))])), lambda _: {}, {})
        for kind in types.each():
            look(types, kind)
    except DebuggerError:
        return


def look(types, kind):
    """What a dcmd asks of a type: sizes, members of members, values. Each may be refused by itself."""
    with contextlib.suppress(DebuggerError):
        assert kind.size >= 0
    with contextlib.suppress(DebuggerError):
        real = kind.resolve()
        if isinstance(real, Aggregate):
            for member in real.members:
                assert member.type.resolve() is not None
                real.has(member.name)
        elif isinstance(real, Enum):
            list(real.values)
