"""A real `xl save` file against the core dump of the same domain, and what the hypervisor's tools printed of it."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

from formats import open_image
from formats.image import PageState, Run
from vmdebug.targets.target import Target

# Jump labels and patched sites of the running kernel; the domain lived a few minutes between the two files.
PATCHED_PAGES = 32


@pytest.fixture(scope="module")
def saved(real):
    return open_image(real("xen-pv.save"))


@pytest.fixture(scope="module")
def dumped(real):
    return open_image(real("xen-pv.core"))


@pytest.fixture(scope="module")
def symbols(truth):
    with gzip.open(truth("xen-pv") / "pv.kallsyms.gz", "rt") as lines:
        return {name: int(address, 16) for address, _, name, *_ in map(str.split, lines)}


def test_opening_reads_no_pages(real):
    image = open_image(real("xen-pv.save"))

    assert image.source.served < 64 << 10


def test_says_what_it_is(saved):
    facts = {fact.name: fact.value for fact in saved.about.facts}

    assert saved.about.format == "xen-save"
    assert saved.about.translated
    assert saved.about.paging == "4-level"
    assert saved.about.warnings == []
    assert facts["domain"] == "labpv"
    assert facts["hypervisor"] == "Xen 4.17"
    assert facts["headers"] == "xl save, JSON configuration, libxl stream 2"
    assert list(saved.runs()) == [Run(0, 0x8000, PageState.PRESENT)]


def test_every_vcpu_stands_in_kernel_text_with_a_kernel_stack(saved, symbols):
    assert [vcpu.id for vcpu in saved.vcpus] == [0, 1]
    for vcpu in saved.vcpus:
        assert symbols["_stext"] <= vcpu.registers["rip"] < symbols["_etext"]
        assert vcpu.registers["rsp"] >> 44 == 0xFFFFC
        assert vcpu.registers["syscall32_callback"] == symbols["xen_entry_SYSCALL_compat"]


def test_vcpu_0_waits_in_the_suspend_hypercall_and_names_its_start_info(saved, symbols):
    registers = saved.vcpus[0].registers
    stack = Target(saved).read(registers["rsp"], 128)
    callers = [int.from_bytes(stack[at : at + 8], "little") for at in range(0, 128, 8)]

    assert registers["rip"] == symbols["xen_hypercall_pv"] + 5  # push rcx; push r11; syscall
    assert any(0 < caller - symbols["xen_suspend"] < 0x100 for caller in callers)
    assert saved.read(registers["rdx"] << 12, 14) == b"xen-3.0-x86_64"


def test_read_only_data_is_that_of_the_dump_through_both_files_page_tables(saved, dumped, symbols):
    start, end = symbols["__start_rodata"], symbols["__end_rodata"]

    kept, told = (Target(image).read(start, end - start) for image in (saved, dumped))

    assert kept == told


def test_kernel_text_is_that_of_the_dump_but_for_patched_sites(saved, dumped, symbols):
    start, end = symbols["_stext"], symbols["_etext"]

    kept, told = (Target(image).read(start, end - start) for image in (saved, dumped))

    changed = [at for at in range(0, end - start, 4096) if kept[at : at + 4096] != told[at : at + 4096]]
    assert len(changed) < PATCHED_PAGES < (end - start) >> 12


def test_kernel_addresses_lead_to_the_same_pfns_as_in_the_dump(saved, dumped, symbols):
    start, end = symbols["_stext"] & ~0xFFF, symbols["__end_rodata"]
    here, there = Target(saved), Target(dumped)

    pairs = [(here.translate(at).pfn, there.translate(at).pfn) for at in range(start, end, 4096)]

    assert all(kept == told for kept, told in pairs)


def test_the_banner_is_the_one_that_the_guest_printed(saved, symbols, truth):
    banner = Target(saved).read(symbols["linux_banner"], 256).split(b"\n")[0].decode()

    assert banner in (truth("xen-pv") / "pv.truth.txt").read_text()
    assert banner.startswith("Linux version 6.1.0")


def test_the_guests_own_p2m_still_names_the_hosts_frames(saved, truth):
    text = gzip.decompress((truth("xen-pv") / "mfndump-p2m.txt.gz").read_bytes()).decode()
    printed = {int(pfn, 16): int(mfn, 16) for pfn, mfn in re.findall(r"pfn=0x(\w+) ==> mfn=0x(\w+) ", text)}

    assert {pfn: saved.saved_mfn_of(pfn) for pfn in printed} == printed
    assert len(printed) == 0x8000


def test_shared_info_is_the_domains(saved, dumped):
    wallclock_and_p2m = slice(3072, 3136)

    assert saved.shared_info[wallclock_and_p2m] == dumped.shared_info[wallclock_and_p2m]


def test_a_small_stream_needs_no_numpy(real, tmp_path):
    code = f"import sys; from formats import open_image; image = open_image({str(real('xen-pv.save'))!r})\n"
    code += "image.locate(5); print('numpy' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path.root, env=path_of_rooms(), capture_output=True)

    assert said.stdout == b"False\n", said.stderr


def path_of_rooms():
    return {"PYTHONPATH": str(Path(__file__).parents[2])}
