"""Address spaces, open files and mounts of real Linux guests against /proc/PID/maps, /proc/PID/fd and /proc/mounts."""

import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

AREA = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+) (\d+) *(.*)$", re.M)
OPEN = re.compile(r" (\d+) -> (.*)$", re.M)
REPORTER = 1  # the shell that wrote the report: it went on to open, close and write
PAGE = re.compile(r"^PAGEMAP .*pid=(\d+) what=(\S+) va=0x(\w+) \S+ present=1 pa=0x(\w+) first16=(\w+)$", re.M)


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    load_dcmds(pytest.fail)
    target = Target(open_image(real(request.param)))
    return Session(target, find_guest(target)), report(truth, request.param)


def by_pid(text):
    return {int(part.split()[0]): part for part in re.split(r"^--- pid=", text, flags=re.M)[1:]}


def test_every_address_space_is_what_its_guest_said(case):
    session, said = case
    expected = {
        pid: [(*facts, int(inode), name) for *facts, inode, name in AREA.findall(part)]
        for pid, part in by_pid(section(said, "maps")).items()
    }

    found = {
        pid: [
            (
                f"{row.start:08x}",
                f"{row.end:08x}",
                row.rights,
                f"{row.offset:08x}",
                row.device,
                row.inode,
                row.name,
            )
            for row in session.rows(f"0t{pid}::vmmap")
        ]
        for pid in expected
    }

    assert found == expected
    assert len(found) > 8


def test_every_open_file_is_what_its_guest_said(case):
    session, said = case
    reported = by_pid(section(said, "fds")).items()
    expected = {pid: dict(OPEN.findall(part)) for pid, part in reported if pid != REPORTER}

    found = {pid: {str(row.fd): row.path for row in session.rows(f"0t{pid}::files")} for pid in expected}

    assert found == expected
    assert any(path.endswith(" (deleted)") for held in found.values() for path in held.values())


def test_what_is_mounted_is_what_the_guest_said(case):
    session, said = case

    found = [(row.device, row.path, row.type, row.mode) for row in session.rows("::mount")]

    assert found == [(*line.split()[:3], line.split()[3][:2]) for line in section(said, "mounts").splitlines()]


def test_a_process_own_tables_translate_its_addresses(case):
    session, said = case

    pages = [page for page in PAGE.findall(section(said, "workers")) if page[1] != "stack"]

    for pid, _, vaddr, paddr, start in pages:
        row = session.rows(f"{vaddr}::vtop -v -p 0t{pid}")[0]
        assert (row.vaddr, row.paddr) == (int(vaddr, 16), int(paddr, 16))
        assert [level.level for level in row.levels] == list(range(len(row.levels)))[::-1]
        assert session.rows(f"{vaddr}::vatopfn -p 0t{pid}")[0].pfn == int(paddr, 16) >> 12
        assert session.target.read_physical(row.paddr, 16).hex() == start
    assert len(pages) >= 20


def test_the_areas_can_be_walked(case):
    session, _ = case

    walked = list(session.walk("vmarea", 1))

    assert walked == [row.addr for row in session.rows("1::vmmap")]


def test_a_kernel_thread_has_no_address_space(case):
    session, _ = case

    with pytest.raises(DebuggerError, match=r"kthreadd \(2\) has no address space: it is a kernel thread"):
        session.rows("2::vmmap")
    with pytest.raises(DebuggerError, match="PID 0t99999 not found"):
        session.rows("0t99999::files")
