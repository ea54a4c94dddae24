"""::print: every row of the reference's tables of options, renderings and member paths."""

import json
import struct

import pytest

from tests.typed_memory import BASE, TypedMemory

C = """
typedef unsigned int uint_t;
typedef unsigned char uchar_t;
typedef long time_t;
typedef uint_t ipaddr_t;
typedef char *caddr_t;
struct vnode { int v_flag; void *v_data; };
typedef struct kmutex { void *_opaque[1]; } kmutex_t;
enum state { ST_IDLE, ST_RUN, ST_STOP = 12, ST_LOST = -1 };
typedef enum state state_t;
enum flags { FL_NONE = 0, FL_READ = 1, FL_WRITE = 2, FL_EXEC = 4 };
struct exdata { struct vnode *vp; long size; };
typedef struct user { struct exdata u_exdata; char u_comm[17]; } user_t;
struct unknown;
typedef struct proc {
    struct vnode *p_exec;
    kmutex_t p_lock;
    state_t p_state;
    enum flags p_flags;
    user_t p_user;
    struct proc *p_next;
    char p_kind;
    uchar_t p_small;
    short p_nice;
    uint_t p_a:3, p_b:5;
    int p_signed:4;
    int p_ids[6];
    struct vnode p_nodes[2];
    struct unknown *p_unknown;
    union { int p_int; long p_long; };
    time_t p_start;
    ipaddr_t p_addr;
    char *p_args;
    caddr_t p_caddr;
    double p_load;
    int p_grid[2][3];
    char p_names[2][4];
} proc_t;
struct gaps { char a; int b; char c; long d; char e; };
struct inner { int x; };
"""

EXEC, NEXT, ARGS = BASE + 0x1000, BASE + 0x2000, BASE + 0x3000


@pytest.fixture
def memory():
    made = TypedMemory(C)
    values = {
        "p_exec": EXEC,
        "p_lock._opaque[0]": 0,
        "p_state": 1,
        "p_flags": 3,
        "p_user.u_exdata.vp": EXEC,
        "p_user.u_exdata.size": 0x20,
        "p_user.u_comm": b"init",
        "p_next": NEXT,
        "p_kind": ord("x"),
        "p_small": 0x80,
        "p_nice": -2,
        "p_a": 3,
        "p_b": 17,
        "p_signed": 0xD,
        "p_ids[1]": 1,
        "p_ids[2]": 31,
        "p_nodes[0].v_flag": 1,
        "p_nodes[1].v_flag": 2,
        "p_long": 0x1_0000_0005,
        "p_addr": 0x0100A8C0,
        "p_args": ARGS,
        "p_caddr": ARGS,
        "p_load": struct.pack("<d", 1.5),
        "p_grid[1][2]": 9,
        "p_names[0]": b"abc",
        "p_names[1]": b"d",
    }
    made.object("proc_t", BASE, values)
    made.variable("rootvfs", "struct vnode", EXEC, {"v_flag": 7})
    made.object("proc_t", NEXT, {"p_exec": EXEC + 8, "p_args": 8})
    made.put(ARGS, b"/sbin/init -m\0".ljust(4096, b"\0"))
    return made


@pytest.fixture
def debug(memory):
    return memory.debug()


def shown(debug, words, address=f"{BASE:x}"):
    return debug.printed(f"{address}::print {words}").splitlines()


# The reference's own two examples.


def test_members_one_a_line(debug):
    assert shown(debug, "proc_t p_next p_user.u_comm p_exec") == [
        f"p_next = {NEXT:#x}",
        'p_user.u_comm = [ "init" ]',
        "p_exec = rootvfs",
    ]


def test_addresses_and_types(debug):
    assert shown(debug, "-at proc_t p_exec p_lock") == [
        f"{BASE:x} struct vnode *p_exec = rootvfs",
        f"{BASE + 8:x} kmutex_t p_lock = {{",
        f"    {BASE + 8:x} void *[1] p_lock._opaque = [ 0 ]",
        "}",
    ]


# Where things stand.


def test_a_whole_structure(debug):
    assert shown(debug, "struct user", f"{BASE + 24:x}") == [
        "{",
        "    u_exdata = {",
        "        vp = rootvfs",
        "        size = 0x20",
        "    }",
        '    u_comm = [ "init" ]',
        "}",
    ]


