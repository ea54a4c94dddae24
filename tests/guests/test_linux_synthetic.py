"""Linux guests that no image shows: other releases' tables, five levels, a vcpu on a program's page tables."""

import pytest

from fixtures.linux import scene
from fixtures.linux.scene import Plan
from formats.opener import open_image
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux import find
from vmdebug.guests.linux.lists import BrokenList
from vmdebug.guests.linux.log import each_message
from vmdebug.guests.linux.stacks import NoStack
from vmdebug.guests.linux.tasks import each_process, each_task
from vmdebug.targets.target import Target

PLANS = {
    "4.20": Plan(kallsyms="4.20", orc=1, ring=False),
    "5.10, PTI": Plan(kallsyms="4.20", orc=1, pti=True),
    "6.2": Plan(kallsyms="6.2", orc=1),
    "6.3": Plan(kallsyms="6.2", orc=2),
    "6.3 without a hash": Plan(kallsyms="6.2", orc=2, orc_header=False),
    "6.6": Plan(),
    "6.6, no KASLR": Plan(shift=0),
    "6.6, five levels": Plan(paging="5-level"),
    "6.6 without a hash": Plan(orc_header=False),
    "6.15, five levels, PTI": Plan(kallsyms="6.15", paging="5-level", pti=True),
    "7.0": Plan(kallsyms="7.0", orc=3),
    "7.1, PTI": Plan(kallsyms="7.0", orc=4, pti=True, shift=0x3E00_0000),
    "7.1 without a hash": Plan(kallsyms="7.0", orc=4, orc_header=False),
}


@pytest.fixture(scope="module", params=PLANS)
def case(request, tmp_path_factory):
    made = scene.build(PLANS[request.param])
    path = tmp_path_factory.mktemp("linux") / "core"
    made.guest.save(path, format="elf-core")
    return find(Target(open_image(path))), made


def test_every_symbol_is_there(case):
    linux, made = case
    letters = {(name, at) for _, name, at in made.kernel.symbols}

    assert {(symbol.name, symbol.value) for symbol in linux.names.all} == letters
    assert linux.shift == made.plan.shift


def test_every_task_is_there(case):
    linux, made = case
    said = {task.address: (task.pid, task.process.pid, task.process.parent, task.process.comm, task.process.state,
                           task.process.uid) for task in (*made.idle, *made.tasks.values())}  # fmt: skip

    assert {t.address: (t.pid, t.tgid, t.ppid, t.comm, t.state, t.uid) for t in each_task(linux)} == said


def test_every_stack_is_unwound_to_its_end(case):
    linux, made = case
    tasks = {task.address: task for task in each_task(linux)}
    asked = [task for task in (*made.idle, *made.tasks.values()) if task.calls]

    found = {task.address: called(linux, tasks[task.address]) for task in asked}

    assert found == {task.address: task.calls for task in asked}


def called(linux, task):
    return [linux.symbols.nearest(call.inside)[0].name for call in linux.stacks.of_task(task)]


def test_an_ended_task_has_no_stack(case):
    linux, _ = case
    (zombie,) = [task for task in each_task(linux) if task.state == "Z"]

    with pytest.raises(NoStack, match="it has ended"):
        linux.stacks.of_task(zombie)


def test_a_processor_in_a_program_has_no_kernel_stack(case):
    linux, made = case
    first = next(task for task in each_task(linux) if task.address == made.idle[0].address)

    if made.plan.pti:
        with pytest.raises(NoStack, match="it runs its program"):
            linux.stacks.of_task(first)
    else:
        assert len(list(linux.stacks.of_task(first))) == 7


def test_the_log_is_what_was_left_of_it(case):
    linux, made = case

    found = [(message.time, message.level, message.text) for message in each_message(linux)]

    assert found == [(message.time, message.level, message.text) for message in made.messages]
    assert len(found) > 5


def test_modules_have_their_own_names(case):
    linux, _ = case
    (module,) = linux.loaded.all

    found = linux.symbols.nearest(module.base + 0x110)

    assert (module.name, module.size, module.users, module.state) == ("lab_driver", 0x1800, 1, "live")
    assert (found[0].name, found[0].module) == ("driver_write", "lab_driver")
    assert module.orc(linux.stacks.orc.kernel.layout).find(module.base + 0x20).sp_offset == 8


BREAKS = {
    "loops": lambda made, node, first: (node, first),
    "leaves memory": lambda made, node, first: (node, 0xDEAD_0000_0000),
    "ends in zero": lambda made, node, first: (node, 0),
}


@pytest.mark.parametrize("damage", BREAKS)
def test_a_broken_list_gives_what_was_found_and_says_where_it_ends(damage, tmp_path):
    made = scene.build(Plan())
    nodes = [made.kernel.member(made.tasks[p.pid].address, "struct task_struct", "tasks") for p in scene.PROCESSES]
    made.kernel.word(*BREAKS[damage](made, nodes[3], nodes[1]))
    made.guest.save(tmp_path / "core", format="elf-core")
    linux, found = find(Target(open_image(tmp_path / "core"))), []

    with pytest.raises(BrokenList, match=r"is broken after 4 elements: "):
        found.extend(process.pid for process in each_process(linux))

    assert found == [0, 1, 2, 40, 300]


def test_pages_that_are_not_in_the_dump_cost_only_what_lay_there(tmp_path):
    made = scene.build(Plan())
    missing = made.tasks[310]
    made.guest.drop(made.guest.translate(missing.stack + scene.STACK_SIZE - 1) >> 12)
    made.guest.save(tmp_path / "core", format="elf-core")
    linux = find(Target(open_image(tmp_path / "core")))
    tasks = {task.pid: task for task in each_task(linux)}

    assert called(linux, tasks[300]) == made.tasks[300].calls
    with pytest.raises(DebuggerError, match="not in"):
        list(linux.stacks.of_task(tasks[310]))
