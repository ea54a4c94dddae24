"""Generated qcow2 images: disks, snapshots with a machine's state, and what damage does to them."""

import contextlib
import random
import shutil
import struct
import subprocess
import zlib
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import Guest
from fixtures.qcow2 import ZERO, Shape, Snapshot, build
from formats import open_image
from formats.errors import ImageDamaged, ImageError, ImageNotSupported, SourceEnd
from formats.frames import Paddr
from formats.opener import describe, open_source
from formats.options import Options
from formats.qcow2_chain import open_disk
from formats.qcow2_check import check, totals
from formats.qcow2_clusters import Kind
from formats.source import BufferSource, FileSource

SHAPES = [
    Shape(size=100_352, bits=9),
    Shape(size=300_032, bits=12, version=2),
    Shape(size=3_000_320, bits=16),
    Shape(size=9_000_448, bits=21),
    Shape(size=600_064, bits=12, compression="deflate"),
    Shape(size=600_064, bits=12, compression="zstd"),
    Shape(size=600_064, bits=14, extended=True),
    Shape(size=2_000_384, bits=16, extended=True, compression="deflate"),
]


def some_clusters(shape, seed=1):
    """Clusters of every kind, and the disk that they make."""
    rng, unit = random.Random(seed), 1 << shape.bits
    clusters, disk = {}, bytearray(-(-shape.size // unit) * unit)
    for number in range(-(-shape.size // unit)):
        kind = rng.choice(["none", "data", "zero", "half"])
        if kind in ("data", "half"):
            text = bytes([number % 250 + 1]) * (unit // 2) + (
                rng.randbytes(64) * (unit // 128) if kind == "data" else b""
            )
            clusters[number] = text
            disk[number * unit : number * unit + len(text)] = text
        elif kind == "zero" and shape.version == 3:
            clusters[number] = ZERO
    return clusters, bytes(disk[: shape.size])


def disk_of(data, **options):
    return open_disk(BufferSource("disk.qcow2", data), Options(**options))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reads_the_whole_disk(shape):
    clusters, disk = some_clusters(shape)

    found = disk_of(build(shape, clusters))

    assert found.read(0, found.size) == disk
    assert bytes(found.view(100, 5000)) == disk[100:5100]
    buffer, at = found.page(4096)
    assert buffer[at : at + 4096] == disk[4096:8192]
    with pytest.raises(SourceEnd):
        found.read(shape.size - 1, 2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_extents_cover_the_disk_once(shape):
    found = disk_of(build(shape, some_clusters(shape)[0]))

    extents = list(found.each_extent())

    assert [extent.start for extent in extents] == [0, *(extent.start + extent.size for extent in extents[:-1])]
    assert extents[-1].start + extents[-1].size == shape.size
    assert {extent.kind for extent in extents} >= {Kind.UNALLOCATED}


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img (qemu-utils) is absent")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_qemu_finds_nothing_wrong_with_what_we_write(shape, tmp_path):
    clusters, disk = some_clusters(shape)
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(shape, clusters, [Snapshot("one", b"state" * 50_000, clusters), Snapshot("two")]))

    checked = subprocess.run(["qemu-img", "check", path], capture_output=True, text=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", path, tmp_path / "raw"], check=True)

    assert "No errors were found" in checked.stdout, checked.stdout + checked.stderr
    assert (tmp_path / "raw").read_bytes()[: shape.size] == disk
    assert list(check(FileSource(path))) == []


@pytest.fixture
def guest():
    made = Guest(pv=False, memory="2M")
    made.map(0xFFFF_8000_0000_1000, data=b"hello" * 3000)
    made.vcpu(rip=0xFFFF_8000_0000_1234)
    return made


def memory_of(guest):
    return b"".join(bytes(guest.pages.get(pfn, bytes(4096))) for pfn in range(guest.page_count))


@pytest.mark.parametrize("bits", [9, 12, 16, 21])
@pytest.mark.parametrize("extended", ["no", "yes"])
def test_opens_the_only_snapshot_with_a_machine(guest, tmp_path, bits, extended):
    if extended == "yes" and bits < 14:
        bits = 14
    path = tmp_path / "disk.qcow2"
    guest.save(path, "qcow2", cluster_bits=bits, extended=extended)

    image = open_image(path)

    assert image.read(Paddr(0), 2 << 20) == memory_of(guest)
    assert image.vcpus[0].registers["rip"] == 0xFFFF_8000_0000_1234
    assert image.name == f"{path}@snap1"


def test_an_image_that_qemu_marked_corrupt_is_read_with_a_warning(guest, tmp_path):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(Shape(size=1 << 20, incompatible=2), {}, [Snapshot("one", guest.to_bytes("qemu-stream"))]))

    image = open_image(path)

    assert image.read(Paddr(0), 2 << 20) == memory_of(guest)
    assert "marked as corrupt" in image.about.warnings[0]
    assert open_disk(FileSource(path), Options()).warnings == image.about.warnings


def test_several_ask_for_a_choice(guest, tmp_path):
    other = Guest(pv=False, memory="2M", seed=9)
    other.vcpu(rip=77)
    states = [Snapshot(name, one.to_bytes("qemu-stream")) for name, one in (("before", guest), ("after", other))]
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(Shape(size=1 << 20), {}, [*states, Snapshot("disk only")]))

    with pytest.raises(ImageNotSupported, match=r"2 snapshots hold a machine state.*before, after"):
        open_image(path)

    assert open_image(f"{path}@after").vcpus[0].registers["rip"] == 77
    assert open_image(path, snapshot="before").vcpus[0].registers["rip"] == 0xFFFF_8000_0000_1234
    assert open_image(f"{path}@2").vcpus[0].registers["rip"] == 77
    with pytest.raises(ImageNotSupported, match="holds the disk only"):
        open_image(f"{path}@disk only")
    with pytest.raises(ImageNotSupported, match=r"no snapshot is called 'never'; there are: before, after, disk only"):
        open_image(f"{path}@never")


def test_two_snapshots_have_indexes_of_their_own(guest, tmp_path):
    other = Guest(pv=False, memory="2M", seed=9)
    other.poke(5000, b"other")
    other.vcpu(rip=77)
    states = [Snapshot(name, one.to_bytes("qemu-stream")) for name, one in (("a", guest), ("b", other))]
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(Shape(size=1 << 20), {}, states))

    read = [open_image(f"{path}@{name}", cache_dir=tmp_path / "cache").read(Paddr(0), 2 << 20) for name in "abab"]

    assert read == [memory_of(guest), memory_of(other)] * 2


def test_a_disk_without_a_machine_says_so(tmp_path):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(Shape(size=1 << 20), {}))

    with pytest.raises(ImageNotSupported, match=r"without a saved machine state.*--disk"):
        open_image(path)


def test_describes_disk_chain_and_snapshots(guest, tmp_path):
    (tmp_path / "base.raw").write_bytes(b"\x22" * 5000)
    state = guest.to_bytes("qemu-stream")
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(Shape(size=1 << 20, backing=("base.raw", "raw")), {}, [Snapshot("snap", state)]))

    said = describe(path)

    facts = {fact.name: fact.value for fact in said.facts}
    assert facts["virtual size"] == "0x100000 bytes"
    assert facts["backing file"] == "base.raw (raw)"
    assert facts["below, 1"] == f"{tmp_path}/base.raw (0x1388 bytes)"
    assert facts["snapshot snap"] == f"id 1, 2023-11-14 22:13:20 UTC, machine state of {len(state):#x} bytes"
    assert [name for name, _ in said.containers] == ["qcow2-vmstate"]
    assert (said.format, said.vcpus, said.error) == ("qemu-stream", 1, "")


def test_describes_a_bare_disk_without_an_image(tmp_path):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(Shape(size=1 << 20), {}))

    said = describe(path)

    assert {fact.name: fact.value for fact in said.facts}["qcow2 version"] == "3"
    assert said.format == ""
    assert "without a saved machine state" in said.error


