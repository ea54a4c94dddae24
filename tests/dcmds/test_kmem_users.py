"""Sections E.3 and L: ::kmausers ::allocdby ::freedby, the walkers allocdby, freedby, freectl and kmem_cpu_cache."""

import pytest

from tests.dcmds.test_audits import BUFFERS, FIRST, STEP, TAKEN, TAKES, cache, control, thread
from tests.dcmds.test_kmem_log import FREE

HEAD = "BUFCTL           TIMESTAMP    CALLER"
STACKS = [[f"{'':9}{call}" for call in stack] for stack in TAKES]
GROUP = "1536 bytes for 2 allocations with data size 768:"


def test_tells_who_took_buffers(illumos):
    assert illumos().text("::kmausers -e") == [GROUP, *STACKS[0], GROUP, *STACKS[1]]
    assert illumos().text("::kmausers -e thread_cache") == [GROUP, *STACKS[0], GROUP, *STACKS[1]]


def test_tells_of_each_buffer(illumos):
    debug = illumos()

    lines = debug.text("::kmausers -ef")

    assert lines[:16] == [
        text
        for number in TAKEN
        for text in (
            f"size 768, addr {BUFFERS[number]:x}, thread {thread(debug, number):x}, cache thread_cache",
            *STACKS[number % 2],
        )
    ]
    assert lines[16:] == debug.text("::kmausers -e")


def test_leaves_out_who_took_little_and_puts_first_who_took_most(illumos, word):
    debug = illumos()
    depth = control(4) + debug.guest.objects.offsetof("kmem_bufctl_audit_t", "bc_depth")
    size = cache(debug) + debug.guest.objects.offsetof("kmem_cache_t", "cache_bufsize")

    larger = illumos({depth: b"\x01", size: word(4096)})

    assert debug.text("::kmausers") == []
    assert [(row.total, row.count, len(row.stack)) for row in larger.rows("::kmausers")] == [(8192, 2, 3)]
    assert [row.total for row in larger.rows("::kmausers -e")] == [8192, 4096, 4096]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("taskq_cache", "KMF_AUDIT is not enabled for taskq_cache"),
        ("nosuch", "unknown kmem cache: nosuch"),
        ("thread_cache nosuch", "unknown kmem cache: nosuch"),
    ],
)
def test_refuses_caches_of_which_nothing_is_known(illumos, name, message):
    assert illumos().errors(f"::kmausers {name}") == [f"vmdebug: {message}"]


@pytest.mark.parametrize("command", ["::kmausers", "{thread:x}::allocdby", "{thread:x}::freedby"])
def test_a_kernel_that_does_not_audit_knows_no_users(illumos, command):
    debug = illumos()
    flags = cache(debug) + debug.guest.objects.offsetof("kmem_cache_t", "cache_flags")

    silent = illumos({flags: b"\x0e"})

    assert silent.errors(command.format(thread=thread(debug, 0))) == ["vmdebug: KMF_AUDIT is not enabled for any cache"]


def test_tells_what_a_thread_took(illumos):
    debug = illumos()

    assert debug.text(f"{thread(debug, 1):x}::allocdby") == [
        HEAD,
        f"{control(7):x}   {FIRST + 7 * STEP:x} lwp_park+0x163",
        f"{control(5):x}   {FIRST + 5 * STEP:x} lwp_park+0x163",
    ]
    assert [row.address for row in debug.rows(f"{thread(debug, 0):x}::walk allocdby")] == [control(6), control(4)]


def test_tells_what_a_thread_gave_back(illumos):
    debug = illumos()
    given = [control(number) for number in reversed(FREE) if number % 2]

    lines = debug.text(f"{thread(debug, 1):x}::freedby")

    assert lines[0] == HEAD
    assert [line.split()[0] for line in lines[1:]] == [f"{each:x}" for each in given]
    assert {line.split()[2] for line in lines[1:]} == {"thread_reaper+0x9d"}
    assert [row.address for row in debug.rows(f"{thread(debug, 1):x}::walk freedby")] == given


def test_tells_which_cache_cannot_be_read(illumos, word):
    debug = illumos()
    table = cache(debug) + debug.guest.objects.offsetof("kmem_cache_t", "cache_hash_table")

    damaged = illumos({table: word(0x1000)})

    for command in ("::kmausers", f"{thread(debug, 0):x}::allocdby"):
        (line,) = damaged.errors(command)
        assert line.startswith("vmdebug: failed to read the bufctls of thread_cache: ")


def test_walks_the_bufctls_of_what_is_free(illumos):
    debug = illumos()

    assert [row.address for row in debug.rows(f"{cache(debug):x}::walk freectl | ::bufctl -c $[kmem_alloc]")] == []
    walked = [row.address for row in debug.rows(f"{cache(debug):x}::walk freectl")]
    assert sorted(walked) == [control(number) for number in FREE]


def test_walks_what_each_cpu_has_of_a_cache(illumos):
    debug = illumos(vcpus=3, memory="64M")
    objects, at = debug.guest.objects, cache(debug)
    first = at + objects.offsetof("kmem_cache_t", "cache_cpu")

    walked = [row.address for row in debug.rows(f"{at:x}::walk kmem_cpu_cache")]

    assert walked == [first + objects.sizeof("kmem_cpu_cache_t") * number for number in range(3)]
