"""::print: where members, structures and their shapes stand."""

import pytest

from tests.printed import NEXT, shown
from tests.typed_memory import BASE

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
