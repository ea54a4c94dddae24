"""Section E.3: ::kmastat."""

import pytest

CACHES = [
    "cache                        buf    buf    buf      memory     alloc alloc",
    "name                        size in use  total      in use   succeed  fail",
    "------------------------- ------ ------ ------ ----------- --------- -----",
    "kmem_magazine_1               16    212    252       4096B      1212     1",
    "kmem_alloc_8                   8    996   1010       8192B      3007     2",
    "kmem_alloc_4096             4096     12     16      65536B      3013     0",
    "thread_cache                 768      4     10       8192B      4009     1",
    "taskq_cache                  288     14     14       4096B      5014     2",
    "------------------------- ------ ------ ------ ----------- --------- -----",
]
ARENAS = [
    "vmem                          memory      memory     memory     alloc alloc",
    "name                          in use       total     import   succeed  fail",
    "------------------------- ---------- ----------- ---------- --------- -----",
]
END = "------------------------- ---------- ----------- ---------- --------- -----"


def place(debug, cache, member):
    """Where a member of a cache lies."""
    address = next(row.addr for row in debug.rows("::kmem_cache") if row.name == cache)
    return address + debug.guest.objects.offsetof("kmem_cache_t", member)


def test_prints_caches_then_the_totals_of_their_arenas_then_all_arenas(illumos):
    debug = illumos()
    arenas = debug.rows("::vmem")

    lines = debug.text("::kmastat")

    assert lines[:9] == CACHES
    assert lines[9:12] == [
        "Total [kmem_default]                                90112B     16255     6",
        CACHES[-1],
        "",
    ]
    assert lines[12:] == [*ARENAS, *(arena_line(debug, row) for row in arenas), END]


def arena_line(debug, row):
    imported = debug.guest.objects.at("vmem_t", row.addr)["vm_kstat.vk_mem_import.value.ui64"]
    name = " " * 4 * row.depth + row.name
    return f"{name:<25} {row.inuse:>9}B {row.total:>10}B {imported:>9}B {row.succeed:>9} {row.fail:>5}"


@pytest.mark.parametrize(
    ("option", "sizes", "total"),
    [
        ("-k", ["4K", "8K", "64K", "8K", "4K"], "88K"),
        ("-m", ["0M", "0M", "0M", "0M", "0M"], "0M"),
        ("-g", ["0G", "0G", "0G", "0G", "0G"], "0G"),
    ],
)
def test_shows_sizes_in_a_unit(illumos, option, sizes, total):
    debug = illumos()

    lines = debug.text(f"::kmastat {option}")

    assert [line[47:58].strip() for line in lines[3:8]] == sizes
    assert lines[9] == f"Total [kmem_default]                          {total:>12}     16255     6"
    assert {line[35] for line in lines[15:-1]} == {option[1].upper()}


def test_tells_the_arenas_apart_that_caches_take_from(illumos, word):
    debug = illumos()
    heap = next(row.addr for row in debug.rows("::vmem") if row.name == "heap")

    moved = illumos({place(debug, "thread_cache", "cache_arena"): word(heap)})

    totals = [(row.name, row.memory, row.succeed, row.fail) for row in moved.rows("::kmastat") if row.kind == "total"]
    assert totals == [("heap", 8192, 4009, 1), ("kmem_default", 81920, 12246, 5)]


def test_a_cache_without_magazines_has_no_buffers_in_its_depot(illumos):
    debug = illumos()

    changed = illumos({place(debug, "thread_cache", "cache_flags"): b"\x2f\x02\x00\x00"})

    used = {row.name: row.buf_inuse for row in changed.rows("::kmastat") if row.kind == "cache"}
    assert used["thread_cache"] == 4 + 3


def test_goes_on_behind_a_cache_that_cannot_be_read(illumos, word):
    debug = illumos()
    slabs = place(debug, "thread_cache", "cache_nullslab.slab_next")

    damaged = illumos({slabs: word(0x1000)})

    names = [row.name for row in damaged.rows("::kmastat") if row.kind == "cache"]
    assert names == ["kmem_magazine_1", "kmem_alloc_8", "kmem_alloc_4096", "taskq_cache"]
    (line,) = damaged.errors("::kmastat")
    assert f"failed to read the cache at {place(debug, 'thread_cache', 'cache_slab_create'):x}: " in line


def test_takes_one_unit_only(illumos):
    assert "only one of -k, -m and -g may be specified" in illumos().errors("::kmastat -km")[0]
