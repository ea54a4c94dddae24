"""::print: every row of the reference's table of renderings."""

import struct

import pytest

from tests.printed import ARGS, EXEC, shown
from tests.typed_memory import BASE, TypedMemory


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


def test_numbers_with_a_fraction_and_other_names_of_network_addresses():
    types = TypedMemory("typedef unsigned int in_addr_t; struct n { float a; double b; long double c; in_addr_t d; };")
    long_double = (0x3FFF << 64 | 0xC000_0000_0000_0000).to_bytes(16, "little")  # 1.5
    types.put(BASE, struct.pack("<f4xd", -0.1, 3.9829317e-60) + long_double + bytes([192, 168, 0, 1]) + bytes(12))

    assert shown(types.debug(), "struct n") == [
        "{",
        "    a = -1.0000000e-01",
        "    b = +3.9829317e-60",
        "    c = +1.5000000000000000e+00",
        "    d = 192.168.0.1",
        "}",
    ]
    assert shown(types.debug(), "-d struct n d") == ["d = 0t16820416"]