@pytest.mark.parametrize(
    ("flags", "head"), [("-t", "user_t {"), ("-a", f"{BASE + 24:x} {{"), ("-at", f"{BASE + 24:x} user_t {{")]
)
def test_the_first_line_of_a_whole_structure(debug, flags, head):
    assert shown(debug, f"{flags} user_t", f"{BASE + 24:x}")[0] == head


def test_only_the_shape_without_an_address(debug):
    assert debug.printed("::print user_t").splitlines() == [
        "{",
        "    u_exdata {",
        "        vp ",
        "        size ",
        "    }",
        "    u_comm ",
        "}",
    ]
    assert debug.printed("::print -at user_t").splitlines() == [
        "0 user_t {",
        "    0 struct exdata u_exdata {",
        "        0 struct vnode *vp ",
        "        8 long size ",
        "    }",
        "    10 char [17] u_comm ",
        "}",
    ]
    assert debug.printed("::print proc_t p_user.u_comm") == "p_user.u_comm \n"
    assert debug.printed("::print proc_t p_next->p_user.u_exdata").splitlines()[0] == "p_next->p_user.u_exdata {"


def test_members_of_a_member_have_its_name_before_them_one_level_deep(debug):
    assert shown(debug, "proc_t p_user") == [
        "p_user = {",
        "    p_user.u_exdata = {",
        "        vp = rootvfs",
        "        size = 0x20",
        "    }",
        '    p_user.u_comm = [ "init" ]',
        "}",
    ]


def test_an_index_of_0_on_a_pointer_is_shown_as_an_arrow(debug):
    assert shown(debug, "proc_t p_exec[0]") == ["p_exec = {", "    p_exec->v_flag = 0x7", "    p_exec->v_data = 0", "}"]


# Options.


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("proc_t p_nice", "p_nice = 0xfffe"),
        ("-d proc_t p_nice", "p_nice = -0t2"),
        ("-d proc_t p_small", "p_small = 0t128"),
        ("-d proc_t p_ids[1]", "p_ids[1] = 1"),
        ("-x proc_t p_signed", "p_signed = 0xd"),
        ("-dx proc_t p_small", "p_small = 0x80"),
        ("-a proc_t p_nice", f"{BASE + 74:x} p_nice = 0xfffe"),
        ("-a proc_t p_b", f"{BASE + 76:x}.3 p_b = 0x11"),
        ("-t proc_t p_nice", "short p_nice = 0xfffe"),
        ("-T proc_t p_state", "state_t <<enum state>> p_state = 1 (ST_RUN)"),
        ("-T proc_t p_nice", "short p_nice = 0xfffe"),
        ("-n proc_t p_exec", f"p_exec = {EXEC:#x}"),
        ("-n proc_t p_unknown", "p_unknown = 0"),
        ("-l 2 proc_t p_ids", "p_ids = [ 0, 0x1, ... ]"),
        ("-l 6 proc_t p_ids", "p_ids = [ 0, 0x1, 0x1f, 0, 0, 0 ]"),
        ("-l 0 proc_t p_ids", "p_ids = [ ... ]"),
        ("-l 2 -L proc_t p_ids", "p_ids = [ 0, 0x1, 0x1f, 0, 0, 0 ]"),
        ("-c 10 -l 3 proc_t p_user.u_comm", "p_user.u_comm = [ 'i', 'n', 'i', ... ]"),
        ("-c 11 proc_t p_user.u_comm", 'p_user.u_comm = [ "init" ]'),
        ("-c 1 -C proc_t p_user.u_comm", 'p_user.u_comm = [ "init" ]'),
        ("-s 0 proc_t p_user", "p_user = { ... }"),
        ("-s 0 proc_t p_ids", "p_ids = [ ... ]"),
    ],
)
def test_options(debug, words, line):
    assert shown(debug, words) == [line]


def test_depth(debug):
    assert shown(debug, "-s 1 proc_t p_user") == [
        "p_user = {",
        "    p_user.u_exdata = { ... }",
        "    p_user.u_comm = [ ... ]",
        "}",
    ]
    assert shown(debug, "-s 1 proc_t p_nodes") == ["p_nodes = [", "    { ... }", "    { ... }", "]"]


