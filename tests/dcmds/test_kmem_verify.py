"""Section E.3: ::kmem_verify."""

import pytest

from tests.dcmds.test_audits import BUFFERS, cache

HEAD = "Cache Name                      Addr             Cache Integrity"
TAG = 0x300  # behind a buffer of thread_cache
TAKEN, FREE = BUFFERS[4], BUFFERS[1]
REDZONE = 0xFEED_FACE
SIZE = 0x80


def encoded(size):
    """The redzone of a buffer of which so many bytes were asked for."""
    return (REDZONE | (251 * size + 1) << 32).to_bytes(8, "little")


def test_finds_nothing_where_all_is_well(illumos):
    debug = illumos()

    assert debug.text("::kmem_verify") == [HEAD, f"thread_cache                    {cache(debug):x} clean"]
    assert debug.text(f"{cache(debug):x}::kmem_verify") == ["Summary for cache 'thread_cache'", "  clean"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({TAKEN + TAG: b"\0"}, f"{TAKEN:x} (allocated): redzone size"),
        ({TAKEN + TAG: encoded(SIZE)}, f"{TAKEN:x} (allocated): redzone behind 128 bytes"),
        ({TAKEN + TAG: encoded(0x400)}, f"{TAKEN:x} (allocated): redzone size"),
        ({TAKEN + TAG + 8: b"\1"}, f"{TAKEN:x} (allocated): buftag"),
        ({TAKEN + TAG + 16: b"\0"}, f"{TAKEN:x} (allocated): buftag"),
        ({TAKEN: b"\0"}, None),
        ({FREE: b"\0"}, f"{FREE:x} (free): contents at {FREE:x}"),
        ({FREE + 0x2F7: b"\0"}, f"{FREE:x} (free): contents at {FREE + 0x2F0:x}"),
        ({FREE + TAG + 7: b"\0"}, f"{FREE:x} (free): redzone"),
        ({FREE + TAG + 17: b"\0"}, f"{FREE:x} (free): buftag"),
        ({TAKEN + TAG: encoded(SIZE), TAKEN + SIZE: b"\xbb"}, None),
    ],
)
def test_finds_what_was_overwritten(illumos, changes, problem):
    debug = illumos(changes)

    assert debug.text(f"{cache(debug):x}::kmem_verify") == [
        "Summary for cache 'thread_cache'",
        f"  buffer {problem} overwritten" if problem else "  clean",
    ]


def test_counts_corrupt_buffers(illumos):
    one, both = illumos({FREE: b"\0"}), illumos({FREE: b"\0", TAKEN + TAG: b"\0"})

    assert one.text("::kmem_verify")[1].endswith(" 1 corrupt buffer")
    assert both.text("::kmem_verify")[1].endswith(" 2 corrupt buffers")
    assert [each.state for each in both.rows("::kmem_verify")[0].buffers] == ["allocated", "free"]


def test_a_cache_that_does_not_fill_free_buffers_may_have_anything_in_them(illumos):
    debug = illumos()
    flags = cache(debug) + debug.guest.objects.offsetof("kmem_cache_t", "cache_flags")

    assert illumos({flags: b"\x04", FREE: b"\0"}).rows("::kmem_verify")[0].corrupt == 0
    assert illumos({flags: b"\x06", FREE: b"\0"}).rows("::kmem_verify")[0].corrupt == 1


def test_a_light_cache_keeps_a_word_in_the_place_of_the_redzone(illumos):
    debug = illumos()
    flags = cache(debug) + debug.guest.objects.offsetof("kmem_cache_t", "cache_flags")

    light = illumos({flags: b"\x06\x03", FREE + TAG: b"\0"})

    assert light.rows("::kmem_verify")[0].corrupt == 0


def test_refuses_a_cache_without_redzones(illumos):
    debug = illumos()
    taskqs = debug.rows("::kmem_cache -n taskq_cache")[0].addr

    assert debug.errors(f"{taskqs:x}::kmem_verify") == [
        f"vmdebug: cache {taskqs:x} (taskq_cache) has no redzones (neither KMF_REDZONE nor KMF_DEADBEEF is set)"
    ]


def test_says_so_where_no_cache_has_redzones(illumos):
    debug = illumos()
    flags = cache(debug) + debug.guest.objects.offsetof("kmem_cache_t", "cache_flags")

    assert illumos({flags: b"\x01"}).errors("::kmem_verify") == [
        "vmdebug: no cache has redzones (neither KMF_REDZONE nor KMF_DEADBEEF is set for any)"
    ]


@pytest.mark.parametrize("member", ["cache_verify", "cache_buftag"])
def test_refuses_what_does_not_fit_into_a_buffer(illumos, word, member):
    debug = illumos()
    place = cache(debug) + debug.guest.objects.offsetof("kmem_cache_t", member)

    damaged = illumos({place: word(0x1000)})

    (line,) = damaged.errors("::kmem_verify")
    assert line.startswith(f"vmdebug: failed to verify thread_cache: cache {cache(debug):x}: ")
    assert line.endswith(" do not fit into 0x320")


def test_counts_what_cannot_be_read(illumos):
    debug = illumos(gone=[BUFFERS[5]])

    assert debug.errors("::kmem_verify") == ["vmdebug: 5 buffers of thread_cache cannot be read"]
