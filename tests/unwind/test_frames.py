import struct

import pytest

from vmdebug.errors import ReadFailed
from vmdebug.unwind.frames import INVALID, MAX_FRAMES, NO_MAPPING, NOT_ALIGNED, Frame, each_frame

STACK = 0xFFFF_FF00_0100_0000
ONES = (1 << 64) - 1


class Memory:
    """Words at addresses; all else cannot be read."""

    def __init__(self, words):
        self.words = words

    def __call__(self, address, size):
        try:
            return struct.pack(f"<{size // 8}Q", *(self.words[address + at] for at in range(0, size, 8)))
        except KeyError as err:
            raise ReadFailed(address, "nothing there") from err


def stack(*frames):
    """Frames as (address, saved frame pointer, return address)."""
    return Memory({at: word for fp, saved, pc in frames for at, word in ((fp, saved), (fp + 8, pc))})


@pytest.fixture
def three():
    return stack((STACK, STACK + 0x40, 0x200), (STACK + 0x40, STACK + 0x90, 0x300), (STACK + 0x90, 0, 0x400))


def test_follows_the_frame_pointers_to_zero(three):
    frames = list(each_frame(three, STACK, 0x100))

    assert frames == [Frame(0x100, STACK), Frame(0x200, STACK + 0x40), Frame(0x300, STACK + 0x90)]


def test_leaves_out_the_function_whose_pc_is_unknown(three):
    frames = list(each_frame(three, STACK))

    assert [frame.pc for frame in frames] == [0x200, 0x300]


def test_says_where_a_chain_leaves_mapped_memory():
    broken = stack((STACK, STACK + 0x1000, 0x200))

    assert list(each_frame(broken, STACK))[-1] == Frame(0x200, STACK + 0x1000, reason=NO_MAPPING)


def test_says_that_a_chain_runs_in_a_circle():
    looped = stack((STACK, STACK + 0x40, 0x200), (STACK + 0x40, STACK, 0x300))

    frames = list(each_frame(looped, STACK, 0x100))

    assert frames[-1] == Frame(0x300, STACK, reason=INVALID)
    assert [frame.pc for frame in frames] == [0x100, 0x200, 0x300]


def test_says_that_a_frame_pointer_is_not_aligned():
    crooked = stack((STACK, STACK + 0x48, 0x200))

    assert list(each_frame(crooked, STACK))[-1].reason == NOT_ALIGNED


def test_gives_up_on_a_chain_without_end():
    endless = each_frame(lambda address, size: struct.pack("<QQ", address + 16, 0x100), 16)

    assert len(list(endless)) == MAX_FRAMES


def test_follows_a_complemented_frame_pointer_in_a_hypervisors_panic():
    marked = stack((STACK, (STACK + 0x48) ^ ONES, 0x200), (STACK + 0x48, 0, 0x300))

    frames = list(each_frame(marked, STACK, 0x100, marks=True))

    assert frames == [Frame(0x100, STACK), Frame(0x200, STACK + 0x48)]


def test_does_not_complement_without_a_hypervisors_panic():
    marked = stack((STACK, (STACK + 0x40) ^ ONES, 0x200), (STACK + 0x40, 0, 0x300))

    assert list(each_frame(marked, STACK, 0x100))[-1].reason == NOT_ALIGNED


@pytest.mark.parametrize(("fp", "rest"), [(0, []), (STACK, [Frame(0x100, STACK, reason=NO_MAPPING)])])
def test_gives_a_known_pc_even_where_the_chain_is_broken_at_once(fp, rest):
    assert list(each_frame(stack(), fp, 0x100)) == [Frame(0x100, fp), *rest]


def test_follows_the_frames_of_a_32_bit_stack():
    memory = {0x8004: struct.pack("<II", 0x8010, 0x200), 0x8010: struct.pack("<II", 0, 0x300)}

    frames = list(each_frame(lambda address, size: memory[address][:size], 0x8004, 0x100, word=4))

    assert frames == [Frame(0x100, 0x8004), Frame(0x200, 0x8010)]
