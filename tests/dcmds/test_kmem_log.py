"""Sections E.3 and L: ::kmem_log and its walker."""

import pytest

from tests.dcmds.test_audits import BUFFERS, FIRST, LOG, STEP, control, entry, thread

HEADER = 0xFFFF_FFFE_CA01_0000
HEAD = "CPU ADDR             BUFADDR                 TIMESTAMP THREAD"
FREE = [0, 1, 2, 3, 8, 9]  # of the buffers
BY = [*range(10), *FREE]  # which buffer each transaction was about


@pytest.fixture
def changed(illumos):
    """`changed(member, value, size)`: the demo with a member of the log's header changed."""
    objects = illumos().guest.objects

    def change(member, value, size=8):
        place = HEADER + objects.offsetof("kmem_log_header_t", member)
        return illumos({place: value.to_bytes(8, "little")[:size]})

    return change


def line(debug, number):
    buffer = BY[number]
    return f"  0 {entry(debug, number):x} {BUFFERS[buffer]:x} {FIRST + STEP * number:16x} {thread(debug, buffer):x}"


def test_prints_the_latest_transaction_first(illumos):
    debug = illumos()

    assert debug.text("::kmem_log") == [HEAD, *(line(debug, number) for number in reversed(range(16)))]
    assert [row.address for row in debug.rows("::walk kmem_log")] == [entry(debug, n) for n in reversed(range(16))]


def test_walks_a_log_that_is_given(illumos):
    debug = illumos()

    assert debug.rows(f"{HEADER:x}::walk kmem_log") == debug.rows("::walk kmem_log")


def test_selects_the_transactions_of_a_buffer(illumos):
    debug = illumos()
    inside, behind = BUFFERS[1] + 0x2FF, BUFFERS[1] + 0x300

    assert debug.text(f"{inside:x}::kmem_log") == [HEAD, line(debug, 11), line(debug, 1)]
    assert debug.text(f"{behind:x}::kmem_log") == []


def test_tells_of_one_bufctl(illumos):
    debug = illumos()

    assert debug.text(f"{entry(debug, 3):x}::kmem_log -b") == [HEAD, line(debug, 3)]
    assert [(row.addr, row.cpu) for row in debug.rows(f"{control(4):x}::kmem_log -b")] == [(control(4), None)]
    assert debug.errors("::kmem_log -b")


def test_tells_which_cpu_wrote_an_entry(illumos):
    debug = illumos(vcpus=3, memory="64M")

    rows = debug.rows("::kmem_log")

    assert [row.cpu for row in rows] == [number % 3 for number in reversed(BY)]
    assert [row.timestamp for row in rows] == [FIRST + STEP * number for number in reversed(range(16))]


def test_tells_what_cannot_be_read(illumos):
    damaged = illumos(gone=[LOG])

    assert damaged.errors("::kmem_log") == [f"vmdebug: 4032 bytes of the kmem log at {HEADER:x} cannot be read"]


@pytest.mark.parametrize(
    ("member", "value", "size", "message"),
    [
        ("lh_nchunks", 0xFFFF_FFFF, 4, "it says that it has -1 chunks of 0x1000 bytes"),
        ("lh_nchunks", 0x7FFF_FFFF, 4, "it says that it has 2147483647 chunks of 0x1000 bytes"),
        ("lh_chunksize", 1 << 40, 8, "it says that it has 4 chunks of 0x10000000000 bytes"),
    ],
)
def test_refuses_what_no_log_can_be(changed, member, value, size, message):
    assert changed(member, value, size).errors("::kmem_log") == [f"vmdebug: kmem log {HEADER:x}: {message}"]


def test_gives_up_where_most_of_a_log_is_missing(changed):
    debug = changed("lh_chunksize", 1 << 28)

    (line,) = debug.errors("::kmem_log")

    assert " bytes or more of the kmem log at " in line
    assert len(debug.rows("::walk kmem_log")) >= 16


def test_a_kernel_that_does_not_audit_has_no_log(illumos, word):
    debug = illumos()

    silent = illumos({debug.truth.address("kmem_transaction_log"): word(0)})

    assert silent.errors("::kmem_log") == [
        "vmdebug: kmem_transaction_log is null: this kernel keeps no log of its allocator (KMF_AUDIT is not set)"
    ]
