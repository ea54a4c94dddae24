"""Disks as address spaces, on a qcow2 file that the generator writes and on a real one."""

import io
from itertools import pairwise

import pytest

from formats.opener import open_disk
from vmdebug.guests.unknown import Unknown
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.disk import DiskTarget
from vmdebug.targets.target import NoVcpu


@pytest.fixture
def sitting(real):
    load_dcmds(pytest.fail)
    target = DiskTarget(open_disk(real("linux-mini.disk.qcow2")))
    return Session(target, Unknown(target, ["a disk"]), out=io.StringIO(), err=io.StringIO())


def test_memory_commands_show_what_the_guest_sees(sitting):
    assert sitting.target.read(0x438, 2) == b"\x53\xef"  # the magic number of ext4's superblock
    assert [row.hex for row in sitting.rows("430::dump")] == [sitting.target.read(0x430, 16).hex()]


def test_blockmap_covers_the_whole_disk_without_gaps(sitting):
    rows = sitting.rows("::blockmap")

    assert rows[0].start == 0
    assert all(before.start + before.size == after.start for before, after in pairwise(rows))
    assert sum(row.size for row in rows) == sitting.target.disk.size
    assert sitting.rows("438::blockmap")[0].kind == "data"


def test_a_sound_file_has_nothing_to_report(sitting):
    assert sitting.rows("::qcow2check") == []


def test_qcow2_tells_version_and_snapshots(sitting):
    facts = {row.name: row.value for row in sitting.rows("::qcow2")}

    assert (facts["qcow2 version"], facts["virtual size"]) == ("3", "0x4000000 bytes")
    assert "snapshot snap1" in facts


def test_a_disk_has_no_registers(sitting):
    with pytest.raises(NoVcpu, match="failed to get regs for cpu 0: the image has 0 vcpus"):
        sitting.rows("::cpuregs")
