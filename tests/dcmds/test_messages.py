"""Section H: ::msgbuf and ::panicinfo."""

import pytest

from vmdebug.errors import DebuggerError
from vmdebug.lang.values import date

BOOTED = 0x470D_0D5A


@pytest.fixture
def first(illumos):
    """The mblk_t of the oldest message."""
    objects, guest = illumos().guest.objects, illumos().guest
    return int(objects.at("queue_t", guest.variable("log_recentq")).q_first)


def test_prints_what_the_kernel_said(illumos):
    debug = illumos()

    lines = debug.text("::msgbuf")

    assert lines[0] == "MESSAGE".ljust(70)
    assert lines[1:] == "".join(text.removeprefix("\r") for text in debug.truth["messages"]).splitlines()


def test_prints_when_and_where_each_message_was_logged(illumos):
    debug = illumos()
    rows = debug.rows("::msgbuf")

    lines = debug.text("::msgbuf -v")

    assert lines[0] == f"           TIMESTAMP           LOGCTL {'MESSAGE':<40}"
    assert lines[1] == f"{date(BOOTED)} {rows[0].addr:x} SunOS Release 5.11 Version onnv-johnlev 64-bit"
    assert lines[2].endswith(" Copyright 1983-2007 Sun Microsystems, Inc.  All rights reserved.")
    assert lines[3] == "Use is subject to license terms."
    assert [row.time for row in rows] == list(range(BOOTED, BOOTED + len(debug.truth["messages"])))
    assert [debug.guest.objects.at("log_ctl_t", row.addr).seq_no for row in rows] == list(range(1, len(rows) + 1))


def test_prints_the_messages_before_one_that_cannot_be_read(illumos, first, word):
    link = first + illumos().guest.objects.offsetof("mblk_t", "b_next")
    debug = illumos({link: word(0x10)})

    assert len(debug.rows("::msgbuf")) == 1
    assert debug.errors("::msgbuf")[0].startswith("vmdebug: the log ends here: ")


def test_prints_a_log_that_does_not_end_once(illumos, first, word):
    objects = illumos().guest.objects
    link = objects.offsetof("mblk_t", "b_next")
    second = int(objects.at("mblk_t", first).b_next)
    debug = illumos({second + link: word(second)})

    assert len(debug.rows("::msgbuf")) == 2
    assert "the log ends here: " in debug.errors("::msgbuf")[0]


def test_a_text_that_ends_before_it_begins_is_empty(illumos, first, word):
    objects = illumos().guest.objects
    body = int(objects.at("mblk_t", first).b_cont)

    rows = illumos({body + objects.offsetof("mblk_t", "b_wptr"): word(0)}).rows("::msgbuf")

    assert rows[0].text == ""


class TestPanic:
    PAIRS = (("rdi", 0x11), ("rsi", 0xFFFF_FF00_010B_FC80), ("rip", 0xFFFF_FFFF_FB80_121C))
    THREAD = 0xFFFF_FF00_010B_FC80

    def panicked(self, illumos, start=48):
        pairs = b"".join(name.encode().ljust(16, b"\0") + value.to_bytes(8, "little") for name, value in self.PAIRS)
        text = b"BAD TRAP: type=e (#pf Page fault)\n\0"
        head = (2).to_bytes(4, "little") + (start + len(pairs)).to_bytes(4, "little")
        truth, objects = illumos().truth, illumos().guest.objects
        number = truth.address("panic_cpu") + objects.offsetof("cpu_t", "cpu_id")
        return illumos(
            {
                truth.address("panicbuf"): head.ljust(start, b"-") + pairs + text,
                truth.address("panic_thread"): self.THREAD.to_bytes(8, "little"),
                number: (3).to_bytes(4, "little"),
            }
        )

    @pytest.mark.parametrize("start", [8, 48])
    def test_prints_how_the_kernel_died(self, illumos, start):
        assert self.panicked(illumos, start).text("::panicinfo") == [
            "             cpu                3",
            "          thread ffffff00010bfc80",
            "         message BAD TRAP: type=e (#pf Page fault)",
            "             rdi               11",
            "             rsi ffffff00010bfc80",
            "             rip fffffffffb80121c",
        ]

    def test_gives_the_thread_to_the_next_command(self, illumos):
        (row,) = self.panicked(illumos).rows("::panicinfo | ::thread")

        assert row.addr == self.THREAD

    def test_says_that_there_was_no_panic(self, illumos):
        with pytest.raises(DebuggerError, match="failed to read 'panicbuf': the kernel recorded no panic in it"):
            illumos().rows("::panicinfo")
