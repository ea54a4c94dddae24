"""Raw memory: what is taken for it, what is not, and where it belongs."""

import random

import pytest

from fixtures import Guest
from formats import open_image
from formats.errors import ImageError, ImageUnknown, PageAbsent
from formats.image import PageState, Run
from formats.opener import open_source
from formats.raw import open_pieces
from formats.source import BufferSource, FileSource

GIB = 1 << 30


def make_guest(paging="4-level", memory="1M"):
    guest = Guest(paging, pv=False, memory=memory)
    guest.map(0xFFFF_FFFF_8000_0000 if guest.bits == 64 else 0xC000_0000, data=b"kernel text")
    guest.vcpu()
    return guest


@pytest.mark.parametrize("paging", ["4-level", "5-level", "pae", "2-level"])
def test_memory_is_known_by_its_page_tables(paging):
    guest = make_guest(paging)

    image = open_source(BufferSource("memory", guest.to_bytes("raw")))

    assert image.about.format == "raw"
    assert list(image.runs()) == [Run(0, 256, PageState.PRESENT)]
    assert image.read(0, 1 << 20) == guest.to_bytes("raw")
    assert "page tables from" in next(fact.value for fact in image.about.facts if fact.name == "evidence")


def test_memory_is_known_by_the_firmwares_interrupt_vectors():
    data = bytearray(1 << 20)
    data[:1024] = bytes.fromhex("53ff00f0") * 256
    data[0x413:0x415] = (639).to_bytes(2, "little")

    image = open_source(BufferSource("memory", bytes(data)))

    assert "256 interrupt vectors" in next(fact.value for fact in image.about.facts if fact.name == "evidence")


@pytest.mark.parametrize(
    "data",
    [
        bytes(1 << 20),
        b"Linux version 6.1.0 (gcc)\n".ljust(4096, b" ") * 64,
        random.Random(1).randbytes(1 << 20),
        (0x27).to_bytes(8, "little") * (1 << 17),
        b"".join((number << 12 | 0x67).to_bytes(8, "little") for number in range(1 << 17)),
        b"\x7fELF" + bytes(4092),
        make_guest().to_bytes("raw")[:-1],
    ],
    ids=["zeros", "text", "noise", "one entry", "entries past the end", "ELF", "no whole pages"],
)
def test_other_files_are_not_taken_for_memory(data):
    with pytest.raises(ImageUnknown, match="if it is raw memory, say so: garbage@0x0"):
        open_source(BufferSource("garbage", data))


def test_any_bytes_open_where_the_user_puts_them():
    pieces = [(BufferSource("high", b"h" * 8192), 0x10000), (BufferSource("low", b"l" * 5000), 0x1000)]

    image = open_pieces(pieces)

    assert list(image.runs()) == [Run(1, 2, PageState.PRESENT), Run(16, 2, PageState.PRESENT)]
    assert image.read(0x10FFF, 2) == b"hh"
    assert image.read(0x2000, 4096) == b"l" * 904 + bytes(3192)
    with pytest.raises(PageAbsent):
        image.locate(0)


def test_a_page_of_two_pieces_is_put_together():
    image = open_pieces([(BufferSource("a", b"a" * 5000), 0), (BufferSource("b", b"b" * 5000), 5000)])

    assert image.read(0x1000, 4096) == b"a" * 904 + b"b" * 3192


def test_pieces_that_overlap_are_refused():
    with pytest.raises(ImageError, match="first and second both hold physical address 0x800"):
        open_pieces([(BufferSource("second", bytes(4096)), 0x800), (BufferSource("first", bytes(4096)), 0)])


def large_guest(hole):
    """5 GiB of memory with a hole for devices below 4 GiB; every page table below the top lies above it."""
    guest = Guest("4-level", pv=False, memory="6G")
    while guest.kernel.tables.keys() == {(3, 0)}:
        guest._next = 4 * GIB >> 12
        guest.map(0xFFFF_8880_0000_0000, data=b"direct map")
    for number in range(1, 4):
        guest.map(0xFFFF_8880_0000_0000 + number * GIB, data=b"more")
    guest.vcpu()
    return guest, [(0, hole), (4 * GIB, 5 * GIB)]


@pytest.mark.parametrize("hole", [None, 0x8000_0000, 0xC000_0000, 0xD000_0000, 0xE000_0000])
def test_a_hole_below_4_gib_is_found_by_the_page_tables_above(hole, tmp_path):
    guest, ranges = large_guest(hole or 4 * GIB)
    path = tmp_path / "memory"
    with path.open("wb") as file:
        start = 0
        for first, end in ranges:
            for pfn in sorted(guest.pages):
                if first <= pfn << 12 < end:
                    file.seek(start + (pfn << 12) - first)
                    file.write(guest.pages[pfn])
            start += end - first
        file.truncate(start)

    image = open_image(path)

    text = guest.translate(0xFFFF_8880_0000_0000)
    assert text >= 4 * GIB
    assert image.read(text, 10) == b"direct map"
    assert image.state((4 * GIB >> 12) - 1) is (PageState.ABSENT if hole else PageState.PRESENT)
    assert image.end == 5 * GIB >> 12


def test_opening_a_large_file_reads_little(tmp_path):
    path = tmp_path / "memory"
    with path.open("wb") as file:
        file.write(make_guest().to_bytes("raw"))
        file.truncate(GIB)

    source = FileSource(path)
    open_source(source)

    assert source.served < 8 << 20
