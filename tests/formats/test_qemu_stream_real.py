"""QEMU's migration streams of real guests, beside its own ELF dump of the instant and what its monitor said."""

import hashlib
import re

import pytest

from formats import open_image
from formats.frames import PAGE_SHIFT, Paddr, Pfn
from formats.image import PageState, Run


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("linux-mini.migrate.stream", "linux-mini"),
        ("linux-mini.disk.qcow2", "linux-mini"),
        ("linux-q10.mapped-ram", "linux-q10"),
        ("linux-libvirt.save", "linux-libvirt"),
    ],
)
def test_has_every_register_that_the_monitor_printed(real, truth, monitor_registers, image, name):
    said = monitor_registers(name)
    efer = [int(value, 16) for value in re.findall(r"EFER=(\w+)", (truth(name) / "registers.txt").read_text())]

    vcpus = open_image(real(image)).vcpus

    assert len(said) == len(efer) == 2 and all(len(registers) > 50 for registers in said)
    assert [{name: vcpu.registers[name] for name in said[0]} for vcpu in vcpus] == said
    assert [vcpu.registers["efer"] for vcpu in vcpus] == efer
    assert [vcpu.bits for vcpu in vcpus] == [64, 64]


@pytest.mark.parametrize("image", ["linux-mini.migrate.stream", "linux-mini.disk.qcow2"])
def test_all_memory_is_that_of_the_elf_dump_of_the_same_instant(real, image):
    stream, dump = open_image(real(image)), open_image(real("linux-mini.elf.core"))

    runs = list(dump.runs())
    same = [stream.read(Paddr(run.pfn << 12), run.count << 12) == dump.read(Paddr(run.pfn << 12), run.count << 12)
            for run in runs]  # fmt: skip

    assert runs == [Run(0, 0x6000, PageState.PRESENT), Run(0xFFFC0, 0x40, PageState.PRESENT)]
    assert same == [True, True]
    assert sum(run.count for run in stream.runs()) == sum(run.count for run in runs)


@pytest.mark.parametrize(
    ("image", "name"), [("linux-q10.mapped-ram", "linux-q10"), ("linux-libvirt.save", "linux-libvirt")]
)
def test_every_mib_of_memory_has_its_digest(real, truth, image, name):
    opened = open_image(real(image))

    digests = [line.split() for line in (truth(name) / "ram.sha256").read_text().splitlines()]
    found = [
        hashlib.sha256(opened.read(Paddr(int(paddr, 16)), int(size, 16))).hexdigest() for paddr, size, _ in digests
    ]

    assert len(digests) == 97
    assert found == [digest for _, _, digest in digests]


def test_keeps_the_description_of_a_libvirt_domain(real):
    image = open_image(real("linux-libvirt.save"))

    xml = {note.name: note.data for note in image.notes}["domain.xml"]

    assert b"<name>labvirt</name>" in xml and xml.rstrip().endswith(b"</domain>")
    assert image.about.facts[0].value == "libvirt save file of a QEMU domain (virsh save)"


@pytest.mark.parametrize("image", ["linux-mini.migrate.stream", "linux-q10.mapped-ram"])
def test_keeps_the_note_that_the_guest_gave_to_qemu(real, truth, image):
    opened = open_image(real(image))

    (note,) = opened.notes

    assert (note.owner, note.name) == ("VMCOREINFO", "VMCOREINFO")
    assert b"OSRELEASE=6.1.0-56-cloud-amd64\n" in note.data
    assert opened.about.warnings == []


@pytest.mark.parametrize("image", ["linux-mini.migrate.stream", "linux-q10.mapped-ram"])
def test_pages_lie_in_the_mapping_itself_and_zero_pages_nowhere(real, image):
    opened = open_image(real(image))
    states = {run.state: run for run in opened.runs()}

    buffer, offset = opened.locate(Pfn(0x1234))
    zero, at = opened.locate(states[PageState.ZERO].pfn)

    assert not isinstance(buffer, bytes)
    assert buffer[offset : offset + 64] == opened.read(Paddr(0x1234 << PAGE_SHIFT), 64)
    assert zero[at : at + 4096] == bytes(4096)
    assert opened.state(states[PageState.ZERO].pfn) is PageState.ZERO
    assert opened.state(Pfn(0xFEE00)) is PageState.ABSENT


def test_names_the_machine_and_its_state(real):
    about = open_image(real("linux-q10.mapped-ram")).about

    facts = {fact.name: fact.value for fact in about.facts}

    assert facts["machine type"] == "pc-i440fx-10.0"
    assert facts["run state"] == "paused"
    assert facts["memory below 4 GiB"] == "0x6000000"
    assert about.paging == "4-level"
