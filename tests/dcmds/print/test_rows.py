"""::print in a pipe, and as JSON."""

import json

import pytest

from tests.printed import EXEC
from tests.typed_memory import BASE

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
