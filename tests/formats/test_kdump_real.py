"""Real kdumps: the same guest at the same instant as its ELF dump, and what QEMU's monitor said of it."""

import itertools
import shutil
import subprocess

import pytest

from formats import open_image
from formats.errors import PageExcluded
from formats.image import Image, PageState, Run

MIB = 1 << 20
STORED = (PageState.PRESENT, PageState.ZERO)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("linux-mini.kdump-d31-zstd", "linux-mini"),
        ("linux-mini.kdump-zlib.flat", "linux-mini"),
        ("linux-crash.kdump-d31-zlib", "linux-crash"),
    ],
)
def test_has_every_register_that_the_monitor_printed(real, monitor_registers, image, name):
    said = monitor_registers(name)

    vcpus = open_image(real(image)).vcpus

    assert len(said) == 2 and all(len(registers) > 50 for registers in said)
    assert [{name: vcpu.registers[name] for name in said[0]} for vcpu in vcpus] == said
    assert [vcpu.root for vcpu in vcpus] == [registers["cr3"] & ~0xFFF for registers in said]


def test_memory_is_that_of_the_elf_dump_byte_for_byte(real):
    elf, kdump = open_image(real("linux-mini.elf.core")), open_image(real("linux-mini.kdump-zlib.flat"))

    for start in range(0, 96 * MIB, MIB):
        assert kdump.read(start, MIB) == elf.read(start, MIB)
    assert kdump.read(0xFFFC_0000, 0x40000) == elf.read(0xFFFC_0000, 0x40000)
    joined = [(run.pfn, run.count) for run in elf.runs()]
    assert sum(run.count for run in kdump.runs()) == sum(count for _, count in joined)
    assert {run.state for run in kdump.runs()} == set(STORED)


def test_stored_pages_of_a_filtered_dump_are_those_of_the_elf_dump(real):
    elf, kdump = open_image(real("linux-mini.elf.core")), open_image(real("linux-mini.kdump-d31-zstd"))

    for run in kdump.runs():
        if run.state in STORED:
            assert kdump.read(run.pfn << 12, run.count << 12) == elf.read(run.pfn << 12, run.count << 12)
        if run.state == PageState.ZERO:
            assert not any(kdump.read(run.pfn << 12, run.count << 12))
    assert kdump.tally() == Image.tally(kdump)
    assert kdump.tally() == {PageState.PRESENT: 13230, PageState.ZERO: 2646, PageState.EXCLUDED: 8700}


@pytest.mark.parametrize(
    ("image", "name"), [("linux-mini.kdump-d31-zstd", "linux-mini"), ("linux-crash.kdump-d31-zlib", "linux-crash")]
)
def test_physical_words_are_those_that_qemu_read(real, physical_words, image, name):
    dump = open_image(real(image))
    said = [(paddr, words) for paddr, words in physical_words(name) if dump.state(paddr >> 12) in STORED]

    found = [
        (paddr, [int.from_bytes(dump.read(paddr + 8 * i, 8), "little") for i in range(len(words))])
        for paddr, words in said
    ]

    assert len(said) > 60
    assert found == said


def test_excluded_pages_are_not_taken_for_zeros(real):
    dump = open_image(real("linux-mini.kdump-d31-zstd"))
    run = next(run for run in dump.runs() if run.state == PageState.EXCLUDED)

    with pytest.raises(PageExcluded):
        dump.read(run.pfn << 12, 8)


def test_names_writer_kernel_and_codec(real):
    by_makedumpfile = open_image(real("linux-mini.kdump-d31-zstd")).about
    by_qemu = open_image(real("linux-mini.kdump-zlib.flat")).about

    first = {fact.name: fact.value for fact in by_makedumpfile.facts}
    second = {fact.name: fact.value for fact in by_qemu.facts}
    assert (first["creator"], second["creator"]) == ("makedumpfile", "QEMU")
    assert (first["compression"], second["compression"]) == ("zstd", "zlib")
    assert first["kernel release"] == second["kernel release"] == "6.1.0-56-cloud-amd64"
    assert first["phys_base"] == second["phys_base"] == "0xffffffffeac00000"
    assert first["dump level"].startswith("31 (zero, cache,")
    assert by_qemu.warnings == by_makedumpfile.warnings == []


def test_vmcoreinfo_and_cr3_name_the_same_kernel_half(real):
    image = open_image(real("linux-mini.elf.core"))
    tables = next(fact.value for fact in image.about.facts if fact.name == "kernel page tables")

    root = int(tables.split(",")[0], 16)
    assert image.read(root + 511 * 8, 8) == image.read(image.vcpus[0].root + 511 * 8, 8)


def test_makedumpfile_puts_the_stream_together_in_the_same_way(real, tmp_path):
    if not shutil.which("makedumpfile"):
        pytest.skip("makedumpfile is not installed")
    stream = real("linux-mini.kdump-zlib.flat")
    with stream.open("rb") as file:
        subprocess.run(["makedumpfile", "-R", tmp_path / "plain"], stdin=file, check=True, capture_output=True)

    source = open_image(stream).source

    assert source.read(0, source.size) == (tmp_path / "plain").read_bytes()


def test_runs_ascend_without_touching_each_other_in_one_state(real):
    runs = list(open_image(real("linux-crash.kdump-d31-zlib")).runs())

    assert all(isinstance(run, Run) and run.count > 0 for run in runs)
    for before, after in itertools.pairwise(runs):
        assert before.pfn + before.count <= after.pfn
        assert before.pfn + before.count < after.pfn or before.state != after.state
