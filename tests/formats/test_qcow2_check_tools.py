"""Damaged qcow2 files, checked by us and by qemu-img."""

import json
import random
import shutil
import struct
import subprocess

import pytest

from formats.qcow2_check import check, totals
from formats.source import FileSource

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img and qemu-io (qemu-utils) are absent")

MIB = 1 << 20
SHAPES = ["cluster_size=512", "cluster_size=4k,compat=0.10", "cluster_size=64k", "cluster_size=64k,refcount_bits=1",
          "cluster_size=64k,refcount_bits=64", "cluster_size=16k,extended_l2=on",
          "cluster_size=4k,refcount_bits=4,compression_type=zstd"]  # fmt: skip


def run(*command, check=True):
    return subprocess.run([str(word) for word in command], check=check, capture_output=True, text=True)


@pytest.fixture
def make(tmp_path):
    def make_disk(options, snapshots=0):
        path, rng = tmp_path / "disk.qcow2", random.Random(options)
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, 3 * MIB)
        for number in range(snapshots + 1):
            words = []
            for _ in range(12):
                words += [
                    "-c",
                    f"write -q -P {rng.randrange(1, 255)} {rng.randrange(6000) * 512} {rng.randrange(1, 64) * 512}",
                ]
            words += ["-c", f"write -q -c -P 9 {rng.randrange(40) * 65536} 65536"]
            run("qemu-io", "-f", "qcow2", *words, path, check=False)
            if number < snapshots:
                run("qemu-img", "snapshot", "-c", f"snap{number}", path)
        return path

    return make_disk


def by_qemu(path):
    said = json.loads(run("qemu-img", "check", "--output=json", path, check=False).stdout)
    return said.get("corruptions", 0), said.get("leaks", 0)


def by_us(path):
    return totals(check(FileSource(path)))


def fields(path):
    head = path.read_bytes()[:104]
    return {"bits": struct.unpack_from(">I", head, 20)[0], "l1": struct.unpack_from(">Q", head, 40)[0],
            "refcounts": struct.unpack_from(">Q", head, 48)[0]}  # fmt: skip


def patch(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def word(path, offset):
    return struct.unpack_from(">Q", path.read_bytes(), offset)[0]


def first_l2(path):
    return word(path, fields(path)["l1"]) & 0x00FF_FFFF_FFFF_FE00


@pytest.mark.parametrize("options", SHAPES)
def test_finds_nothing_wrong_with_what_qemu_made(make, options):
    path = make(options)

    assert by_us(path) == by_qemu(path) == (0, 0)


@pytest.mark.parametrize("options", [shape for shape in SHAPES if "bits=1" not in shape and "bits=4" not in shape])
def test_finds_nothing_wrong_with_snapshots(make, options):
    path = make(options, snapshots=3)

    assert by_us(path) == by_qemu(path) == (0, 0)


@pytest.mark.parametrize("options", ["cluster_size=512", "cluster_size=64k", "cluster_size=64k,refcount_bits=64"])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_counts_errors_and_leaks_where_stored_counts_are_wrong(make, options, count):
    path = make(options)
    block = word(path, fields(path)["refcounts"])
    width = 8 if "64" in options.split("bits=")[-1] and "refcount" in options else 2
    patch(path, block + 5 * width, count.to_bytes(width, "big"))

    found = by_us(path)

    assert found == by_qemu(path)
    assert (found == (0, 0)) == (count == 1)


@pytest.mark.parametrize("options", ["cluster_size=512", "cluster_size=64k", "cluster_size=16k,extended_l2=on"])
def test_counts_errors_where_entries_of_the_disk_are_wrong(make, options):
    step = 16 if "extended" in options else 8
    damages = [
        lambda entry, other, size: entry & ~(1 << 63),
        lambda entry, other, size: other,
        lambda entry, other, size: entry + 512 if size > 512 else entry | 2,
        lambda entry, other, size: entry | 1 << 60,
        lambda entry, other, size: entry + (1 << 40),
        lambda entry, other, size: 0,
    ]
    seen = []
    for damage in damages:
        path = make(options)
        table, size = first_l2(path), 1 << fields(path)["bits"]
        places = [table + at for at in range(0, size, step) if word(path, table + at) >> 62 == 2]
        patch(path, places[0], struct.pack(">Q", damage(word(path, places[0]), word(path, places[1]), size)))

        seen.append((by_us(path), by_qemu(path)))

    assert [ours for ours, _ in seen] == [qemu for _, qemu in seen]
    assert all(ours != (0, 0) for ours, _ in seen)


def test_tables_that_point_at_themselves_end(make):
    path = make("cluster_size=64k")
    at = fields(path)
    patch(path, at["l1"], struct.pack(">Q", at["l1"] | 1 << 63))

    errors, _ = by_us(path)

    assert errors > 0


def test_a_snapshot_s_own_clusters_are_counted(make):
    path = make("cluster_size=64k", snapshots=2)
    patch(path, fields(path)["l1"], struct.pack(">Q", 0))

    errors, leaks = by_us(path)

    assert (errors, leaks) == by_qemu(path)
    assert leaks > 0


def test_bitmaps_take_their_clusters(make):
    path = make("cluster_size=64k")
    run("qemu-img", "bitmap", "--add", "-g", "64k", path, "dirty")

    assert by_us(path) == by_qemu(path) == (0, 0)
