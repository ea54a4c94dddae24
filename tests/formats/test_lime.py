"""LiME: ranges in place, partial pages, and damage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from formats import ImageError
from formats.errors import ImageDamaged, ImageNotSupported, PageMissing
from formats.image import PageState, Run
from formats.opener import open_source
from formats.source import BufferSource


def make_guest():
    guest = Guest("4-level", pv=False, memory="128K")
    guest.poke(0x3000, b"third page")
    guest.poke(0x10FF0, b"end of the seventeenth")
    guest.drop(0x0, 0x8, 0x9)
    guest.vcpu()
    return guest


def opened(data):
    return open_source(BufferSource("lime", data))


def test_pages_lie_where_the_headers_say_and_are_not_copied():
    data = make_guest().to_bytes("lime")
    image = opened(data)

    assert list(image.runs()) == [Run(1, 7, PageState.PRESENT), Run(10, 22, PageState.PRESENT)]
    assert image.read(0x3000, 10) == b"third page"
    assert image.locate(3)[0] is data
    assert image.read(0x10FF0, 22) == b"end of the seventeenth"
    assert image.state(8) is PageState.ABSENT


def test_a_page_of_which_a_part_was_dumped_has_zeros_for_the_rest():
    guest = make_guest()
    guest.poke(0x1000, b"\xaa" * 4096)

    image = opened(guest.to_bytes("lime", cut=256))

    assert image.read(0x1000, 4096) == bytes(256) + b"\xaa" * 3840
    assert image.read(0x1100, 16) == b"\xaa" * 16


def test_a_cut_file_gives_what_it_has():
    data = make_guest().to_bytes("lime")

    image = opened(data[: 32 + 0x2800])

    assert "truncated" in image.about.warnings[0]
    assert image.state(2) is PageState.PRESENT
    with pytest.raises(PageMissing, match="truncated"):
        image.locate(5)


@pytest.mark.parametrize(
    ("at", "value", "error", "said"),
    [
        (4, b"\x02", ImageNotSupported, "LiME version 2"),
        (16, bytes(8), ImageDamaged, "goes from 0x1000 to 0x0"),
        (16, b"\xff" * 8, ImageDamaged, "goes from 0x1000 to 0xffffffffffffffff"),
        (0, b"AVML\x02", ImageNotSupported, "avml-convert"),
    ],
)
def test_a_damaged_header_is_named(at, value, error, said):
    data = bytearray(make_guest().to_bytes("lime"))
    data[at : at + len(value)] = value

    with pytest.raises(error, match=said):
        opened(bytes(data))


def test_garbage_behind_a_range_is_a_warning():
    image = opened(make_guest().to_bytes("lime") + b"x" * 64)

    assert "nothing behind it was read" in image.about.warnings[0]


SMALL = make_guest().to_bytes("lime")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 64), st.binary(min_size=1, max_size=8), st.integers(0, len(SMALL)))
def test_mutated_headers_give_pages_or_one_image_error(at, value, size):
    mutant = bytearray(SMALL)
    mutant[at : at + len(value)] = value

    try:
        image = opened(bytes(mutant[:size]))
        assert all(run.count > 0 for run in image.runs())
        assert {image.state(pfn) for pfn in range(40)} <= set(PageState)
    except ImageError as err:
        assert "\n" not in str(err)
