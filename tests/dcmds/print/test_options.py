"""::print: every row of the reference's table of options."""

import struct

import pytest

from tests.printed import ARGS, EXEC, shown
from tests.typed_memory import BASE, TypedMemory


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