def test_default_limits_are_those_of_the_session(memory):
    memory.put(BASE + 0x5000, bytes(400))
    debug = memory.debug()

    assert debug.printed(f"{BASE + 0x5000:x}::print 'int [40]'").count("0") == 32
    assert "..." in debug.printed(f"{BASE + 0x5000:x}::print 'int [40]'")


def test_holes(memory):
    memory.object("struct gaps", BASE, {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
    memory.put(BASE, bytes([1, 0xAA, 0xBB, 0xCC]) + memory.memory[BASE][4:])
    debug = memory.debug()

    assert shown(debug, "-h struct gaps") == [
        "{",
        "    a = '\\001'",
        "    <<HOLE>> = 0xccbbaa",
        "    b = 0x2",
        "    c = '\\003'",
        "    <<HOLE>> = 0",
        "    d = 0x4",
        "    e = '\\005'",
        "    <<HOLE>> = 0",
        "}",
    ]
    assert shown(debug, "-hta struct gaps")[2] == f"    {BASE + 1:x} unsigned <<HOLE>> :24 = 0xccbbaa"
    assert debug.printed("::print -ht struct gaps").splitlines()[2] == "    unsigned <<HOLE>> :24 "


def test_holes_are_of_8_aligned_bytes_at_most():
    memory = TypedMemory("struct s { long a; };")
    integer = memory.types.find("long")
    memory.types.struct("far", [("a", integer)], size=30)
    memory.object("struct far", BASE, {"a": 1})

    assert shown(memory.debug(), "-ht struct far") == [
        "struct far {",
        "    long a = 0x1",
        "    uint64_t <<HOLE>> = 0",
        "    uint64_t <<HOLE>> = 0",
        "    unsigned <<HOLE>> :48 = 0",
        "}",
    ]


def test_bits_between_bit_fields_are_holes():
    memory = TypedMemory("struct b { unsigned a:3; unsigned :0; unsigned c:4; };")
    memory.object("struct b", BASE, {"a": 1, "c": 2})

    lines = shown(memory.debug(), "-ht struct b")

    assert lines[1:3] == ["    unsigned int:3 a :3 = 0x1", "    unsigned <<HOLE>> :29 = 0"]
    assert lines[-2] == "    unsigned <<HOLE>> :28 = 0"


def test_the_address_itself_as_data(debug):
    assert debug.printed("1234::print -i uint_t") == "0x1234\n"
    assert debug.printed("3::print -i 'enum flags'") == "0x3 (FL_{READ|WRITE})\n"
    assert debug.printed("51::print -i struct inner x").strip() == "x = 0x51"
    assert debug.printed(f"{EXEC:x}::print -i 'struct vnode *'") == "rootvfs\n"
    assert debug.printed(f"{ARGS:x}::print -i 'char *'") == f'{ARGS:#x} "/sbin/init -m"\n'


def test_data_behind_a_pointer_in_the_address_is_in_memory(debug):
    assert debug.printed(f"{EXEC:x}::print -i 'struct vnode *' v_flag") == "v_flag = 0x7\n"


def test_more_data_than_an_address_has(debug):
    out, err, status = debug("1::print -i struct exdata")

    assert out == "{\n    vp = 1\n"
    assert "failed to read 8 bytes at 8: no mapping for address" in err
    assert status == 1


def test_physical_memory(memory):
    debug = memory.debug(physical={0x1000: struct.pack("<iiQ", 5, 0, BASE)})

    assert debug.printed("1000::print -p struct vnode v_flag") == "v_flag = 0x5\n"
    assert "options are incompatible" in debug.refused("1000::print -pi struct vnode")


# Renderings.


@pytest.mark.parametrize(
    ("member", "line"),
    [
        ("p_ids[2]", "p_ids[2] = 0x1f"),
        ("p_ids[0]", "p_ids[0] = 0"),
        ("p_kind", "p_kind = 'x'"),
        ("p_small", "p_small = 0x80"),
        ("p_a", "p_a = 0x3"),
        ("p_b", "p_b = 0x11"),
        ("p_signed", "p_signed = -0t3"),
        ("p_load", "p_load = +1.5000000e+00"),
        ("p_state", "p_state = 1 (ST_RUN)"),
        ("p_flags", "p_flags = 0x3 (FL_{READ|WRITE})"),
        ("p_exec", "p_exec = rootvfs"),
        ("p_next->p_exec", "p_next->p_exec = rootvfs+8"),
        ("p_next->p_next", "p_next->p_next = 0"),
        ("p_args", f'p_args = {ARGS:#x} "/sbin/init -m"'),
        ("p_next->p_args", "p_next->p_args = 8"),
        ("p_caddr", f"p_caddr = {ARGS:#x}"),
        ("p_addr", "p_addr = 192.168.0.1"),
        ("p_start", "p_start = 0"),
        ("p_int", "p_int = 0x5"),
        ("p_long", "p_long = 0x100000005"),
    ],
)
def test_kinds(debug, member, line):
    assert shown(debug, f"proc_t {member}") == [line]


def test_scalars_of_their_own(memory):
    memory.put(BASE, struct.pack("<ib", -1, 0))
    debug = memory.debug()

    assert shown(debug, "int") == ["0xffffffff"]
    assert shown(debug, "-t int") == ["int 0xffffffff"]
    assert shown(debug, "-at 'int *'", f"{EXEC + 8:x}") == [f"{EXEC + 8:x} int * 0"]
    assert shown(debug, "char", f"{BASE + 4:x}") == ["'\\0'"]


@pytest.mark.parametrize(("byte", "text"), [(0, "\\0"), (0xAA, "\\252"), (10, "\\n"), (0x41, "A"), (0x5C, "\\\\")])
def test_characters(memory, byte, text):
    memory.put(BASE, bytes([byte]))

    assert shown(memory.debug(), "char") == [f"'{text}'"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 (ST_IDLE)"), (1, "1 (ST_RUN)"), (12, "0t12 (ST_STOP)"), (7, "7 (???)"), (-1, "-0t1 (ST_LOST)")],
)
def test_enums(memory, value, text):
    memory.put(BASE, struct.pack("<i", value))

    assert shown(memory.debug(), "state_t") == [text]
    assert shown(memory.debug(), "-x state_t") == [
        text.replace(text.split()[0], f"{value & 0xFFFFFFFF:#x}" if value else "0")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 (FL_NONE)"),
        (1, "0x1 (FL_READ)"),
        (3, "0x3 (FL_{READ|WRITE})"),
        (7, "0x7 (FL_{READ|WRITE|EXEC})"),
        (9, "0x9 (FL_READ|0x8)"),
        (11, "0xb (FL_{READ|WRITE}|0x8)"),
        (8, "0x8 (0x8)"),
        (-8, "0xfffffff8 (0xfffffff8)"),
    ],
)
def test_enums_of_single_bits(memory, value, text):
    memory.put(BASE, struct.pack("<i", value))

    assert shown(memory.debug(), "'enum flags'") == [text]
    assert shown(memory.debug(), "-d enum flags") == [text]


def test_dates(memory, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    __import__("time").tzset()
    memory.put(BASE, struct.pack("<q", 1178020800))
    debug = memory.debug()

    assert shown(debug, "time_t") == ["2007 May  1 12:00:00"]
    assert shown(debug, "-x time_t") == ["0x46372bc0"]
    assert shown(debug, "-d time_t") == ["0t1178020800"]
    assert shown(debug, "-x ipaddr_t") == ["0x46372bc0"]


def test_bit_fields_with_their_types(debug):
    assert shown(debug, "-t proc_t p_a p_b p_signed") == [
        "unsigned int:3 p_a :3 = 0x3",
        "unsigned int:5 p_b :5 = 0x11",
        "int:4 p_signed :4 = -0t3",
    ]


def test_arrays_of_structures(debug):
    assert shown(debug, "proc_t p_nodes") == [
        "p_nodes = [",
        "    {",
        "        v_flag = 0x1",
        "        v_data = 0",
        "    },",
        "    {",
        "        v_flag = 0x2",
        "        v_data = 0",
        "    },",
        "]",
    ]
    assert shown(debug, "-l 1 -t proc_t p_nodes") == [
        "struct vnode [2] p_nodes = [",
        "    struct vnode {",
        "        int v_flag = 0x1",
        "        void *v_data = 0",
        "    },",
        "... ]",
    ]


def test_arrays_of_arrays(debug):
    assert shown(debug, "-t proc_t p_grid") == [
        "int [2][3] p_grid = [",
        "    int [3] [ 0, 0, 0 ]",
        "    int [3] [ 0, 0, 0x9 ]",
        "]",
    ]
    assert shown(debug, "proc_t p_names") == ["p_names = [", '    [ "abc" ]', '    [ "d" ]', "]"]


def test_nested_arrays_of_structures_are_indented(memory):
    debug = memory.debug()

    at = shown(debug, "proc_t").index("    p_nodes = [")
    assert shown(debug, "proc_t")[at + 1 : at + 5] == [
        "        {",
        "            v_flag = 0x1",
        "            v_data = 0",
        "        },",
    ]


def test_char_arrays_that_are_no_text_are_lists(memory):
    memory.put(BASE, b"ab\xff\0" + bytes(13))
    debug = memory.debug()

    assert shown(debug, "-l 4 'char [17]'") == ["[ 'a', 'b', '\\377', '\\0', ... ]"]
    memory.put(BASE, bytes(17))
    assert shown(memory.debug(), "-l 2 'char [17]'") == ["[ '\\0', '\\0', ... ]"]


def test_char_arrays_without_a_nul(memory):
    memory.put(BASE, b"abcd")

    assert shown(memory.debug(), "'char [4]'") == ['[ "abcd" ]']


def test_long_strings_behind_pointers_are_cut(memory):
    memory.put(BASE, struct.pack("<Q", ARGS + 0x1000))
    memory.put(ARGS + 0x1000, b"x" * 4096)

    assert shown(memory.debug(), "'char *'") == [f'{ARGS + 0x1000:#x} "{"x" * 255} ..."']


def test_declarations_without_a_definition(memory):
    memory.put(BASE, bytes(8))

    assert shown(memory.debug(), "struct unknown") == ["; <forward declaration of struct unknown>"]
    assert memory.debug().printed("::print struct unknown") == "<forward declaration of struct unknown>\n"


def test_anonymous_members(memory):
    lines = shown(memory.debug(), "-s 2 proc_t")

    at = lines.index("    <anon> = {")
    assert lines[at : at + 4] == ["    <anon> = {", "        p_int = 0x5", "        p_long = 0x100000005", "    }"]


def test_addresses_of_the_network(memory):
    types = TypedMemory("""
        struct in_addr { unsigned s_addr; };
        typedef struct in6_addr { unsigned char s6[16]; } in6_addr_t;
        struct h { struct in_addr a; in6_addr_t b; };
    """)
    types.put(BASE, bytes([10, 0, 0, 1]) + bytes(15) + b"\1")
    debug = types.debug()

    assert shown(debug, "struct h") == ["{", "    a = 10.0.0.1", "    b = ::1", "}"]
    assert shown(debug, "-x struct h a") == ["a = {", "    a.s_addr = 0x100000a", "}"]


# Members.


@pytest.mark.parametrize(
    ("member", "line"),
    [
        (".p_nice", ".p_nice = 0xfffe"),
        ("p_exec->v_flag", "p_exec->v_flag = 0x7"),
        ("p_nodes[1].v_flag", "p_nodes[1].v_flag = 0x2"),
        ("p_ids[0t2]", "p_ids[0t2] = 0x1f"),
        ("p_next[0].p_exec", "p_next[0].p_exec = rootvfs+8"),
        ("p_grid[1][2]", "p_grid[1][2] = 0x9"),
        ("p_int", "p_int = 0x5"),
    ],
)
def test_paths(debug, member, line):
    assert shown(debug, f"proc_t {member}") == [line]


def test_a_missing_delimiter_is_an_arrow_on_a_pointer(memory):
    memory.put(BASE + 0x9000, struct.pack("<Q", BASE))
    debug = memory.debug()

    assert debug.printed(f"{BASE + 0x9000:x}::print 'proc_t *' p_nice") == "p_nice = 0xfffe\n"
    assert debug.printed(f"{BASE:x}::print 'int [2]' '[1]'").startswith("[1] = ")


def test_members_by_offset(debug):
    assert shown(debug, "proc_t $[8] $[0] $[9]") == [
        "p_lock = {",
        "    p_lock._opaque = [ 0 ]",
        "}",
        "p_exec = rootvfs",
        "p_lock._opaque[0] = 0",
    ]
    assert "invalid offset 1000" in debug.refused(f"{BASE:x}::print proc_t $[1000]")


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ("nothing", "failed to find member nothing of proc_t: no such member of structure or union"),
        ("p_exec.v_flag", "struct vnode * is not a struct or union type"),
        ("p_nice->x", "short is not a pointer type"),
        ("p_nice.x", "short is not a struct or union type"),
        ("p_ids[2", "no trailing ']'"),
        ("p_nice[1]", "cannot index into non-array, non-pointer type"),
        ("p_exec->v_data[1]", "cannot dereference void type"),
        ("p_next->p_next->p_next->p_nice", "could not dereference pointer 40: no mapping for address"),
    ],
)
def test_members_that_are_none(debug, member, says):
    assert says in debug.refused(f"{BASE:x}::print proc_t '{member}'")


