"""Stacks of real Linux guests against /proc/PID/stack of the same threads."""

import itertools
import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.guests.linux import find
from vmdebug.guests.linux.stacks import NoStack
from vmdebug.guests.linux.tasks import each_task
from vmdebug.targets.target import Target

FRAME = re.compile(r"^\[<0>\] ([^+]+)\+0x([0-9a-f]+)/", re.M)
MOVED = 3  # threads that ran between the guest's report and the image


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    lines = section(report(truth, request.param), "stacks")
    said = {int(part.split()[0]): FRAME.findall(part) for part in re.split(r"^--- tid=", lines, flags=re.M)[1:]}
    return find(Target(open_image(real(request.param)))), said


def placed(linux, call):
    symbol, _ = linux.symbols.nearest(call.inside)
    return symbol.name, f"{call.pc - symbol.value:x}"


def outside_scheduler(linux, calls):
    """The frames that /proc shows: it leaves out the innermost ones that lie in the scheduler's text."""
    start, end = linux.address("__sched_text_start"), linux.address("__sched_text_end")
    return list(itertools.dropwhile(lambda call: start <= call.pc < end, calls))


def test_every_sleeping_thread_has_the_stack_of_proc(case):
    linux, said = case
    found = {
        task.pid: [placed(linux, call) for call in outside_scheduler(linux, linux.stacks.of_task(task))]
        for task in each_task(linux)
        if said.get(task.pid)
    }
    differ = {pid: (found[pid], said[pid]) for pid in found if found[pid] != said[pid]}

    assert len(differ) <= MOVED, differ
    assert len(found) > 60


def test_every_frame_was_found_by_unwind_data(case):
    linux, _ = case

    for task in each_task(linux):
        if task.stack:
            assert [call.reason for call in linux.stacks.of_task(task) if not call.reliable] == []


def test_idle_processors_lead_back_to_where_they_started(case):
    linux, _ = case
    first = [[placed(linux, call)[0] for call in linux.stacks.of_vcpu(vcpu)] for vcpu in linux.target.image.vcpus]

    assert all("do_idle" in names and "cpu_startup_entry" in names for names in first)
    assert any("start_kernel" in names for names in first)


def test_an_ended_thread_says_that_it_has_no_stack(case):
    linux, _ = case
    zombie = next(task for task in each_task(linux) if task.state == "Z")

    with pytest.raises(NoStack, match=r"zeta_zombie.* has no stack to show: it has ended"):
        linux.stacks.of_task(zombie)
