"""Processes of real Linux guests against the guests' own process lists."""

import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.guests.linux import find
from vmdebug.guests.linux.tasks import current_task, each_task
from vmdebug.targets.target import Target

COMM = 15  # characters that the kernel keeps of a name; the report's may be longer
PROCESS = re.compile(r"^tid=(\d+) tgid=(\d+) ppid=(\d+) uid=(\d+) state=(\S) .*?comm=(.*)$", re.M)


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    lines = section(report(truth, request.param), "ps")
    return find(Target(open_image(real(request.param)))), PROCESS.findall(lines)


def lasting(said, found):
    """What the report and the image both have: the report is some seconds older than the image."""
    return {int(line[0]) for line in said} & set(found)


def test_every_thread_is_who_its_guest_said(case):
    linux, said = case
    found = {task.pid: task for task in each_task(linux) if task.pid}
    both = lasting(said, found)

    facts = {pid: (found[pid].tgid, found[pid].ppid, found[pid].uid) for pid in both}
    names = {pid: found[pid].comm for pid in both}

    assert facts == {int(t): (int(g), int(p), int(u)) for t, g, p, u, _, _ in said if int(t) in both}
    assert {pid for pid, *_, comm in said if int(pid) in both and not agree(names[int(pid)], comm)} == set()
    assert len(both) >= len(said) - 3


def agree(comm, reported):
    """Workers' names carry what they work on in the report only."""
    return comm == reported or reported.startswith(comm[:COMM]) or comm.startswith("kworker/")


def test_sleepers_are_in_the_state_their_guest_said(case):
    linux, said = case
    found = {task.pid: task for task in each_task(linux) if task.pid}
    steady = {int(pid): state for pid, _, _, _, state, _ in said if state in "TZDI" and int(pid) in found}

    assert {pid: found[pid].state for pid in steady} == steady
    assert {"T", "Z", "I"} <= set(steady.values())


def test_each_processor_runs_its_idle_task(case):
    linux, _ = case

    assert [current_task(linux, cpu).comm for cpu in linux.per_cpu.cpus] == ["swapper/0", "swapper/1"]


@pytest.mark.parametrize("name", ["linux-mini.elf.core", "linux-72.elf.core", "xen-pv.core"])
def test_the_letters_of_states_are_read_from_the_kernels_own_table(name, real):
    linux = find(Target(open_image(real(name))))

    assert linux.names.find("task_state_array") is not None
    assert linux.state_letters == "RSDTtXZPI"
