"""Sections I and L: ::queue ::stream ::mblk and what belongs to a queue; the walkers readq, writeq, qnext and qlink."""

import pytest

from fixtures.illumos.stream_head import BUFFERS_AT, HEAD_AT, WAITING
from fixtures.illumos.trace import CONSOLE_READ, CONSOLE_WRITE, LDTERM_READ, LDTERM_WRITE, STREAM_HEAD, TYPED
from vmdebug.errors import DebuggerError

HEAD = "            ADDR MODULE         FLAGS NBLK"
BLOCK_HEAD = "            ADDR FL TYPE    LEN   BLEN              RPTR             DBLK"
NONE = f"{0:016x}"


@pytest.fixture
def write(illumos):
    """The queue for writing of the stream's head."""
    return HEAD_AT + illumos().guest.objects.sizeof("queue_t")


@pytest.fixture
def blocks(illumos):
    """The message blocks that wait at the stream's head."""
    walk = f"{HEAD_AT:x}::print queue_t q_first | ::walk b_next | ::walk b_cont"
    return [row.address for row in illumos().rows(walk)]


@pytest.fixture
def place(illumos):
    """The address of a member of a structure."""
    return lambda kind, address, name: address + illumos().guest.objects.offsetof(kind, name)


def test_prints_a_line_a_queue(illumos, blocks):
    lines = illumos().text(f"{STREAM_HEAD:x}::walk readq | ::queue")

    assert lines == [
        HEAD,
        f"{HEAD_AT:x} strrhead      044032    3 {blocks[0]:x}",
        f"{LDTERM_READ:x} ldterm        000010    0 {NONE}",
        f"{CONSOLE_READ:x} xencons       000010    0 {NONE}",
    ]


def test_explains_the_flags_of_a_queue(illumos, write):
    assert illumos().text(f"{write:x}::queue -v") == [
        HEAD,
        f"{write:x} strwhead      004022    0 {NONE}",
        f"{'':31}|",
        f"{'':31}+-->  QWANTR   it was found empty: the next message wakes its service procedure",
        f"{'':31}      QUSE     it is in use",
        f"{'':31}      QMTSAFE  its module may run in several threads",
        "",
    ]


def test_a_queue_without_flags_has_nothing_to_explain(illumos):
    assert illumos().text(f"{LDTERM_WRITE:x}::queue -v")[1:] == [f"{LDTERM_WRITE:x} ldterm        000000    0 {NONE}"]


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ("-m ldterm", [LDTERM_READ]),
        ("-f QMTSAFE", [HEAD_AT]),
        ("-F QMTSAFE", [LDTERM_READ, CONSOLE_READ]),
        ("-f QREADR -F QUSE -m xencons", [CONSOLE_READ]),
        ("-s 0", [LDTERM_READ, CONSOLE_READ]),
        ("-f QFULL", []),
    ],
)
def test_selects_queues(illumos, options, chosen):
    lines = illumos().text(f"{STREAM_HEAD:x}::walk readq | ::queue -q {options}")

    assert lines == [f"{each:016x}" for each in chosen]


def test_refuses_a_flag_that_no_queue_has(illumos):
    with pytest.raises(DebuggerError, match="QFUL: no flag of a queue; they are QENAB QWANTR"):
        illumos().rows(f"{HEAD_AT:x}::queue -f QFUL")


def test_messages_that_go_round_are_reported(illumos, word, blocks, place):
    debug = illumos({place("mblk_t", blocks[1], "b_next"): word(blocks[1])})

    assert debug.errors(f"{HEAD_AT:x}::queue") == [
        f"vmdebug: the messages of queue {HEAD_AT:x} end here: {blocks[1]:x}: the list comes back here and has no end"
    ]
    assert debug.rows(f"{HEAD_AT:x}::queue")[0].messages == 2


