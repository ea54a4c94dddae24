"""Sections E.1, E.3 and L: ::bufctl, the walker bufctl_history, records of buffers in ::whatis."""

import pytest

AUDITS, STRIDE = 0xFFFF_FFFE_CA00_0000, 0x100
LOG = 0xFFFF_FFFE_CA02_0000
FIRST, STEP = 0x2A_0000_0000, 0x100_0000
BUFFERS = [0xFFFF_FFFE_C801_3000 + page + 800 * number for page in (0, 0x1000) for number in range(5)]
TAKEN = range(4, 8)  # the others wait in magazines or in their slab
TAKES = (
    ("kmem_alloc+0x48", "taskq_d_thread+0x8e", "thread_start+0xf"),
    ("kmem_alloc+0x48", "lwp_park+0x163", "syslwp_park+0x48"),
)
GIVES = ("kmem_free+0x3c", "thread_reaper+0x9d", "thread_start+0xf")
HEAD = "ADDR             BUFADDR          TIMESTAMP    THREAD           CALLER"
RECORD_HEAD = [
    "            ADDR          BUFADDR        TIMESTAMP           THREAD",
    "                            CACHE          LASTLOG         CONTENTS",
]


def control(number):
    return AUDITS + STRIDE * number


def entry(debug, number):
    """The nth entry of the log."""
    return LOG + debug.guest.objects.sizeof("kmem_bufctl_audit_t") * number


def thread(debug, number):
    return int(debug.truth["threads"][number % 2]["address"], 16)


def cache(debug):
    return debug.rows("::kmem_cache -n thread_cache")[0].addr


def bufctls(number):
    return f"{control(number):x}::bufctl"


def line(debug, number):
    """What ::bufctl prints of a buffer that is taken."""
    caller = TAKES[number % 2][1]
    return f"{control(number):x} {BUFFERS[number]:x}   {FIRST + STEP * number:x} {thread(debug, number):x} {caller}"


def record(debug, address, number, time, logged, stack, contents=0):
    """What ::bufctl -v prints."""
    return [
        f"{address:16x} {BUFFERS[number]:16x} {time:16x} {thread(debug, number):16x}",
        f"{'':16} {cache(debug):16x} {logged:16x} {contents:16x}",
        *(f"{'':17}{call}" for call in stack),
        "",
    ]


def taken(debug, number):
    return record(debug, control(number), number, FIRST + STEP * number, entry(debug, number), TAKES[number % 2])


def given_back(debug, number, at=None):
    """Of one of the first four buffers, which are given back after all ten were taken."""
    place = 10 + number
    contents = 0xFFFF_FFFE_CA04_0000 + 0x40 * number
    return record(debug, control(number), number, FIRST + STEP * place, entry(debug, place), GIVES, contents)


def test_prints_a_line_a_bufctl(illumos):
    debug = illumos()

    lines = debug.text(f"{cache(debug):x}::walk bufctl | ::bufctl")

    assert lines == [HEAD, *(line(debug, number) for number in TAKEN)]


def test_prints_all_that_is_recorded(illumos):
    debug = illumos()

    assert debug.text(f"{bufctls(4)} -v") == [*RECORD_HEAD, *taken(debug, 4)]
    assert debug.text(f"{bufctls(1)} -v") == [*RECORD_HEAD, *given_back(debug, 1)]


def test_goes_back_through_the_log(illumos):
    debug = illumos()

    assert debug.text(f"{bufctls(1)} -h") == [
        HEAD,
        f"{entry(debug, 11):x} {BUFFERS[1]:x}   {FIRST + 11 * STEP:x} {thread(debug, 1):x} thread_reaper+0x9d",
        f"{entry(debug, 1):x} {BUFFERS[1]:x}   {FIRST + STEP:x} {thread(debug, 1):x} lwp_park+0x163",
    ]
    assert [row.address for row in debug.rows(f"{control(1):x}::walk bufctl_history")] == [
        entry(debug, 11),
        entry(debug, 1),
    ]


