"""::findstack ::threadlist ::cpustack ::stacks of real Linux guests: that they agree, and what their options ask."""

import pytest

import vmdebug
from vmdebug.errors import DebuggerError

OLD, NEW, CRASH, PV = "linux-mini.elf.core", "linux-72.elf.core", "linux-crash.kdump-d31-zlib", "xen-pv.core"


@pytest.fixture(scope="module")
def opened(real):
    """`opened(name)`: a session over an image, kept."""
    kept = {}

    def debug(name=CRASH):
        if name not in kept:
            kept[name] = vmdebug.open(real(name))
        return kept[name]

    return debug


@pytest.mark.parametrize("name", [NEW, CRASH, PV])
def test_all_that_show_a_stack_agree(opened, name):
    debug = opened(name)
    threads = {row.addr: row for row in debug.rows("::threadlist -v")}
    short = {row.addr: row for row in debug.rows("::threadlist")}
    groups = debug.rows("::stacks")

    assert {addr: row.sp for addr, row in threads.items()} == {addr: row.sp for addr, row in short.items()}
    assert sorted(member.addr for group in groups for member in group.threads) == sorted(threads)
    for group in groups:
        for member in group.threads:
            row = threads[member.addr]
            assert (row.pid, row.comm, row.state) == (member.pid, member.comm, group.state)
            assert [frame.symbol for frame in row.frames] == [line for line in group.stack if line[0] != "<"]
    for addr, row in list(threads.items())[:6]:
        if row.frames:
            assert debug.rows(f"{addr:x}::findstack -v") == [row]
    for cpu in (0, 1):
        frames = debug.rows(f"::cpustack -v -c {cpu}")
        assert [row.frames for row in threads.values() if row.sp == frames[0].sp] == [frames]


def test_the_text_of_a_stack_with_its_pointers(opened):
    lines = opened().run("::cpustack -v -c 1").splitlines()

    assert lines[:2] == ["ffffd19540c0bc10 delay_tsc+0x33()", "ffffd19540c0bc18 panic+0x2e9()"]
    assert opened().run("::cpustack -c 1").splitlines() == [line[17:] for line in lines]


def test_a_thread_that_ended_has_no_stack(opened):
    (zombie,) = opened().rows("::stacks -s Z")

    assert zombie.stack == ("<it has ended>",)
    assert opened().run("::stacks -s Z").splitlines()[2] == " " * 17 + "<it has ended>"
    with pytest.raises(DebuggerError, match=r"zeta_zombie.* has no stack to show: it has ended"):
        opened().rows(f"{zombie.addr:x}::findstack")


def stacks_with(debug, test):
    return {group.addr for group in debug.rows("::stacks") if test(group)}


def named(*names):
    return lambda group: any(line.partition("+")[0].rpartition("`")[2] in names for line in group.stack)


FILTERS = {
    "-c do_nanosleep": named("do_nanosleep"),
    "-C do_nanosleep": lambda group: not named("do_nanosleep")(group),
    "-c schedule+5a": lambda group: "schedule+0x5a" in group.stack,
    "-c schedule+5b": lambda group: False,
    "-C schedule+5a": lambda group: "schedule+0x5a" not in group.stack,
    "-s S": lambda group: group.state == "S",
    "-S S": lambda group: group.state != "S",
    "-t ZOMB": lambda group: group.state == "Z",
    "-T SLEEP": lambda group: group.state != "S",
    "-s I -C worker_thread": lambda group: group.state == "I" and not named("worker_thread")(group),
}


@pytest.mark.parametrize("flags", FILTERS)
def test_options_choose_stacks_and_exclude_them(opened, flags):
    debug = opened()

    assert {row.addr for row in debug.rows(f"::stacks {flags}")} == stacks_with(debug, FILTERS[flags])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("-c no_such_function", "stacks: cannot find function 'no_such_function'"),
        ("-c schedule+zz", "the offset is no hexadecimal number"),
        ("-m no_such_module", "stacks: 'no_such_module' is not a loaded module"),
        ("-s asleep", "stacks: asleep: no state of threads; known are R, S, D, T, t, X, Z, P, I, SLEEP"),
    ],
)
def test_what_is_unknown_is_refused(opened, flags, says):
    with pytest.raises(DebuggerError) as found:
        opened().rows(f"::stacks {flags}")

    assert says in str(found.value)


def test_an_address_chooses_its_group(opened):
    biggest = opened().rows("::stacks")[0]

    assert opened().rows(f"{biggest.threads[1].addr:x}::stacks") == [biggest]
    with pytest.raises(DebuggerError, match="stacks: 1234 not in thread list"):
        opened().rows("1234::stacks")


def test_a_pipe_takes_and_gives_threads(opened):
    debug = opened()
    biggest = debug.rows("::stacks")[0]
    function = biggest.stack[2].partition("+")[0]

    assert debug.run(f"::stacks -c {function} | ::map .").split() == [f"{each.addr:x}" for each in biggest.threads]
    assert debug.rows(f"::stacks -c {function} | ::stacks") == [biggest]
    assert [row.count for row in debug.rows(f"{biggest.threads[1].addr:x}::map . | ::stacks")] == [1]


def test_every_thread_of_a_group_is_listed_when_asked(opened):
    (group,) = opened().rows("::stacks -c rescuer_thread")

    lines = opened().run("::stacks -a -c rescuer_thread").splitlines()

    assert lines[0].split() == ["THREAD", "STATE", "PID", "COUNT"]
    assert [line.split() for line in lines[1 : group.count + 1]] == [
        [f"{member.addr:016x}", "I", str(member.pid), "-"] for member in group.threads
    ]
    assert [line.strip() for line in lines[group.count + 1 : -1]] == list(group.stack)


@pytest.mark.parametrize("name", [OLD, NEW, CRASH, PV])
def test_the_stack_of_the_registers_is_that_of_their_cpu(opened, name):
    assert opened(name).run("$c") == opened(name).run("::cpustack -c 0")
