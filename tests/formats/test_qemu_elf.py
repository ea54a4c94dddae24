"""Generated ELF dumps of QEMU: modes, layouts, segments by virtual address, damage."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from formats import ImageError, elf
from formats.errors import ImageDamaged, PageExcluded, PageMissing
from formats.image import PageState, Run
from formats.opener import open_source
from formats.source import BufferSource

BASE = {64: 0xFFFF_8000_0000_0000, 32: 0xC000_0000}
PRESENT = PageState.PRESENT


def make_guest(paging="4-level", **options):
    guest = Guest(paging, pv=False, memory="256K", **options)
    guest.map(BASE[guest.bits], data=b"mapped " * 2000)
    guest.vcpu(**{"rip" if guest.bits == 64 else "eip": BASE[guest.bits] + 0x123}, gs_base_kernel=7, gs_base_user=9)
    return guest


def opened(data):
    return open_source(BufferSource("dump", data))


@pytest.mark.parametrize("paging", ["4-level", "5-level", "pae", "2-level"])
def test_every_mode_is_opened_with_its_registers(paging):
    guest = make_guest(paging)
    guest.drop(20, 21)

    image = opened(guest.to_bytes("elf-core"))

    (vcpu,) = image.vcpus
    assert (image.about.format, image.about.bits, vcpu.bits) == ("qemu-elf", guest.bits, guest.bits)
    assert image.about.paging == paging.replace("pae", "PAE")
    assert vcpu.registers["rip"] == BASE[guest.bits] + 0x123
    assert vcpu.registers["cr3"] == vcpu.root == guest.kernel.cr3
    assert ("r8" in vcpu.registers) == (guest.bits == 64)
    assert list(image.runs()) == [Run(0, 20, PRESENT), Run(22, 42, PRESENT)]
    assert image.read(0, 20 << 12) == guest.peek(0, 20 << 12)


def test_a_pae_root_keeps_its_offset_in_the_page():
    guest = make_guest("pae", root_offset=0xFE0)

    (vcpu,) = opened(guest.to_bytes("elf-core")).vcpus

    assert vcpu.root == guest.kernel.cr3
    assert vcpu.root & 0xFFF == 0xFE0


def test_pcid_bits_of_cr3_are_no_address():
    guest = make_guest()
    guest.vcpus[0].cr3 |= 0x8000_0000_0000_0803

    (vcpu,) = opened(guest.to_bytes("elf-core")).vcpus

    assert vcpu.registers["cr3"] == guest.vcpus[0].cr3
    assert vcpu.root == guest.kernel.cr3


def test_a_vcpu_without_paging_has_no_root():
    guest = make_guest()
    guest.vcpu(rip=0xFFF0, cr0=0x10, cr3=0)

    image = opened(guest.to_bytes("elf-core"))

    assert [vcpu.root for vcpu in image.vcpus] == [guest.kernel.cr3, None]
    assert image.about.paging == "4-level"


def test_an_older_note_has_no_kernel_gs_base():
    guest = make_guest()

    (old,) = opened(guest.to_bytes("elf-core", cpu_state_size=432)).vcpus
    (new,) = opened(guest.to_bytes("elf-core")).vcpus

    assert (old.registers["gs_base"], new.registers["gs_base"]) == (7, 7)
    assert "kernel_gs_base" not in old.registers
    assert new.registers["kernel_gs_base"] == 9


def test_segments_by_virtual_address_overlap_and_leave_gaps():
    guest = make_guest()
    guest.map(0xFFFF_9000_0000_0000, pfn=0x30, data=b"alone")
    guest.map(0xFFFF_9000_0000_1000, pfn=0x32, data=b"after a gap")
    guest.kernel.map(0xFFFF_A000_0000_0000, 0x30, 0x30)
    data = guest.to_bytes("vmcore", kind="paged")

    image = opened(data)

    assert image.about.format == "qemu-elf"
    assert next(fact.value for fact in image.about.facts if fact.name == "segments").endswith("by virtual address")
    assert image.read(0x30000, 5) == b"alone"
    assert image.read(0x32000, 11) == b"after a gap"
    assert image.state(0x31) == PRESENT, "the gap lies in the file between its neighbours"
    assert image.state(0x33) == PageState.ABSENT


# Damage.


def damaged(values, kind="elf-core", **options):
    file = io.BytesIO()
    fields = make_guest().write_to(file, kind, **options)
    data = bytearray(file.getvalue())
    for name, value in values.items():
        at, size = fields[name]
        data[at : at + size] = value.to_bytes(size, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"e_phoff": 1 << 60}, "program headers lie at"),
        ({"e_phnum": 60000}, "60000 program headers lie at"),
        ({"e_phentsize": 32}, "program headers of 32 bytes, expected 56"),
        ({"e_phnum": 0xFFFF, "e_shoff": 1 << 50}, "section headers lie at"),
    ],
)
def test_a_damaged_header_is_named(values, said):
    with pytest.raises(ImageDamaged, match=said):
        opened(damaged(values))


def test_the_number_of_segments_may_stand_in_section_0():
    data = bytearray(make_guest().to_bytes("elf-core"))
    count = int.from_bytes(data[56:58], "little")
    data[56:58] = b"\xff\xff"
    data[64 + 44 : 64 + 48] = count.to_bytes(4, "little")

    assert opened(bytes(data)).read(0, 4096) == make_guest().peek(0, 4096)

    data[64 + 44 : 64 + 48] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageDamaged, match="4294967295 program headers, at most"):
        opened(bytes(data))


def test_memory_that_was_left_out_is_excluded():
    image = opened(damaged({"load.offset": (1 << 64) - 1, "load.filesz": 0}))

    assert image.state(3) == PageState.EXCLUDED
    with pytest.raises(PageExcluded):
        image.locate(3)


@pytest.mark.parametrize("offset", [(1 << 64) - 4096, 1 << 63, (1 << 64) - 1])
def test_segments_past_the_file_are_cut_off(offset):
    image = opened(damaged({"load.offset": offset}))

    assert "truncated" in image.about.warnings[0]
    with pytest.raises(PageMissing, match="truncated"):
        image.locate(3)


def test_a_segment_beyond_physical_memory_is_no_memory():
    image = opened(damaged({"load.paddr": (1 << 64) - 4096}))

    assert list(image.runs()) == []
    assert image.end == 0


def test_a_note_that_lies_about_its_size_is_read_as_far_as_it_goes():
    data = bytearray(make_guest().to_bytes("elf-core"))
    at = data.index(b"QEMU\0")
    data[at + 12 : at + 16] = (1 << 31).to_bytes(4, "little")
    assert opened(bytes(data)).vcpus[0].registers["kernel_gs_base"] == 9

    data[at + 12 : at + 16] = (100).to_bytes(4, "little")
    assert "cr3" not in opened(bytes(data)).vcpus[0].registers


def test_contradicting_widths_are_a_warning():
    data = bytearray(make_guest("2-level").to_bytes("elf-core"))
    data[18] = elf.EM_X86_64

    assert "PAE off" in " ".join(opened(bytes(data)).about.warnings)


def survive(data):
    try:
        image = opened(data)
        for run in image.runs():
            for pfn in (run.pfn, run.pfn + run.count // 2, run.pfn + run.count - 1):
                try:
                    assert len(image.read(pfn << 12, 4096)) == 4096
                except PageMissing:
                    assert image.state(pfn) != PRESENT
        image.tally()
    except ImageError:
        pass


@pytest.mark.parametrize("options", [("elf-core", {}), ("vmcore", {"kind": "paged"}), ("vmcore", {"kind": "xen"}),
                                     ("vmcore", {"kind": "vbox"}), ("vmcore", {"kind": "linux"})])  # fmt: skip
def test_cut_anywhere_gives_pages_or_an_error(options):
    name, more = options
    data = make_guest().to_bytes(name, **more)

    for end in [*range(0, 2000, 13), *range(2000, len(data), 3989)]:
        survive(data[:end])


@settings(deadline=None)
@given(
    kind=st.sampled_from(["paged", "xen", "vbox", "linux"]),
    changes=st.lists(st.tuples(st.integers(16, 2500), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
)
def test_changed_bytes_give_pages_or_an_error(kind, changes):
    data = bytearray(make_guest().to_bytes("vmcore", kind=kind))
    for at, value in changes:
        data[at : at + len(value)] = value

    survive(bytes(data))
