"""ELF cores of crashed kernels and of VirtualBox: registers, tables, notes, memory that was left out."""

import io
import struct

import pytest

from fixtures import Guest
from fixtures.elf_core import pack_note
from formats.errors import ImageDamaged, ImageNotSupported
from formats.image import PageState
from formats.opener import open_source
from formats.source import BufferSource

BASE = 0xFFFF_8000_0000_0000


def make_guest(paging="4-level"):
    guest = Guest(paging, pv=False, memory="256K")
    base = BASE if guest.bits == 64 else 0xC000_0000
    guest.map(base, data=b"mapped " * 2000)
    for number in range(3):
        guest.vcpu(**{"rip" if guest.bits == 64 else "eip": base + number}, fs_base=5, gs_base_kernel=7)
    return guest


def opened(guest, **options):
    return open_source(BufferSource("core", guest.to_bytes("vmcore", **options)))


def facts(image):
    return {fact.name: fact.value for fact in image.about.facts}


def test_a_crashed_linux_has_its_registers_and_its_text():
    guest = make_guest()

    image = opened(guest)

    assert image.about.format == "vmcore-elf"
    assert [vcpu.registers["rip"] for vcpu in image.vcpus] == [BASE, BASE + 1, BASE + 2]
    assert facts(image)["kernel release"] == "5.10.0-fixture"
    assert facts(image)["crash time"] == "1700000000"
    assert [note.name for note in image.notes] == ["", "", "", "VMCOREINFO"]
    assert image.read(0, 1 << 18) == guest.peek(0, 1 << 18)


def test_the_saved_gs_base_is_the_one_that_swapgs_loads():
    guest = make_guest()
    guest.vcpus[1].registers["cs"] = 0x33

    kernel, user, _ = opened(guest).vcpus

    assert (kernel.registers["kernel_gs_base"], user.registers["gs_base"]) == (7, 7)
    assert "gs_base" not in kernel.registers and "kernel_gs_base" not in user.registers


@pytest.mark.parametrize(("l5", "paging"), [(0, "4-level"), (1, "5-level")])
def test_the_kernels_tables_are_those_of_vmcoreinfo(l5, paging):
    text = f"SYMBOL(swapper_pg_dir)=ffffffff81e10000\nNUMBER(phys_base)=4096\nNUMBER(pgtable_l5_enabled)={l5}\n"

    image = opened(make_guest(), vmcoreinfo=text)

    assert {vcpu.root for vcpu in image.vcpus} == {0x1E11000}
    assert image.about.paging == paging


@pytest.mark.parametrize(("line", "paging"), [("", "2-level"), ("CONFIG_X86_PAE=y\n", "PAE")])
def test_so_are_those_of_a_32_bit_kernel(line, paging):
    image = opened(make_guest("pae"), vmcoreinfo=f"SYMBOL(swapper_pg_dir)=c1234000\n{line}")

    assert {vcpu.root for vcpu in image.vcpus} == {0x1234000}
    assert (image.about.bits, image.about.paging) == (32, paging)


def test_a_xen_host_has_control_registers_and_its_notes_by_name():
    guest = make_guest()

    image = opened(guest, kind="xen")

    assert [vcpu.root for vcpu in image.vcpus] == [guest.kernel.cr3] * 3
    assert image.vcpus[0].registers["gs_base"] == 7
    assert facts(image)["hypervisor"] == "Xen 4.17"
    assert facts(image)["hypervisor's memory"] == "0x2000000"
    assert facts(image)["creator"] == "crash kernel of a Xen host"
    names = [note.name for note in image.notes if note.name]
    assert names == [*["xen_crash_regs"] * 3, "xen_crash_info", "VMCOREINFO_XEN", "VMCOREINFO"]


def test_bytes_that_the_file_leaves_out_are_zero():
    guest = make_guest()

    image = opened(guest, short=True)

    assert image.about.format == "vmcore-elf"
    assert image.state(0x3F) == PageState.ZERO
    assert image.read(0x3F000, 4096) == bytes(4096)
    assert "taken as zero" in image.about.warnings[0]


