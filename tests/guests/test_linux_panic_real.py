"""Panics: of the real guest that panicked, of those that did not, and in logs of other kernels' words."""

import re

import pytest

from formats import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.log import Message
from vmdebug.guests.linux.panic import Complaint, complaints_in, read_death, taint_letters, task_of
from vmdebug.targets.target import Target

LIVE = ["linux-mini.elf.core", "linux-72.elf.core", "xen-pv.core", "xen-pvh.core"]


def guest(real, name):
    return find(Target(open_image(real(name))))


def log(*lines):
    return [Message(number, number, 0, 0, line, "") for number, line in enumerate(lines)]


def test_the_guest_that_panicked_tells_who_and_why(real, truth):
    said = (truth("linux-crash") / "drgn.txt").read_text()
    words = re.search(r"Kernel panic - not syncing: (.*)", said)[1]
    linux = guest(real, "linux-crash.kdump-d31-zlib")

    death = read_death(linux)
    task = task_of(linux, death)

    assert (death.cpu, death.oopses, death.tainted, death.problem) == (1, 0, 0, "")
    assert death.cause.reason == words == "sysrq triggered crash"
    assert (task.pid, task.comm) == (death.cause.pid, death.cause.comm)
    assert f"{task.address:#x}" in next(
        line for line in said.splitlines() if "omega_crasher" in line and "0xffff" in line
    )
    assert [each.kind for each in death.complaints] == ["panic"]


@pytest.mark.parametrize("name", LIVE)
def test_a_guest_that_runs_did_not_panic(name, real):
    linux = guest(real, name)

    death = read_death(linux)

    assert (death.panicked, death.cause, task_of(linux, death)) == (False, None, None)
    assert (death.panic_cpu, death.crashing_cpu, death.oopses, death.tainted) == (-1, -1, 0, 0)
    assert (list(death.complaints), death.problem) == ([], "")


def test_an_oops_that_ends_in_a_panic_keeps_both():
    found = complaints_in(
        log(
            "BUG: kernel NULL pointer dereference, address: 0000000000000010",
            "#PF: supervisor read access in kernel mode",
            "Oops: Oops: 0000 [#1] SMP NOPTI",
            "CPU: 3 UID: 0 PID: 71 Comm: kworker/3:1 Tainted: G        W           6.12.0 #1",
            "RIP: 0010:frob+0x12/0x40",
            "Kernel panic - not syncing: Fatal exception in interrupt",
        )
    )

    assert [(each.kind, each.reason, each.cpu, each.pid, each.comm) for each in found] == [
        ("oops", "BUG: kernel NULL pointer dereference, address: 0000000000000010", None, None, ""),
        ("oops", "Oops: Oops: 0000 [#1] SMP NOPTI", 3, 71, "kworker/3:1"),
        ("panic", "Fatal exception in interrupt", None, None, ""),
    ]


def test_watchdogs_are_told_from_oopses():
    found = complaints_in(
        log(
            "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [spinner:812]",
            "CPU: 1 PID: 812 Comm: spinner Not tainted 6.1.0 #1",
            "watchdog: Watchdog detected hard LOCKUP on cpu 2",
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu 2",
            "INFO: task waiter:99 blocked for more than 120 seconds.",
            "rcu: INFO: rcu_sched self-detected stall on CPU",
        )
    )

    assert {each.kind for each in found} == {"watchdog"}
    assert [each.pid for each in found] == [812, None, None, None, None]


def test_another_tasks_line_far_behind_is_not_the_panics():
    lines = [
        "Kernel panic - not syncing: lost",
        *["something else"] * 40,
        "CPU: 0 PID: 5 Comm: late Not tainted 6.1 #1",
    ]

    assert complaints_in(log(*lines)) == [Complaint("panic", "lost", 0)]


def test_a_log_full_of_complaints_keeps_the_last():
    found = complaints_in(log(*(f"Oops: {number:04x} [#{number}] SMP" for number in range(1000))))

    assert (len(found), found[-1].reason) == (64, "Oops: 03e7 [#999] SMP")


def test_taints_are_written_as_the_kernel_does():
    assert (taint_letters(0), taint_letters(0x1201), taint_letters(1 << 18 | 1 << 7)) == ("", "PWO", "DN")


@pytest.mark.parametrize("name", LIVE[:2])
def test_taint_letters_are_the_kernels_own(name, real):
    linux = guest(real, name)
    size = linux.objects.sizeof("struct taint_flag")
    table = linux.space.read(linux.address("taint_flags"), 19 * size)

    assert taint_letters((1 << 19) - 1) == "".join(chr(table[size * bit]) for bit in range(19))