def test_draws_a_stream(illumos, write):
    edge = f"+{'-' * 23}+{'-' * 23}+"
    arrows = ["            |                       ^", "            v                       |"]

    assert illumos().text(f"{STREAM_HEAD:x}::stream") == [
        edge,
        f"| 0x{write:x}    | 0x{HEAD_AT:x}    |",
        "| strwhead              | strrhead              |",
        "|                       |                       |",
        "| cnt = 0t0             | cnt = 0t26            |",
        "| flg = 0x00004022      | flg = 0x00044032      |",
        edge,
        *arrows,
        edge,
        f"| 0x{LDTERM_WRITE:x}    | 0x{LDTERM_READ:x}    |",
        "| ldterm                | ldterm                |",
        "|                       |                       |",
        "| cnt = 0t0             | cnt = 0t0             |",
        "| flg = 0x00000000      | flg = 0x00000010      |",
        edge,
        *arrows,
        edge,
        f"| 0x{CONSOLE_WRITE:x}    | 0x{CONSOLE_READ:x}    |",
        "| xencons               | xencons               |",
        "|                       |                       |",
        "| cnt = 0t0             | cnt = 0t0             |",
        "| flg = 0x00000000      | flg = 0x00000010      |",
        edge,
    ]


def test_a_stream_is_reached_from_an_open_file(illumos):
    debug = illumos()

    rows = debug.rows("0t318::pid2proc | ::fd 0 | ::print file_t f_vnode | ::print vnode_t v_stream | ::stream")

    assert [(row.write_name, row.read) for row in rows] == [
        ("strwhead", HEAD_AT),
        ("ldterm", LDTERM_READ),
        ("xencons", CONSOLE_READ),
    ]


def test_a_pipe_ends_at_the_other_end(illumos, word, write, place):
    debug = illumos({place("queue_t", write, "q_next"): word(CONSOLE_READ)})

    assert [row.addr for row in debug.rows(f"{STREAM_HEAD:x}::stream")] == [write]


def test_refuses_a_stream_that_goes_round(illumos, word, place):
    debug = illumos({place("queue_t", CONSOLE_WRITE, "q_next"): word(LDTERM_WRITE)})

    assert debug.errors(f"{STREAM_HEAD:x}::stream") == [
        f"vmdebug: {LDTERM_WRITE:x}: the list comes back here and has no end"
    ]


def test_walks_both_sides_of_a_stream(illumos, write):
    debug = illumos()

    def walk(start, name):
        return [row.address for row in debug.rows(f"{start:x}::walk {name}")]

    assert walk(STREAM_HEAD, "readq") == [HEAD_AT, LDTERM_READ, CONSOLE_READ]
    assert walk(STREAM_HEAD, "writeq") == walk(write, "qnext") == [write, LDTERM_WRITE, CONSOLE_WRITE]
    assert walk(CONSOLE_READ, "qnext") == [CONSOLE_READ, LDTERM_READ, HEAD_AT]


def test_walks_queues_that_wait_for_service(illumos, word, place):
    debug = illumos({place("queue_t", CONSOLE_READ, "q_link"): word(LDTERM_READ)})

    assert [row.address for row in debug.rows(f"{CONSOLE_READ:x}::walk qlink")] == [CONSOLE_READ, LDTERM_READ]


@pytest.mark.parametrize(
    ("queue", "command", "found"),
    [
        (LDTERM_READ, "q2rdq", LDTERM_READ),
        (LDTERM_WRITE, "q2rdq", LDTERM_READ),
        (LDTERM_READ, "q2wrq", LDTERM_WRITE),
        (LDTERM_WRITE, "q2wrq", LDTERM_WRITE),
        (LDTERM_READ, "q2otherq", LDTERM_WRITE),
        (LDTERM_WRITE, "q2otherq", LDTERM_READ),
        (LDTERM_READ, "q2stream", STREAM_HEAD),
        (LDTERM_READ, "q2syncq", 0),
    ],
)
def test_finds_what_belongs_to_a_queue(illumos, queue, command, found):
    assert illumos().text(f"{queue:x}::{command}") == [f"{found:x}"]


def test_finds_the_syncq_behind_a_pair(illumos):
    syncq = HEAD_AT + 2 * illumos().guest.objects.sizeof("queue_t")

    assert illumos().text(f"{STREAM_HEAD:x}::walk writeq | ::q2syncq") == [f"{syncq:x}", "0", "0"]


