"""Processes of real Linux guests in user mode: registers, against what /proc/PID/maps and the code around them say."""

import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.guests import find_guest
from vmdebug.guests.linux.tasks import each_process
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

AREA = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) [0-9a-f]+ \S+ \d+ *(.*)$", re.M)
ENTRIES = (b"\x0f\x05", b"\x0f\x34", b"\xcd\x80")  # syscall, sysenter, int $0x80
PAGE = re.compile(r"^PAGEMAP .*pid=(\d+) what=(\S+) va=0x(\w+) \S+ present=1 pa=0x(\w+) first16=(\w+)$", re.M)
WAITING = "SDTtX"
DEFINED = 0x3F_7FD7  # the bits of rflags that a program may have, and the one that is always set


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    load_dcmds(pytest.fail)
    target = Target(open_image(real(request.param)))
    return Session(target, find_guest(target)), report(truth, request.param)


def areas_of(said):
    parts = re.split(r"^--- pid=", section(said, "maps"), flags=re.M)[1:]
    return {int(part.split()[0]): AREA.findall(part) for part in parts}


def rights_at(areas, address):
    return next((rights for start, end, rights, _ in areas if int(start, 16) <= address < int(end, 16)), None)


def test_every_process_that_waits_entered_the_kernel_from_its_own_code(case):
    session, said = case
    areas, seen = areas_of(said), 0

    for task in each_process(session.guest):
        if not task.mm or task.state not in WAITING or task.pid not in areas:
            continue
        registers = session.guest.user_registers(task.pid)
        assert rights_at(areas[task.pid], registers["rip"]) == "r-xp"
        assert rights_at(areas[task.pid], registers["rsp"]) == "rw-p"
        assert registers["rflags"] & ~DEFINED == 0
        assert session.guest.space_of_process(task.pid).read(registers["rip"] - 2, 2) in ENTRIES
        seen += 1

    assert seen >= 9


def test_a_kernel_thread_has_none(case):
    session, _ = case

    assert session.guest.user_registers(2) == {}


def test_the_context_of_a_process_reads_what_its_guest_saw_there(case):
    session, said = case
    pages = [page for page in PAGE.findall(section(said, "workers")) if page[1] != "stack"]  # that one went on

    for pid, _, vaddr, paddr, start in pages:
        session.rows(f"0t{pid}::context")
        assert session.target.read(int(vaddr, 16), 16).hex() == start
        assert session.rows(f"{vaddr}::vtop")[0].paddr == int(paddr, 16)
    session.rows("0::context")
    assert len(pages) >= 20


def test_a_search_in_a_context_finds_what_the_process_holds(case):
    session, said = case
    role, pid, vaddr = re.search(r"^PAGEMAP role=(\w+) pid=(\d+) what=pattern va=0x(\w+) ", said, re.M).groups()
    first = session.rows(f"0t{pid}::context; {vaddr}/J")[0].value

    places = [row.addr for row in session.rows(f"{first:x}::kgrep")]
    texts = [row.addr for row in session.rows(f"::find -a {vaddr} {role}")]
    session.rows("0::context")

    assert int(vaddr, 16) in places
    assert int(vaddr, 16) in texts
    assert all(address < 1 << 47 for address in places)


def test_the_address_space_in_a_context_is_the_process_own(case):
    session, _ = case
    expected = session.rows("1::vmmap")

    session.rows("1::context")
    found = session.rows("$m")
    session.rows("0::context")

    assert found == expected
