"""How files find their readers: by content, through containers, by name and snapshot, without importing everything."""

import subprocess
import sys
from pathlib import Path

import pytest

import formats
from fixtures import Guest
from fixtures.libvirt import compressed
from formats import open_image
from formats.candidates import candidates
from formats.errors import ImageDamaged, ImageError, ImageUnknown
from formats.frames import Paddr
from formats.names import Name, parse_name
from formats.opener import open_disk, open_source, readers, wrappers
from formats.source import BufferSource

HEAVY = ("numpy", "zstandard", "lzallright", "cramjam", "construct", "elftools", "capstone", "tempfile", "bz2", "lzma")


def test_every_module_is_known_from_its_text_as_it_is():
    for candidate in candidates():
        module = candidate.module()
        assert candidate.order == getattr(module, "ORDER", 50), candidate.name
        assert candidate.heads == getattr(module, "HEADS", ()), candidate.name
        assert (candidate.reads, candidate.unwraps) == (hasattr(module, "open_image"), hasattr(module, "unwrap"))


def test_every_format_has_a_name_of_its_own_and_a_description():
    modules = [*readers(), *wrappers()]

    assert len({module.NAME for module in modules}) == len(modules) > 12
    assert all(module.DESCRIPTION and "\n" not in module.DESCRIPTION for module in modules)


def test_each_file_is_claimed_by_one_reader_or_container():
    guest = Guest(pv=False, memory="2M")
    guest.vcpu(rip=1)
    for format_name in ("elf-core", "kdump", "lime", "qemu-stream", "libvirt-save", "qcow2"):
        source = BufferSource(format_name, guest.to_bytes(format_name))
        sure = [one.name for one in candidates() if one.order <= 50 and one.knows(source)]
        assert len(sure) == 1, (format_name, sure)


def test_opening_imports_only_what_the_file_needs(tmp_path):
    guest = Guest(pv=False, memory="2M")
    guest.vcpu(rip=1)
    guest.save(tmp_path / "vm.stream", "qemu-stream")
    code = (
        "import sys; from formats import open_image; image = open_image(sys.argv[1]); image.read(0, 4096);"
        f"print([name for name in {HEAVY} if name in sys.modules], 'formats.kdump' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "vm.stream"],
        capture_output=True, text=True, check=True, cwd=Path(formats.__file__).parent.parent,
    )  # fmt: skip

    assert said.stdout.strip() == "[] False"


def test_containers_nest():
    guest = Guest(pv=False, memory="2M")
    guest.poke(0x3000, b"inside")
    guest.vcpu(rip=1)
    data = guest.to_bytes("libvirt-save", compression="zstd")

    image = open_source(BufferSource("nested", compressed(compressed(data, "gzip"), "xz")))

    assert image.read(Paddr(0x3000), 6) == b"inside"
    assert [fact.evidence for fact in image.about.facts[:4]] == ["xz", "gzip", "libvirt-save", "zstd"]


def test_too_many_containers_are_refused():
    data = b"x" * 100
    for _ in range(10):
        data = compressed(data, "gzip")

    with pytest.raises(ImageDamaged, match="more than 8 containers"):
        open_source(BufferSource("nested", data))


@pytest.mark.parametrize(
    "data", [b"", b"x", b"hello world", bytes(100), b"QFI", b"QEV", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"]
)
def test_a_few_bytes_are_no_image(data):
    with pytest.raises(ImageError):
        open_source(BufferSource("tiny", data))


def test_an_unknown_file_says_how_it_begins():
    with pytest.raises(ImageUnknown, match="68 65 6c 6c 6f"):
        open_source(BufferSource("text", b"hello world, this is no image\n"))


def test_names_of_files_win_over_names_of_snapshots(tmp_path):
    (tmp_path / "disk").touch()
    (tmp_path / "disk@home").touch()

    assert parse_name(tmp_path / "disk@home") == Name(tmp_path / "disk@home")
    assert parse_name(f"{tmp_path}/disk@home@snap") == Name(tmp_path / "disk@home", snapshot="snap")
    assert parse_name(f"{tmp_path}/disk@snap@2") == Name(tmp_path / "disk", snapshot="snap@2")
    assert parse_name(f"{tmp_path}/disk@0x100000") == Name(tmp_path / "disk", address=0x100000)
    assert parse_name(f"{tmp_path}/none@snap") == Name(tmp_path / "none@snap")


def test_pieces_of_raw_memory_lie_at_their_addresses(tmp_path):
    (tmp_path / "low").write_bytes(b"low!" * 2048)
    (tmp_path / "high").write_bytes(b"high" * 2048)

    image = open_image(f"{tmp_path}/low@0x0", f"{tmp_path}/high@0x100000000")

    assert image.read(Paddr(0), 4) == b"low!"
    assert image.read(Paddr(1 << 32), 4) == b"high"


def test_a_raw_file_is_a_disk(tmp_path):
    (tmp_path / "disk.raw").write_bytes(b"sector 0" * 64)

    assert open_disk(tmp_path / "disk.raw").read(0, 8) == b"sector 0"


def test_files_that_make_no_set_are_named(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"hello")

    with pytest.raises(ImageError, match=r"one, .*two: no format is known"):
        open_image(tmp_path / "one", tmp_path / "two")