def test_an_index_beyond_an_array_is_told_and_used(debug):
    out, err, status = debug(f"{BASE:x}::print proc_t p_nodes[2].v_flag")

    assert err == "vmdebug: index 2 is outside of array bounds [0 .. 1]\n"
    assert out.startswith("p_nodes[2].v_flag = ")
    assert status == 0


def test_indexes_are_in_the_current_radix(memory):
    memory.object("int", BASE, {})
    memory.put(BASE, struct.pack("<32i", *range(32)))
    debug = memory.debug()

    assert shown(debug, "'int [32]' [10]") == ["[10] = 0x10"]
    debug.printed("0t10$d")
    assert debug.printed(f"0x{BASE:x}::print 'int [32]' [10]") == "[10] = 0xa\n"


# Types that are not named.


def test_the_type_of_the_variable_at_the_address(debug):
    assert debug.printed("rootvfs::print") == "{\n    v_flag = 0x7\n    v_data = 0\n}\n"
    assert debug.printed("rootvfs::print v_flag") == "v_flag = 0x7\n"
    assert debug.printed("rootvfs::print -d v_flag v_data").splitlines() == ["v_flag = 7", "v_data = 0"]


def test_without_a_variable(memory):
    memory.name("untyped", NEXT, 8)
    debug = memory.debug()

    assert debug.refused(f"{BASE:x}::print") == f"vmdebug: no symbol information for {BASE:#x}\n"
    assert debug.refused("rootvfs+4::print") == "vmdebug: no symbol information for rootvfs+4\n"
    assert debug.refused("untyped::print") == "vmdebug: no type data available for untyped [2]\n"
    assert "failed to look up type nothing" in debug.refused(f"{BASE:x}::print nothing")
    assert "failed to look up type struct nothing" in debug.refused(f"{BASE:x}::print struct nothing")
    assert "struct is not a valid type" in debug.refused(f"{BASE:x}::print struct")


