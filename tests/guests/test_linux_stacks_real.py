"""Stacks of real Linux guests against /proc/PID/stack of the same threads."""

import itertools
import re

import pytest

from formats import open_image
from tests.guests.reports import REPORTS, report, section
from vmdebug.guests.linux import find
from vmdebug.guests.linux.log import each_message
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

    calls = [call for task in each_task(linux) if task.stack for call in linux.stacks.of_task(task)]

    assert {call.how for call in calls} == {"registers", "orc"}
    assert [call.reason for call in calls if call.reason or not linux.stacks.reliable(call)] == []


def test_a_scan_finds_all_that_unwinding_finds(case):
    linux, _ = case
    sleeping = [task for task in each_task(linux) if task.stack and not task.on_cpu]

    lost, guessed = {}, 0
    for task in sleeping:
        found = [(call.pc, call.at) for call in linux.stacks.of_task(task)][1:]
        scanned = [(call.pc, call.at) for call in linux.stacks.scanned(task)]
        guessed += len(scanned) - len(found)
        if [each for each in scanned if each in found] != found:
            lost[task.pid] = [each for each in found if each not in scanned]

    assert lost == {}
    assert len(sleeping) > 60
    assert guessed > len(sleeping)


def test_a_scan_marks_only_what_unwinding_did_not_find(case):
    linux, _ = case
    init = next(task for task in each_task(linux) if task.pid == 1)

    calls = list(linux.stacks.of_task(init, scan=True))

    assert [call for call in calls if call.how != "scan"] == list(linux.stacks.of_task(init))
    assert {call.how for call in calls if not linux.stacks.reliable(call)} == {"scan"}
    assert len({call.at for call in calls}) == len(calls)


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


@pytest.mark.parametrize(
    ("image", "folder"), [("linux-mini.elf.core", "linux-mini"), ("linux-crash.kdump-d31-zlib", "linux-crash")]
)
def test_every_thread_has_the_calls_that_drgn_shows(image, folder, real, truth):
    """drgn knows by DWARF which functions are part of others, and shows those too: ours are among its own, in order."""
    linux = find(Target(open_image(real(image))))
    text = (truth(folder) / "drgn.txt").read_text().partition("## stacks\n")[2]
    said = {
        int(part.split()[0]): re.findall(r"^#\d+ +([A-Za-z_]\w*)", part, re.M)
        for part in re.split(r"^--- pid=", text.partition("\n## ")[0], flags=re.M)[1:]
    }

    differ, count = {}, 0
    for task in (task for task in each_task(linux) if said.get(task.pid)):
        calls = list(linux.stacks.of_task(task))
        found = [placed(linux, call)[0].partition(".")[0].removesuffix("_after_hwframe") for call in calls]
        rest = iter(said[task.pid])
        count += 1
        if not all(name in rest for name in found):
            differ[task.pid] = found, said[task.pid]

    assert differ == {}
    assert count > 65


def test_a_scan_of_the_thread_that_panicked_is_what_the_kernel_printed(real):
    linux = find(Target(open_image(real("linux-crash.kdump-d31-zlib"))))
    log = "\n".join(message.text for message in each_message(linux))
    printed = re.findall(r"^ (\? )?(\S+)\+0x([0-9a-f]+)/0x", log.partition("Call Trace:")[2].partition("RIP:")[0], re.M)
    crashed = next(task for task in each_task(linux) if task.comm == "omega_crasher")

    calls = list(linux.stacks.of_task(crashed, scan=True))

    found = [("" if linux.stacks.reliable(call) else "? ", *placed(linux, call)) for call in calls]
    assert [name for _, name, _ in found[:2]] == ["delay_tsc", "panic"]
    assert found[2:] == printed[2:]  # the kernel's own begins in panic, at another place
    assert ("? ", "_printk", "68") in found


def test_a_scan_goes_on_from_an_interrupts_stack_to_the_threads(real):
    linux = find(Target(open_image(real("linux-crash.kdump-d31-zlib"))))
    vcpu = linux.target.vcpu(0)

    calls = list(linux.stacks.of_vcpu(vcpu))
    words = [call.at for call in linux.stacks.of_vcpu(vcpu, scan=True) if call.kind == "call"]

    on_interrupt = [call for call in calls if any(call.sp in region for region in linux.stacks.regions.interrupt)]
    assert [placed(linux, call)[0] for call in on_interrupt] == ["stop_this_cpu", "__sysvec_reboot", "sysvec_reboot"]
    assert len({linux.stacks.regions.around(call.sp) for call in calls}) == 2
    assert [call for call in linux.stacks.of_vcpu(vcpu, scan=True) if call.how != "scan"] == calls
    raw = [
        at for start, data in linux.stacks.regions.each_above(calls[0].sp) for at in range(start, start + len(data), 8)
    ]
    assert {call.at for call in calls if call.kind == "call"} <= set(raw) & set(words)
