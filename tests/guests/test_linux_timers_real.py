"""Timers and workers of real Linux guests against /proc/timer_list and the guests' own process lists."""

import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.guests.linux.tasks import Task
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets.target import Target

TIMER = re.compile(r"^ #\d+: <.*>, (\w+), S:01\n # expires at \d+-(\d+) nsecs \[in (-?\d+) to", re.M)
WORKER = re.compile(r"^tid=(\d+) .* comm=(kworker/(?!R-)[^-+\n]*)[-+]?(.*)$", re.M)
LASTING = 10**12  # nanoseconds: more than passed between the report and the image
RESCUER = "kworker/R-"  # what the names of rescuers begin with since 6.7
COMM = 15


@pytest.fixture(scope="module", params=REPORTS)
def case(request, real, truth):
    load_dcmds(pytest.fail)
    target = Target(open_image(real(request.param)))
    return Session(target, find_guest(target)), report(truth, request.param)


def test_timers_that_could_not_have_fired_since_are_as_the_guest_said(case):
    session, said = case
    parts = re.split(r"^cpu: (\d+)$", section(said, "timer_list"), flags=re.M)[1:]
    lasting = {
        (int(cpu), function, int(expires))
        for cpu, part in zip(parts[::2], parts[1::2], strict=True)
        for function, expires, left in TIMER.findall(part)
        if int(left) > LASTING
    }

    found = {(row.cpu, row.name, row.expires) for row in session.rows("::timers -h")}

    assert lasting <= found
    assert len(lasting) >= 3


def test_every_timer_calls_a_function(case):
    session, _ = case
    rows = session.rows("::timers")

    assert all(row.name and "+" not in row.name and not row.name.startswith("0x") for row in rows)
    assert {row.unit for row in rows} == {"jiffies", "ns"}


def test_no_timer_of_a_wheel_is_long_overdue(case):
    session, _ = case
    rows = session.rows("::timers -w")

    assert len(rows) > 10
    assert all(row.left > -1000 for row in rows if row.base != "deferrable")  # those wait for an idle processor


def test_a_processor_number_selects_its_timers(case):
    session, _ = case

    assert session.rows("1::timers") == [row for row in session.rows("::timers") if row.cpu == 1]
    with pytest.raises(DebuggerError, match="7 is not a valid CPU ID"):
        session.rows("7::timers")


def test_every_worker_that_the_guest_listed_is_in_a_pool(case):
    session, said = case
    listed = {int(pid): (comm.strip(), work.strip()) for pid, comm, work in WORKER.findall(section(said, "ps"))}
    found = {row.pid: (row.comm, row.desc) for row in session.rows("::workers") if row.pid is not None}

    lasting = set(listed) & set(found)

    assert {pid: found[pid][0] for pid in lasting} == {pid: listed[pid][0] for pid in lasting}
    assert len(lasting) >= len(listed) - 3
    assert sum(found[pid] == listed[pid] for pid in lasting) >= len(lasting) // 2


def test_a_rescuer_bears_the_name_of_its_workqueue(case):
    session, _ = case
    queues = session.rows("::workqueues")

    for queue in queues:
        if queue.rescuer:
            task = Task(session.guest, int(session.guest.objects.at("struct worker", queue.rescuer)["task"]))
            assert task.comm in (queue.name[:COMM], f"{RESCUER}{queue.name}"[:COMM])
    assert {"events", "events_unbound", "mm_percpu_wq"} <= {queue.name for queue in queues}
    assert [queue.flags for queue in queues if queue.name == "mm_percpu_wq"] == [("mem_reclaim",)]