@pytest.mark.parametrize("text", ["::print", "1::print -i", "::print -z proc_t", f"{BASE:x}::print +x"])
def test_wrong_calls(debug, text):
    assert "Usage: [address]::print" in debug.refused(text)


def test_structures_of_two_words_and_quoted(debug):
    assert shown(debug, "struct proc p_nice") == shown(debug, "'struct proc' p_nice") == ["p_nice = 0xfffe"]
    assert shown(debug, "genunix`proc_t p_nice") == ["p_nice = 0xfffe"]


# Pipes and dot.


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("proc_t p_nice", "fffe"),
        ("proc_t p_exec", f"{EXEC:x}"),
        ("proc_t p_state", "1"),
        ("proc_t p_b", "11"),
        ("proc_t p_lock", f"{BASE + 8:x}"),
        ("proc_t p_ids", f"{BASE + 80:x}"),
        ("proc_t p_load", None),
        ("-a proc_t p_exec", f"{BASE:x}"),
        ("proc_t", f"{BASE:x}"),
    ],
)
def test_into_a_pipe(debug, words, value):
    piped = debug.printed(f"{BASE:x}::print {words} | ::map .").strip()
    expected = value if value is not None else debug.printed(f"{BASE:x}::print -a {words}").split()[0]

    assert piped == expected


