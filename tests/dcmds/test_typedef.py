"""Section 11.3: ::typedef, every form and every message, over each kind of type data."""

import ctypes
import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.cdecl import declare
from fixtures.ctf import Container
from fixtures.linux import btf as writer
from tests.fakes import Debug, FakeGuest, FakeTarget
from tests.typed_memory import BASE, TypedMemory
from vmdebug.errors import DebuggerError
from vmdebug.guests.filetypes import types_of
from vmdebug.symbols.file import SymbolFile
from vmdebug.types.btf import Btf
from vmdebug.types.btf_source import BtfTypes
from vmdebug.types.source import EmptyTypes
from vmdebug.types.typedefs import OwnTypes, alignment

C = """
typedef unsigned long uint64_t;
struct node { struct node *next; int weight; };
typedef struct node node_t;
struct plain { char c; short s; int i; long l; unsigned int u; };
"""
PAIR = """::typedef "struct pair { int low; char *name; node_t at[2]; char tail[]; }" pair_t"""


@pytest.fixture
def memory():
    return TypedMemory(C)


@pytest.fixture
def debug(memory):
    memory.put(BASE, bytes(range(48)) * 3)
    return memory.debug()


def fresh(types=None):
    guest = FakeGuest()
    guest.types = types or EmptyTypes("the kernel was built without them")
    return Debug(FakeTarget({BASE: bytes(range(96))}), guest)


def test_a_structure_works_in_every_command_that_takes_types(debug):
    assert debug.printed(PAIR) == ""

    for command, printed in [
        ("::sizeof pair_t", "sizeof (pair_t) = 0x30\n"),
        ("::sizeof struct pair", "sizeof (struct pair) = 0x30\n"),
        ("::sizeof 'pair_t [2]'", "sizeof (pair_t [2]) = 0x60\n"),
        ("::offsetof pair_t at", "offsetof (pair_t, at) = 0x10, sizeof (...->at) = 0x20\n"),
        ("::offsetof pair_t at[1].weight", "offsetof (pair_t, at[1].weight) = 0x28, sizeof (...->at[1].weight) = 4\n"),
        (f"{BASE:x}::print pair_t low", "low = 0x3020100\n"),
        (f"{BASE:x}::print -d pair_t at[0].weight", "at[0].weight = 0t454695192\n"),
        (f'{BASE:x}::printf "%x %d\\n" pair_t low at[1].weight', "3020100 724183336\n"),
        (f"{BASE:x}::array pair_t 2", f"{BASE:x}\n{BASE + 0x30:x}\n"),
    ]:
        assert debug.printed(command) == printed
    assert debug.printed("::type pair_t").splitlines() == [
        "typedef struct pair pair_t;",
        "struct pair { /* 48 bytes */",
        "    int low;                                     /*      0      4 */",
        "    /* hole of 4 bytes */",
        "    char *name;                                  /*      8      8 */",
        "    node_t at[2];                                /*     16     32 */",
        "    char tail[];                                 /*     48      0 */",
        "};",
    ]
    assert debug.printed("::typelist").splitlines()[-2:] == ["struct pair", "pair_t"]


def test_a_list_of_them_is_followed(debug, memory):
    memory.put(BASE, bytes(8) + (BASE + 0x100).to_bytes(8, "little"))
    memory.put(BASE + 0x100, bytes(16))
    debug = memory.debug()
    debug.printed('::typedef "struct item { long key; struct item *next; }" item_t')

    assert debug.printed(f"{BASE:x}::list item_t next") == f"{BASE:x}\n{BASE + 0x100:x}\n"


def test_a_union_overlays_its_members(debug):
    debug.printed('::typedef "union { uint64_t whole; char part[10]; }" both_t')

    assert debug.printed("::sizeof both_t") == "sizeof (both_t) = 0x10\n"
    assert debug.printed(f"{BASE:x}::print both_t part[1] whole") == "part[1] = '\\001'\nwhole = 0x706050403020100\n"


@pytest.mark.parametrize(
    ("words", "size"),
    [("uint64_t", 8), ("unsigned int", 4), ("struct node", 16), ("int *", 8), ("'char [5]'", 5), ("node_t **", 8)],
)
def test_a_name_for_a_type(debug, words, size):
    debug.printed(f"::typedef {words} mine")

    assert debug.session.rows("::sizeof mine")[0].size == size


