"""Sections D.1, I and L: ::task, the walker task, ::ps -s."""

import pytest

from fixtures.illumos.tasks import FINAL_TASK, SERVICES

HEAD = "            ADDR TASKID PROJID ZONEID REFCNT      FLAGS"


@pytest.fixture
def members(illumos):
    """The addresses of the processes of each task."""
    found = {}
    for each in illumos().truth["processes"]:
        found.setdefault(each["pid"] // 100, []).append(int(each["address"], 16))
    return found


def test_lists_the_tasks_of_the_kernels_hash(illumos, members):
    debug = illumos()
    tasks = {number: debug.rows(f"{first[0]:x}::print proc_t p_task")[0].value for number, first in members.items()}

    lines = debug.text("::task")

    assert lines[0] == HEAD
    assert sorted(lines[1:]) == sorted(
        f"{tasks[number]:016x} {number:>6} {0 if number < 4 else 3:>6} {0:>6} {len(each):>6} "
        f"0x{1 if number == FINAL_TASK else 0:08x}"
        for number, each in members.items()
    )
    assert debug.text(f"{tasks[4]:x}::task") == [HEAD, f"{tasks[4]:016x}      4      3      0      2 0x00000000"]


def test_walks_the_processes_of_a_task(illumos, members):
    debug = illumos()

    walked = {row.id: [each.address for each in debug.rows(f"{row.addr:x}::walk task")] for row in debug.rows("::task")}

    assert walked == members


def test_a_task_that_cannot_be_read_is_reported(illumos, word):
    debug = illumos()
    task = debug.rows("::task")[0].addr
    place = task + debug.guest.objects.offsetof("task_t", "tk_proj")

    damaged = illumos({place: word(0x1234)})

    assert len(damaged.rows("::task")) == 5
    assert damaged.errors("::task")[0].startswith(f"vmdebug: failed to read the task at {task:x}: ")


def test_refuses_a_hash_that_is_larger_than_any(illumos, word):
    debug = illumos()
    table = debug.guest.variable("task_hash")
    count = table + debug.guest.objects.offsetof("mod_hash_t", "mh_nchains")

    assert illumos({count: word(1 << 40)}).errors("::task") == [
        f"vmdebug: the hash table at {table:x} says that it has {1 << 40} chains"
    ]


def test_shows_the_service_of_a_process(illumos):
    debug = illumos()

    lines = debug.text("::pgrep ^cron | ::ps -s")

    assert lines[0] == f"S PID    PPID   PGID   SID    {'SERVICE':<40} UID    FLAGS      ADDR             NAME"
    assert lines[1].startswith(f"R 244    1      244    244    {SERVICES[244]:<40} 0      0x4a004000 ")


def test_processes_are_in_the_contract_of_their_parent(illumos):
    services = {row.pid: row.service for row in illumos().rows("::ps -s")}

    assert (services[1], services[7], services[403], services[1000]) == ("", "", SERVICES[312], SERVICES[312])
    assert f" {'-':<40} " in illumos().text("p0::ps -s")[1]


def test_a_service_that_cannot_be_read_is_a_mark(illumos, word):
    debug = illumos()
    process = next(row.addr for row in debug.rows("::ps") if row.pid == 244)
    place = process + debug.guest.objects.offsetof("proc_t", "p_ct_process")

    assert f" {'?':<40} " in illumos({place: word(0x1234)}).text(f"{process:x}::ps -s")[1]
