"""Linux guests of 32 bits: with PAE and with two levels of page tables, named in full or by functions only."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vmdebug
from fixtures.linux import scene
from fixtures.linux.scene import Plan
from formats.opener import open_image
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.guests.linux import find
from vmdebug.guests.linux.coreinfo import LOG, LogTypes
from vmdebug.guests.linux.log import NoLog, each_message
from vmdebug.guests.linux.tasks import each_task
from vmdebug.targets.target import Target
from vmdebug.types.typed import Objects

NARROW = {"unwinder": "frame pointers", "shift": 0x40_0000}
PLANS = {
    "4.20, 2 levels": Plan(kallsyms="4.20", paging="2-level", ring=False, **NARROW),
    "5.10, PAE, one processor": Plan(kallsyms="4.20", paging="pae", cpus=1, **NARROW),
    "6.1, 2 levels, not moved": Plan(kallsyms="6.2", paging="2-level", **NARROW | {"shift": 0}),
    "6.6, PAE": Plan(paging="pae", **NARROW),
    "7.0, PAE": Plan(kallsyms="7.0", paging="pae", **NARROW),
}
BARE = {
    "functions only, 2 levels": Plan(kallsyms="6.2", paging="2-level", functions_only=True, **NARROW),
    "functions only, PAE": Plan(paging="pae", functions_only=True, **NARROW),
    "functions only, older log": Plan(kallsyms="4.20", paging="pae", ring=False, functions_only=True, **NARROW),
    "functions only, 64 bits": Plan(functions_only=True),
}
LARGE = 4 << 20
USER_CODE = 0x804_8000


def saved(made, folder):
    made.guest.save(folder / "core", format="elf-core")
    return folder / "core"


@pytest.fixture(scope="module", params=PLANS)
def case(request, tmp_path_factory):
    """A guest as it was made, and its dump."""
    made = scene.build(PLANS[request.param])
    return made, saved(made, tmp_path_factory.mktemp("narrow"))


@pytest.fixture(scope="module", params=BARE)
def bare(request, tmp_path_factory):
    """The same of a guest whose kallsyms names functions only."""
    made = scene.build(BARE[request.param])
    return made, saved(made, tmp_path_factory.mktemp("bare"))


def guest_in(path):
    return find(Target(open_image(path)))


def called(linux, task):
    return [linux.symbols.nearest(call.inside)[0].name for call in linux.stacks.of_task(task)]


def test_every_symbol_is_there(case):
    made, path = case
    linux = guest_in(path)

    assert {(s.name, s.value) for s in linux.names.all} == {(name, at) for _, name, at in made.kernel.symbols}
    assert (linux.word, linux.shift, linux.image.half) == (4, made.plan.shift, 0xC000_0000)


def test_every_task_and_every_stack_is_there(case):
    made, path = case
    linux = guest_in(path)
    asked = [*made.idle, *made.tasks.values()]

    found = {task.address: task for task in each_task(linux)}

    assert {at: (t.pid, t.tgid, t.ppid, t.comm, t.state, t.uid) for at, t in found.items()} == {
        t.address: (t.pid, t.process.pid, t.process.parent, t.process.comm, t.process.state, t.process.uid)
        for t in asked
    }
    assert {t.address: called(linux, found[t.address]) for t in asked if t.calls} == {
        t.address: t.calls for t in asked if t.calls
    }


def test_the_log_is_what_was_left_of_it(case):
    made, path = case

    found = [(message.time, message.level, message.text) for message in each_message(guest_in(path))]

    assert found == [(message.time, message.level, message.text) for message in made.messages]


def test_modules_have_their_own_names(case):
    _, path = case
    linux = guest_in(path)
    (module,) = linux.loaded.all

    found = [(each.name, each.value - module.base, each.size) for each in module.symbols.all]

    assert found == [("driver_read", 0, 0x100), ("driver_write", 0x100, 0x100)]
    assert (module.name, module.size, module.users) == ("lab_driver", 0x1800, 1)


SAID = {
    "::status": "operating system: 6.6.0-fixture #1 SMP PREEMPT_DYNAMIC (i686)",
    "::ps": "D 310    1      310",
    "::stacks": "asm_sysvec_reboot",
    "::dmesg": "[    0.059000] message 59 of the guest",
    "::modinfo": "lab_driver",
    "::cpuinfo": "(idle)",
    "init_task::print struct task_struct comm tasks": 'comm = [ "swapper/0" ]',
    "::stack": "stop_this_cpu+0x12()\nsysvec_reboot+0x12()\nasm_sysvec_reboot+0x12()\ndefault_idle+0x12()\n",
    "init_task::whatis": "is init_task, in vmlinux's",
}


@pytest.mark.parametrize("command", SAID)
def test_commands_say_of_it_what_they_say_of_others(command, case):
    _, path = case

    assert SAID[command] in vmdebug.open(path).run(command)


def test_with_names_of_functions_only_the_kernel_still_tells_who_it_is(bare):
    made, path = bare
    linux = guest_in(path)
    status = linux.status()

    assert (status.nodename, status.release, status.machine) == (
        "fixture", scene.RELEASE, made.kernel.map.machine.decode(),
    )  # fmt: skip
    assert {s.name for s in linux.names.all} == {name for letter, name, _ in made.kernel.symbols if letter in "tTwW"}
    assert linux.names.find("_stext").value == made.kernel.text.start


def test_with_names_of_functions_only_the_log_is_found_by_vmcoreinfo(bare):
    made, path = bare

    found = [(message.time, message.level, message.text) for message in each_message(guest_in(path))]

    assert found == [(message.time, message.level, message.text) for message in made.messages]


def test_with_names_of_functions_only_types_are_found_by_their_header(bare):
    made, path = bare
    linux = guest_in(path)

    assert linux.objects.sizeof("struct task_struct") == made.kernel.sizeof("struct task_struct")
    assert linux.objects.at("struct task_struct", made.idle[0].address)["comm"].string() == "swapper/0"


def test_a_variable_that_has_no_name_says_why(bare):
    _, path = bare

    with pytest.raises(
        DebuggerError, match="'init_task' not found in the kernel's kallsyms, which names functions only"
    ):
        list(each_task(guest_in(path)))


def test_a_vmcoreinfo_of_another_kernel_is_not_believed(tmp_path):
    made = scene.build(BARE["functions only, PAE"])
    at = bytes(made.guest.read(made.kernel.heap.start, made.kernel.heap.size)).index(b"SYMBOL(_stext)=")
    made.guest.write(made.kernel.heap.start + at, b"SYMBOL(_stext)=d")
    linux = guest_in(saved(made, tmp_path))

    with pytest.raises(NoLog):
        list(each_message(linux))
    assert linux.names.find("prb") is None


@pytest.mark.parametrize("paging", ["pae", "2-level"])
def test_without_registers_the_kernel_is_found_by_its_page_tables(paging, tmp_path):
    made = scene.build(Plan(paging=paging, memory=64 << 20, **NARROW))
    made.guest.map(USER_CODE, user=True)  # a process' root has more than the kernel
    if paging == "2-level":
        for number in range(7, 13):
            made.guest.map(0xC000_0000 + number * LARGE, number * LARGE >> 12, size="4M")
    image = open_image(saved(made, tmp_path))
    image.vcpus = ()
    target = Target(image)

    linux = find(target)

    assert (linux.image.text, linux.word) == (made.kernel.text.start, 4)
    assert target.read(linux.address("linux_banner"), 13) == b"Linux version"


def test_a_guest_without_a_kernel_is_refused_in_one_line(tmp_path):
    from fixtures import Guest

    guest = Guest(paging="pae", pv=False, seed=3, memory="16M")
    guest.map(0xC010_0000, count=0x300, writable=False)
    guest.vcpu(eip=0xC010_0000, esp=0xC010_0000)
    guest.save(tmp_path / "core", format="elf-core")

    found = find_guest(Target(open_image(tmp_path / "core")))

    assert found.kind == "unknown"
    assert "no kallsyms in the image that the tables at 0x1000 map at 0xc0100000" in found.why


LINES = st.dictionaries(
    st.sampled_from(
        [f"SIZE({kind})" for kind in LOG] + [f"OFFSET({kind}.{member})" for kind in LOG for member in LOG[kind]]
    ),
    st.one_of(st.integers(-(1 << 70), 1 << 70).map(str), st.integers(0, 64).map(str), st.text(max_size=4)),
)


@given(LINES)
def test_whatever_vmcoreinfo_says_of_the_log_is_bounded(values):
    memory = io.BytesIO(bytes(1 << 16))
    sizes = []

    def read(at, size):
        sizes.append(size)
        return memory.getvalue()[at : at + size].ljust(size, b"\0")

    types = LogTypes(values, 4)
    for found in types.each():
        for member in found.members:
            value = Objects(types, read).at(found, 0x100)
            try:
                int(value[member.name])
            except DebuggerError:
                continue

    assert max(sizes, default=0) <= 4096