def test_a_filter_that_cuts_memory_at_pages_leaves_them_excluded():
    file = io.BytesIO()
    make_guest().write_to(file, "vmcore")
    data = bytearray(file.getvalue())
    memory = int.from_bytes(data[64 + 56 + 8 :][:8], "little")
    load = struct.pack("<IIQQQQQQ", 1, 7, memory, 0, 0, 0x2000, 0x8000, 0)
    rest = struct.pack("<IIQQQQQQ", 1, 7, memory + 0x8000, 0x8000, 0x8000, 0x38000, 0x38000, 0)
    notes = data[64 : 64 + 56]
    data[56:58] = (3).to_bytes(2, "little")
    at = len(data)
    data[32:40] = at.to_bytes(8, "little")

    image = open_source(BufferSource("core", bytes(data + notes + load + rest)))

    assert [image.state(pfn) for pfn in (1, 2, 7, 8)] == [
        PageState.PRESENT, PageState.EXCLUDED, PageState.EXCLUDED, PageState.PRESENT,
    ]  # fmt: skip
    assert "0x6000 bytes of memory were left out" in image.about.warnings[0]


def core(notes, loads):
    """An ELF core of these notes and (paddr, size) segments, all of zeros."""
    at = 64 + 56 * (1 + len(loads))
    heads = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    for paddr, size in loads:
        heads += struct.pack("<IIQQQQQQ", 1, 7, at + len(notes), 0x400000, paddr, size, size, 0)
    head = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 4, 62, 1, 0, 64, 0, 0, 64, 56, 1 + len(loads), 0, 0, 0
    )
    return BufferSource("core", head + heads + notes + bytes(0x3000))


def test_the_core_of_a_process_is_refused():
    with pytest.raises(ImageNotSupported, match=r"core dump of a process \(NT_AUXV\)"):
        open_source(core(pack_note(b"CORE", 1, bytes(336)) + pack_note(b"CORE", 6, bytes(64)), [(0, 4096)]))


def test_segments_without_physical_addresses_are_refused():
    with pytest.raises(ImageNotSupported, match="without physical addresses"):
        open_source(core(b"", [(0, 4096), (0, 4096)]))


def test_a_core_without_memory_is_refused():
    with pytest.raises(ImageDamaged, match="without a PT_LOAD"):
        open_source(core(pack_note(b"VMCOREINFO", 0, b"A=b\n"), []))


@pytest.mark.parametrize(
    ("at", "value", "said"), [(5, 2, "big-endian"), (16, 2, "ELF file of type 2: not a core dump")]
)
def test_other_elf_files_are_named(at, value, said):
    data = bytearray(make_guest().to_bytes("vmcore"))
    data[at] = value

    with pytest.raises(ImageNotSupported, match=said):
        open_source(BufferSource("core", bytes(data)))


def test_registers_of_unknown_layout_are_a_warning():
    image = open_source(core(pack_note(b"CORE", 1, bytes(392)), [(0x1000, 4096)]))

    assert image.vcpus == []
    assert "no known layout" in image.about.warnings[0]


# VirtualBox.


@pytest.mark.parametrize("paging", ["4-level", "5-level", "pae", "2-level"])
def test_virtualbox_saves_all_registers(paging):
    guest = make_guest(paging)

    image = opened(guest, kind="vbox")

    assert image.about.format == "vbox-elf"
    assert image.about.paging == paging.replace("pae", "PAE")
    for vcpu, made in zip(image.vcpus, guest.vcpus, strict=True):
        assert vcpu.bits == guest.bits
        assert vcpu.registers["rip"] == made.registers["rip" if guest.bits == 64 else "eip"]
        assert vcpu.root == guest.kernel.cr3
    found = image.vcpus[0].registers
    assert (found["gs_base"], found["cs_flags"], found["idt_base"]) == (
        7, 0xA09B00 if guest.bits == 64 else 0xC09300, 0xFFFF_FE00_0000_0000,
    )  # fmt: skip
    assert (found["tr"], found["tr_base"], found["lstar"]) == (0x40, 0xFFFF_FE00_0000_3000, 0xFFFF_8000_0000_0030)
    assert (found["sysenter_cs"], found["sfmask"], found["star"]) == (0x10, 0x47700, 0x23 << 48)


def test_a_device_of_virtualbox_is_no_memory():
    image = opened(make_guest(), kind="vbox")

    assert image.state(0xF0000) == PageState.ABSENT
    assert image.end == 64


def test_an_older_virtualbox_has_memory_only():
    guest = make_guest()

    image = opened(guest, kind="vbox", version=0x10000)

    assert image.vcpus == []
    assert "VirtualBox's own form" in image.about.warnings[0]
    assert image.read(0x2000, 64) == guest.peek(0x2000, 64)
    assert facts(image)["creator"] == "VirtualBox 7.1.0 r12345"
