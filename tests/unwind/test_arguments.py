import subprocess
import sys

import pytest

from vmdebug.errors import ReadFailed
from vmdebug.unwind.arguments import saved_arguments

FP = 0x1000
ENTER = bytes.fromhex("55 4889e5")
MOVES = [bytes.fromhex(text) for text in ("48897df8", "488975f0", "488955e8", "48894de0", "4c8945d8", "4c894dd0")]
PUSHES = [bytes.fromhex(text) for text in ("57", "56", "52", "51", "4150", "4151")]
SUB = bytes.fromhex("4883ec40")
WORDS = [0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6]


def read(address, size):
    """Below the frame pointer the words A1, A2 ..., above the return address B7, B8 ..."""
    memory = {FP - 8 * (k + 1): word for k, word in enumerate(WORDS)}
    memory |= {FP + 16 + 8 * k: 0xB7 + k for k in range(8)}
    return b"".join(memory[at].to_bytes(8, "little") for at in range(address, address + size, 8))


@pytest.mark.parametrize("count", range(1, 7))
def test_reads_registers_saved_by_moves(count):
    code = ENTER + SUB + b"".join(MOVES[:count]) + b"\x90"

    assert saved_arguments(read, FP, code, count) == WORDS[:count]


@pytest.mark.parametrize("count", range(1, 7))
def test_reads_registers_saved_by_pushes(count):
    code = ENTER + b"".join(PUSHES[:count])

    assert saved_arguments(read, FP, code, count) == WORDS[:count]


def test_accepts_the_moves_in_any_order_with_other_instructions_between():
    code = ENTER + MOVES[2] + bytes.fromhex("31c0") + SUB + MOVES[0] + bytes.fromhex("4989fc") + MOVES[1]

    assert saved_arguments(read, FP, code, 3) == WORDS[:3]


def test_takes_the_other_form_of_the_move_and_a_probe_for_the_push():
    code = bytes.fromhex("cc 488bec") + MOVES[0]

    assert saved_arguments(read, FP, code, 1) == [0xA1]


def test_finds_arguments_beyond_the_sixth_above_the_return_address():
    assert saved_arguments(read, FP, ENTER + b"".join(MOVES), 8) == [*WORDS, 0xB7, 0xB8]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(ENTER + MOVES[0], id="one of two"),
        pytest.param(MOVES[0] + MOVES[1], id="no frame"),
        pytest.param(MOVES[0] + MOVES[1] + ENTER, id="before the frame"),
        pytest.param(bytes.fromhex("4889e5") + MOVES[0] + MOVES[1], id="frame pointer not pushed"),
        pytest.param(ENTER + PUSHES[1] + PUSHES[0], id="pushed the wrong way round"),
        pytest.param(ENTER + bytes.fromhex("53") + PUSHES[0] + PUSHES[1], id="below another register"),
        pytest.param(ENTER + SUB + PUSHES[0] + PUSHES[1], id="below other data"),
        pytest.param(ENTER + bytes.fromhex("48b8") + MOVES[0] + MOVES[1], id="inside another instruction"),
        pytest.param(ENTER + b"\x90" * 256 + MOVES[0] + MOVES[1], id="too late"),
        pytest.param(ENTER + bytes.fromhex("06") + MOVES[0] + MOVES[1], id="behind what is no instruction"),
        pytest.param(ENTER + bytes.fromhex("488975f8 48897df0"), id="in each other's places"),
    ],
)
def test_gives_no_arguments_that_were_not_saved(code):
    assert saved_arguments(read, FP, code, 2) == ()


@pytest.mark.parametrize("saves", ["488975f8 488955f0", "488975f0 488955e8"], ids=["from the top", "one below"])
def test_leaves_out_the_place_of_a_returned_structure(saves):
    arguments = saved_arguments(read, FP, ENTER + bytes.fromhex(saves), 2, hidden=1)

    assert arguments == (WORDS[:2] if saves.startswith("488975f8") else WORDS[1:3])


def test_gives_no_arguments_where_the_stack_cannot_be_read():
    def gone(address, size):
        raise ReadFailed(address, "nothing there")

    assert saved_arguments(gone, FP, ENTER + MOVES[0], 1) == ()


def test_gives_no_arguments_to_a_function_that_has_none():
    assert saved_arguments(read, FP, ENTER + MOVES[0], 0) == ()


def test_loads_the_disassembler_only_when_the_saves_may_be_there():
    program = (
        "import sys, vmdebug; from vmdebug.unwind.arguments import saved_arguments as saved;"
        "saved(None, 0, bytes.fromhex('554889e5'), 1); print('capstone' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
