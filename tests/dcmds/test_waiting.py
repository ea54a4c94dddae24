"""Sections H, I and L: ::wchaninfo ::sobj2ts ::time, the walkers wchan and blocked, and those of STREAMS."""

import pytest

from fixtures.illumos.deathrow import DEAD_AT, EACH
from fixtures.illumos.stream_head import HEAD_AT
from vmdebug.errors import DebuggerError
from vmdebug.lang.values import date

MUTEX, TURNSTILE = 0xFFFF_FFFE_C13B_7AD0, 0xFFFF_FFFE_C33A_64D8
ROWS = ("thread_deathrow", "lwp_deathrow", "deathrow")
CONSOLE_READ, LDTERM_READ = 0xFFFF_FFFE_C42C_B560, 0xFFFF_FFFE_C42C_B2B8
BOOTED, LBOLT = 0x470D_0D5A, 1_523_411


@pytest.fixture
def sleepers(illumos):
    """The threads that sleep, as objects, in the order of the kernel's list."""
    debug = illumos()
    states = {int(each["address"], 16): each["state"] for each in debug.truth["threads"]}
    found = [row.address for row in debug.rows("::walk thread") if states[row.address] == "sleep"]
    return [debug.guest.objects.at("kthread_t", each) for each in found]


@pytest.fixture
def changed(illumos, word):
    """The demo with members of structures changed."""
    objects = illumos().guest.objects

    def change(*members):
        return illumos({int(at) + objects.offsetof(kind, name): word(value) for kind, at, name, value in members})

    return change


def test_lists_what_threads_wait_for(illumos, sleepers):
    lines = illumos().text("::wchaninfo")

    assert lines == [
        "ADDR             TYPE NWAITERS",
        *(f"{int(each.t_wchan):016x} cond        1" for each in sleepers),
    ]


def test_lists_who_waits(illumos, sleepers):
    lines = illumos().text("::wchaninfo -v")

    assert lines == [
        "ADDR             TYPE NWAITERS   THREAD           PROC",
        *(
            f"{int(each.t_wchan):016x} cond        1   {int(each):016x} {each.t_procp.p_user.u_comm.string()}"
            for each in sleepers
        ),
    ]


def test_lists_all_that_wait_for_one_object(changed, sleepers):
    first, second = sleepers[0], sleepers[5]
    debug = changed(("kthread_t", second, "t_wchan", int(first.t_wchan)))

    assert debug.text(f"{int(first.t_wchan):x}::wchaninfo -v") == [
        "ADDR             TYPE NWAITERS   THREAD           PROC",
        f"{int(first.t_wchan):016x} cond        2   {int(first):016x} sched",
        f"{'':33}{int(second):016x} sched",
    ]
    assert [row.address for row in debug.rows(f"{int(first.t_wchan):x}::walk blocked")] == [int(first), int(second)]


def test_semaphores_are_listed_and_mutexes_are_not(illumos, changed, sleepers):
    truth = illumos().truth
    debug = changed(
        ("kthread_t", sleepers[0], "t_sobj_ops", truth.address("sema_sobj_ops")),
        ("kthread_t", sleepers[1], "t_sobj_ops", truth.address("mutex_sobj_ops")),
    )

    rows = debug.rows("::wchaninfo")

    assert [row.kind for row in rows] == ["sema"] + ["cond"] * (len(sleepers) - 2)
    assert int(sleepers[1].t_wchan) not in {row.addr for row in rows}
    assert [row.address for row in debug.rows("::walk wchan")] == [row.addr for row in rows]


def test_a_process_that_cannot_be_read_has_no_name(changed, sleepers):
    (row,) = changed(("kthread_t", sleepers[0], "t_procp", 0x10)).rows(f"{int(sleepers[0].t_wchan):x}::wchaninfo")

    assert [each.command for each in row.threads] == ["?"]