@pytest.mark.parametrize(("bound", "count"), [("10", 10), ("0x10", 16), ("0t12", 12), ("0T12", 12), ("0X0a", 10)])
@pytest.mark.parametrize("radix", ["8", "10"])
def test_bounds_are_decimal_whatever_the_radix(debug, bound, count, radix):
    debug.printed(f"{radix}$d ! true; ::typedef 'struct {{ char a[{bound}]; }}' t_t")

    assert debug.session.rows("::sizeof t_t")[0].size == count


SIZES = {
    "LP64": {"long": 8, "intptr_t": 8, "int64_t": 8, "ulong_t": 8},
    "LP32": {"long": 4, "intptr_t": 4, "int64_t": 8, "ulong_t": 4},
}
EVERY = {
    **dict.fromkeys(("char", "signed char", "unsigned char", "int8_t", "uint8_t", "uchar_t", "_Bool"), 1),
    **dict.fromkeys(("short", "signed short", "unsigned short", "int16_t", "uint16_t", "ushort_t"), 2),
    **dict.fromkeys(("int", "signed", "unsigned", "signed int", "unsigned int", "int32_t", "uint32_t", "uint_t"), 4),
    **dict.fromkeys(("long long", "unsigned long long", "int64_t", "uint64_t"), 8),
    "float": 4,
    "double": 8,
    "long double": 16,
    "void": 0,
    "void *": 8,
    "int *": 8,
}


@pytest.mark.parametrize("model", ["LP64", "lp64", "LP32", "ILP32", "ilp32"])
def test_data_models(model):
    debug = fresh()

    assert debug.printed(f"::typedef -c {model}") == ""

    wide = SIZES["LP64" if "64" in model else "LP32"]
    for name, size in {**EVERY, **wide}.items():
        assert debug.session.rows(f"::sizeof '{name}'")[0].size == size, name
    listed = debug.printed("::typedef -l").splitlines()
    assert {"int", "unsigned long", "uint64_t", "uintptr_t"} <= set(listed)
    assert debug.printed("::typelist").splitlines() == listed


def test_without_any_types_the_users_own_work():
    debug = fresh()
    assert debug.refused("::sizeof int") == "vmdebug: no types: the kernel was built without them\n"

    debug.printed("::typedef -c LP64; ::typedef 'struct { uint16_t a; uint64_t b; }' mine_t")

    assert debug.printed(f"{BASE:x}::print mine_t") == "{\n    a = 0x100\n    b = 0xf0e0d0c0b0a0908\n}\n"
    assert "failed to look up type nosuch" in debug.refused("::sizeof nosuch")


def btf():
    types = Container()
    declare(types, C)
    return BtfTypes(Btf("vmlinux", writer.Btf.of(types).encode()), lambda _: {}, {})