# Damage.


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (Shape(size=1 << 20, version=1), "qcow of version 1"),
        (Shape(size=1 << 20, crypt=1), r"encrypted \(AES\)"),
        (Shape(size=1 << 20, crypt=2), r"encrypted \(LUKS\)"),
        (Shape(size=1 << 20, incompatible=1 << 40), r"incompatible feature, bit 40"),
        (Shape(size=1 << 20, backing=("json:{}", "raw")), "only names of files are followed"),
        (Shape(size=1 << 20, backing=("base.vmdk", "vmdk")), "format 'vmdk'"),
    ],
)
def test_what_is_not_understood_is_named(shape, said, tmp_path):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(build(shape, {}))

    with pytest.raises(ImageError, match=said):
        open_disk(FileSource(path), Options())


def patched(data, offset, layout, *values):
    out = bytearray(data)
    struct.pack_into(layout, out, offset, *values)
    return bytes(out)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "said"),
    [
        (20, ">I", 60, r"clusters of 2\^60 bytes"),
        (24, ">Q", (1 << 64) - 1, "L1 table of .* entries is too short"),
        (36, ">I", 0xFFFF_FFFF, "L1 table of 4294967295 entries"),
        (40, ">Q", 1 << 50, "truncated: L1 table"),
        (40, ">Q", 513, "no cluster boundary"),
        (60, ">I", 0xFFFF_FFFF, "4294967295 snapshots"),
        (64, ">Q", 1 << 52, "truncated: snapshot 1"),
        (96, ">I", 63, "reference counts of"),
        (100, ">I", 1 << 30, "header of 1073741824 bytes"),
    ],
)
def test_a_header_that_contradicts_itself_is_named(offset, layout, value, said):
    data = build(Shape(size=1 << 20), {0: b"x"}, [Snapshot("one", b"y" * 100)])

    with pytest.raises(ImageDamaged, match=said):
        disk_of(patched(data, offset, layout, value))


