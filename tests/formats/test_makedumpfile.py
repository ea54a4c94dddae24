"""makedumpfile and crash read what the fixtures write, and the readers what makedumpfile writes."""

import shutil
import struct
import subprocess

import pytest

from fixtures import Guest
from fixtures.kdump import split
from formats import open_image
from formats.image import PageState

STORED = (PageState.PRESENT, PageState.ZERO)


def run(*command, **options):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run([str(word) for word in command], capture_output=True, timeout=300, **options)


@pytest.fixture(scope="module")
def core(real, tmp_path_factory):
    """The real ELF dump with its program headers where makedumpfile looks for them."""
    path = tmp_path_factory.mktemp("makedumpfile") / "core"
    with real("linux-mini.elf.core").open("rb") as file:
        head = bytearray(file.read(0x168))
        programs = [bytearray(head[at : at + 56]) for at in range(192, 0x168, 56)]
        struct.pack_into("<QQ", head, 32, 64, 0)
        struct.pack_into("<HHHHHH", head, 52, 64, 56, len(programs), 0, 0, 0)
        for program in programs:
            (offset,) = struct.unpack_from("<Q", program, 8)
            struct.pack_into("<Q", program, 8, offset + 0x1000 - 0x168)
        with path.open("wb") as out:
            out.write((head[:64] + b"".join(programs)).ljust(0x1000, b"\0"))
            shutil.copyfileobj(file, out)
    return path


def same_pages(image, whole):
    """All stored pages are those of the whole dump; how many there are."""
    found = 0
    for part in image.runs():
        if part.state in STORED:
            start, size = part.pfn << 12, part.count << 12
            assert image.read(start, size) == whole.read(start, size)
            found += part.count
    return found


@pytest.mark.parametrize(("codec", "name"), [("-c", "zlib"), ("-l", "lzo"), ("-p", "snappy"), ("-z", "zstd")])
@pytest.mark.parametrize("level", [1, 31])
def test_kdumps_of_every_codec_are_read(real, core, tmp_path, codec, name, level):
    done = run("makedumpfile", codec, "-d", level, core, tmp_path / "kdump")
    assert done.returncode == 0, done.stderr
    if b"USE" in done.stderr + done.stdout:
        name = "none"  # built without the codec: it writes raw pages

    image = open_image(tmp_path / "kdump")

    assert next(fact.value for fact in image.about.facts if fact.name == "compression") == name
    assert same_pages(image, open_image(real("linux-mini.elf.core"))) == (24576 if level == 1 else 15876)
    assert image.about.warnings == []


def test_a_split_dump_is_read_from_its_pieces(real, core, tmp_path):
    names = [tmp_path / f"piece{number}" for number in range(3)]
    done = run("makedumpfile", "-c", "-d", "31", "--split", core, *names)
    assert done.returncode == 0, done.stderr

    image = open_image(*reversed(names))

    assert same_pages(image, open_image(real("linux-mini.elf.core"))) == 15876
    assert image.about.warnings == []


@pytest.mark.parametrize("options", [["-c", "-d", "31"], ["-E", "-d", "1"]])
def test_flattened_output_is_read_in_place(real, core, tmp_path, options):
    with (tmp_path / "stream").open("wb") as out:
        if not shutil.which("makedumpfile"):
            pytest.skip("makedumpfile is not installed")
        subprocess.run(["makedumpfile", "-F", *options, core], stdout=out, stderr=subprocess.PIPE, check=True)

    image = open_image(tmp_path / "stream")

    assert image.about.facts[0].name == "container"
    assert same_pages(image, open_image(real("linux-mini.elf.core"))) > 15000


def test_pages_that_an_elf_filter_left_out_are_excluded(real, core, tmp_path):
    assert run("makedumpfile", "-E", "-d", "31", core, tmp_path / "elf").returncode == 0

    image = open_image(tmp_path / "elf")

    assert same_pages(image, open_image(real("linux-mini.elf.core"))) > 15000
    assert image.tally()[PageState.EXCLUDED] > 8000
    assert PageState.ZERO not in image.tally()


def linux_guest(real):
    """The memory of the real guest as a fixture's guest, with the phys_base that its kernel says."""
    whole = open_image(real("linux-mini.elf.core"))
    guest = Guest("4-level", pv=False, memory="96M")
    for pfn in range(guest.page_count):
        page = whole.read(pfn << 12, 4096)
        if any(page) or pfn in guest.pages:
            guest.pages[pfn] = bytearray(page)
    registers = whole.vcpus[0].registers
    guest.vcpu(cr3=registers["cr3"], rip=registers["rip"], rsp=registers["rsp"])
    text = next(note.data for note in whole.notes if note.name == "VMCOREINFO").decode()
    return guest, {"vmcoreinfo": text, "phys_base": -356515840}


@pytest.mark.parametrize("codec", ["zlib", "lzo"])
def test_makedumpfile_and_crash_read_what_the_fixture_writes(real, tmp_path, codec):
    guest, options = linux_guest(real)
    with (tmp_path / "kdump").open("wb") as file:
        guest.write_to(file, "kdump", codec=codec, **options)

    log = run("makedumpfile", "--dump-dmesg", tmp_path / "kdump", tmp_path / "log")
    release = run("crash", "--osrelease", tmp_path / "kdump")

    assert log.returncode == 0, log.stderr
    assert b"Linux version 6.1.0-56-cloud-amd64" in (tmp_path / "log").read_bytes()
    assert release.stdout.split()[-1] == b"6.1.0-56-cloud-amd64"


def test_makedumpfile_joins_what_the_fixture_splits(real, tmp_path):
    guest, options = linux_guest(real)
    names = [tmp_path / f"piece{number}" for number in range(3)]
    for name, data in zip(names, split(guest, 3, options), strict=True):
        name.write_bytes(data)

    done = run("makedumpfile", "--reassemble", *names, tmp_path / "joined")

    assert done.returncode == 0, done.stderr
    assert same_pages(open_image(tmp_path / "joined"), open_image(real("linux-mini.elf.core"))) == 24576


def test_makedumpfile_puts_a_flattened_fixture_together(tmp_path):
    guest = Guest("4-level", pv=False, memory="1M")
    guest.poke(0x20000, b"text " * 3000)
    guest.vcpu(rip=1)

    stream = guest.to_bytes("kdump", flattened=True)
    done = run("makedumpfile", "-R", tmp_path / "plain", input=stream)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plain").read_bytes() == guest.to_bytes("kdump")
