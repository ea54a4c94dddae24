"""Stacks of Linux guests that no image shows: without ORC, with BPF and trampolines on them, traced."""

import contextlib
from dataclasses import replace

import pytest

import vmdebug
from fixtures.linux import generated, scene
from fixtures.linux.scene import BPF_USER, GRAPHED_USER, TRACED_USER, Plan
from formats.opener import open_image
from vmdebug.errors import DebuggerError, NotInDump
from vmdebug.guests.linux import find
from vmdebug.guests.linux.stacks import NoRegisters, NoStack
from vmdebug.guests.linux.tasks import each_task
from vmdebug.targets.target import Target

PLANS = {
    "orc": Plan(),
    "orc, entries of several sizes": Plan(kallsyms="7.0", orc=4, trace_words=True),
    "frame pointers": Plan(unwinder="frame pointers"),
    "frame pointers, entries of several sizes": Plan(unwinder="frame pointers", trace_words=True),
    "none": Plan(unwinder="none"),
}
HOW = {"orc": {"orc", "frame pointer"}, "frame pointers": {"frame pointer"}, "none": {"scan"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`made(name)`: a guest as it was made, and its dump."""
    kept = {}

    def make(name):
        if name not in kept:
            found = scene.build(PLANS[name])
            path = tmp_path_factory.mktemp("linux") / "core"
            found.guest.save(path, format="elf-core")
            kept[name] = found, path
        return kept[name]

    return make


@pytest.fixture(params=PLANS)
def case(request, made):
    found, path = made(request.param)
    return find(Target(open_image(path))), found, HOW[found.plan.unwinder]


def tasks_of(linux):
    return {task.address: task for task in each_task(linux)}


def named(linux, calls):
    return [linux.symbols.nearest(call.inside)[0].name for call in calls]


def test_every_stack_has_the_calls_that_were_put_there(case):
    linux, made, how = case
    tasks = tasks_of(linux)

    for task in (*made.idle, *made.tasks.values()):
        if task.stack:
            calls = list(linux.stacks.of_task(tasks[task.address]))
            assert named(linux, calls) == task.calls
            assert calls[0].how == "registers"
            assert {call.how for call in calls[1:]} <= how
            assert [linux.stacks.reliable(call) for call in calls] == [call.how != "scan" for call in calls]


def test_an_interrupt_is_crossed_by_the_frame_pointer_that_entry_code_marked(made):
    guest, path = made("frame pointers")
    linux = find(Target(open_image(path)))

    calls = list(linux.stacks.of_vcpu(linux.target.vcpu(0)))

    assert [(name, call.kind) for name, call in zip(named(linux, calls), calls, strict=True)] == [
        ("stop_this_cpu", "start"),
        ("sysvec_reboot", "call"),
        ("asm_sysvec_reboot", "call"),
        ("default_idle", "trap"),
        ("do_idle", "call"),
        ("cpu_startup_entry", "call"),
        ("secondary_startup_64", "call"),
    ]
    assert guest.idle[0].calls == named(linux, calls)


def test_where_both_fail_the_call_that_ends_it_says_why(made):
    guest, path = made("none")
    linux = find(Target(open_image(path)))
    task = tasks_of(linux)[guest.tasks[1].address]

    first, *rest = linux.stacks.of_task(task)

    assert first.reason == "the kernel has no ORC unwind data; the frame pointer is 0x0 below the top of the stack"
    assert [call.reason for call in rest] == [""] * len(rest)


def test_code_made_at_run_time_is_named_and_crossed(made):
    guest, path = made("orc")
    linux = find(Target(open_image(path)))
    tasks = tasks_of(linux)

    def stack(pid):
        calls = list(linux.stacks.of_task(tasks[guest.tasks[pid].address]))
        return [(name, call.how) for name, call in zip(named(linux, calls), calls, strict=True)]

    assert stack(BPF_USER) == [
        ("__schedule", "registers"),
        ("schedule", "orc"),
        ("do_nanosleep", "orc"),
        (generated.PROGRAM, "orc"),
        ("do_syscall_64", "frame pointer"),
        ("entry_SYSCALL_64_after_hwframe", "orc"),
    ]
    assert stack(TRACED_USER)[2:5] == [
        ("do_nanosleep", "orc"),
        (generated.TRAMPOLINE, "orc"),
        ("do_syscall_64", "orc"),
    ]


def test_addresses_that_a_tracer_took_are_put_back(case):
    linux, made, _ = case
    task = tasks_of(linux)[made.tasks[GRAPHED_USER].address]

    words = [linux.read_word(call.at) for call in linux.stacks.of_task(task) if call.at]

    assert words.count(linux.address("return_to_handler")) == 2
    assert "return_to_handler" not in named(linux, linux.stacks.of_task(task))
    assert "return_to_handler" not in named(linux, linux.stacks.scanned(task))


def test_code_made_at_run_time_has_symbols(made):
    guest, path = made("orc")
    linux = find(Target(open_image(path)))

    for name, at in guest.generated.items():
        symbol, of_module = linux.symbols.nearest(at + generated.SIZES[name] - 1)
        module = "__builtin__ftrace" if name == generated.TRAMPOLINE else "bpf"
        assert (symbol.name, symbol.value, symbol.size, symbol.module) == (name, at, generated.SIZES[name], module)
        assert of_module
        assert linux.symbols.find(name) == linux.symbols.find(name, module) == symbol
    assert linux.symbols.nearest(max(guest.generated.values()) + 0x1000) is None
    assert [part.name for part in linux.symbols.modules] == ["lab_driver", "bpf", "__builtin__ftrace"]


@pytest.mark.parametrize("target", ["itself", "nowhere"])
def test_a_broken_list_of_programs_gives_those_before(tmp_path, target):
    guest = scene.build(Plan())
    kernel, head = guest.kernel, guest.kernel.address("bpf_kallsyms")
    first = int.from_bytes(kernel.guest.read(head, 8), "little")
    kernel.word(first, first if target == "itself" else 0xDEAD_0000_0000)
    guest.guest.save(tmp_path / "core", format="elf-core")
    linux = find(Target(open_image(tmp_path / "core")))

    assert linux.symbols.find(generated.PROGRAM).module == "bpf"
    assert linux.symbols.find(generated.OTHER) is None
    assert "is broken after 1 elements" in linux.generated.problem


def test_a_running_thread_without_registers_is_scanned_only_when_asked(made, monkeypatch):
    guest, path = made("orc")
    linux = find(Target(open_image(path)))
    monkeypatch.setattr(linux.target.image, "vcpus", ())
    task = tasks_of(linux)[guest.idle[1].address]

    with pytest.raises(NoStack, match="it runs, and the image does not hold its processor's registers"):
        linux.stacks.of_task(task)
    assert named(linux, linux.stacks.of_task(task, scan=True)) == guest.idle[1].calls[1:]


def test_a_vcpu_whose_registers_are_not_known_is_refused(made):
    linux = find(Target(open_image(made("orc")[1])))
    vcpu = linux.target.vcpu(0)

    with pytest.raises(NoRegisters, match="vcpu 0 has no stack to show: the image does not hold its rip and rsp"):
        linux.stacks.of_vcpu(replace(vcpu, registers={"rbp": 1}))


def test_unwind_data_that_cannot_be_used_is_told(tmp_path):
    guest = scene.build(Plan(orc_header=False))
    start, end = (guest.kernel.address(f"__{edge}_orc_unwind") for edge in ("start", "stop"))
    guest.guest.write(start, bytes(end - start))
    guest.guest.save(tmp_path / "core", format="elf-core")
    linux = find(Target(open_image(tmp_path / "core")))

    broken = []
    for task in each_task(linux):
        with contextlib.suppress(DebuggerError):
            broken += [call.reason for call in linux.stacks.of_task(task) if call.reason]

    assert broken
    assert all(
        reason.startswith("the kernel's ORC unwind data cannot be read: ORC unwind data of no known layout; ")
        for reason in broken
    )


def test_unwind_data_that_the_image_does_not_hold_is_told(made, monkeypatch):
    guest, path = made("orc")
    linux = find(Target(open_image(path)))
    start, end = (guest.kernel.address(f"__{edge}_orc_unwind_ip") for edge in ("start", "stop"))
    tasks, read = tasks_of(linux), linux.space.read

    def lacking(address, size):
        if start <= address < end:
            raise NotInDump(address, "left out")
        return read(address, size)

    monkeypatch.setattr(linux.space, "read", lacking)
    asked = [task for task in guest.tasks.values() if task.calls]
    stacks = {task.pid: list(linux.stacks.of_task(tasks[task.address])) for task in asked}

    assert {pid: named(linux, calls) for pid, calls in stacks.items()} == {task.pid: task.calls for task in asked}
    assert "orc" not in {call.how for calls in stacks.values() for call in calls}
    reasons = [call.reason for calls in stacks.values() for call in calls if call.reason]
    assert reasons
    for reason in reasons:
        assert reason.startswith("the unwind data for 0xffffffff")
        assert "cannot be read: " in reason
        assert "left out" in reason


def test_commands_mark_what_is_a_guess(made):
    guest, path = made("none")
    task = guest.tasks[1]
    debug = vmdebug.open(path)

    lines = debug.run(f"{task.address:x}::findstack").splitlines()

    assert lines[1].startswith("[ __schedule+0x12() [the kernel has no ORC unwind data; ")
    assert lines[2:] == [f"  ? {name}+0x12()" for name in task.calls[1:]]


def test_a_scan_shows_what_unwinding_found_without_a_mark(made):
    guest, path = made("orc")
    task = guest.tasks[1]
    stale, innermost = guest.kernel.address("filler_7") + 0x12, task.stack + scene.STACK_SIZE - 8 * 25
    guest.kernel.word(innermost, guest.kernel.calls(stale))
    guest.guest.save(path.with_name("stale"), format="elf-core")
    debug = vmdebug.open(path.with_name("stale"))

    plain = debug.run(f"{task.address:x}::findstack -v").splitlines()
    scanned = debug.run(f"{task.address:x}::findstack -vs").splitlines()

    assert [line for line in scanned if "?" not in line] == plain
    assert [line for line in scanned if "?" in line] == [f"  {innermost + 8:016x} ? filler_7+0x12()"]
    assert scanned[2:] == sorted(scanned[2:])


def test_stacks_are_chosen_by_modules_and_excluded(made):
    guest, path = made("orc")
    debug = vmdebug.open(path)
    with_bpf = {guest.tasks[BPF_USER].address}

    chosen = {each.addr for row in debug.rows("::stacks -m bpf") for each in row.threads}
    others = {each.addr for row in debug.rows("::stacks -M bpf") for each in row.threads}

    assert chosen == with_bpf
    assert others == {task.address for task in (*guest.idle, *guest.tasks.values())} - with_bpf
    assert {row.addr for row in debug.rows(f"::stacks -c bpf`{generated.PROGRAM}")} == with_bpf


def test_a_cpu_in_a_program_has_an_empty_kernel_stack(tmp_path):
    scene.build(Plan(pti=True)).guest.save(tmp_path / "core", format="elf-core")
    debug = vmdebug.open(tmp_path / "core")

    assert debug.run("::cpustack -c 0") == debug.run("::cpustack -s -c 0") == ""
    assert debug.run("::cpustack -c 1").startswith("default_idle+0x12()")
