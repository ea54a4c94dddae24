"""Section 7: variables, their names, and registers under all their names."""

import pytest

from vmdebug.errors import DebuggerError, LanguageError
from vmdebug.lang.variables import MODIFIERS, PERSISTENT, Variables, truncate

WORD = 0x1122334455667788
NAMES = "rax rbx rcx rdx rsi rdi rbp rsp r8 r15 rip rflags cs ds es fs gs ss cr2 cr3"
XEN_NAMES = "entry_vector error_code gs_base kernel_gs_base"
LANDMARKS = {"b": 0x1000, "t": 0x200, "thread": 0x7000}
REGISTERS = dict.fromkeys(f"{NAMES} {XEN_NAMES}".split(), WORD)


@pytest.fixture
def variables():
    dot = [0x40]
    return Variables(lambda: REGISTERS, lambda: LANDMARKS, lambda: dot[0], lambda value: dot.__setitem__(0, value))


@pytest.mark.parametrize("name", [*PERSISTENT, "thread"])
def test_predefined_ones_exist_and_cannot_be_removed(variables, name):
    assert variables.read(name) == LANDMARKS.get(name, 0)
    with pytest.raises(DebuggerError, match=f"cannot remove persistent variable '{name}'"):
        variables.remove(name)


def test_what_the_kernel_says_holds_until_the_user_says_otherwise(variables):
    variables.write("b", 5)

    assert [variables.read(name) for name in ("b", "t", "d")] == [5, 0x200, 0]
    assert dict(variables.each())["t"] == 0x200


def test_dot_is_a_variable(variables):
    assert variables.read(".") == 0x40
    variables.write(".", 5)
    assert variables.read(".") == 5


def test_a_written_variable_is_read_and_removed(variables):
    variables.write("foo", (1 << 64) + 3)
    assert variables.read("foo") == 3
    assert ("foo", 3) in list(variables.each())
    variables.remove("foo")
    with pytest.raises(LanguageError, match="variable 'foo' is not defined"):
        variables.read("foo")
    with pytest.raises(DebuggerError, match="variable 'foo' not defined"):
        variables.remove("foo")


def test_writing_1_moves_the_old_value_to_2(variables):
    variables.write("1", 10)
    variables.write("1", 20)

    assert (variables.read("1"), variables.read("2")) == (20, 10)


WHOLE = ["rdi", "rsi", "rdx", "rcx", "rax", "rbx", "rbp", "rsp", "r8", "r15", "rip", "rflags", "cr2", "cr3"]
SELECTORS = ["cs", "ds", "es", "fs", "gs", "ss"]
OTHER = ["savfp", "savpc", "trapno", "err", "gsbase", "kgsbase", "eflags"]
LOW32 = ["edi", "esi", "edx", "ecx", "eax", "ebx", "ebp", "esp", "r8d", "r15d"]
LOW16 = ["di", "si", "dx", "cx", "ax", "bx", "bp", "sp", "r8w", "r15w"]
LOW8 = ["dil", "sil", "dl", "cl", "al", "bl", "bpl", "spl", "r8l", "r15l"]
HIGH8 = ["dh", "ch", "ah", "bh"]


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (WHOLE + SELECTORS + OTHER, WORD),
        (LOW32, 0x55667788),
        (LOW16, 0x7788),
        (LOW8, 0x88),
        (HIGH8, 0x77),
    ],
)
def test_registers_answer_to_all_their_names(variables, names, value):
    assert {name: variables.read(name) for name in names} == dict.fromkeys(names, value)
    assert set(names) <= {name for name, _ in variables.each()}


@pytest.mark.parametrize("name", ["rax", "eax", "ah", "savpc", "thread"])
def test_registers_are_read_only(variables, name):
    with pytest.raises(DebuggerError, match=f"cannot modify read-only variable '{name}'"):
        variables.write(name, 1)


def test_without_registers_their_names_are_free():
    variables = Variables(dict, dict, lambda: 0, lambda value: None)

    variables.write("rax", 1)

    assert variables.read("rax") == 1


@pytest.mark.parametrize("char", list("#%^&*-+=,:$/\\?<>;|!`'\"[](){} \t\n"))
def test_refuses_characters_in_names(variables, char):
    with pytest.raises(DebuggerError) as caught:
        variables.write(f"a{char}b", 1)
    assert str(caught.value) == f"'{char}' may not be used in a variable name"


def test_refuses_long_names(variables):
    variables.write("a" * 30, 1)
    with pytest.raises(DebuggerError, match="variable names may not exceed 30 characters"):
        variables.write("a" * 31, 1)


@pytest.mark.parametrize(("modifier", "value"), [("c", 0x88), ("s", 0x7788), ("i", 0x55667788), ("l", WORD)])
def test_modifiers_cut(modifier, value):
    assert truncate(WORD, modifier) == value


@pytest.mark.parametrize("modifier", ["x", "8", "L"])
def test_refuses_other_modifiers(modifier):
    assert modifier not in MODIFIERS
    with pytest.raises(DebuggerError, match=f"{modifier} is not a valid // modifier"):
        truncate(1, modifier)
