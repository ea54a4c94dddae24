"""QEMU's ELF dumps of real guests, beside what QEMU's monitor said at the same instant."""

import pytest

from formats import open_image
from formats.errors import PageAbsent
from formats.frames import PAGE_SHIFT, Paddr, Pfn
from formats.image import PageState, Run


@pytest.mark.parametrize(
    ("image", "name"), [("linux-mini.elf.core", "linux-mini"), ("linux-72.elf.core", "linux-72"),
                        ("xen-host.core", "xen-host")],
)  # fmt: skip
def test_has_every_register_that_the_monitor_printed(real, monitor_registers, image, name):
    said = monitor_registers(name)

    vcpus = open_image(real(image)).vcpus

    assert len(said) == 2 and all(len(registers) > 50 for registers in said)
    found = [{name: vcpu.registers[name] for name in said[0]} for vcpu in vcpus]
    assert found == said


def test_root_is_cr3_without_pcid_bits(real):
    vcpus = open_image(real("linux-mini.elf.core")).vcpus

    assert [vcpu.root for vcpu in vcpus] == [vcpu.registers["cr3"] & ~0xFFF for vcpu in vcpus]


@pytest.mark.parametrize("name", ["linux-mini", "linux-72"])
def test_physical_words_are_those_that_qemu_read(real, physical_words, name):
    image = open_image(real(f"{name}.elf.core"))
    said = physical_words(name)

    found = [
        (paddr, [int.from_bytes(image.read(paddr + 8 * i, 8), "little") for i in range(len(words))])
        for paddr, words in said
    ]

    assert len(said) > 80
    assert found == said


def test_names_the_kernel_and_keeps_its_vmcoreinfo(real, truth):
    image = open_image(real("linux-mini.elf.core"))

    facts = {fact.name: fact.value for fact in image.about.facts}
    text = next(note.data for note in image.notes if note.name == "VMCOREINFO")

    assert text.decode().split() == (truth("linux-mini") / "vmcoreinfo.txt").read_text().split()
    assert facts["kernel release"] == "6.1.0-56-cloud-amd64"
    assert facts["memory"] == "0x0-0x6000000, 0xfffc0000-0x100000000"
    assert image.about.paging == "4-level"
    assert image.about.warnings == []


def test_pages_lie_in_the_mapping_itself(real):
    image = open_image(real("linux-mini.elf.core"))

    buffer, offset = image.locate(Pfn(0x1234))

    assert not isinstance(buffer, bytes)
    assert buffer[offset : offset + 64] == image.read(0x1234 << PAGE_SHIFT, 64)


def test_a_device_is_no_memory(real):
    image = open_image(real("linux-mini.elf.core"))

    assert image.state(Pfn(0xFEE00)) == PageState.ABSENT
    with pytest.raises(PageAbsent, match="pfn 0xfee00"):
        image.read(Paddr(0xFEE0_0030), 4)


def test_runs_are_the_blocks_of_a_whole_machine(real):
    image = open_image(real("xen-host.core"))

    assert list(image.runs()) == [
        Run(0x0, 0xA0, PageState.PRESENT),
        Run(0xC0, 0x37F40, PageState.PRESENT),
        Run(0xFD000, 0x1000, PageState.PRESENT),
        Run(0xFFFC0, 0x40, PageState.PRESENT),
    ]
