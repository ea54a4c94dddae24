"""Disks that qemu-img and qemu-io make, read by us and by them."""

import json
import random
import shutil
import subprocess

import pytest

from formats.errors import ImageError, ImageNotSupported
from formats.options import Options
from formats.qcow2_chain import open_disk
from formats.qcow2_clusters import Kind
from formats.source import FileSource

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img and qemu-io (qemu-utils) are absent")

MIB = 1 << 20


def run(*command, check=True):
    return subprocess.run([str(word) for word in command], check=check, capture_output=True, text=True).stdout


def create(path, size, *options, backing=None, backing_format="qcow2", form="qcow2"):
    words = ["-o", ",".join(options)] if options else []
    words += ["-b", backing, "-F", backing_format] if backing else []
    run("qemu-img", "create", "-q", "-f", form, *words, path, size)
    return path


def io(path, *commands, form="qcow2"):
    """Some combinations refuse a command (version 2 cannot discard); the image is what it is all the same."""
    run("qemu-io", "-f", form, *(word for command in commands for word in ("-c", command)), path, check=False)


def scribble(path, size, seed, form="qcow2", compress=False, cluster=65536, count=24):
    """Writes, zeroes and discards at random places."""
    rng = random.Random(seed)
    commands = []
    for _ in range(count):
        at, length = rng.randrange(size // 512) * 512, rng.randrange(1, 2 * cluster // 512 + 2) * 512
        length = min(length, size - at)
        kind = rng.choice(["write", "write", "zero", "discard"] + (["compressed"] if compress else []))
        if kind == "compressed":
            at = at // cluster * cluster
            commands.append(f"write -q -c -P {rng.randrange(1, 256)} {at} {min(cluster, size - at)}")
        elif kind == "write":
            commands.append(f"write -q -P {rng.randrange(1, 256)} {at} {length}")
        else:
            commands.append(f"{'write -q -z' if kind == 'zero' else 'discard -q'} {at} {length}")
    io(path, *commands, form=form)


def as_qemu_reads(path, tmp_path, *options):
    raw = tmp_path / "by-qemu.raw"
    run("qemu-img", "convert", *options, "-O", "raw", path, raw)
    return raw.read_bytes()


def our_disk(path, snapshot=None, allow=()):
    return open_disk(FileSource(path), Options(snapshot=snapshot, allow_backing=allow))


def our_map(disk):
    """(start, end, kind, depth, place) as `qemu-img map` puts it: stretches of one kind."""
    found = []
    for extent in disk.each_extent():
        kind = "data" if extent.kind in (Kind.DATA, Kind.COMPRESSED) else extent.kind.value
        depth = extent.depth if kind != "unallocated" else None
        place = extent.host if extent.kind is Kind.DATA else None
        last = found[-1] if found else None
        if last and last[2:4] == [kind, depth] and (
            place == last[4] if None in (place, last[4]) else place == last[4] + extent.start - last[0]
        ):  # fmt: skip
            last[1] = extent.start + extent.size
        else:
            found.append([extent.start, extent.start + extent.size, kind, depth, place])
    return found


def map_of_qemu(path):
    found = []
    for row in json.loads(run("qemu-img", "map", "--output=json", path)):
        kind = "data" if row["data"] else "zero" if row["present"] else "unallocated"
        depth = row["depth"] if kind != "unallocated" else None
        place = row.get("offset") if kind == "data" else None
        last = found[-1] if found else None
        if last and last[2:4] == [kind, depth] and place is None and last[4] is None:
            last[1] = row["start"] + row["length"]
        else:
            found.append([row["start"], row["start"] + row["length"], kind, depth, place])
    return found


SHAPES = [
    ["cluster_size=512"],
    ["cluster_size=4k", "compat=0.10"],
    ["cluster_size=64k"],
    ["cluster_size=2M", "refcount_bits=1"],
    ["cluster_size=64k", "compression_type=zstd"],
    ["cluster_size=16k", "extended_l2=on"],
    ["cluster_size=128k", "extended_l2=on", "compression_type=zstd", "lazy_refcounts=on"],
    ["cluster_size=32k", "preallocation=metadata"],
]


def cluster_of(options):
    text = next(word for word in options if word.startswith("cluster_size=")).split("=")[1]
    units = {"k": 1 << 10, "M": 1 << 20}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


@pytest.mark.parametrize("options", SHAPES, ids=" ".join)
def test_reads_what_qemu_reads(tmp_path, options):
    size = 6 * MIB + 512
    path = create(tmp_path / "disk.qcow2", size, *options)
    compress = "refcount_bits=1" not in options
    scribble(path, size, 1, compress=compress, cluster=cluster_of(options), count=60)

    disk = our_disk(path)

    assert disk.read(0, disk.size) == as_qemu_reads(path, tmp_path)
    if "preallocation=metadata" not in options:  # there qemu-img also tells which clusters are holes of the file
        assert our_map(disk) == map_of_qemu(path)


@pytest.mark.parametrize("options", SHAPES, ids=" ".join)
def test_reads_a_converted_compressed_disk(tmp_path, options):
    raw = tmp_path / "in.raw"
    rng = random.Random(5)
    raw.write_bytes(
        b"".join(rng.choice([bytes(4096), rng.randbytes(512) * 8, rng.randbytes(4096)]) for _ in range(1200))
    )
    kept = [word for word in options if not word.startswith("preallocation") and word != "refcount_bits=1"]
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "convert", "-c", "-O", "qcow2", "-o", ",".join(kept), raw, path)

    disk = our_disk(path)

    assert disk.read(0, disk.size) == raw.read_bytes()
    assert [disk.read(at, 5000) for at in (0, 70000, 1 << 20)] == [
        raw.read_bytes()[at : at + 5000] for at in (0, 70000, 1 << 20)
    ]


