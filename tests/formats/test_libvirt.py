"""libvirt's save files, in every compression, and files that a user compressed."""

import bz2
import gzip
import lzma
import shutil
import subprocess

import pytest

from fixtures import Guest
from fixtures.libvirt import FORMATS, compressed
from formats import open_image, wrap_gzip, wrap_libvirt, wrap_xz
from formats.errors import ImageDamaged, ImageError, ImageNotSupported
from formats.frames import Paddr
from formats.opener import open_source
from formats.options import Options
from formats.source import BufferSource

UNPACKERS = ("gzip", "bzip2", "xz", "lzop", "zstd")


@pytest.fixture(scope="module")
def guest():
    made = Guest(pv=False, memory="2M")
    made.map(0xFFFF_8000_0000_1000, data=bytes(range(200)) * 3000)
    made.vcpu(rip=0xFFFF_8000_0000_1234)
    return made


def memory_of(guest):
    return b"".join(bytes(guest.pages.get(pfn, bytes(4096))) for pfn in range(guest.page_count))


def opened(data):
    return open_source(BufferSource("saved", data), Options())


@pytest.mark.parametrize("compression", FORMATS)
def test_opens_every_compression(guest, compression):
    image = opened(guest.to_bytes("libvirt-save", compression=compression))

    assert image.read(Paddr(0), 2 << 20) == memory_of(guest)
    assert image.vcpus[0].registers["rip"] == 0xFFFF_8000_0000_1234
    assert [note.name for note in image.notes] == ["domain.xml", "cookie.xml"]


def test_the_header_may_be_in_the_other_byte_order_and_unfinished(guest):
    image = opened(guest.to_bytes("libvirt-save", byte_order="big", partial=True))

    assert image.about.warnings == ["libvirt did not finish writing the save file"]
    assert image.read(Paddr(0), 2 << 20) == memory_of(guest)


@pytest.mark.parametrize("name", UNPACKERS)
def test_a_stream_that_the_user_compressed_opens_as_it_is(guest, name):
    image = opened(compressed(guest.to_bytes("qemu-stream"), name))

    assert image.read(Paddr(0), 2 << 20) == memory_of(guest)
    assert image.about.facts[0].evidence == name


@pytest.mark.parametrize("name", UNPACKERS)
def test_what_was_unpacked_is_kept_in_the_cache(guest, name, tmp_path, monkeypatch):
    path = tmp_path / "saved"
    guest.save(path, "libvirt-save", compression=name)
    open_image(path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("formats.unpacked._write", None)
    monkeypatch.setattr("formats.qemu_stream_image.scan", None)

    image = open_image(path, cache_dir=tmp_path / "cache")

    assert image.read(Paddr(0), 2 << 20) == memory_of(guest)


@pytest.mark.parametrize("name", UNPACKERS)
def test_a_cut_one_says_so_or_gives_what_was_there(guest, name):
    data = compressed(guest.to_bytes("qemu-stream"), name)

    with pytest.raises(ImageDamaged, match="truncated"):
        opened(data[: len(data) * 3 // 4])


@pytest.mark.parametrize("name", UNPACKERS)
def test_damage_inside_is_one_error_or_a_page(guest, name):
    data = compressed(guest.to_bytes("qemu-stream"), name)
    for at in range(20, len(data), max(len(data) // 50, 1)):
        broken = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        try:
            opened(broken)
        except ImageError as err:
            assert len(str(err).splitlines()) == 1


@pytest.mark.parametrize(("pack", "module"), [(gzip.compress, wrap_gzip), (lzma.compress, wrap_xz)])
def test_several_streams_behind_each_other_are_one(pack, module):
    source = BufferSource("two", pack(b"first" * 1000) + pack(b"second" * 1000))

    inner = module.unwrap(source)

    assert inner.read(0, inner.size) == b"first" * 1000 + b"second" * 1000


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr("formats.unpacked.ALWAYS", 1 << 20)
    monkeypatch.setattr("formats.unpacked.RATIO", 4)
    bomb = bz2.compress(bytes(50 << 20))

    with pytest.raises(ImageDamaged, match="unpack to more than"):
        opened(bomb)


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (16, 9, "version 9"),
        (20, 1 << 31, "truncated: the stream of the libvirt save file would begin at 0x8000005c"),
        (28, 77, "format 77"),
        (28, 1, "of compression gzip, but its stream .* begins with 51 45"),
    ],
)
def test_a_header_that_makes_no_sense_is_named(guest, offset, value, said):
    data = bytearray(guest.to_bytes("libvirt-save"))
    data[offset : offset + 4] = value.to_bytes(4, "little")

    with pytest.raises(ImageError, match=said):
        opened(bytes(data))


def test_a_cookie_outside_is_passed_over(guest):
    data = bytearray(guest.to_bytes("libvirt-save"))
    data[32:36] = (1 << 30).to_bytes(4, "little")

    notes = wrap_libvirt.unwrap(BufferSource("saved", bytes(data))).notes

    assert [note.name for note in notes] == ["domain.xml"]


@pytest.mark.skipif(not shutil.which("lzop"), reason="lzop is absent")
@pytest.mark.parametrize("words", [["-1"], ["-9"], ["-3", "--crc32"], ["-F"]], ids=" ".join)
def test_reads_what_lzop_writes_and_lzop_what_we_write(guest, tmp_path, words):
    stream, plain = guest.to_bytes("qemu-stream"), tmp_path / "plain"
    plain.write_bytes(stream)
    packed = subprocess.run(["lzop", *words, "-c", plain], capture_output=True, check=True).stdout

    ours = subprocess.run(["lzop", "-dc"], input=compressed(stream, "lzop"), capture_output=True, check=True).stdout

    assert opened(packed).read(Paddr(0), 2 << 20) == memory_of(guest)
    assert ours == stream


def test_a_snapshot_of_what_has_none_is_refused(guest):
    with pytest.raises(ImageNotSupported, match="only qcow2 images have snapshots"):
        open_source(BufferSource("stream", guest.to_bytes("qemu-stream")), Options(snapshot="one"))