def test_prints_a_line_a_message_block(illumos, blocks):
    debug = illumos()
    types, flags = ("data", "proto", "data", "sig"), (5, 0, 0, 0)

    lines = debug.text(f"{HEAD_AT:x}::print queue_t q_first | ::walk b_next | ::walk b_cont | ::mblk")

    data = [debug.text(f"{each:x}::mblk2dblk")[0] for each in blocks]
    assert lines == [
        BLOCK_HEAD,
        *(
            f"{blocks[at]:x} {flags[at]}  {types[at]:<7} {len(plan.data):<5} 64    {BUFFERS_AT + 64 * at:x} {data[at]}"
            for at, plan in enumerate(WAITING)
        ),
    ]


def test_explains_the_flags_of_a_message_block(illumos, blocks):
    assert illumos().text(f"{blocks[0]:x}::mblk -v")[2:] == [
        f"{'':17}|",
        f"{'':17}+-->  MSGMARK   its last byte is marked",
        f"{'':17}      MSGDELIM  it ends a record",
        "",
    ]


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ("", (0, 1, 2, 3)),
        ("-t M_DATA", (0, 2)),
        ("-t sig", (3,)),
        ("-T data", (1, 3)),
        ("-l 0t13", (0,)),
        ("-L 4", (1, 3)),
        ("-G 8", (0, 2)),
        ("-f MSGMARK", (0,)),
        ("-F MSGMARK", (1, 2, 3)),
        ("-b 0t64", (0, 1, 2, 3)),
        ("-b 0t63", ()),
    ],
)
def test_selects_message_blocks(illumos, blocks, options, chosen):
    walk = f"{HEAD_AT:x}::print queue_t q_first | ::walk b_next | ::walk b_cont"

    assert illumos().text(f"{walk} | ::mblk -q {options}") == [f"{blocks[each]:016x}" for each in chosen]


def test_selects_the_blocks_of_a_data_block(illumos, blocks):
    debug = illumos()
    data = debug.text(f"{blocks[1]:x}::mblk2dblk")[0]

    assert len(debug.rows(f"{blocks[1]:x}::mblk -d {data}")) == 1
    assert debug.rows(f"{blocks[0]:x}::mblk -d {data}") == []


@pytest.mark.parametrize(("number", "name"), [(0x8A, "error"), (0x93, "cmd"), (0x03, "0x3"), (0xFF, "0xff")])
def test_names_the_types_of_messages(illumos, blocks, place, number, name):
    data = int(illumos().text(f"{blocks[0]:x}::mblk2dblk")[0], 16)

    assert illumos({place("dblk_t", data, "db_type"): bytes([number])}).rows(f"{blocks[0]:x}::mblk")[0].type == name


@pytest.mark.parametrize(
    ("options", "reason"), [("-f MARK", "MARK: no flag of a message block"), ("-t M_X", "M_X: no type of a message")]
)
def test_refuses_names_that_no_message_block_has(illumos, options, reason):
    with pytest.raises(DebuggerError, match=reason):
        illumos().rows(f"{TYPED:x}::mblk {options}")


def test_shows_every_message_block_of_the_cache(illumos):
    debug = illumos()
    cache = next(row for row in debug.rows("::kmem_cache") if row.name == "kmem_alloc_4096")
    name = cache.addr + debug.guest.objects.offsetof("kmem_cache_t", "cache_name")
    buffers = [row.address for row in debug.rows(f"{cache.addr:x}::walk kmem")]
    pointer = buffers[0] + debug.guest.objects.offsetof("mblk_t", "b_datap")

    blocks = illumos({name: b"streams_mblk\0", pointer: TYPED.to_bytes(8, "little")})

    found = [row.addr for row in blocks.rows("::mblk")]
    assert found[0] == buffers[0]
    assert set(found) <= set(buffers)
    assert len(blocks.errors("::mblk")) == len(buffers) - len(found)


def test_a_kernel_without_the_cache_says_so(illumos):
    assert illumos().errors("::mblk") == ["vmdebug: the kernel has no cache named streams_mblk"]


def test_a_message_block_that_cannot_be_read_is_reported(illumos):
    assert illumos().errors("123::mblk")[0].startswith("vmdebug: failed to read the message block at 123: 13b: ")