def test_finds_the_turnstile_of_a_lock(illumos, changed, sleepers):
    waits = (("kthread_t", sleepers[0], "t_wchan", MUTEX), ("kthread_t", sleepers[0], "t_ts", TURNSTILE))

    assert changed(*waits).text(f"{MUTEX:x}::sobj2ts") == [f"{TURNSTILE:x}"]
    assert changed(*waits, ("turnstile_t", TURNSTILE, "ts_sobj", 0)).text(f"{MUTEX:x}::sobj2ts") == []
    assert illumos().text(f"{MUTEX:x}::sobj2ts") == []


@pytest.mark.parametrize(
    ("start", "walk", "found"),
    [
        (CONSOLE_READ, "queue_next", [CONSOLE_READ, LDTERM_READ, HEAD_AT]),
        (CONSOLE_READ, "queue_link", [CONSOLE_READ]),
    ],
)
def test_walks_queues(illumos, start, walk, found):
    assert [row.address for row in illumos().rows(f"{start:x}::walk {walk}")] == found


def test_walks_the_threads_of_a_sleep_queue(changed, sleepers):
    first, second = map(int, sleepers[:2])
    debug = changed(("turnstile_t", TURNSTILE, "ts_sleepq", first), ("kthread_t", first, "t_link", second))
    queue = TURNSTILE + debug.guest.objects.offsetof("turnstile_t", "ts_sleepq")

    assert [row.address for row in debug.rows(f"{queue:x}::walk sleepq")] == [first, second]
    assert debug.rows(f"{queue + 8:x}::walk sleepq") == []


def test_walks_threads_that_ended(illumos):
    debug = illumos()
    dead = [DEAD_AT, DEAD_AT + EACH, DEAD_AT + 2 * EACH]

    walked = {name: [row.address for row in debug.rows(f"::walk {name}")] for name in ROWS}

    assert walked == {"thread_deathrow": dead[:2], "lwp_deathrow": dead[2:], "deathrow": dead}
    assert not set(dead) & {row.address for row in debug.rows("::walk thread")}


def test_walks_queues_by_their_links(changed):
    debug = changed(("queue_t", CONSOLE_READ, "q_link", LDTERM_READ))

    assert [row.address for row in debug.rows(f"{CONSOLE_READ:x}::walk queue_link")] == [CONSOLE_READ, LDTERM_READ]


def test_walks_messages(illumos):
    debug = illumos()
    objects = debug.guest.objects
    first = int(objects.at("queue_t", debug.guest.variable("log_recentq")).q_first)

    walked = [row.address for row in debug.rows(f"{first:x}::walk b_next")]

    assert [int(objects.at("mblk_t", each).b_rptr) for each in walked] == [row.addr for row in debug.rows("::msgbuf")]
    assert [row.address for row in debug.rows(f"{first:x}::walk b_cont")] == [
        first,
        int(objects.at("mblk_t", first).b_cont),
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("", date(BOOTED + LBOLT // 100)),
        ("-d", f"{BOOTED + LBOLT // 100}"),
        ("-x", f"{BOOTED + LBOLT // 100:#x}"),
        ("-l", f"{LBOLT}"),
        ("-ld", f"{LBOLT}"),
        ("-lx", f"{LBOLT:#x}"),
    ],
)
def test_prints_the_time(illumos, options, text):
    assert illumos().text(f"::time {options}") == [text]


def test_prints_when_the_kernel_panicked(illumos, word):
    debug = illumos({illumos().truth.address("panic_hrestime"): word(1_000_000_000)})

    assert debug.text("::time -d") == ["1000000000"]


def test_says_that_there_is_no_clock(illumos):
    truth = illumos().truth
    debug = illumos({truth.address(name): bytes(8) for name in ("hrestime", "lbolt", "lbolt64")})

    with pytest.raises(DebuggerError, match="failed to read the time: none of panic_hrestime, hrestime holds one"):
        debug.rows("::time")
    with pytest.raises(DebuggerError, match="failed to read lbolt"):
        debug.rows("::time -l")