def dwarf(tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("no C compiler")
    source, made = tmp_path / "t.c", tmp_path / "t.so"
    source.write_text(f"{C}\nnode_t it; uint64_t count; struct plain all;\n")
    subprocess.run(["gcc", "-g", "-shared", "-nostdlib", "-o", made, source], check=True)
    return types_of(SymbolFile(made), pointer=8, shift=0, variables={})


@pytest.mark.parametrize("source", ["btf", "dwarf"])
def test_works_over_other_type_data(source, tmp_path):
    debug = fresh(btf() if source == "btf" else dwarf(tmp_path))

    debug.printed(PAIR)

    assert debug.printed("::offsetof pair_t at[1].weight") == (
        "offsetof (pair_t, at[1].weight) = 0x28, sizeof (...->at[1].weight) = 4\n"
    )


def test_the_guests_own_types_come_first(debug):
    debug.printed("::typedef -c ILP32")

    assert debug.printed("::sizeof uint64_t; ::sizeof long; ::sizeof uint32_t") == (
        "sizeof (uint64_t) = 8\nsizeof (long) = 8\nsizeof (uint32_t) = 4\n"
    )


def test_listed_and_deleted(debug):
    debug.printed(f"{PAIR}; ::typedef 'struct {{ int a; }}' bare_t; ::typedef node_t *link_t")

    assert debug.printed("::typedef -l").splitlines() == ["struct pair", "pair_t", "bare_t", "link_t"]
    assert debug.printed("::typedef -d; ::typedef -l") == ""
    assert "failed to look up type pair_t" in debug.refused("::sizeof pair_t")
    debug.printed(PAIR)


def test_written_and_read(debug, tmp_path):
    path = tmp_path / "types.h"
    debug.printed(f"{PAIR}; ::typedef -c LP64; ::typedef 'union {{ uint8_t b[0x4]; }}' u_t; ::typedef node_t *link_t")
    listed, declared = debug.printed("::typedef -l"), debug.printed("::type pair_t; ::type u_t; ::type link_t")

    debug.printed(f"::typedef -w {path}; ::typedef -d; ::typedef -r {path}")

    assert debug.printed("::typedef -l") == listed
    assert debug.printed("::type pair_t; ::type u_t; ::type link_t") == declared
    assert path.read_text() == (
        "typedef struct pair {\n    int low;\n    char *name;\n    node_t at[2];\n    char tail[];\n} pair_t;\n"
        "#pragma model LP64\n"
        "typedef union {\n    uint8_t b[0x4];\n} u_t;\n"
        "typedef node_t *link_t;\n"
    )


def test_reads_what_a_person_writes(debug, tmp_path):
    path = tmp_path / "mine.h"
    path.write_text(
        "/* of the driver;\n   not of the kernel */\n#pragma model lp64\n"
        "struct ring { uint32_t size; // in bytes\n struct ring *next; };\n"
        "typedef struct ring   ring_t;typedef unsigned long addr_t;\n"
    )

    debug.printed(f"::typedef -r {path}")

    assert debug.printed("::sizeof ring_t; ::sizeof addr_t") == "sizeof (ring_t) = 0x10\nsizeof (addr_t) = 8\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("struct a { int x; } ;\nint y;", "not a declaration: 'int y;'"),
        ("typedef struct a { int x; };", "not a declaration: 'typedef struct a { int x; };'"),
        ("struct a { int x; } a_t;", "not a declaration: 'struct a { int x; } a_t;'"),
        ("struct a { nosuch x; };", "failed to add member x: type nosuch does not exist"),
        ("#pragma model LP65", "invalid data model: LP65"),
    ],
)
def test_a_file_is_taken_whole_or_not_at_all(debug, tmp_path, text, says):
    path = tmp_path / "bad.h"
    path.write_text(f"typedef int first_t;\n{text}\n")

    out, err, status = debug(f"::typedef -r {path}")

    assert (out, status) == (f"{says}\n", 1)
    assert err.splitlines()[0] == f"vmdebug: failed to create synthetics from {path}"
    assert debug.printed("::typedef -l") == ""


def test_files_that_cannot_be_used(debug, tmp_path):
    assert (
        debug.refused("::typedef -r /nosuch/file")
        == "vmdebug: failed to open /nosuch/file: No such file or directory\n"
    )
    assert debug.refused("::typedef -w /nosuch/file") == (
        "vmdebug: failed to write /nosuch/file: No such file or directory\n"
    )
    (tmp_path / "big").write_bytes(b" " * ((1 << 20) + 1))
    assert "it has more than 1048576 bytes" in debug.refused(f"::typedef -r {tmp_path / 'big'}")


SAID = [
    ("-c LP64; ::typedef -c LP64", "failed to create intrinsic types, maybe they already exist"),
    ("'struct { int a }' t", "Cannot find semi-colon to delineate the end of a member."),
    ("'struct { int a; int b }' t", "Cannot find semi-colon to delineate the end of a member."),
    ("'struct { a; }' t", "Missing both a name and a type declaration for a member. Instead, found 'a'"),
    ("'struct s { int a;' t", "Missing closing brace for struct declaration. Expected '}'."),
    ("'union x int a; {' t", "The name x int a; is not a valid C identifier."),
    ("'strct { int a; }' t", "Invalid start of definition. Expected 'struct' or 'union'. Found: 'strct'"),
    ("'struct 1a { int a; }' t", "The name 1a is not a valid C identifier."),
    ("'struct { int 1a; }' t", "The name 1a is not a valid C identifier."),
    ("'struct { int a:3; }' t", "The name a:3 is not a valid C identifier."),
    ("'struct { int (*a)(void); }' t", "The name (*a)(void) is not a valid C identifier."),
    ("'struct { int a; }' 1t", "The name 1t is not a valid C identifier."),
    ("int 1t", "The name 1t is not a valid C identifier."),
    ("'struct { int a; char a; }' t", "duplicate name detected: a"),
    ("'struct node { int a; }' t", "type name struct node already in use"),
    ("'struct { int a; }' node_t", "typedef name node_t already exists"),
    ("int node_t", "node_t already exists"),
    ("nosuch t", "nosuch does not exist"),
    ("struct nosuch t", "struct nosuch does not exist"),
    ("'struct { nosuch *a; }' t", "failed to add member a: type nosuch does not exist"),
    ("'struct me { struct me a; }' t", "failed to add member a: type struct me does not exist"),
    ("'union { int a; char b[]; }' t", "Flexible array members are only valid in structs."),
    ("'struct { int a; char b[0]; int c; }' t",
     "Flexible array entries are only allowed to be the last entry in a struct"),
    ("'struct { char b[]; }' t", "Structs must have members aside from a flexible member"),
    ("'struct { char a[4; }' t", "Found the beginning of an array size but no closing ']' in 4"),
    ("'struct { char a[-4]; }' t", "Array lengths cannot be negative"),
    ("'struct { char a[2][2]; }' t", "Expected one array size, [N]. Found: '[2][2]'"),
    ("'struct { char a[x]; }' t", "Expected one array size, [N]. Found: '[x]'"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), SAID, ids=[words for words, _ in SAID])
