"""Images that the user compressed: every format opens through every codec, within bounds."""

import bz2
import gzip
import lzma
import os

import pytest
import zstandard

from fixtures import Guest
from formats import open_image
from formats.cache import default_folder
from formats.errors import ImageError, ImageUnknown

PACKERS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.compress(data, 3),
}
FORMATS = ["xen-save", "xm-save", "lime", "elf-core", "raw", "vmware", "illumos-vmcore"]


@pytest.fixture(scope="module")
def guest():
    made = Guest("4-level", pv=False, memory="512K")
    made.map(0xFFFF_FFFF_8000_0000, data=b"kernel text")
    made.vcpu(rip=0xFFFF_FFFF_8000_0004)
    return made


@pytest.mark.parametrize("codec", PACKERS)
@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_opens_through_every_codec(format_, codec, guest, tmp_path):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    guest.save(plain, format=format_)
    packed.write_bytes(PACKERS[codec](plain.read_bytes()))

    image, told = open_image(packed), open_image(plain)

    assert image.about.format == told.about.format
    assert image.about.facts[0].evidence == codec
    assert [image.read(at, 4096) for at in range(0, 0x80000, 4096)] == [
        told.read(at, 4096) for at in range(0, 0x80000, 4096)
    ]


@pytest.mark.parametrize("codec", PACKERS)
def test_the_copy_in_the_cache_serves_the_next_opening(codec, guest, tmp_path):
    packed, cache = tmp_path / "packed", tmp_path / "cache"
    packed.write_bytes(PACKERS[codec](guest.to_bytes("lime")))
    said = []

    for _ in range(2):
        said.append([])
        image = open_image(packed, cache_dir=cache, progress=lambda *step: said[-1].append(step))

    assert image.read(0, 4096) == guest.peek(0, 4096)
    assert said[0]
    assert said[1] == []


def test_a_copy_that_was_damaged_is_made_again(guest, tmp_path):
    packed, cache = tmp_path / "packed", tmp_path / "cache"
    packed.write_bytes(gzip.compress(guest.to_bytes("lime")))
    open_image(packed, cache_dir=cache)
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:-1])

    assert open_image(packed, cache_dir=cache).read(0, 4096) == guest.peek(0, 4096)


def test_a_full_disk_is_named_before_it_is_full(guest, tmp_path, monkeypatch):
    packed, cache = tmp_path / "packed", tmp_path / "cache"
    packed.write_bytes(gzip.compress(guest.to_bytes("lime")))
    full = os.statvfs_result((4096, 4096, 100, 10, 10, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda handle: full)

    with pytest.raises(ImageError, match="no room to unpack it; where there is more, run "):
        open_image(packed, cache_dir=cache)

    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("codec", PACKERS)
def test_something_else_inside_is_unknown(codec, tmp_path):
    (tmp_path / "packed").write_bytes(PACKERS[codec](b"a letter"))

    with pytest.raises(ImageUnknown):
        open_image(tmp_path / "packed")


@pytest.mark.parametrize("codec", PACKERS)
def test_a_packed_file_that_was_cut_says_so(codec, guest, tmp_path):
    data = PACKERS[codec](guest.to_bytes("xen-save"))
    (tmp_path / "packed").write_bytes(data[: len(data) // 2])

    with pytest.raises(ImageError, match="truncated"):
        open_image(tmp_path / "packed")


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert default_folder() == tmp_path / "vmdebug"
