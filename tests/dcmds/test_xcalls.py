"""Section B.4: ::xcall."""

import pytest

from fixtures.illumos.xcalls import BUSY, FUNCTION, MESSAGES_AT, STRIDE

HEAD = "CPU PEND HANDLER"


def test_a_lone_cpu_is_asked_nothing(illumos):
    assert illumos().text("::xcall") == [HEAD, "  0    0 -"]


def test_shows_what_each_cpu_was_asked_to_call(illumos):
    debug = illumos(vcpus=3, memory="64M")
    kas = debug.truth.address("kas")

    assert debug.text("::xcall") == [
        HEAD,
        "  0    0 -",
        f"  1    2 {FUNCTION}({kas:x}, 2000, 0)",
        f"  1    2 {FUNCTION}({kas:x}, 0, 0)",
        "  2    0 -",
    ]


@pytest.mark.parametrize("which", ["1", "address"])
def test_shows_the_cross_calls_of_one_cpu(illumos, which):
    debug = illumos(vcpus=3, memory="64M")
    address = debug.rows("::xcall")[BUSY].addr

    rows = debug.rows(f"{address:x}::xcall" if which == "address" else f"{which}::xcall")

    assert rows == debug.rows("::xcall")[1:3]


def test_says_what_is_no_cpu(illumos):
    assert illumos().errors("9::xcall") == ["vmdebug: 9 is neither a valid CPU ID nor a valid cpu_t address"]


def test_says_which_sender_does_not_exist(illumos):
    debug = illumos(vcpus=3, memory="64M")
    message = MESSAGES_AT + 2 * STRIDE
    sender = message + debug.guest.objects.offsetof("xc_msg_t", "xc_master")
    damaged = illumos({sender: b"\x09\x00"}, vcpus=3, memory="64M")

    assert damaged.errors("::xcall") == [
        f"vmdebug: failed to read the cross calls of cpu 1: xc_msg_t {message:x}: it was sent by cpu 9, which does not "
        "exist"
    ]
    assert [(row.cpu, row.pend, row.handler) for row in damaged.rows("::xcall")] == [
        (0, 0, None),
        (1, 2, None),
        (2, 0, None),
    ]


def test_a_message_that_cannot_be_read_ends_its_cpus_list(illumos, word):
    debug = illumos(vcpus=3, memory="64M")
    link = MESSAGES_AT + 2 * STRIDE + debug.guest.objects.offsetof("xc_msg_t", "xc_next")
    damaged = illumos({link: word(0x10)}, vcpus=3, memory="64M")

    (complaint,) = damaged.errors("::xcall")

    assert complaint.startswith("vmdebug: failed to read the cross calls of cpu 1: ")
    assert [row.cpu for row in damaged.rows("::xcall")] == [0, 1, 2]
