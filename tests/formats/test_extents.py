"""Byte ranges of memory as pages: overlaps, edges inside pages, what the file lacks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.errors import PageAbsent, PageExcluded, PageMissing
from formats.extents import Extent, ExtentImage, clipped, disjoint
from formats.image import About, PageState, Run
from formats.source import BufferSource

FILE = bytes(range(256)) * 64  # 16 KiB


def image(*extents, data=FILE):
    parts = disjoint(part for extent in extents for part in clipped(extent, len(data)))
    return ExtentImage(BufferSource("file", data), About("x", "x", 64), parts, (), ())


def test_a_whole_page_is_served_out_of_the_file():
    found = image(Extent(0x5000, 0x2000, 0x100))

    assert found.locate(6) == (FILE, 0x1100)
    assert found.read(0x5FFE, 4) == FILE[0x10FE:0x1102]
    assert list(found.runs()) == [Run(5, 2, PageState.PRESENT)]


def test_a_page_with_two_sides_is_put_together():
    found = image(Extent(0x1000, 0x800, 0), Extent(0x1800, 0x800, 0x2000))

    assert found.read(0x1000, 0x1000) == FILE[:0x800] + FILE[0x2000:0x2800]
    assert found.state(1) == PageState.PRESENT


def test_what_no_extent_covers_of_a_page_is_zero():
    found = image(Extent(0x1100, 0x200, 0x10))

    assert found.read(0x1000, 0x1000) == bytes(0x100) + FILE[0x10:0x210] + bytes(0xD00)
    assert list(found.runs()) == [Run(1, 1, PageState.PRESENT)]


def test_of_two_that_overlap_the_one_that_begins_first_wins():
    found = image(Extent(0x1000, 0x2000, 0), Extent(0x2000, 0x2000, 0x2100))

    assert found.read(0x1000, 0x3000) == FILE[:0x2000] + FILE[0x3100:0x4100].ljust(0x1000, b"\0")[:0x1000]


def test_what_has_bytes_wins_over_what_has_none():
    found = image(
        Extent(0x0, 0x9000, None, PageState.EXCLUDED), Extent(0x2000, 0x1000, 0x100), Extent(0x4000, 0x1000, 0x200)
    )

    assert [(run.pfn, run.count, run.state) for run in found.runs()] == [
        (0, 2, PageState.EXCLUDED),
        (2, 1, PageState.PRESENT),
        (3, 1, PageState.EXCLUDED),
        (4, 1, PageState.PRESENT),
        (5, 4, PageState.EXCLUDED),
    ]


def test_neighbours_of_one_block_become_one():
    parts = [Extent(0x1000, 0x1000, 0x10), Extent(0x1800, 0x1800, 0x810), Extent(0x3000, 0x10, 0x2010)]

    assert disjoint(reversed(parts)) == [Extent(0x1000, 0x2010, 0x10)]


def test_states_without_bytes_differ():
    found = image(
        Extent(0x0, 0x1000, None, PageState.ZERO),
        Extent(0x1000, 0x1000, None, PageState.EXCLUDED),
        Extent(0x2000, 0x1000, 0x3800),
    )

    assert found.read(0, 8) == bytes(8)
    with pytest.raises(PageExcluded, match="pfn 0x1: page was left out"):
        found.locate(1)
    assert found.read(0x2000, 0x800) == FILE[0x3800:]
    with pytest.raises(PageAbsent):
        found.locate(3)
    assert [found.state(pfn) for pfn in range(4)] == [
        PageState.ZERO,
        PageState.EXCLUDED,
        PageState.PRESENT,
        PageState.ABSENT,
    ]


def test_what_was_cut_off_says_so():
    found = image(Extent(0, 0x10000, 0))

    assert list(found.runs()) == [Run(0, 4, PageState.PRESENT)]
    assert found.state(4) == PageState.ABSENT
    with pytest.raises(PageMissing, match="truncated"):
        found.locate(4)


def test_addresses_beyond_physical_memory_are_left_out():
    assert list(clipped(Extent(1 << 51, 1 << 60, None, PageState.ZERO), 0)) == [
        Extent(1 << 51, 1 << 51, None, PageState.ZERO)
    ]
    assert [extent for extent in clipped(Extent(1 << 63, 4096, 0), 4096) if extent.size] == []


EXTENTS = st.lists(
    st.builds(
        Extent, st.integers(0, 0x6000), st.integers(0, 0x3000), st.integers(0, 0x3000), st.just(PageState.PRESENT)
    ),
    max_size=8,
)


@settings(deadline=None)
@given(extents=EXTENTS)
def test_every_byte_is_that_of_an_extent_that_holds_it(extents):
    found = image(*extents)
    covered = {
        paddr: [extent for extent in extents if extent.paddr <= paddr < extent.end] for paddr in range(0, 0x9000, 0x10)
    }

    for paddr, holders in covered.items():
        allowed = {FILE[extent.offset + paddr - extent.paddr] for extent in holders
                   if extent.offset + paddr - extent.paddr < len(FILE)}  # fmt: skip
        try:
            assert found.read(paddr, 1)[0] in (allowed or {0})
        except PageMissing:
            assert not allowed


@settings(deadline=None)
@given(extents=EXTENTS)
def test_runs_agree_with_the_state_of_each_page(extents):
    found = image(*extents)
    by_run = {pfn: run.state for run in found.runs() for pfn in range(run.pfn, run.pfn + run.count)}

    assert by_run == {pfn: state for pfn in range(10) if (state := found.state(pfn)) != PageState.ABSENT}
