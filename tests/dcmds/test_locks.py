"""Section I: ::mutex ::rwlock ::turnstile."""

import pytest

from vmdebug.errors import DebuggerError

MUTEX, TURNSTILE = 0xFFFF_FFFE_C13B_7AD0, 0xFFFF_FFFE_C33A_64D8
THREAD = 0xFFFF_FF00_0159_3C80
HEAD = "            ADDR  TYPE             HELD MINSPL OLDSPL WAITERS"
RW_HEAD = "            ADDR      OWNER/COUNT FLAGS          WAITERS"


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (0, "adapt               no      -      -      no"),
        (THREAD, "adapt ffffff0001593c80      -      -      no"),
        (THREAD | 1, "adapt ffffff0001593c80      -      -     yes"),
        (0x000A_0009_0000_00FF, " spin               no     10      9       -"),
        (0x000A_0000_0000_FFFF, " spin              yes     10      0       -"),
    ],
)
def test_prints_a_mutex(illumos, word, value, row):
    assert illumos({MUTEX: word(value)}).text(f"{MUTEX:x}::mutex") == [HEAD, f"{MUTEX:x} {row}"]


def test_refuses_what_is_no_mutex(illumos, word):
    debug = illumos({MUTEX: word(THREAD | 6)})

    with pytest.raises(DebuggerError, match=rf"^{MUTEX:#x}: invalid adaptive mutex \(-f to dump anyway\)$"):
        debug.rows(f"{MUTEX:x}::mutex")
    assert debug.text(f"{MUTEX:x}::mutex -f")[1] == f"{MUTEX:x} adapt {THREAD:x}      -      -      no"


@pytest.fixture
def lock(illumos):
    """The address of kas.a_lock."""
    return illumos().truth.address("kas") + illumos().guest.objects.offsetof("struct as", "a_lock")


@pytest.mark.parametrize(
    ("value", "holder", "bits"),
    [
        (0, "-", "000"),
        (1 << 3, "READERS=1", "000"),
        (17 << 3, "READERS=17", "000"),
    ],
)
def test_prints_a_lock_that_nobody_waits_for(illumos, word, lock, value, holder, bits):
    assert illumos({lock: word(value)}).text(f"{lock:x}::rwlock") == [RW_HEAD, f"{lock:x} {holder:>16}  B{bits}"]


def test_names_the_bits_of_a_lock_that_is_written(illumos, word, lock):
    assert illumos({lock: word(THREAD | 4)}).text(f"{lock:x}::rwlock") == [
        RW_HEAD,
        f"{lock:x} {THREAD:x}  B100",
        "                                    |",
        "                 WRITE_LOCKED ------+",
    ]


def waited_for(illumos, word, lock, value, writers, readers, last=0):
    """The demo with threads that sleep on a lock, on the turnstile of the console's mutex."""
    objects = illumos().guest.objects
    changes = {lock: word(value)}
    queues = TURNSTILE + objects.offsetof("turnstile_t", "ts_sleepq")
    changes[TURNSTILE + objects.offsetof("turnstile_t", "ts_sobj")] = word(lock)
    for at, threads in ((queues, writers), (queues + 8, readers)):
        changes[at] = word(threads[0] if threads else 0)
        for thread, following in zip(threads, [*threads[1:], last][: len(threads)], strict=True):
            for name, held in (("t_wchan", lock), ("t_ts", TURNSTILE), ("t_link", following)):
                changes[thread + objects.offsetof("kthread_t", name)] = word(held)
    return illumos(changes)


def sleepers(illumos, count):
    found = [int(each["address"], 16) for each in illumos().truth["threads"] if each["state"] == "sleep"]
    return found[:count]


def test_lists_who_waits_for_a_lock_beside_its_bits(illumos, word, lock):
    first, second, third = sleepers(illumos, 3)
    debug = waited_for(illumos, word, lock, 1 << 3 | 3, [first], [second, third])

    assert debug.text(f"{lock:x}::rwlock") == [
        RW_HEAD,
        f"{lock:x}        READERS=1  B011 {first:x} (W)",
        f"                                     ||{'':1}{second:x} (R)",
        f"                 WRITE_WANTED -------+|{'':1}{third:x} (R)",
        "                  HAS_WAITERS --------+",
    ]
    (row,) = debug.rows(f"{lock:x}::rwlock")
    assert (row.readers, row.write_locked, row.write_wanted, row.has_waiters) == (1, False, True, True)
    assert [(each.thread, each.wants) for each in row.waiters] == [(first, "W"), (second, "R"), (third, "R")]


def test_lists_more_waiters_than_there_are_bits(illumos, word, lock):
    threads = sleepers(illumos, 6)
    lines = waited_for(illumos, word, lock, THREAD | 5, threads, []).text(f"{lock:x}::rwlock")

    assert [line[40:] for line in lines[1:]] == [f"{each:x} (W)" for each in threads]
    assert [line[:40].rstrip() for line in lines[2:]] == [
        "                                    | |",
        "                 WRITE_LOCKED ------+ |",
        "                  HAS_WAITERS --------+",
        "",
        "",
    ]


def test_a_lock_says_that_threads_wait_though_none_is_found(illumos, word, lock):
    (row,) = illumos({lock: word(1)}).rows(f"{lock:x}::rwlock")

    assert row.has_waiters and row.waiters == []


def test_queues_that_do_not_end_are_reported(illumos, word, lock):
    first, second = sleepers(illumos, 2)
    debug = waited_for(illumos, word, lock, 1, [first, second], [], last=second)

    with pytest.raises(DebuggerError, match="no end"):
        debug.rows(f"{lock:x}::rwlock")


def test_prints_a_turnstile(illumos, word, lock):
    assert illumos().text(f"{TURNSTILE:x}::turnstile") == [
        "            ADDR             SOBJ  WTRS EPRI             ITOR          PRIOINV",
        f"{TURNSTILE:x} {MUTEX:x}     0    0                0                0",
    ]
