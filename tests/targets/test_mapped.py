"""What a whole set of page tables maps, by the rights of each page's own entry."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import Guest
from formats.opener import open_image, open_source
from formats.source import BufferSource
from vmdebug import mapped
from vmdebug.errors import NotMapped, ReadFailed
from vmdebug.mapped import MappedRange, TooManyTables, each_mapped
from vmdebug.paging import MODES, USER, WRITABLE, walk
from vmdebug.targets.target import Target

HIGH, LOW = 0xFFFF_9000_0000_0000, 0xC000_0000


def opened(paging, *pages, pv=False, base=HIGH):
    """A target whose tables map the pages: each an address and the options of the fixture."""
    guest = Guest(paging=paging, pv=pv, seed=3, memory="64M")
    for vaddr, options in pages:
        guest.map(vaddr, **options)
    names = ("rip", "rsp") if paging == "4-level" else ("eip", "esp")
    guest.vcpu(**dict.fromkeys(names, base))
    return Target(open_source(BufferSource("made", guest.to_bytes(format="xen-elf" if pv else "xen-elf-auto"))))


def ranges(target):
    return list(target.kernel.each_mapped(pytest.fail))


def test_neighbours_of_equal_rights_are_one_range():
    target = opened(
        "4-level",
        (HIGH, {"count": 3, "writable": False}),
        (HIGH + 0x3000, {"count": 2}),
        (HIGH + 0x5000, {"user": True}),
        (0x1000, {"user": True, "writable": False}),
    )

    assert ranges(target) == [
        MappedRange(0x1000, 0x2000, user=True, writable=False),
        MappedRange(HIGH, HIGH + 0x3000, user=False, writable=False),
        MappedRange(HIGH + 0x3000, HIGH + 0x5000, user=False, writable=True),
        MappedRange(HIGH + 0x5000, HIGH + 0x6000, user=True, writable=True),
    ]


def test_a_range_goes_on_from_small_pages_to_large_ones():
    target = opened("4-level", (HIGH + 0x1F_F000, {}), (HIGH + 0x20_0000, {"size": "2M"}))

    assert ranges(target) == [MappedRange(HIGH + 0x1F_F000, HIGH + 0x40_0000, user=False, writable=True)]


@pytest.mark.parametrize("paging", ["pae", "2-level"])
def test_32_bit_tables_map_as_well(paging):
    target = opened(paging, (LOW, {"writable": False}), (LOW + 0x1000, {}), base=LOW)

    assert ranges(target) == [
        MappedRange(LOW, LOW + 0x1000, user=False, writable=False),
        MappedRange(LOW + 0x1000, LOW + 0x2000, user=False, writable=True),
    ]


def test_tables_of_a_pv_guest_hold_machine_frames():
    target = opened("4-level", (HIGH, {"count": 2}), pv=True)

    assert [(each.start, each.end) for each in ranges(target) if each.start >> 47] == [(HIGH, HIGH + 0x2000)]


def test_tables_that_lead_in_a_circle_end(monkeypatch):
    monkeypatch.setattr(mapped, "MAX_TABLES", 1000)
    itself = struct.pack("<512Q", *[0x1000 | 3] * 512)

    with pytest.raises(TooManyTables, match="more than 1000 tables"):
        for _ in each_mapped(MODES["4-level"], 0x1000, lambda at: (itself, 0)):
            pass


def test_a_table_that_is_not_there_is_told_and_maps_nothing():
    table = struct.pack("<512Q", 0x5000 | 1, *[0] * 511)
    told = []

    def read(at):
        if at != 0x1000:
            raise ReadFailed(at, "not in the image")
        return table, 0

    assert list(each_mapped(MODES["4-level"], 0x1000, read, told.append)) == []
    assert [str(err) for err in told] == [str(ReadFailed(0x5000, "not in the image"))]


@given(st.sampled_from(sorted(MODES)), st.lists(st.binary(min_size=8, max_size=64), min_size=1, max_size=3))
def test_any_tables_end_in_ranges_that_rise(mode, pieces):
    tables = [piece.ljust(4096, b"\0") for piece in pieces]

    def read(at):
        return tables[(at >> 12) % len(tables)], 0

    found = []
    try:
        for each in each_mapped(MODES[mode], 0, read):
            found.append(each)
            if len(found) == 200:
                break
    except TooManyTables:
        pass

    assert all(each.size > 0 for each in found)
    assert all(before.end <= after.start for before, after in pairwise(found))


@pytest.mark.parametrize(("name", "least"), [("linux-mini.elf.core", 50), ("xen-pv32-mini.core", 6)])
def test_the_ranges_of_a_real_kernel_are_what_its_tables_translate(real, name, least):
    image = open_image(real(name))
    space = Target(image).kernel

    def table(at):
        buffer, start = image.locate_gfn(at >> 12)
        return buffer, start + (at & 0xFFF)

    def entry(vaddr):
        return walk(space.mode, space.root, vaddr, table).steps[-1].entry

    found = list(space.each_mapped(lambda _: None))

    assert len(found) >= least
    for each, after in pairwise(found):
        assert entry(each.start) & USER == (USER if each.user else 0)
        assert entry(each.end - 1) & WRITABLE == (WRITABLE if each.writable else 0)
        if each.end != after.start and space.mode.holds(each.end):
            with pytest.raises(NotMapped):
                entry(each.end)
