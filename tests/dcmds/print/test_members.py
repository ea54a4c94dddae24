"""::print: every row of the reference's table of member paths, and types that are not named."""

import struct

import pytest

from tests.printed import NEXT, shown
from tests.typed_memory import BASE

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
        ("p_ids[1..2]", "p_ids[1..2] = [ 0x1, 0x1f ]"),
        ("p_ids[0t2..0x2]", "p_ids[0t2..0x2] = [ 0x1f ]"),
        ("p_grid[1][1..2]", "p_grid[1][1..2] = [ 0, 0x9 ]"),
        ("p_grid[1][2..]", "p_grid[1][2..] = [ 0x9 ]"),
    ],
)
def test_paths(debug, member, line):
    assert shown(debug, f"proc_t {member}") == [line]


def test_a_slice_is_shown_whole_and_passes_on_where_it_begins(memory):
    memory.put(BASE + 0x9000, bytes(4 * 40))
    debug = memory.debug()

    assert debug.printed(f"{BASE + 0x9000:x}::print 'int [100]' '[0..0t39]'") == (
        f"[0..0t39] = [ {', '.join(['0'] * 40)} ]\n"
    )
    assert debug.printed(f"{BASE + 0x9000:x}::print 'int [100]' '[2..3]' | ::eval .=K").split() == [
        f"{BASE + 0x9008:x}"
    ]


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("p_ids[2..1]", "slice [2..1] has to rise, by less than 65536"),
        ("p_ids[0..10000]", "slice [0..10000] has to rise, by less than 65536"),
        ("p_exec[1..]", "slice [1..] has to rise, by less than 65536"),
        ("p_ids[0..1].x", "int [2] is not a struct or union type"),
    ],
)
def test_refuses_slices_that_are_none(debug, member, told):
    assert debug.refused(f"{BASE:x}::print proc_t {member}").splitlines()[0] == f"vmdebug: {told}"


def test_a_slice_that_ends_beyond_its_array_is_told_and_shown(debug):
    out, err, _ = debug(f"{BASE:x}::print proc_t p_grid[0][2..3]")

    assert err == "vmdebug: index 3 is outside of array bounds [0 .. 2]\n"
    assert out.startswith("p_grid[0][2..3] = [ ")


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
