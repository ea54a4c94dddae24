"""Dumps without free, cache, user and zero pages: what the kernel says is what the whole image says."""

from formats import open_image
from vmdebug.guests.linux import find
from vmdebug.guests.linux.log import each_message
from vmdebug.guests.linux.stacks import NoStack
from vmdebug.guests.linux.tasks import each_task
from vmdebug.targets.target import Target


def said_of(path):
    """Everything that is asked of a kernel, as plain values."""
    linux = find(Target(open_image(path)))
    tasks = [(t.address, t.pid, t.tgid, t.ppid, t.comm, t.state, t.uid, t.flags) for t in each_task(linux)]
    stacks = {task.address: called(linux, task) for task in each_task(linux)}
    log = [(message.time, message.level, message.text) for message in each_message(linux)]
    modules = [(module.name, module.base, module.size, module.users, module.state) for module in linux.loaded.all]
    return {"tasks": tasks, "stacks": stacks, "log": log, "modules": modules}


def called(linux, task):
    try:
        calls = list(linux.stacks.of_task(task))
    except NoStack as err:
        return err.reason
    return [(call.pc, call.sp, linux.stacks.reliable(call), linux.symbols.nearest(call.inside)) for call in calls]


def test_a_filtered_dump_says_what_the_whole_one_says(real):
    whole, filtered = said_of(real("linux-mini.elf.core")), said_of(real("linux-mini.kdump-d31-zstd"))

    assert filtered == whole
    assert len(whole["tasks"]) > 70
    assert len(whole["modules"]) == 11


def test_a_crashed_kernel_tells_who_crashed_it_and_why(real):
    said = said_of(real("linux-crash.kdump-d31-zlib"))
    (crasher,) = [task for task in said["tasks"] if task[4] == "omega_crasher"]
    names = [found[0].name for *_, found in said["stacks"][crasher[0]]]

    assert names[-1].startswith("entry_SYSCALL_64")
    assert {"panic", "sysrq_handle_crash", "vfs_write"} <= set(names)
    assert all(reliable for stack in said["stacks"].values() if stack != "it has ended" for _, _, reliable, _ in stack)
    assert [text for *_, text in said["log"] if "Kernel panic - not syncing" in text] != []
