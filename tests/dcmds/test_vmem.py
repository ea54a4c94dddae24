"""Sections E.3, I and L: ::vmem_seg, the walkers vmem_seg, vmem_alloc, vmem_free, vmem_span and vmem_postfix."""

import pytest

HEAD = "            ADDR TYPE            START              END WHO"
OVERSIZE = 0xFFFF_FFFE_CB04_0000  # what kmem_oversize spans
METADATA = 0xFFFF_FFFE_CB00_0000


@pytest.fixture
def arena(illumos):
    """`arena(name)`: where the arena of that name lies."""
    return lambda name: next(row.addr for row in illumos().rows("::vmem") if row.name == name)


def segments(debug, start, walk):
    return [(row.start, row.end) for row in debug.rows(f"{start:x}::walk {walk} | ::vmem_seg")]


def offset(debug, member):
    return debug.guest.objects.offsetof("vmem_seg_t", member)


def test_walks_the_segments_of_an_arena_by_their_kind(illumos, arena):
    debug, start = illumos(), arena("kmem_oversize")
    first, second, end = OVERSIZE + 0x8000, OVERSIZE + 0xD000, OVERSIZE + 0x1_0000

    assert segments(debug, start, "vmem_alloc") == [(OVERSIZE, first), (first, second)]
    assert segments(debug, start, "vmem_free") == [(second, end)]
    assert segments(debug, start, "vmem_span") == [(0, 0), (OVERSIZE, end)]
    assert [row.type for row in debug.rows(f"{start:x}::walk vmem_seg | ::vmem_seg")] == [
        *("SPAN", "ROTR", "SPAN", "ALLC", "ALLC", "FREE")
    ]


def test_what_an_arena_gave_out_is_what_it_counts(illumos):
    debug = illumos()

    for row in debug.rows("::vmem"):
        given, free = (segments(debug, row.addr, walk) for walk in ("vmem_alloc", "vmem_free"))
        assert sum(end - start for start, end in given) == row.inuse
        assert sum(end - start for start, end in given + free) == row.total


def test_walks_arenas_behind_those_that_take_memory_from_them(illumos):
    debug = illumos()

    names = [
        debug.guest.objects.at("vmem_t", row.address).vm_name.string() for row in debug.rows("::walk vmem_postfix")
    ]

    assert names == ["ctf", "vmem_seg", "vmem_metadata", "kmem_default", "kmem_oversize", "heap", "taskq_id_arena"]


def test_shows_where_a_segment_lies_and_who_asked_for_it(illumos, arena):
    debug = illumos()
    used, leaked, free = (row.address for row in debug.rows(f"{arena('kmem_oversize'):x}::walk vmem_seg")[3:])
    lines = debug.text(f"{arena('kmem_oversize'):x}::walk vmem_seg | ::vmem_seg")

    assert lines[0] == HEAD
    assert lines[4:] == [
        f"{used:x} ALLC {OVERSIZE:x} {OVERSIZE + 0x8000:x} kmem_alloc+0x52",
        f"{leaked:x} ALLC {OVERSIZE + 0x8000:x} {OVERSIZE + 0xD000:x} kmem_alloc+0x52",
        f"{free:x} FREE {OVERSIZE + 0xD000:x} {OVERSIZE + 0x10000:x}",
    ]
    assert debug.text(f"{leaked:x}::vmem_seg -s") == [
        "            ADDR TYPE            START             SIZE WHO",
        f"{leaked:x} ALLC {OVERSIZE + 0x8000:x} 0000000000005000 kmem_alloc+0x52",
    ]


def test_shows_the_whole_record(illumos, arena):
    debug = illumos()
    (leaked,) = (row.addr for row in debug.rows(f"{arena('kmem_oversize'):x}::walk vmem_alloc | ::vmem_seg -M 7fff"))
    found = debug.guest.objects.at("vmem_seg_t", leaked)

    assert debug.text(f"{leaked:x}::vmem_seg -v") == [
        "            ADDR TYPE            START              END             SIZE",
        "                                THREAD        TIMESTAMP",
        f"{leaked:x} ALLC {OVERSIZE + 0x8000:x} {OVERSIZE + 0xD000:x}            20480",
        f"                      {int(found.vs_thread):x} {found.vs_timestamp:16x}",
        "                 vmem_alloc+0xb4",
        "                 kmem_alloc+0x52",
        "                 seg_pasync_thread+0xb4",
        "                 background+0x73",
        "",
    ]


@pytest.mark.parametrize(
    ("option", "count"),
    [
        ("-m 10000", 7),
        ("-M fff", 6),
        ("-T FREE", 0),
        ("-T ALLC -m 10000", 7),
        ("-c sched", 8),
        ("-c sched+5b", 8),
        ("-c sched+5c", 0),
        ("-c bcopy", 0),
        ("-e 2a00002000", 8),
        ("-l 2a00000fff", 1),
        ("-t 1", 0),
    ],
)
def test_keeps_only_what_is_asked_for(illumos, option, count):
    assert len(illumos().rows(f"::walk vmem | ::walk vmem_alloc | ::vmem_seg {option}")) == count


def test_knows_who_allocated_by_thread(illumos):
    debug = illumos()
    all_of_them = debug.rows("::walk vmem | ::walk vmem_alloc | ::vmem_seg -c kmem_alloc")

    assert len(all_of_them) == 10
    assert debug.rows(f"::walk vmem | ::walk vmem_alloc | ::vmem_seg -t {all_of_them[0].thread:x}") == all_of_them


def test_refuses_a_type_that_no_segment_has(illumos, arena):
    assert illumos().errors(f"{arena('heap'):x}::walk vmem_alloc | ::vmem_seg -T SPIN")[0] == (
        'vmdebug: "SPIN" is not a recognized vmem_seg type: ALLC FREE SPAN ROTR WLKR'
    )


def test_where_allocations_are_not_audited_segments_end_before_the_record(illumos, arena, word):
    debug = illumos()
    shorter = illumos({debug.truth.address("vmem_seg_size"): word(offset(debug, "vs_thread"))})

    rows = shorter.rows(f"{arena('kmem_oversize'):x}::walk vmem_alloc | ::vmem_seg")

    assert [(row.thread, row.stack) for row in rows] == [(None, ()), (None, ())]
    assert shorter.rows(f"{arena('kmem_oversize'):x}::walk vmem_alloc | ::vmem_seg -e 0") == []


def test_a_ring_that_loops_ends(illumos, arena, word):
    debug = illumos()
    nodes = [row.address for row in debug.rows(f"{arena('heap'):x}::walk vmem_seg")]

    (line,) = illumos({nodes[-1] + offset(debug, "vs_anext"): word(nodes[4])}).errors(
        f"{arena('heap'):x}::walk vmem_seg"
    )

    assert f"{nodes[4]:x}: the list comes back here and has no end" in line


def test_needs_an_address(illumos):
    assert illumos().errors("::vmem_seg")
    assert illumos().errors("::walk vmem_seg")
