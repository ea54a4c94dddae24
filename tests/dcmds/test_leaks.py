"""Section E.3: ::findleaks, the walkers leak and leakbuf."""

import struct

import pytest

OVERSIZE = 0xFFFF_FFFE_CB04_0000  # what kmem_oversize spans: 8000 bytes that are used, 5000 that leaked
INSIDE = 0x10


@pytest.fixture
def given(illumos):
    """`given(name)`: the buffers of a cache that are given out."""
    debug = illumos()
    caches = {row.name: row.addr for row in debug.rows("::kmem_cache")}
    return lambda name: [row.address for row in debug.rows(f"{caches[name]:x}::walk kmem")]


def leaked(debug):
    return {buffer for row in debug.rows("::findleaks") for buffer in row.buffers}


def words(debug, start, size):
    return struct.unpack(f"<{size // 8}Q", debug.target.read(start, size // 8 * 8))


def test_finds_what_no_pointer_leads_to(illumos, given):
    """The same by a walk word by word, from the one variable that leads to buffers."""
    debug = illumos()
    names = ("kmem_alloc_8", "kmem_alloc_4096", "thread_cache", "taskq_cache")
    sizes = {row.name: row.bufsize for row in debug.rows("::kmem_cache")}
    buffers = {base: sizes[name] for name in names for base in given(name)}
    buffers |= {OVERSIZE: 0x8000, OVERSIZE + 0x8000: 0x5000}
    pending, seen = [*words(debug, debug.truth.address("streams_taskq"), 8)], set()
    while pending:
        word = pending.pop()
        found = next((base for base, size in buffers.items() if 0 <= word - base < size), None)
        if found is not None and found not in seen:
            seen.add(found)
            pending += words(debug, found, buffers[found])

    assert len(seen) > 1000
    assert leaked(debug) == buffers.keys() - seen
    assert OVERSIZE + 0x8000 in leaked(debug)


def test_shows_a_table_for_each_way_in_which_leaks_are_recorded(illumos, given):
    debug = illumos()
    caches = {row.name: row.addr for row in debug.rows("::kmem_cache")}
    first, single, third = given("thread_cache")[1:]
    control = {int(debug.guest.objects.at("kmem_bufctl_t", row.address).bc_addr): row.address
               for row in debug.rows(f"{caches['thread_cache']:x}::walk bufctl")}  # fmt: skip
    (segment,) = debug.rows("::walk vmem | ::walk vmem_alloc | ::vmem_seg -m 5000 -M 5000")
    dashes = "-" * 72

    assert third in leaked(debug)
    assert debug.text("::findleaks") == [
        "BYTES             LEAKED         VMEM_SEG CALLER",
        f"20480                  1 {segment.addr:x} seg_pasync_thread+0xb4",
        dashes,
        "           Total       1 kmem_oversize leak, 20480 bytes",
        "",
        "CACHE             LEAKED           BUFCTL CALLER",
        f"{caches['thread_cache']:x}       2 {control[first]:x} lwp_park+0x163",
        f"{caches['thread_cache']:x}       1 {control[single]:x} taskq_d_thread+0x8e",
        dashes,
        "           Total       3 buffers, 2304 bytes",
        "",
        "CACHE             LEAKED           BUFFER CALLER",
        f"{caches['kmem_alloc_8']:x}       3 {given('kmem_alloc_8')[-3]:x} ?",
        f"{caches['kmem_alloc_4096']:x}       1 {given('kmem_alloc_4096')[-1]:x} ?",
        f"{caches['taskq_cache']:x}       1 {given('taskq_cache')[-1]:x} ?",
        dashes,
        "           Total       5 buffers, 4408 bytes",
        "",
    ]


def test_a_pointer_from_a_modules_data_keeps_a_buffer_in_use(illumos, given, word):
    debug = illumos()
    (page,) = given("kmem_alloc_4096")[-1:]
    place = debug.truth.address("sample_log")

    kept = illumos({place: word(page + 0x123)})

    assert leaked(debug) - leaked(kept) == {page, given("kmem_alloc_8")[-3]}


def test_a_pointer_on_a_stack_counts_only_above_the_stack_pointer(illumos, given, word):
    debug = illumos()
    sleeper = next(each for each in debug.truth["threads"] if each["state"] == "sleep")
    sp = int(sleeper["stack_pointer"], 16)
    (page,) = given("kmem_alloc_4096")[-1:]

    assert page in leaked(illumos({sp - 0x40: word(page)}))
    assert page not in leaked(illumos({sp + 0x10: word(page)}))


def test_a_buffer_that_only_points_to_itself_leaked(illumos, given, word):
    (page,) = given("kmem_alloc_4096")[-1:]

    assert page in leaked(illumos({page + 8: word(page)}))


def test_a_pointer_into_a_freed_buffer_keeps_nothing(illumos, given, word):
    debug = illumos()
    caches = {row.name: row.addr for row in debug.rows("::kmem_cache")}
    free = [row.address for row in debug.rows(f"{caches['kmem_alloc_4096']:x}::walk freemem")]
    (page,) = given("kmem_alloc_4096")[-1:]

    assert page in leaked(illumos({debug.truth.address("sample_log"): word(free[0]), free[0]: word(page)}))


def test_shows_what_is_recorded_of_one_leak_of_each_group(illumos, given):
    debug = illumos()
    first = debug.rows("::findleaks")[1]

    lines = debug.text("::findleaks -d")

    start = lines.index("thread_cache leak: 2 buffers, 768 bytes each, 1536 bytes total")
    record = [f"    {line}".rstrip() for line in debug.text(f"{first.addr:x}::bufctl -v")]
    assert lines[start + 1 : start + 1 + len(record)] == record
    assert f"    {given('taskq_cache')[-1]:x}: nothing is recorded, the cache is not audited" in lines


@pytest.mark.parametrize("by", ["addr", "buffer"])
def test_gives_the_group_of_a_leak(illumos, by):
    debug = illumos()
    row = debug.rows("::findleaks")[1]
    address = row.addr if by == "addr" else row.buffers[1]

    assert debug.rows(f"{address:x}::findleaks") == [row]
    assert [each.address for each in debug.rows(f"{address:x}::walk leakbuf")] == row.buffers
    stack = [each.stack for each in debug.rows(f"{address:x}::walk leak | ::bufctl")]
    assert stack == [list(row.stack)] * 2


def test_refuses_what_did_not_leak(illumos):
    assert illumos().errors("123::findleaks") == ["vmdebug: 123: no buffer that leaked, no bufctl or vmem_seg of one"]
    assert illumos().errors("123::walk leak") == ["vmdebug: 123: no buffer that leaked, no bufctl or vmem_seg of one"]


def test_keeps_its_findings_until_told_to_search_again(illumos):
    debug = illumos()
    debug.rows("::findleaks")
    kept = debug.guest.kept["leaks"]

    debug.rows("::findleaks")
    assert debug.guest.kept["leaks"] is kept
    debug.rows("::findleaks -f")
    assert debug.guest.kept["leaks"] is not kept
    assert debug.guest.kept["leaks"] == kept


def test_tells_how_much_was_looked_at(illumos, given):
    debug = illumos()
    names = ("kmem_alloc_8", "kmem_alloc_4096", "thread_cache", "taskq_cache")
    count = sum(len(given(name)) for name in names) + 2

    lines = debug.errors("::findleaks -v")

    assert lines[0] == f"vmdebug: findleaks:                  buffers => {count}"
    assert lines[3:] == [
        f"vmdebug: findleaks:           buffers in use => {count - len(leaked(debug))}",
        f"vmdebug: findleaks:      buffers that leaked => {len(leaked(debug))}",
    ]


def test_leaves_out_a_cache_that_is_damaged_and_says_so(illumos, word):
    debug = illumos()
    cache = next(row.addr for row in debug.rows("::kmem_cache") if row.name == "kmem_alloc_4096")
    place = cache + debug.guest.objects.offsetof("kmem_cache_t", "cache_chunksize")
    damaged = illumos({place: word(0)})

    (line,) = damaged.errors("::findleaks")

    assert f"cache {cache:x}: " in line
    assert line.endswith(": its buffers are left out")
    assert "kmem_alloc_4096" not in [row.name for row in damaged.rows("::findleaks")]
    assert "thread_cache" in [row.name for row in damaged.rows("::findleaks")]
