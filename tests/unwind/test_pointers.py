"""Frame pointers of Linux kernels: from frame to frame, into what was interrupted, and where they lead nowhere."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.linux.orc import Stack
from vmdebug.errors import NotInDump
from vmdebug.unwind.pointers import pointer_step
from vmdebug.unwind.walk import MAX_FRAMES, State, walk

TEXT = {8: 0xFFFF_FFFF_8100_0000, 4: 0xC100_0000}
TOP = {8: 0xFFFF_C900_0001_4000, 4: 0xC400_2000}
HALF = {8: 1 << 63, 4: 0xC000_0000}
SIZE = 0x2000


@pytest.fixture(params=[8, 4])
def stack(request):
    found = Stack(TOP[request.param], SIZE, request.param)
    found.trap_from_user(0, 0)
    return found


def reader(stack):
    def read(address, size):
        if not stack.start <= address <= stack.top - size:
            raise NotInDump(address, "not on the stack")
        return bytes(stack.data[address - stack.start : address - stack.start + size])

    return read


def followed(stack, at=0x900):
    text = TEXT[stack.word]
    region, read = range(stack.start, stack.top), reader(stack)

    def step(state):
        known = range(text, text + 0x1000)
        return pointer_step(state, region, lambda ip: ip in known, read, stack.word, HALF[stack.word])

    return list(walk(State(text + at, stack.sp, stack.bp, True), step))


def test_frames_lead_to_the_place_of_a_programs_registers(stack):
    text = TEXT[stack.word]
    for number in range(5):
        stack.call_with_base(text + 0x10 * number, 0x20 + 8 * number)

    calls = followed(stack)

    assert [(call.pc, call.how) for call in calls[1:]] == [(text + 0x10 * n, "frame pointer") for n in (4, 3, 2, 1, 0)]
    assert [call.sp for call in calls[1:]] == [sp for _, sp, _ in reversed(stack.frames)]
    assert [call.at for call in calls[1:]] == [call.sp - stack.word for call in calls[1:]]
    assert [call.reason for call in calls if call.reason] == []


def test_marked_registers_lead_into_what_was_interrupted(stack):
    text = TEXT[stack.word]
    stack.call_with_base(text + 0x10, 0x20)
    stack.trap(text + 0x20)
    stack.mark()
    stack.call_with_base(text + 0x30, 0x20)

    calls = followed(stack)

    assert [(call.pc - text, call.kind, call.sp) for call in calls[1:]] == [
        (back - text, kind, sp) for back, sp, kind in reversed(stack.frames)
    ]


def test_marked_registers_of_a_new_thread_end_the_stack(stack):
    stack.mark()
    stack.call_with_base(TEXT[stack.word] + 0x10, 0x200)

    assert [call.reason for call in followed(stack)] == ["", ""]


BAD = {
    "0 far below the top": (lambda stack: 0, "the frame pointer is 0x0 below the top of the stack"),
    "below the stack pointer": (lambda stack: stack.sp - 0x40, "does not lead up the stack"),
    "not aligned": (lambda stack: stack.sp + 2 if stack.word == 4 else stack.sp + 4, "does not lead up the stack"),
    "of no return address": (lambda stack: stack.sp + 8, "where no call returns to"),
    "outside memory": (lambda stack: stack.top + 0x10000, "not on the stack"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_frame_pointer_that_leads_nowhere_says_so(stack, case):
    make, reason = BAD[case]
    stack.sp -= 0x400
    stack.bp = make(stack)

    (only,) = followed(stack)

    assert reason in only.reason


def test_frames_in_a_circle_end(stack):
    text = TEXT[stack.word]
    stack.call_with_base(text + 0x10, 0x400)
    stack.trap(text + 0x20)
    stack.mark()
    registers = stack.sp
    stack.bp = stack.sp | 1 if stack.word == 8 else stack.bp
    names = list(stack.registers)
    stack.put(registers + stack.word * names.index("rbp"), stack.bp)
    stack.put(registers + stack.word * names.index("rsp"), registers)

    assert followed(stack)[-1].reason == "the stack leads back to itself"


WORDS = st.one_of(
    st.integers(0, 120).map(lambda n: TOP[8] - 4 * n),
    st.integers(0, 60).map(lambda n: TOP[8] - 8 * n + 1),
    st.integers(0, 99).map(lambda n: TEXT[8] + n),
    st.integers(0, (1 << 64) - 1),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(words=st.lists(WORDS, min_size=60, max_size=60))
def test_any_stack_ends(words):
    stack = Stack(TOP[8], SIZE)
    stack.sp = TOP[8] - 8 * len(words)
    stack.put(stack.sp, *words)
    stack.bp = struct.unpack_from("<Q", stack.data, stack.sp - stack.start)[0]

    assert 1 <= len(followed(stack)) <= MAX_FRAMES + 1
