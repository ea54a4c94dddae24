"""A process in memory, and a session over it."""

import struct

import pytest

from tests.printed import ARGS, EXEC, NEXT, C
from tests.typed_memory import BASE, TypedMemory


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
