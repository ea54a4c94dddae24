"""What convert writes holds the same memory and registers, and other programs accept it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import Guest
from formats import open_image
from formats.errors import PageExcluded
from formats.frames import PAGE_SIZE
from formats.image import About, Image, PageState, Run, Vcpu
from vmdebug import convert_kdump
from vmdebug.convert import NothingStored, UnknownFormat, convert, main
from vmdebug.convert_output import OutputExists, OutputFailed
from vmdebug.targets.target import Target

TEXT = 0xFFFF_FFFF_8000_0000
TEXT32 = 0xC000_0000
MIB = 1 << 20


def make_guest(paging="4-level", pv=False):
    guest = Guest(paging, pv=pv, memory="2M")
    text = TEXT if guest.bits == 64 else TEXT32
    guest.map(text, data=b"kernel text")
    guest.drop(0x20, 0x21, 0x22)
    guest.poke(0x1FF000, b"last page")
    names = ("rip", "rsp", "rbx") if guest.bits == 64 else ("eip", "esp", "ebx")
    guest.vcpu(**dict(zip(names, (text + 0x123, text + 0x456, 0xB0), strict=True)))
    guest.vcpu(**dict(zip(names, (text + 0x321, text + 0x654, 0xB1), strict=True)))
    return guest


def opened(guest, tmp_path, format_):
    path = tmp_path / f"image.{format_}"
    guest.save(path, format=format_)
    return open_image(path)


def memory_of(image):
    stored = (PageState.PRESENT, PageState.ZERO)
    runs = [run for run in image.runs() if run.state in stored]
    return {pfn: image.read(pfn << 12, 4096) for run in runs for pfn in range(run.pfn, run.pfn + run.count)}


@pytest.mark.parametrize("kind", ["elf", "kdump-zstd", "kdump-zlib"])
@pytest.mark.parametrize("paging", ["4-level", "5-level", "pae", "2-level"])
def test_memory_and_registers_come_back(kind, paging, tmp_path):
    image = opened(make_guest(paging), tmp_path, "elf-core")

    convert(image, tmp_path / "out", kind)
    found = open_image(tmp_path / "out")

    assert found.about.format == ("qemu-elf" if kind == "elf" else "kdump")
    assert memory_of(found) == memory_of(image)
    assert [vcpu.registers for vcpu in found.vcpus] == [vcpu.registers for vcpu in image.vcpus]
    assert Target(found).mode == Target(image).mode
    assert Target(found).read(TEXT if found.about.bits == 64 else TEXT32, 11) == b"kernel text"
    assert found.about.warnings == []


@pytest.mark.parametrize("kind", ["raw", "lime"])
def test_memory_alone_comes_back(kind, tmp_path):
    image = opened(make_guest(), tmp_path, "elf-core")

    convert(image, tmp_path / "out", kind)
    found = open_image(tmp_path / "out")

    missing = {pfn: bytes(4096) for pfn in (0x20, 0x21, 0x22)} if kind == "raw" else {}
    assert found.about.format == kind
    assert memory_of(found) == memory_of(image) | missing


@pytest.mark.parametrize("kind", ["elf", "kdump-zlib"])
@pytest.mark.parametrize("format_", ["xen-save", "xen-elf-auto", "lime", "xm-save"])
def test_every_format_of_a_machine_converts(format_, kind, tmp_path):
    image = opened(make_guest(), tmp_path, format_)

    convert(image, tmp_path / "out", kind)
    found = open_image(tmp_path / "out")

    assert memory_of(found) == memory_of(image)
    shared = ("rip", "rsp", "rbx", "cs", "cr3", "gs_base", "kernel_gs_base")
    told = [{name: vcpu.registers[name] for name in shared} for vcpu in image.vcpus]
    assert [{name: vcpu.registers[name] for name in shared} for vcpu in found.vcpus] == told


@pytest.mark.parametrize(("paging", "text"), [("4-level", TEXT), ("pae", TEXT32)])
@pytest.mark.parametrize("kind", ["elf", "kdump-zstd"])
def test_page_tables_of_a_pv_guest_hold_pfns_afterwards(kind, paging, text, tmp_path):
    guest = make_guest(paging, pv=True)
    image = opened(guest, tmp_path, "xen-elf")

    report = convert(image, tmp_path / "out", kind)
    found = open_image(tmp_path / "out")

    assert found.about.translated
    assert Target(found).read(text, 11) == b"kernel text"
    assert found.vcpus[0].root == guest.kernel.root << 12
    changed = {pfn for pfn, page in memory_of(found).items() if page != image.read(pfn << 12, 4096)}
    assert changed == set(guest.kernel.tables.values())
    assert f"{len(changed)} below known roots" in report.warnings[0]


def test_tables_of_other_processes_are_found_by_their_read_only_mappings(tmp_path):
    guest = make_guest(pv=True)
    process = guest.new_space()
    guest.map(0x40_0000, data=b"user text", user=True, space=process)
    for number, pfn in enumerate(set(process.tables.values())):
        guest.map(TEXT + (number + 16) * PAGE_SIZE, pfn=pfn, writable=False)
    guest.map(TEXT + 64 * PAGE_SIZE, data=b"\1\0\0\0\0\0\0\0 read-only data", writable=False)
    image = opened(guest, tmp_path, "xen-elf")

    convert(image, tmp_path / "out", "elf")
    found = open_image(tmp_path / "out")

    assert Target(found).space(process.root << 12).read(0x40_0000, 9) == b"user text"
    assert Target(found).read(TEXT + 64 * PAGE_SIZE, 9) == b"\1\0\0\0\0\0\0\0 "


class StubImage(Image):
    """Runs by name; every page holds its number."""

    def __init__(self, runs, unreadable=(), vcpus=()):
        about = About("stub", "stub", 64)
        super().__init__(None, about, vcpus)
        self._runs = runs
        self._unreadable = unreadable

    name = "stub"

    def runs(self):
        return iter(self._runs)

    def locate(self, pfn):
        run = next((run for run in self._runs if run.pfn <= pfn < run.pfn + run.count), None)
        if run is None or run.state is PageState.EXCLUDED or pfn in self._unreadable:
            raise PageExcluded(pfn)
        return (pfn.to_bytes(8, "little") * 512 if run.state is PageState.PRESENT else bytes(4096)), 0


def test_more_segments_than_the_elf_header_can_count(tmp_path):
    runs = [Run(2 * number, 1, PageState.ZERO) for number in range(65_536)]
    runs.append(Run(200_000, 1, PageState.PRESENT))

    convert(StubImage(runs), tmp_path / "out", "elf")
    found = open_image(tmp_path / "out")

    assert found.read(200_000 << 12, 8) == (200_000).to_bytes(8, "little")
    assert found.tally() == {PageState.PRESENT: 65_537}
    assert (tmp_path / "out").stat().st_blocks * 512 < 16 * MIB


def test_excluded_pages_stay_excluded_in_a_kdump_and_are_named_elsewhere(tmp_path):
    present, zero, excluded = PageState.PRESENT, PageState.ZERO, PageState.EXCLUDED
    image = StubImage([Run(1, 3, present), Run(4, 2, excluded), Run(6, 5, zero), Run(11, 1, present)])

    kdump = convert(image, tmp_path / "kdump", "kdump-zstd")
    elf = convert(image, tmp_path / "elf", "elf")

    assert list(open_image(tmp_path / "kdump").runs()) == list(image.runs())
    assert list(open_image(tmp_path / "elf").runs()) == [Run(1, 3, present), Run(6, 6, present)]
    assert list(kdump.warnings) == []
    assert "2 pages that were left out" in elf.warnings[0]


def test_pages_that_cannot_be_read_are_zeros_and_counted(tmp_path):
    image = StubImage([Run(0, 600, PageState.PRESENT)], unreadable={5, 400})

    report = convert(image, tmp_path / "out", "elf")

    found = open_image(tmp_path / "out")
    assert (report.unreadable, report.warnings) == (2, ["2 pages could not be read and are zeros in the output"])
    assert (found.read(5 << 12, 4096), found.read(6 << 12, 8)) == (bytes(4096), (6).to_bytes(8, "little"))


@given(st.integers(0, 100), st.integers(0, 100))
def test_bits_are_set_one_by_one(first, count):
    bitmap = bytearray(32)
    convert_kdump.set_bits(bitmap, first, count)

    assert int.from_bytes(bitmap, "little") == ((1 << count) - 1) << first


def test_memory_too_wide_for_bitmaps_is_refused_and_leaves_nothing(tmp_path):
    image = StubImage([Run(1 << 39, 1, PageState.PRESENT)])

    with pytest.raises(convert_kdump.TooWide, match="convert to elf"):
        convert(image, tmp_path / "out", "kdump-zlib")

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_and_an_empty_image_are_refused(tmp_path):
    with pytest.raises(UnknownFormat, match="there are: elf, kdump-zstd"):
        convert(StubImage([Run(0, 1, PageState.PRESENT)]), tmp_path / "out", "vhs")
    with pytest.raises(NothingStored):
        convert(StubImage([Run(0, 1, PageState.EXCLUDED)]), tmp_path / "out", "elf")


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    image = StubImage([Run(0, 1, PageState.PRESENT)])
    out = tmp_path / "out"
    out.write_bytes(b"precious")

    with pytest.raises(OutputExists, match="--force"):
        convert(image, out, "raw")
    assert out.read_bytes() == b"precious"
    convert(image, out, "raw", force=True)

    assert out.read_bytes() == bytes(4096)
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_that_appears_meanwhile_is_kept_too(tmp_path):
    out = tmp_path / "out"

    def intrude(what, done, total):
        out.write_bytes(b"somebody else's")

    with pytest.raises(OutputExists):
        convert(StubImage([Run(0, 1, PageState.PRESENT)]), out, "raw", intrude)

    assert out.read_bytes() == b"somebody else's"
    assert list(tmp_path.iterdir()) == [out]


def test_a_failure_on_the_way_leaves_no_file(tmp_path):
    def fail(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(StubImage([Run(0, 600, PageState.PRESENT)]), tmp_path / "out", "elf", fail)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(OutputFailed, match="No such file or directory"):
        convert(StubImage([Run(0, 1, PageState.PRESENT)]), tmp_path / "none" / "out", "elf")


def test_progress_reaches_its_end(tmp_path):
    said = []

    convert(
        StubImage([Run(0, 600, PageState.PRESENT)]), tmp_path / "out", "kdump-zstd", lambda *step: said.append(step)
    )

    assert said[-1] == ("converting", 600 << 12, 600 << 12)
    assert len(said) == 3


# The command.


def test_the_command_converts_and_says_so(tmp_path, capsys):
    make_guest().save(tmp_path / "in", format="elf-core")

    status = main([str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--format", "kdump-zlib", "--no-cache"])

    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    assert captured.out == f"{tmp_path}/out: kdump-zlib, 509 pages, 2 vcpus\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["in", "-o", "in"], 1, "is the image itself"),
        (["in", "-o", "there"], 1, "there exists already"),
        (["nothing", "-o", "out"], 1, "failed to open nothing"),
        (["in", "-o", "out", "--format", "vhs"], 2, "invalid choice: 'vhs'"),
        (["in"], 2, "required: -o/--output"),
    ],
)
def test_each_mistake_is_one_clear_line(words, status, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_guest().save("in", format="elf-core")
    Path("there").write_bytes(b"precious")

    assert main(words) == status

    assert said in capsys.readouterr().err.splitlines()[0]
    assert Path("there").read_bytes() == b"precious"


def test_a_terminal_gets_a_bar_that_is_wiped(tmp_path, capsys, monkeypatch):
    make_guest().save(tmp_path / "in", format="elf-core")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    main([str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--no-cache"])

    said = capsys.readouterr().err
    assert said.endswith("\r\x1b[K")
    assert "converting [" in said


def test_a_terminated_conversion_leaves_no_file(tmp_path):
    memory = tmp_path / "memory"
    with memory.open("wb") as file:
        file.write(make_guest().to_bytes("raw"))
        file.truncate(3 << 30)
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "vmdebug", "convert", f"{memory}@0x0", "-o", str(out / "kdump"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    process = subprocess.Popen([*command, "--format", "kdump-zlib"], env=environment, stderr=subprocess.PIPE)
    wait_for(lambda: list(out.iterdir()))
    process.send_signal(signal.SIGTERM)
    status = process.wait(60)

    assert (status, list(out.iterdir())) == (128 + signal.SIGTERM, [])


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# Real images, and other programs.


@pytest.fixture(scope="module")
def converted(real, tmp_path_factory):
    """`converted(name, kind)`: the path of a real image after conversion."""
    folder = tmp_path_factory.mktemp("converted")

    def make(name, kind):
        out = folder / f"{name}.{kind}"
        if not out.exists():
            convert(open_image(real(name)), out, kind)
        return out

    yield make
    shutil.rmtree(folder)


def test_all_memory_and_registers_of_a_real_dump_come_back_from_a_kdump(real, converted):
    image, found = open_image(real("linux-mini.elf.core")), open_image(converted("linux-mini.elf.core", "kdump-zstd"))

    assert [digests(found, 0, 96 * MIB)] == [digests(image, 0, 96 * MIB)]
    assert digests(found, 0xFFFC0000, 0x40000) == digests(image, 0xFFFC0000, 0x40000)
    assert [vcpu.registers for vcpu in found.vcpus] == [vcpu.registers for vcpu in image.vcpus]
    assert found.about.paging == image.about.paging


def digests(image, start, size):
    return [sha256(image.read(at, min(MIB, start + size - at))).hexdigest() for at in range(start, start + size, MIB)]


@pytest.mark.parametrize("kind", ["elf", "kdump-zstd", "kdump-zlib"])
@pytest.mark.parametrize(
    ("name", "told"), [("linux-q10.mapped-ram", "linux-q10"), ("linux-libvirt.save", "linux-libvirt")]
)
def test_every_mib_of_ram_has_the_digest_that_qemus_own_dump_has(name, told, kind, converted, truth):
    image = open_image(converted(name, kind))
    lines = (truth(told) / "ram.sha256").read_text().split("\n")
    said = [(int(at, 0), int(size, 0), digest) for at, size, digest in map(str.split, filter(None, lines))]

    read = [(at, size, sha256(image.read(at, size)).hexdigest()) for at, size, _ in said]

    assert read == said
    assert len(said) >= 96


def test_vmcoreinfo_is_found_in_memory_where_no_note_has_it(real, converted):
    note = next(one.data for one in open_image(real("linux-mini.elf.core")).notes if one.owner == "VMCOREINFO")

    found = open_image(converted("linux-mini.migrate.stream", "elf"))

    assert [one.data for one in found.notes if one.owner == "VMCOREINFO"] == [note]


def test_rewritten_tables_of_a_real_domain_are_those_that_xen_itself_rewrites(real, converted):
    """The save file marks every page table; those of the dump that did not change since must come out the same."""
    saved, found = open_image(real("xen-pv.save")), open_image(converted("xen-pv.core", "elf"))
    dumped = open_image(real("xen-pv.core"))

    pages = [(saved.read(at, 4096), dumped.read(at, 4096), found.read(at, 4096)) for at in range(0, 128 * MIB, 4096)]

    rewritten = [(kept, made) for kept, before, made in pages if made != before]
    assert len(rewritten) > 150
    assert sum(kept == made for kept, made in rewritten) > 0.85 * len(rewritten)


def tool(name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


@pytest.mark.parametrize("kind", ["elf", "kdump-zstd", "kdump-zlib"])
@pytest.mark.parametrize("name", ["linux-mini.elf.core", "linux-libvirt.save", "xen-pv.core", "xen-pvh.core"])
def test_crash_accepts_it(name, kind, converted):
    out = subprocess.run(
        [tool("crash"), "--osrelease", converted(name, kind)], capture_output=True, text=True, timeout=60
    )

    assert out.stdout.strip().startswith("6.1.0-")


@pytest.mark.parametrize("kind", ["elf", "kdump-zlib"])  # distributions build it without zstd
@pytest.mark.parametrize("name", ["linux-mini.elf.core", "linux-libvirt.save", "xen-pv.core", "xen-pvh.core"])
def test_makedumpfile_reads_the_kernels_log_out_of_it(name, kind, converted, tmp_path):
    command = [tool("makedumpfile"), "--dump-dmesg", converted(name, kind), tmp_path / "log"]

    subprocess.run(command, check=True, capture_output=True, timeout=60)

    assert "LAB-MARK: dmesg ends here" in (tmp_path / "log").read_text(errors="replace")


def test_readelf_has_nothing_to_complain_of(converted):
    out = subprocess.run(
        [tool("readelf"), "-hln", converted("linux-mini.elf.core", "elf")], capture_output=True, text=True
    )

    assert out.stderr == ""
    assert re.findall(r"^ +(CORE|QEMU|VMCOREINFO) ", out.stdout, re.M) == ["CORE", "CORE", "QEMU", "QEMU", "VMCOREINFO"]
    assert len(re.findall(r"^ +LOAD ", out.stdout, re.M)) == 2


def test_gdb_finds_every_vcpu_with_its_registers(real, converted):
    image = open_image(real("linux-mini.elf.core"))
    command = [tool("gdb"), "-nx", "-batch", "-ex", "thread apply all -ascending info registers rip rsp", "--core"]

    out = subprocess.run(
        [*command, converted("linux-mini.elf.core", "elf")], capture_output=True, text=True, timeout=60
    )

    told = [(vcpu.registers["rip"], vcpu.registers["rsp"]) for vcpu in image.vcpus]
    rip, rsp = (
        [int(value, 16) for value in re.findall(rf"^{name} +(0x\w+)", out.stdout, re.M)] for name in ("rip", "rsp")
    )
    assert list(zip(rip, rsp, strict=True)) == told


def test_a_vcpu_without_segment_state_gets_the_flat_segments_of_its_mode(tmp_path):
    image = StubImage([Run(0, 1, PageState.PRESENT)], vcpus=[Vcpu(0, 64, {"cs": 0xE033, "rip": 1 << 40})])

    convert(image, tmp_path / "out", "elf")

    registers = open_image(tmp_path / "out").vcpus[0].registers
    assert (registers["cs"], registers["cs_flags"], registers["cs_limit"]) == (0xE033, 0xAFFB00, 0xFFFF_FFFF)
