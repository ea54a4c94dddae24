"""Calls before return addresses, by the disassembler's own judgement; words of a stack that look like them."""

import struct

import capstone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmdebug.unwind.scan import BEFORE, each_scanned, ends_with_indirect_call, near_target
from vmdebug.unwind.walk import Call

TEXT, STACK = 0xFFFF_FFFF_8100_0000, 0xFFFF_C900_0001_4000
DECODER = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


def calls_that_end(code):
    """Whether a call without prefixes ends a run of bytes: of each tail, what the disassembler makes of it.

    A far call, through a pointer of no size that it names, is none of a kernel's.
    """
    for size in range(2, BEFORE + 1):
        (found, *_) = [*DECODER.disasm(code[-size:], 0), None]
        if (
            found
            and found.size == size
            and found.mnemonic == "call"
            and not found.op_str.startswith("ptr")
            and code[-size] == 0xFF
        ):
            return True
    return False


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ffd0", "call rax"),
        ("41ffd3", "call r11"),
        ("ff13", "call [rbx]"),
        ("ff5018", "call [rax + 0x18]"),
        ("ff542408", "call [rsp + 8]"),
        ("ff1425b042a482", "call [absolute], as paravirt operations are"),
        ("ff1512345678", "call [rip + distance]"),
        ("ff9080010000", "call [rax + 0x180]"),
    ],
)
def test_calls_of_registers_and_memory_are_known(code, text):
    raw = bytes.fromhex(code)

    assert ends_with_indirect_call(bytes(BEFORE - len(raw)) + raw), text
    assert near_target(bytes(BEFORE - len(raw)) + raw, TEXT) is None


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    head=st.binary(min_size=5, max_size=5), at=st.integers(0, 5), operand=st.integers(0, 255), rest=st.integers(0, 255)
)
def test_a_call_is_one_where_the_disassembler_says_so(head, at, operand, rest):
    code = (head[:at] + bytes([0xFF, operand]) + head[at:-1] + bytes([rest]))[:BEFORE]

    assert ends_with_indirect_call(code) == calls_that_end(code)


@pytest.mark.parametrize("distance", [-0x1234, 0x7FFF_0000, 0])
def test_a_call_of_a_distance_says_where_it_goes(distance):
    code = b"\x90\x90\xe8" + struct.pack("<i", distance)

    assert near_target(code, TEXT) == (TEXT + distance) % (1 << 64)


def test_words_that_something_returns_to_are_found_where_they_lie():
    words = [1, TEXT + 0x10, TEXT, TEXT + 0x20, TEXT + 0x30]

    found = list(
        each_scanned(
            struct.pack("<5Q", *words) + b"odd",
            STACK,
            lambda word, at: TEXT + 0x10 if (word, at) == (TEXT, STACK + 16) else word,
            lambda pc: pc in (TEXT + 0x10, TEXT + 0x30),
        )
    )

    assert found == [
        Call(pc, STACK + at + 8, "call", "scan", STACK + at)
        for pc, at in ((TEXT + 0x10, 8), (TEXT + 0x10, 16), (TEXT + 0x30, 32))
    ]
