"""Where many pages lie in the file: the same places that are found for them one by one."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from formats import p2m
from formats.errors import ImageError, PageMissing
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Gfn, Paddr, Pfn
from formats.opener import open_source
from formats.p2m import Column
from formats.source import BufferSource

PV = ["xen-elf", "xen-save", "xm-save"]
AUTO = ["xen-elf-auto", "elf-core", "vmcore", "lime", "raw", "vmware"]
PAGES = np.arange(-1, 1 << 9)
NO_FRAME = (1 << 64) - 1


def opened(layout, pv):
    """A small guest with pages of their own content, some of them left out where that can be."""
    guest = Guest(paging="4-level", pv=pv, seed=3, memory="1M" if layout != "qemu-stream" else "4M")
    guest.vcpu(rip=0xFFFF_9000_0000_0000, rsp=0xFFFF_9000_0000_0000)
    pfn = guest.map(0xFFFF_9000_0000_0000, data=random.Random(1).randbytes(40 * PAGE_SIZE))
    if layout not in ("raw", "vmware", "qemu-stream"):
        guest.drop(pfn + 3, pfn + 4, pfn + 9)
    return open_source(BufferSource("made", guest.to_bytes(format=layout)))


@pytest.mark.parametrize(("layout", "pv"), [(layout, True) for layout in PV] + [(layout, False) for layout in AUTO])
def test_pages_lie_where_they_are_found_one_by_one(layout, pv):
    image = opened(layout, pv)

    places = image.places(PAGES)

    stored = [(pfn, place) for pfn, place in zip(PAGES.tolist(), places.tolist(), strict=True) if place >= 0]
    assert [image.source.read(place, PAGE_SIZE) for _, place in stored] == [
        image.read(Paddr(pfn << PAGE_SHIFT), PAGE_SIZE) for pfn, _ in stored
    ]
    assert len(stored) > 100
    others = set(PAGES.tolist()[1:]) - dict(stored).keys()
    assert all(_is_made(image, pfn) for pfn in others)


def _is_made(image, pfn):
    """True if a page is absent, or is no page of the file as it lies."""
    try:
        return len(image.locate(Pfn(pfn))[0]) == PAGE_SIZE
    except PageMissing:
        return True


def test_frames_of_page_tables_lie_where_they_are_found_one_by_one():
    image = opened("xen-elf", True)
    frames = [frame for pfn in range(256) if (frame := _mfn(image, pfn)) is not None] + [1 << 39]

    places = image.places_of_gfns(np.array(frames)).tolist()

    assert places.pop() == -1
    found = [image.locate_gfn(Gfn(frame)) for frame in frames[:-1]]
    assert [buffer[at : at + PAGE_SIZE] for buffer, at in found] == [
        image.source.read(place, PAGE_SIZE) for place in places
    ]
    assert len(places) > 200


def _mfn(image, pfn):
    try:
        return image.mfn_of(Pfn(pfn))
    except ImageError:
        return None


@pytest.mark.parametrize(("layout", "pv"), [("kdump", False), ("qemu-stream", False), ("xen-304", True)])
def test_a_format_that_makes_its_pages_has_no_places(layout, pv):
    image = opened(layout, pv)

    assert (image.places(PAGES), image.places_of_gfns(PAGES)) == (None, None)


@given(
    frames=st.lists(st.one_of(st.integers(0, 60), st.integers(0, NO_FRAME), st.just(NO_FRAME)), max_size=40),
    sparse=st.sampled_from([0, 4, 1 << 20]),
    small=st.sampled_from([0, 1 << 18]),
)
@settings(max_examples=200, deadline=None)
def test_a_column_finds_the_first_slot_of_each_frame(frames, sparse, small):
    wanted = [*range(64), *(frame for frame in frames if frame < 1 << 62)]
    column = Column(np.array(frames, np.uint64).data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(p2m, "SPARSE", sparse)
        patch.setattr(p2m, "SMALL", small)

        found = column.find_all(np.array(wanted)).tolist(), [column.find(frame) for frame in wanted]
        runs = [(run.pfn, run.count) for run in column.each_run()]

    slots = [frames.index(frame) if frame in frames else -1 for frame in wanted]
    assert found == (slots, [None if slot < 0 else slot for slot in slots])
    assert [pfn for first, count in runs for pfn in range(first, first + count)] == sorted(set(frames) - {NO_FRAME})
