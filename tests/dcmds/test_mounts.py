"""Section I: ::fsinfo."""

import pytest

HEAD = "VFSP             FS              MOUNT"
MOUNTS = [("ufs", "/", "/dev/dsk/c0d0s0"), ("proc", "/proc", "proc"), ("tmpfs", "/tmp", "swap")]
REMOTE = ("nfs3", "/ws/onnv", "build:/export/onnv")


@pytest.fixture
def mounts(illumos):
    return [row.address for row in illumos().rows("::walk vfs")]


@pytest.fixture
def place(illumos):
    objects = illumos().guest.objects
    return lambda mount, name: mount + objects.offsetof("vfs_t", name)


def test_lists_mounted_file_systems(illumos, mounts):
    debug = illumos()

    assert debug.text("::fsinfo") == [
        HEAD,
        *(f"{addr:016x} {kind:<15} {path}" for addr, (kind, path, _) in zip(mounts, [*MOUNTS, REMOTE], strict=True)),
    ]
    assert [row.resource for row in debug.rows("::fsinfo")] == [resource for _, _, resource in [*MOUNTS, REMOTE]]
    assert debug.text(f"{mounts[3]:x}::fsinfo") == [HEAD, f"{mounts[3]:016x} nfs3            /ws/onnv"]


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("vfs_fstype", 7, "?               /proc"),
        ("vfs_fstype", 1 << 20, "?               /proc"),
        ("vfs_mntpt", 0, "proc            ?"),
        ("vfs_mntpt", 0x10, "proc            ?"),
    ],
)
def test_marks_what_cannot_be_read(illumos, mounts, place, word, name, value, line):
    debug = illumos({place(mounts[1], name): word(value)[: 4 if name == "vfs_fstype" else 8]})

    assert debug.text("::fsinfo")[2] == f"{mounts[1]:016x} {line}"


def test_a_ring_that_does_not_close_is_told(illumos, mounts, place, word):
    debug = illumos({place(mounts[2], "vfs_next"): word(mounts[1])})

    assert len(debug.text("::fsinfo")) == 4
    assert "no end" in debug.errors("::fsinfo")[0]


def test_shows_what_is_mounted_and_how(illumos, mounts):
    shown = {"/": "rw,logging,onerror=panic", "/tmp": "xattr,size=64m"}
    lines = [HEAD]
    for addr, (kind, path, resource) in zip(mounts, [*MOUNTS, REMOTE], strict=True):
        lines += [f"{addr:016x} {kind:<15} {path}", f"{'R:':>16} {resource}", f"{'O:':>16} {shown.get(path, '')}"]

    assert illumos().text("::fsinfo -v") == lines
    assert illumos().rows("::fsinfo")[0].options is None
    assert illumos().rows("::fsinfo -v")[0].options == shown["/"].split(",")


@pytest.mark.parametrize("member", ["mo_list", "mo_count"])
def test_marks_options_that_cannot_be_read(illumos, mounts, place, word, member):
    debug = illumos({place(mounts[0], f"vfs_mntopts.{member}"): word(0xFFFF_FFF0)})

    assert debug.text("::fsinfo -v")[3] == f"{'O:':>16} ?"