def test_tables_that_point_at_themselves_are_no_loop():
    data = build(Shape(size=1 << 20), {0: b"x"})
    (l1,) = struct.unpack_from(">Q", data, 40)

    disk = disk_of(patched(data, l1, ">Q", l1 | 1 << 63))

    assert len(disk.read(1 << 16, 4096)) == 4096
    assert totals(check(BufferSource("disk", patched(data, l1, ">Q", l1 | 1 << 63))))[0] > 0


def test_a_machine_state_behind_its_tables_is_refused():
    data = build(Shape(size=1 << 20), {}, [Snapshot("one", b"QEVM" * 100)])
    (rows,) = struct.unpack_from(">Q", data, 64)

    with pytest.raises(ImageDamaged, match="its L1 table has room for"):
        open_source(BufferSource("disk", patched(data, rows + 40, ">Q", 1 << 62)))


def test_a_bomb_gives_no_more_than_a_cluster():
    shape = Shape(size=1 << 20, bits=12, compression="deflate")
    data = build(shape, {0: bytes(4096)})
    at = data.index(b"\xa5" * 1000) // 4096 * 4096
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(3_000_000)) + packer.flush()
    broken = data[:at] + bomb[:512] + data[at + 512 :]

    assert disk_of(broken).read(0, 8192) == bytes(8192)


def test_data_behind_the_end_of_the_file_are_named():
    data = build(Shape(size=1 << 20), {0: b"x" * 65536})

    disk = disk_of(data)
    (extent,) = [extent for extent in disk.each_extent() if extent.kind is Kind.DATA]

    (l2,) = struct.unpack_from(">Q", data, struct.unpack_from(">Q", data, 40)[0])
    moved = patched(data, l2 & ~(1 << 63), ">Q", 1 << 40 | 1 << 63)
    assert extent.host is not None
    with pytest.raises(ImageDamaged, match="truncated: data of the disk at 0x0 lie at 0x10000000000"):
        disk_of(moved).read(0, 10)


@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[4], SHAPES[6]], ids=str)
def test_any_damage_ends_in_bytes_or_one_error(shape):
    clusters, _ = some_clusters(shape)
    data = build(shape, clusters, [Snapshot("one", b"QEVM" + bytes(300), clusters)])

    places = st.one_of(st.integers(0, 120), st.integers(0, len(data) - 1))

    @given(
        st.lists(st.tuples(places, st.binary(min_size=1, max_size=9)), min_size=1, max_size=4),
        st.integers(0, len(data)),
    )
    @settings(max_examples=150, deadline=None)
    def run(changes, cut):
        broken = bytearray(data)
        for at, new in changes:
            broken[at : at + len(new)] = new
        if cut % 3 == 0:
            del broken[cut:]
        source = BufferSource("disk", bytes(broken))
        actions = [
            lambda: open_disk(source, Options()).peek(0, shape.size),
            lambda: open_source(source),
            lambda: totals(check(source)),
            lambda: list(islice(open_disk(source, Options()).each_extent(), 99)),
        ]
        for action in actions:
            with contextlib.suppress(ImageError):
                action()

    run()
