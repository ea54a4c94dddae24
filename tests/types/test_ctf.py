"""All modules' types together: order, parents, completion, what is damaged, what the fixtures' writer makes."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.cdecl import declare
from fixtures.ctf import Container as Writer
from fixtures.symtab import ABS, FUNC, GLOBAL, OBJECT, Symbol, symbol_table
from vmdebug.errors import DebuggerError, NotInDump
from vmdebug.symbols.table import Symbol as KernelSymbol
from vmdebug.types.ctf import CtfModule, CtfTypes
from vmdebug.types.ctf_container import Container
from vmdebug.types.errors import CtfError, UnknownType
from vmdebug.types.model import Forward

BASE = """
typedef unsigned int uint_t;
typedef long time_t;
struct node { struct node *next; uint_t flags:3, mode:5; char name[16]; };
typedef struct node node_t;
enum state { IDLE, BUSY = 5 };
struct shared { node_t head; enum state state; };
int walk(struct node *, int);
extern struct shared table[4];
"""
CHILD = """
struct own { node_t *first; struct shared all; struct other *unknown; };
typedef struct own own_t;
own_t *make(uint_t, ...);
own_t here;
"""
SYMBOLS = [
    Symbol("walk", 0x1000, 0x20, FUNC, GLOBAL, 1),
    Symbol("table", 0x2000, 0x80, OBJECT, GLOBAL, 2),
    Symbol("make", 0x3000, 0x20, FUNC, GLOBAL, 1),
    Symbol("gone", 0, 0, OBJECT, GLOBAL, ABS),
    Symbol("here", 0x4000, 0x20, OBJECT, GLOBAL, 2),
]


def module(name, container, *, compress=True, data=None):
    table = symbol_table(SYMBOLS)
    raw = [(symbol.name, symbol.type, symbol.shndx, symbol.value) for symbol in table.symbols]
    content = (
        container.encode(symbols=table.symbols, strings=table.strings, compress=compress) if data is None else data
    )
    return CtfModule(name, lambda: content, lambda: table.strings, lambda: raw)


def writers(version=2):
    base = Writer(version=version, label="20240101")
    declare(base, BASE)
    child = Writer(version=version, parent=base, parent_name="genunix", parent_label="20240101")
    declare(child, CHILD)
    return base, child


@pytest.fixture(params=[1, 2, 3])
def pair(request):
    return writers(request.param)


@pytest.fixture
def kernel(pair):
    base, child = pair
    return CtfTypes([module("genunix", base), module("unix", child)])


def number_of(name):
    return next(i for i, symbol in enumerate(symbol_table(SYMBOLS).symbols) if symbol.name == name)


def symbol(name, part):
    return KernelSymbol(name, 0, 0, module=part, index=number_of(name))


@pytest.mark.parametrize(
    ("name", "spelled", "size"),
    [
        ("struct node", "struct node", 32),
        ("node_t", "node_t", 32),
        ("struct own", "struct own", 56),
        ("own_t *", "own_t *", 8),
        ("own_t **", "own_t **", 8),
        ("const node_t *", "const node_t *", 8),
        ("char [4]", "char [4]", 4),
        ("node_t *[2][3]", "node_t *[2][3]", 48),
        ("unsigned int", "unsigned int", 4),
        ("unsigned", "unsigned int", 4),
        ("uint_t", "uint_t", 4),
        ("enum state", "enum state", 4),
        ("void *", "void *", 8),
        ("unix`own_t", "own_t", 56),
        ("struct unix`own", "struct own", 56),
        ("unix`struct own", "struct own", 56),
        ("unix`node_t", "node_t", 32),
        ("  node_t  * ", "node_t *", 8),
    ],
)
def test_names(kernel, name, spelled, size):
    found = kernel.find(name)

    assert (found.spelled, found.size) == (spelled, size)


@pytest.mark.parametrize(
    "name",
    ["nothing", "struct nothing", "node", "struct node_t", "", "*", "struct", "node_t x", "node_t ]", "node_t [2]*",
     "genunix`own_t", "nomodule`int", "node_t *x", "int )"],
)  # fmt: skip
def test_unknown_names(kernel, name):
    with pytest.raises(UnknownType, match="failed to look up type"):
        kernel.find(name)
    assert not kernel.knows(name)


def test_members_cross_from_child_to_parent(kernel):
    own = kernel.find("struct own")

    assert [(member.name, member.type.spelled, member.offset // 8) for member in own.members] == [
        ("first", "node_t *", 0),
        ("all", "struct shared", 8),
        ("unknown", "struct other *", 48),
    ]
    assert own.find("all").type.find("head").type.resolve() is kernel.find("struct node")


def test_symbols_have_types_and_prototypes(kernel):
    assert kernel.type_of_symbol(symbol("table", "genunix")).spelled == "struct shared [4]"
    assert kernel.type_of_symbol(symbol("here", "unix")).spelled == "own_t"
    assert kernel.type_of_symbol(symbol("table", "unix")) is None
    assert kernel.type_of_symbol(symbol("gone", "genunix")) is None
    assert kernel.function(symbol("walk", "genunix")).spelled == "int (struct node *, int)"
    assert kernel.function(symbol("make", "unix")).spelled == "own_t *(uint_t, ...)"
    assert kernel.function(symbol("make", "genunix")) is None
    assert kernel.function(symbol("make", "absent")) is None
    assert not kernel.problems


def test_a_declaration_is_completed_from_another_module():
    base, child, third = Writer(), Writer(parent_name="genunix"), Writer(parent_name="genunix")
    declare(base, "struct later; struct holder { struct later *p; };")
    declare(third, "struct later { int x; };")
    kernel = CtfTypes([module("genunix", base), module("unix", child), module("third", third)])

    pointed = kernel.find("struct holder").find("p").type.target

    assert isinstance(pointed.resolve(), Forward)
    assert pointed.size == 4
    assert pointed.complete() is kernel.find("third`struct later")
    assert kernel.find("struct later").size == 4


def test_nothing_is_unpacked_before_it_is_needed():
    base, child = writers()
    opened = []

    def watched(name, container):
        made = module(name, container)
        return CtfModule(name, lambda: opened.append(name) or made.data(), made.strings, made.symbols)

    kernel = CtfTypes([watched("genunix", base), watched("unix", child), watched("other", child)])
    assert opened == []

    kernel.find("struct node")
    kernel.find("struct node")
    assert opened == ["genunix"]

    kernel.find("own_t")
    assert opened == ["genunix", "unix"]


def test_a_damaged_module_is_noted_and_the_rest_works(pair):
    base, child = pair
    broken = module("broken", child, data=b"\xf1\xcf\x02")
    kernel = CtfTypes([module("genunix", base), broken, module("unix", child)])

    assert kernel.find("own_t").size == 56
    assert kernel.type_of_symbol(symbol("here", "broken")) is None
    assert kernel.problems == ["failed to load CTF data for broken: header needs 4 bytes, 3 are there"]
    with pytest.raises(UnknownType, match=r"that name \(failed to load CTF data for broken: header needs"):
        kernel.find("nothing")
    with pytest.raises(CtfError, match="header needs 4 bytes"):
        kernel.find("broken`own_t")


def test_memory_that_cannot_be_read_is_noted(pair):
    base, child = pair

    def fail():
        raise NotInDump(0x1000, "page is not in the dump")

    kernel = CtfTypes(
        [module("genunix", base), CtfModule("unix", fail), CtfModule("strings", module("unix", child).data, fail, fail)]
    )

    assert kernel.find("struct node").size == 32
    assert not kernel.knows("nothing")
    assert kernel.type_of_symbol(symbol("here", "strings")) is None
    assert any("unix: 1000: page is not in the dump" in problem for problem in kernel.problems)
    assert any("strings: symbols missing" in problem for problem in kernel.problems)


def test_a_missing_parent_leaves_own_types(pair):
    _, child = pair
    kernel = CtfTypes([module("unix", child)])

    own = kernel.find("struct own")

    assert own.find("first").type.size == 8
    assert kernel.type_of_symbol(symbol("here", "unix")).spelled == "own_t"
    assert own.find("first").type.target.spelled == "(?)"
    assert "failed to load CTF data for unix: parent genunix not loaded" in kernel.problems or child.version == 1


def test_a_parent_of_another_build_is_noted():
    base, _ = writers()
    child = Writer(parent=base, parent_name="genunix", parent_label="19990101")
    declare(child, CHILD)
    kernel = CtfTypes([module("genunix", base), module("unix", child)])

    assert kernel.find("own_t").complete().find("first").type.spelled == "node_t *"
    assert kernel.problems == ["types of unix were made for another build of genunix: 19990101"]


def test_parents_in_a_circle_are_refused():
    base, _ = writers()
    one = Writer(parent=base, parent_name="two")
    two = Writer(parent=base, parent_name="one")
    declare(one, "struct a { node_t *n; };")
    declare(two, "struct b { node_t *n; };")
    kernel = CtfTypes([module("one", one), module("two", two)])

    assert kernel.find("struct a").find("n").type.spelled == "(?) *"
    assert not kernel.knows("one`struct nothing")
    assert "failed to load CTF data for one: parent two not loaded" in kernel.problems


def test_a_module_without_types():
    base, _ = writers()
    kernel = CtfTypes([module("genunix", base), module("bare", base, data=b"")])

    assert kernel.find("node_t").size == 32
    assert not kernel.problems
    for name in ("bare`node_t", "struct bare`node"):
        with pytest.raises(UnknownType) as raised:
            kernel.find(name)
        assert str(raised.value) == (
            f"failed to look up type {name}: no symbolic debug information available for module"
        )


def test_names_are_listed(kernel):
    names = list(kernel.each_name())

    assert {"struct node", "node_t", "enum state", "struct own", "int"} <= set(names)
    assert all(kernel.knows(name) for name in names if name)
    assert len(list(kernel.each())) == len(names)


# The writer and the reader share nothing but the specification.

MEMBER_TYPES = [
    "int", "uint_t", "char", "short", "long", "node_t *", "struct node", "enum state", "char [3]", "int [2][3]",
    "void *",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(version=st.sampled_from([1, 2, 3]), compress=st.booleans(), kinds=st.lists(
    st.one_of(st.sampled_from(MEMBER_TYPES), st.integers(1, 31)), min_size=1, max_size=20))  # fmt: skip
def test_round_trip(version, compress, kinds):
    from fixtures.cdecl import type_named

    writer = Writer(version=version)
    declare(writer, BASE)
    members = [(f"m{n}", writer.find("unsigned int"), kind) if isinstance(kind, int) else
               (f"m{n}", type_named(writer, kind)) for n, kind in enumerate(kinds)]  # fmt: skip
    made = writer.struct("made", members)
    kernel = CtfTypes([module("genunix", writer, compress=compress)])

    found = kernel.find("struct made")

    wanted = writer.type(made)
    assert found.size == wanted.size
    assert [(m.name, m.offset) for m in found.members] == [(m.name, m.offset) for m in wanted.members]
    assert [m.type.size for m in found.members] == [writer.sizeof(m.type) for m in wanted.members]
    for member, kind in zip(found.members, kinds, strict=True):
        assert member.type.spelled.replace(" ", "").startswith(
            kind.replace(" ", "") if isinstance(kind, str) else "unsigned"
        )


QUESTIONS = [
    lambda found: found.size,
    lambda found: found.resolve(),
    lambda found: found.complete(),
    lambda found: found.spelled,
    lambda found: [(member.start, member.bits, member.type.spelled) for member in found.members],
    lambda found: found.names,
    lambda found: found.values,
    lambda found: found.flags,
]


def explore(kernel, limit=400):
    """Ask everything that a dcmd could ask of the first types."""
    for found, _ in zip(kernel.each(), range(limit), strict=False):
        for question in QUESTIONS:
            try:
                question(found)
            except (DebuggerError, AttributeError):
                continue
    for name in ("struct node", "node_t", "own_t", "uint_t", "enum state"):
        kernel.knows(name)
    for name in ("walk", "table", "make", "here"):
        for part in ("genunix", "unix"):
            for answer in (kernel.type_of_symbol(symbol(name, part)), kernel.function(symbol(name, part))):
                assert answer is None or answer.spelled


ENCODED = [
    [module("genunix", base, compress=False).data(), module("unix", child, compress=False).data()]
    for base, child in map(writers, (1, 2, 3))
]
EDIT = st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=4))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    whole=st.sampled_from(ENCODED),
    target=st.sampled_from([0, 1]),
    edits=st.lists(EDIT, min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 1 << 16),
)
def test_mutants_end_in_types_or_one_clear_error(whole, target, edits, cut):
    data = bytearray(whole[target])
    for place, change in edits:
        place %= len(data)
        data[place : place + len(change)] = change[: len(data) - place]
    mutant = bytes(data[: cut % len(data)] if cut is not None else data)
    parts = [module("genunix", Writer(), data=mutant if target == 0 else whole[0]),
             module("unix", Writer(), data=mutant if target == 1 else whole[1])]  # fmt: skip
    start = time.monotonic()

    try:
        Container("mutant", mutant)
    except CtfError as err:
        assert str(err).startswith("failed to load CTF data for mutant: ")
    explore(CtfTypes(parts))

    assert time.monotonic() - start < 5


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_behind_a_magic(data):
    for version in (1, 2, 3):
        kernel = CtfTypes([CtfModule("genunix", lambda version=version: b"\xf1\xcf" + bytes([version]) + data)])
        explore(kernel)