@pytest.mark.parametrize("options", SHAPES[:-1], ids=" ".join)
def test_reads_through_a_chain_of_shorter_and_longer_files(tmp_path, options):
    base = create(tmp_path / "base.raw", 3 * MIB, form="raw")
    io(base, f"write -q -P 17 0 {3 * MIB}", form="raw")
    low = create(tmp_path / "low.qcow2", 5 * MIB, backing=base.name, backing_format="raw")
    scribble(low, 5 * MIB, 2)
    top = create(tmp_path / "top.qcow2", 8 * MIB, *options, backing=low.name)
    scribble(top, 8 * MIB, 3, cluster=cluster_of(options))

    disk = our_disk(top)

    assert [layer.size for layer in disk.layers] == [8 * MIB, 5 * MIB, 3 * MIB]
    assert disk.read(0, disk.size) == as_qemu_reads(top, tmp_path)
    assert our_map(disk) == map_of_qemu(top)


@pytest.mark.parametrize("options", [SHAPES[0], SHAPES[2], SHAPES[5]], ids=" ".join)
def test_reads_the_disk_of_each_snapshot(tmp_path, options):
    size, path = 4 * MIB, tmp_path / "disk.qcow2"
    create(path, size, *options)
    truth = {}
    for number in range(3):
        scribble(path, size, 10 + number, cluster=cluster_of(options))
        run("qemu-img", "snapshot", "-c", f"snap{number}", path)
        truth[f"snap{number}"] = as_qemu_reads(path, tmp_path)
    run("qemu-img", "resize", "-q", path, 5 * MIB)
    scribble(path, 5 * MIB, 20, cluster=cluster_of(options))

    found = {name: our_disk(path, name) for name in truth}

    assert {name: disk.read(0, disk.size) for name, disk in found.items()} == truth
    assert our_disk(path).read(0, 5 * MIB) == as_qemu_reads(path, tmp_path)


def test_reads_after_commit_and_rebase(tmp_path):
    base = create(tmp_path / "base.qcow2", 4 * MIB)
    scribble(base, 4 * MIB, 1)
    top = create(tmp_path / "top.qcow2", 4 * MIB, backing=base.name)
    scribble(top, 4 * MIB, 2)
    other = create(tmp_path / "other.qcow2", 4 * MIB)
    scribble(other, 4 * MIB, 3)
    run("qemu-img", "rebase", "-b", other.name, "-F", "qcow2", top)

    assert our_disk(top).read(0, 4 * MIB) == as_qemu_reads(top, tmp_path)

    run("qemu-img", "commit", "-q", top)

    assert our_disk(other).read(0, 4 * MIB) == as_qemu_reads(other, tmp_path)


@pytest.mark.parametrize("raw", ["on", "off"])
def test_reads_an_external_data_file(tmp_path, raw):
    path = create(tmp_path / "disk.qcow2", 4 * MIB, f"data_file={tmp_path / 'disk.data'}", f"data_file_raw={raw}")
    scribble(path, 4 * MIB, 4)

    disk = our_disk(path)

    assert disk.read(0, disk.size) == as_qemu_reads(path, tmp_path)
    assert {extent.file for extent in disk.each_extent() if extent.kind is Kind.DATA} == {str(tmp_path / "disk.data")}


def test_files_elsewhere_are_opened_only_when_allowed(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    base = create(tmp_path / "there" / "base.qcow2", MIB)
    scribble(base, MIB, 1)
    top = create(tmp_path / "here" / "top.qcow2", MIB, backing="../there/base.qcow2")

    with pytest.raises(ImageNotSupported, match=f"--allow-backing={base.resolve()}"):
        our_disk(top)

    by_file, by_folder = our_disk(top, allow=[base]), our_disk(top, allow=[tmp_path / "there"])
    assert by_file.read(0, MIB) == by_folder.read(0, MIB) == as_qemu_reads(top, tmp_path)


def test_a_link_out_of_the_directory_is_outside(tmp_path):
    (tmp_path / "here").mkdir()
    base = create(tmp_path / "base.qcow2", MIB)
    (tmp_path / "here" / "base.qcow2").symlink_to(base)
    top = create(tmp_path / "here" / "top.qcow2", MIB, backing="base.qcow2")

    with pytest.raises(ImageNotSupported, match="lies outside the image's own directory"):
        our_disk(top)


def test_a_loop_of_backing_files_is_refused(tmp_path):
    first = create(tmp_path / "first.qcow2", MIB)
    second = create(tmp_path / "second.qcow2", MIB, backing=first.name)
    run("qemu-img", "rebase", "-u", "-b", second.name, "-F", "qcow2", first)

    with pytest.raises(ImageError, match="loop"):
        our_disk(second)


def test_an_encrypted_disk_is_named_and_refused(tmp_path):
    path = tmp_path / "disk.qcow2"
    run(
        *("qemu-img", "create", "-q", "--object", "secret,id=s,data=1234", "-f", "qcow2"),
        *("-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", path, "1M"),
    )

    with pytest.raises(ImageNotSupported, match="encrypted \\(LUKS\\)"):
        our_disk(path)


def test_a_name_of_another_protocol_is_not_followed(tmp_path):
    path = create(tmp_path / "disk.qcow2", MIB)
    run("qemu-img", "rebase", "-u", "-b", "nbd://127.0.0.1:10809/x", "-F", "raw", path)

    with pytest.raises(ImageNotSupported, match="only names of files are followed"):
        our_disk(path)
