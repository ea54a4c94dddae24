"""illumos crash dumps: pages by pfn, the kernel's page tables by trial, virtual addresses by the map, and damage."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from fixtures.illumos_vmcore import KAS
from formats import ImageError, open_image
from formats.errors import ImageDamaged, ImageNotSupported
from formats.image import PageState, Run
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.targets.target import Target

TEXT = 0xFFFF_FFFF_FB80_0000


def make_guest(paging="4-level", memory="1M"):
    guest = Guest(paging, pv=False, memory=memory)
    base = TEXT if guest.bits == 64 else TEXT & 0xFFFF_FFFF
    for number in range(20):
        guest.map(base + number * 0x1000, data=f"page {number} of the kernel".encode())
    if guest.bits == 64:
        guest.map(0xFFFF_FF01_0000_0000, data=b"heap")
        guest.map(0xFFFF_FE00_0000_0000, pfn=0x40, data=b"direct")
    guest.drop(0x80, 0x81)
    guest.vcpu()
    return guest


def opened(guest, **options):
    return open_source(BufferSource("vmcore", guest.to_bytes("illumos-vmcore", **options)))


@pytest.mark.parametrize("paging", ["4-level", "pae"])
def test_pages_lie_by_pfn(paging):
    guest = make_guest(paging)

    image = opened(guest)

    present = PageState.PRESENT
    assert list(image.runs()) == [Run(0, 0x80, present), Run(0x82, 0x7E, present)]
    assert all(image.read(pfn << 12, 4096) == guest.pages.get(pfn, bytes(4096)) for pfn in range(0x80))
    assert image.about.bits == guest.bits


def test_the_kernels_page_tables_are_found_without_registers():
    guest = make_guest()

    image = opened(guest)

    assert image.vcpus[0].root == guest.kernel.root << 12
    assert dict(image.vcpus[0].registers) == {}
    assert Target(image).read(TEXT + 0x7000, 20) == b"page 7 of the kernel"
    assert Target(image).read(0xFFFF_FF01_0000_0000, 4) == b"heap"


@pytest.mark.parametrize("paging", ["4-level", "pae"])
def test_the_map_translates_addresses_of_a_space(paging):
    guest = make_guest(paging)
    mask = (1 << guest.bits) - 1

    image = opened(guest)
    at = image.find_virtual(KAS & mask, (TEXT & mask) + 0x3005)

    assert image.source.read(at, 15) == b"3 of the kernel"
    assert image.find_virtual(KAS & mask, 0x12345000) is None
    assert image.find_virtual(0x1000, TEXT & mask) is None


def test_the_header_is_told():
    facts = {fact.name: fact.value for fact in opened(make_guest(), panic="it broke").about.facts}

    assert (facts["nodename"], facts["release"], facts["panic"]) == ("fixture", "5.11", "it broke")
    assert facts["crash time"] == "2007-11-14T00:26:40+00:00"
    assert facts["image uuid"] == "11111111-2222-3333-4444-555555555501"
    assert facts["content"] == "kernel pages"


def test_the_namelist_beside_the_dump_is_named(tmp_path):
    make_guest().save(tmp_path / "vmcore.3", format="illumos-vmcore")
    assert open_image(tmp_path / "vmcore.3").namelist is None

    (tmp_path / "unix.3").write_bytes(b"\x7fELF")

    assert open_image(tmp_path / "vmcore.3").namelist == tmp_path / "unix.3"


def test_a_compressed_dump_is_refused_with_the_command():
    with pytest.raises(ImageNotSupported, match="run savecore -vf vmcore DIR"):
        opened(make_guest(), compressed=True)


def test_a_dump_of_a_sparc_is_named():
    with pytest.raises(ImageNotSupported, match="big-endian machine"):
        open_source(BufferSource("vmcore", struct.pack(">I", 0xDEFEC8ED).ljust(4096, b"\0")))


def test_a_cut_file_gives_what_it_has():
    data = make_guest().to_bytes("illumos-vmcore")

    image = open_source(BufferSource("vmcore", data[:-0x10000]))

    assert "truncated: 238 of 254 pages" in image.about.warnings[0]
    assert image.state(0x10) is PageState.PRESENT
    assert image.state(0xFF) is PageState.ABSENT


@pytest.mark.parametrize(
    ("field", "value", "error", "said"),
    [
        ("wordsize", 16, ImageDamaged, "word size 16"),
        ("pageshift", 13, ImageNotSupported, "pages of 2.13 bytes"),
        ("npages", 1 << 40, ImageDamaged, "table of pfns of"),
        ("hashmask", (1 << 40) - 1, ImageDamaged, "translation map of"),
        ("hashmask", 4, ImageDamaged, "hash mask 0x4"),
        ("data", 1 << 50, ImageDamaged, "pages at"),
    ],
)
def test_each_damaged_field_is_named(field, value, error, said, tmp_path):
    with (tmp_path / "vmcore").open("w+b") as file:
        at, size = make_guest().write_to(file, "illumos-vmcore")[field]
        file.seek(at)
        file.write(value.to_bytes(size, "little"))

    with pytest.raises(error, match=said):
        open_image(tmp_path / "vmcore")


def test_a_chain_that_leads_into_itself_ends():
    guest = make_guest()
    data = bytearray(guest.to_bytes("illumos-vmcore"))
    map_at, nvtop = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<Q", data, 1832)[0]
    for number in range(nvtop):
        struct.pack_into("<2Q", data, map_at + 40 * number, map_at, map_at)

    assert open_source(BufferSource("vmcore", bytes(data))).find_virtual(KAS, 0x5000) is None


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(st.integers(0, 56), st.integers(1796, 1900), st.integers(4096, 8192)), st.binary(min_size=1, max_size=8)
)
def test_mutated_files_give_pages_or_one_image_error(at, value):
    mutant = bytearray(MADE)
    mutant[at : at + len(value)] = value

    try:
        image = open_source(BufferSource("mutant", bytes(mutant)))
        assert all(run.count > 0 for run in image.runs())
        assert {image.state(pfn) for pfn in range(300)} <= set(PageState)
        if image.about.format == "illumos-vmcore":
            image.find_virtual(KAS, TEXT)
    except ImageError as err:
        assert "\n" not in str(err)


MADE = make_guest().to_bytes("illumos-vmcore")