def test_several_members_into_a_pipe(debug):
    assert debug.printed(f"{BASE:x}::print proc_t p_nice p_exec | ::map .").split() == ["fffe", f"{EXEC:x}"]


def test_from_a_pipe(debug):
    assert debug.printed(f"{BASE:x}::print proc_t p_next | ::print proc_t p_exec") == "p_exec = rootvfs+8\n"


def test_dot_is_left_behind_the_value(debug):
    debug.printed(f"{EXEC:x}::print struct vnode v_flag")

    assert debug.printed(".=K").strip() == f"{EXEC + 16:x}"


def test_bad_members_end_the_pipeline(debug):
    out, err, _ = debug(f"{BASE:x}::print proc_t nothing | ::map .")

    assert (out, err.count("vmdebug")) == ("", 1)


# What cannot be read.


def test_what_is_missing_ends_the_text_where_it_is_missing(memory):
    memory.put(BASE, memory.memory[BASE][:28])
    out, err, status = memory.debug()(f"{BASE:x}::print proc_t")

    assert out.splitlines() == [
        "{",
        "    p_exec = rootvfs",
        "    p_lock = {",
        "        _opaque = [ 0 ]",
        "    }",
        "    p_state = 1 (ST_RUN)",
        "    p_flags = 0x3 (FL_{READ|WRITE})",
        "    p_user = {",
        "        u_exdata = {",
    ]
    first, second = err.splitlines()
    assert first.startswith(f"vmdebug: failed to read vp pointer at {BASE + 24:x}: no mapping for address")
    assert second == "vmdebug: failed to print type"
    assert status == 1


