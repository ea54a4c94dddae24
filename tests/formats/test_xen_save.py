"""Generated Xen save files: every page and register comes back, and damage ends in an answer or one clear error."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures import Guest
from formats import ImageError, open_image
from formats.errors import ImageDamaged, ImageNotSupported, PageAbsent, PageExcluded, PageMissing
from formats.image import PageState, Run
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.targets.target import Target

TEXT = 0xFFFF_FFFF_8000_0000
TEXT32 = 0xC000_0000


def make_guest(paging="4-level", pv=True, memory="1M"):
    guest = make_small_guest(paging, pv, memory)
    guest.drop(0x30, 0x31, 0x80)
    guest.poke(0x90000, b"data of a page without a mapping")
    return guest


def make_small_guest(paging, pv, memory):
    guest = Guest(paging, pv=pv, memory=memory)
    text = TEXT if guest.bits == 64 else TEXT32
    guest.map(text, data=b"kernel text".ljust(4096, b"\x90") + b"second page")
    names = ("rip", "rsp", "rbx") if guest.bits == 64 else ("eip", "esp", "ebx")
    guest.vcpu(**dict(zip(names, (text + 5, text + 0x1800, 0xB0), strict=True)), fs_base=0x11, gs_base_kernel=0x22)
    guest.vcpu(**dict(zip(names, (text + 9, text + 0x1900, 0xB1), strict=True)), flags=0x21)
    return guest


def opened(guest, **options):
    return open_source(BufferSource("save", guest.to_bytes("xen-save", **options)))


def pages_of(image):
    return {pfn: image.read(pfn << 12, 4096) for run in image.runs() for pfn in range(run.pfn, run.pfn + run.count)}


GUESTS = [("4-level", True), ("pae", True), ("4-level", False), ("5-level", False), ("pae", False), ("2-level", False)]


@pytest.mark.parametrize(("paging", "pv"), GUESTS)
@pytest.mark.parametrize("container", ["xl", "libxl", "libvirt", "bare"])
def test_a_guest_reads_its_kernel_through_the_saved_tables(paging, pv, container):
    guest = make_guest(paging, pv)

    image = opened(guest, container=container)

    assert image.about.translated
    assert image.about.warnings == []
    read = Target(image).read(TEXT if guest.bits == 64 else TEXT32, 4107)
    assert read == b"kernel text".ljust(4096, b"\x90") + b"second page"
    assert Target(image).mode.name == {"pae": "PAE"}.get(paging, paging)


@pytest.mark.parametrize("options", [{}, {"batch": 7}, {"passes": 3}, {"page_order": "shuffled"}, {"verify": True}])
def test_every_page_has_its_last_content(options):
    guest = make_guest(pv=False)

    image = opened(guest, **options)

    expected = {pfn: bytes(guest.pages.get(pfn, bytes(4096))) for pfn in range(256) if pfn not in guest.absent}
    assert pages_of(image) == expected
    assert list(image.runs()) == [
        Run(0, 0x30, PageState.PRESENT),
        Run(0x32, 0x4E, PageState.PRESENT),
        Run(0x81, 0x7F, PageState.PRESENT),
    ]


@pytest.mark.parametrize("container", ["xl", "bare"])
@pytest.mark.parametrize("pv", [True, False])
def test_of_several_checkpoints_the_last_complete_one_counts(container, pv):
    guest = make_guest(pv=pv)

    image = opened(guest, checkpoints=3, container=container)

    assert image.read(0x90000, 32) == b"data of a page without a mapping"
    assert image.state(0x80) is PageState.ABSENT
    assert len(image.vcpus) == 2
    assert "3, the last complete one is shown" in [fact.value for fact in image.about.facts]


def test_a_large_stream_is_indexed_like_a_small_one(monkeypatch):
    guest = make_guest(pv=True)
    small = pages_of(opened(guest, passes=2, batch=9))
    monkeypatch.setattr("formats.xen_pages.SMALL", 0)

    image = opened(guest, passes=2, batch=9)

    assert pages_of(image) == small
    assert len(small) == 253
    for pfn in (0x80, 0x100, 1 << 60, 1 << 64):
        with pytest.raises(PageAbsent):
            image.locate(pfn)


def test_pages_without_content_are_told_from_absent_ones():
    data = bytearray(make_guest(pv=False).to_bytes("xen-save", container="bare"))
    words = data.index(struct.pack("<II", 256, 0)) + 8
    hole = words + 8 * 0x30
    data[hole : hole + 16] = struct.pack("<QQ", 0xE << 60 | 0x30, 0xD << 60 | 0x31)

    image = open_source(BufferSource("save", bytes(data)))

    with pytest.raises(PageExcluded):
        image.locate(0x30)
    with pytest.raises(PageAbsent):
        image.locate(0x80)
    assert Run(0x30, 2, PageState.EXCLUDED) in list(image.runs())


def test_registers_of_a_pv_guest_keep_the_savers_changes():
    guest = make_guest()

    first, second = opened(guest, start_info=0x77).vcpus

    assert (first.registers["rdx"], second.registers["rdx"]) == (0x77, 0)
    assert first.registers["rip"] == TEXT + 5
    assert (first.registers["gs_base"], first.registers["kernel_gs_base"], first.registers["fs_base"]) == (
        0x22,
        0,
        0x11,
    )
    assert second.registers["gs_base"] == 0  # it was in user mode
    assert first.registers["syscall32_callback"] == 0xC0DE
    assert (first.registers["tsc_aux"], second.registers["tsc_aux"]) == (7, 8)
    assert first.root == guest.kernel.root << 12


def test_a_user_root_is_a_pfn_without_its_valid_bit():
    guest = make_guest()
    user = guest.new_space()
    guest.vcpus[0].cr1 = guest.mfn(user.root) << 12

    image = opened(guest)

    assert image.vcpus[0].user_root == user.root << 12
    assert image.vcpus[1].user_root is None


def test_registers_of_an_hvm_guest_come_from_its_context():
    first, second = opened(make_guest(pv=False)).vcpus

    assert (first.registers["rip"], second.registers["rbx"]) == (TEXT + 5, 0xB1)
    assert (first.registers["gs_base"], first.registers["fs_base"]) == (0x22, 0x11)
    assert first.registers["efer"] == 0xD01
    assert first.registers["lstar"] == 0xFFFF_FFFF_8100_0080
    assert (first.registers["cs_flags"], first.registers["tr_flags"]) == (0xA09B00, 0x8B00)
    assert (first.registers["tr_base"], first.registers["msr_48"]) == (0xFFFF_FE00_0000_3000, 1)
    assert first.bits == 64


def test_hvm_parameters_and_the_device_model_are_told():
    image = opened(make_guest(pv=False))
    facts = {fact.name: fact.value for fact in image.about.facts}

    assert image.hvm_params[17] == 0xFEFFF
    assert facts["console pfn"] == "0xfefff"
    assert facts["device model"].startswith("21 bytes of state at ")
    assert "stale" in facts["cr2"]


@pytest.mark.parametrize(("paging", "word"), [("4-level", 8), ("pae", 4)])
def test_the_guests_p2m_gives_the_frames_of_the_old_host(paging, word):
    guest = make_guest(paging, memory="4M")

    image = opened(guest, p2m=True)

    assert [image.saved_mfn_of(pfn) for pfn in range(1024)] == [guest.mfn(pfn) for pfn in range(1024)]
    assert image.saved_mfn_of(1024) is None
    assert image.about.bits == word * 8


def test_a_cut_stream_gives_what_it_has_and_says_so():
    data = make_guest(pv=False).to_bytes("xen-save", container="bare", batch=16)

    image = open_source(BufferSource("save", data[: len(data) // 2]))

    assert "truncated: the stream has no END record" in image.about.warnings[0]
    assert image.vcpus == ()
    assert len(image.read(0x1000, 4096)) == 4096
    with pytest.raises(PageAbsent):
        image.locate(0xF0)


FIELDS = {
    "xl.mandatory": (4, ImageNotSupported, "unknown mandatory flags"),
    "stream.version": (0x01000000, ImageNotSupported, "unknown version 1 of libxc"),
    "stream.options": (0x0100, ImageNotSupported, "big-endian"),
    "domain.type": (3, ImageNotSupported, "domain type 3"),
    "domain.shift": (13, ImageNotSupported, "pages of 2.13 bytes"),
    "page_data.count": (0xFFFF_FFFF, ImageDamaged, "which do not fit"),
    "page_data.length": (0xFFFF_FFF0, ImageDamaged, "the stream holds no pages: damaged: a record of"),
    "page_data.type": (0x7777, ImageDamaged, "unknown record type 0x7777"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_each_damaged_field_is_named(field, tmp_path):
    value, error, said = FIELDS[field]
    path = tmp_path / "save"
    with path.open("w+b") as file:
        at, size = make_guest().write_to(file, "xen-save")[field]
        file.seek(at)
        file.write(value.to_bytes(size, "little"))

    with pytest.raises(error, match=said):
        open_image(path)


def test_a_page_type_that_is_none_is_damage():
    data = bytearray(make_guest(pv=False).to_bytes("xen-save", container="bare"))
    words = data.index(struct.pack("<II", 256, 0)) + 8
    data[words + 7] = 0x50

    image = open_source(BufferSource("save", bytes(data)))

    with pytest.raises(ImageDamaged, match="do not fit the 253 pages"):
        image.locate(0)


SMALL_SAVES = [make_small_guest("4-level", pv, "64K").to_bytes("xen-save", passes=2, batch=11) for pv in (True, False)]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_files_give_pages_or_one_image_error(data):
    mutant = bytearray(SMALL_SAVES[data.draw(st.integers(0, 1))])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 400), st.integers(0, len(mutant) - 8)))
        mutant[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    source = BufferSource("mutant", bytes(mutant[: data.draw(st.integers(0, len(mutant)))]))

    try:
        image = open_source(source)
        for run in image.runs():
            assert run.count > 0
        for pfn in range(64):
            try_page(image, pfn)
    except ImageError as err:
        assert "\n" not in str(err)


def try_page(image, pfn):
    try:
        buffer, at = image.locate(pfn)
        assert len(buffer) - at >= 4096
    except PageMissing:
        pass
