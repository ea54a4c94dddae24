"""::print of what cannot be read, and of what has no end."""

from tests.printed import ARGS, shown
from tests.typed_memory import BASE, TypedMemory

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