def test_says_on_stdout_what_is_wrong(debug, words, says):
    assert debug(f"::typedef {words}") == (f"{says}\n", "", 1)
    assert debug.session.guest.types.own.lookup("", "t") is None


def test_a_wrong_model_is_told_with_the_usage(debug):
    out, err, status = debug("::typedef -c LP65")

    assert (out, status) == ("invalid data model: LP65\n", 1)
    assert err.startswith("Usage: ::typedef [-c model | -d | -l | -r file | -w file | type name]\n")


@pytest.mark.parametrize("words", ["", "int", "-d x", "-l x", "-dl", "-c LP64 x", "-r a -w b", "-c", "-x"])
def test_wrong_words_are_told_the_usage(debug, words):
    assert "Usage: ::typedef" in debug.refused(f"::typedef {words}")


def test_takes_no_address(debug):
    assert "Usage: ::typedef" in debug.refused("0::typedef -l")


def test_as_json(memory):
    debug = memory.debug(json=True)
    debug.printed("::typedef int t_t")

    assert json.loads(debug.printed("::typedef -l")) == {"dcmd": "typedef", "rows": [{"text": "t_t"}], "errors": []}


def test_programs_get_the_message_as_an_error(debug):
    with pytest.raises(DebuggerError, match="nosuch does not exist"):
        debug.session.rows("::typedef nosuch t")


# Layouts against the compiler's own

KINDS = ["char", "short", "int", "long", "long long", "float", "double", "long double", "char *", "_Bool"]
members = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5)), min_size=1, max_size=8)


@given(st.sampled_from(["struct", "union"]), members)
def test_members_lie_where_ctypes_puts_them(kind, chosen):
    made = dict(zip(KINDS, (ctypes.c_char, ctypes.c_short, ctypes.c_int, ctypes.c_long, ctypes.c_longlong,
                            ctypes.c_float, ctypes.c_double, ctypes.c_longdouble, ctypes.c_void_p, ctypes.c_bool),
                    strict=True))  # fmt: skip
    fields = [(f"m{at}", made[name] * count if count else made[name]) for at, (name, count) in enumerate(chosen)]
    base = ctypes.Structure if kind == "struct" else ctypes.Union
    reference = type("Reference", (base,), {"_fields_": fields})
    types = EmptyTypes("none")
    types.own = OwnTypes(types.find, 8)
    types.own.create("LP64")
    text = "".join(f"{name} m{at}{f'[{count}]' if count else ''}; " for at, (name, count) in enumerate(chosen))

    types.own.define(f"{kind} {{ {text}}}", "it")

    found = types.find("it").complete()
    assert found.size == ctypes.sizeof(reference)
    assert alignment(found) == ctypes.alignment(reference)
    assert [each.offset // 8 for each in found.members] == [getattr(reference, name).offset for name, _ in fields]


PIECES = [*"{}[];*: \n", "struct ", "union ", "int ", "a", "1", "typedef ", "#pragma model LP64"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_ends_in_types_or_one_line(text):
    types = EmptyTypes("none")
    types.own = OwnTypes(types.find, 8)
    types.own.create("LP64")
    for act in (
        lambda: types.own.define(text, "it"),
        lambda: types.own.alias(text, "it"),
        lambda: types.own.read(text),
    ):
        try:
            act()
        except DebuggerError as err:
            assert "\n" not in str(err)
        types.own.text()
