"""Section E.3: ::whatthread."""

import pytest

MUTEX = 0xFFFF_FFFE_C13B_7AD0
HOLDER = 0xFFFF_FF00_0159_3C80
WANTED = 0x1234_5678_9ABC_DEF0


@pytest.fixture
def sleeper(illumos):
    return next(each for each in illumos().truth["threads"] if each["state"] == "sleep")


def test_names_the_threads_whose_stacks_hold_an_address(illumos):
    debug = illumos()

    assert debug.text(f"{MUTEX:x}::whatthread") == [f"{HOLDER:#x}"]
    assert [row.addr for row in debug.rows(f"{MUTEX:x}::whatthread | ::thread")] == [HOLDER]
    assert debug.text("1234567::whatthread") == []


def test_shows_each_place_and_whether_it_is_in_use(illumos, sleeper, word):
    sp, thread = int(sleeper["stack_pointer"], 16), int(sleeper["address"], 16)
    debug = illumos({sp + 0x10: word(WANTED), sp - 0x20: word(WANTED)})

    assert debug.text(f"{WANTED:x}::whatthread -v") == [
        f"{sp - 0x20:x} in thread {thread:x}'s stack (below sp)",
        f"{sp + 0x10:x} in thread {thread:x}'s stack",
    ]
    assert debug.text(f"{WANTED:x}::whatthread") == [f"{thread:#x}"]


def test_passes_over_what_is_no_aligned_word(illumos, sleeper, word):
    sp = int(sleeper["stack_pointer"], 16)

    assert illumos({sp + 0x13: word(WANTED)}).rows(f"{WANTED:x}::whatthread") == []


def test_says_which_stacks_it_cannot_search(illumos, sleeper, word):
    thread = int(sleeper["address"], 16)
    debug = illumos()
    top = thread + debug.guest.objects.offsetof("kthread_t", "t_stk")
    loaded = thread + debug.guest.objects.offsetof("kthread_t", "t_schedflag")

    assert illumos({top: word(0)}).errors("1::whatthread")[0].startswith(f"vmdebug: thread {thread:x}'s stack is of -")
    assert illumos({loaded: bytes(2)}).errors("1::whatthread") == [f"vmdebug: thread {thread:x}'s stack swapped out"]


def test_needs_an_address(illumos):
    assert illumos().errors("::whatthread")