def test_a_string_that_cannot_be_read_is_left_out(memory):
    del memory.memory[ARGS]

    assert shown(memory.debug(), "proc_t p_args") == [f"p_args = {ARGS:#x}"]


# JSON.


def rows(debug, text):
    return json.loads(debug.printed(text))["rows"]


def test_json(memory):
    debug = memory.debug(json=True)

    assert rows(debug, f"{BASE:x}::print proc_t p_nice p_exec p_user p_flags p_nodes") == [
        {"value": "0xfffe", "addr": f"{BASE + 74:#x}", "type": "short", "member": "p_nice", "data": -2},
        {
            "value": f"{EXEC:#x}",
            "addr": f"{BASE:#x}",
            "type": "struct vnode *",
            "member": "p_exec",
            "data": f"{EXEC:#x}",
        },
        {
            "value": f"{BASE + 24:#x}",
            "addr": f"{BASE + 24:#x}",
            "type": "user_t",
            "member": "p_user",
            "data": {"u_exdata": {"vp": f"{EXEC:#x}", "size": 32}, "u_comm": "init"},
        },
        {
            "value": "0x3",
            "addr": f"{BASE + 20:#x}",
            "type": "enum flags",
            "member": "p_flags",
            "data": {"value": 3, "name": None},
        },
        {
            "value": f"{BASE + 104:#x}",
            "addr": f"{BASE + 104:#x}",
            "type": "struct vnode [2]",
            "member": "p_nodes",
            "data": [{"v_flag": 1, "v_data": "0x0"}, {"v_flag": 2, "v_data": "0x0"}],
        },
    ]


def test_json_of_a_whole_structure_has_the_anonymous_members_beside_the_others(memory):
    (row,) = rows(memory.debug(json=True), f"{BASE:x}::print -h proc_t")

    assert row["member"] is None
    assert (row["data"]["p_int"], row["data"]["p_load"], row["data"]["p_signed"]) == (5, 1.5, -3)
    assert "<<HOLE>>" not in row["data"]
    assert "<anon>" not in row["data"]


def test_json_without_an_address(memory):
    (row,) = rows(memory.debug(json=True), "::print struct vnode")

    assert row["data"] == {"v_flag": None, "v_data": None}


# Bounds.


def test_nested_types_have_a_bound(memory):
    types = TypedMemory("struct deep0 { char x; };" + "".join(
        f"struct deep{n} {{ struct deep{n - 1} x; }};" for n in range(1, 100)))  # fmt: skip
    types.put(BASE, bytes(8))

    assert shown(types.debug(), "struct deep99")[64] == "    " * 64 + "x = { ... }"


def test_huge_arrays_have_a_bound(memory):
    types = TypedMemory("struct many { char x[1000000]; };")
    types.put(BASE, b"\xff" * 1000000)

    assert "limit arrays with -l" in types.debug().refused(f"{BASE:x}::print -L struct many")