def test_history_ends_where_the_log_was_used_again(illumos, word):
    debug = illumos()
    offset = debug.guest.objects.offsetof("kmem_bufctl_audit_t", "bc_addr")

    older = illumos({entry(debug, 1) + offset: word(BUFFERS[5])})
    newer = illumos({entry(debug, 11) + offset: word(BUFFERS[5])})

    assert [row.addr for row in older.rows(f"{bufctls(1)} -h")] == [entry(debug, 11)]
    assert [row.addr for row in newer.rows(f"{bufctls(1)} -h")] == [control(1)]


def test_history_that_comes_back_to_itself_ends(illumos, word):
    debug = illumos()
    offset = debug.guest.objects.offsetof("kmem_bufctl_audit_t", "bc_lastlog")

    damaged = illumos({entry(debug, 1) + offset: word(entry(debug, 11))})

    assert [row.addr for row in damaged.rows(f"{bufctls(1)} -h")] == [entry(debug, 11), entry(debug, 1)]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ("-a {buffer:x}", [5]),
        ("-a {inside:x}", []),
        ("-c $[lwp_park]", [5, 7]),
        ("-c $[lwp_park+163]", [5, 7]),
        ("-c $[lwp_park+164]", []),
        ("-e 2a06000000", [6, 7]),
        ("-l 2a05000000", [4, 5]),
        ("-e 2a05000000 -l 2a06000000", [5, 6]),
        ("-t {thread:x}", [5, 7]),
        ("-t {thread:x} -e 2a06000000", [7]),
    ],
)
def test_lets_those_through_that_fit(illumos, options, numbers):
    debug = illumos()
    options = options.format(buffer=BUFFERS[5], inside=BUFFERS[5] + 8, thread=thread(debug, 5))
    piped = f"{cache(debug):x}::walk bufctl | ::bufctl {options}"

    assert debug.text(piped) == ([HEAD, *(line(debug, number) for number in numbers)] if numbers else [])
    assert [row.addr for row in debug.rows(f"{piped} | ::bufctl")] == [control(number) for number in numbers]


def test_the_depth_of_a_stack_is_bounded_by_its_room(illumos):
    debug = illumos()
    depth = control(4) + debug.guest.objects.offsetof("kmem_bufctl_audit_t", "bc_depth")

    deep = illumos({depth: b"\xff\xff\xff\x7f"}).rows(bufctls(4))[0]
    negative = illumos({depth: b"\xff\xff\xff\xff"}).rows(bufctls(4))[0]

    assert len(deep.stack) == 15
    assert (negative.stack, negative.caller) == ([], None)


def test_refuses_a_bufctl_of_a_cache_that_does_not_audit(illumos):
    debug = illumos()
    taskqs = debug.rows("::kmem_cache -n taskq_cache")[0].addr
    first = debug.rows(f"{taskqs:x}::walk bufctl")[0].address

    assert debug.errors(f"{first:x}::bufctl") == [
        f"vmdebug: bufctl {first:x}: nothing is recorded of it, KMF_AUDIT is not set for taskq_cache"
    ]


def test_refuses_what_is_no_bufctl(illumos):
    (line,) = illumos().errors(f"{BUFFERS[4]:x}::bufctl")

    assert line == f"vmdebug: {BUFFERS[4]:x} is no bufctl: there is no cache at baddcafebaddcafe"


def test_shows_a_transaction_whose_slab_is_gone(illumos, word):
    debug = illumos()
    slab = control(4) + debug.guest.objects.offsetof("kmem_bufctl_audit_t", "bc_slab")

    assert illumos({slab: word(0x1000)}).text(bufctls(4)) == [HEAD, line(debug, 4)]


def test_an_address_in_a_buffer_is_followed_by_its_record(illumos):
    debug = illumos()
    held, free = BUFFERS[4] + 8, BUFFERS[1]

    assert debug.text(f"{held:x}::whatis") == [
        f"{held:x} is {BUFFERS[4]:x}+8, allocated from thread_cache:",
        *RECORD_HEAD,
        *taken(debug, 4),
    ]
    assert debug.text(f"{free:x}::whatis") == [
        f"{free:x} is freed from thread_cache:",
        *RECORD_HEAD,
        *given_back(debug, 1),
    ]


def test_says_that_a_bufctl_cannot_be_read(illumos):
    (line,) = illumos(gone=[AUDITS]).errors(f"{bufctls(4)} -v")

    assert line.startswith(f"vmdebug: {control(4) + 8:016x}: no mapping for address")
