from dataclasses import replace

import pytest

from tests.typed_memory import BASE, TypedMemory
from vmdebug.errors import DebuggerError

CONSOLE = 0xFFFF_FF00_0159_3C80
INTERRUPT = 0xFFFF_FF00_010B_FC80


@pytest.fixture
def sleeper(illumos):
    """A thread that sleeps in cv_wait()."""
    return next(each for each in illumos().truth["threads"] if each["state"] == "sleep")


@pytest.fixture
def member(illumos):
    """Where a member of a thread lies."""
    objects = illumos().guest.objects
    return lambda name, thread: thread + objects.offsetof("kthread_t", name)


def addresses(rows):
    return [row.address for row in rows]


def test_walks_all_threads(illumos):
    debug = illumos()

    walked = addresses(debug.rows("::walk thread"))

    assert sorted(walked) == sorted(int(each["address"], 16) for each in debug.truth["threads"])


def test_walks_the_threads_of_a_process(illumos):
    debug = illumos()
    process = debug.truth["processes"][0]

    walked = addresses(debug.rows(f"{process['address']}::walk thread"))

    assert sorted(walked) == sorted(int(each, 16) for each in process["threads"])


def test_walks_processes_in_the_order_of_the_tree(illumos):
    debug = illumos()
    processes = {int(each["address"], 16): each for each in debug.truth["processes"]}

    walked = addresses(debug.rows("::walk proc"))

    assert len(walked) == len(set(walked))
    assert [processes[each]["pid"] for each in walked][:2] == [0, 1] or processes[walked[0]]["pid"] == 0
    assert set(walked) == set(processes)
    for place, each in enumerate(walked[1:], start=1):
        parents = [processes[other]["pid"] for other in walked[:place]]
        assert processes[each]["ppid"] in parents


@pytest.mark.parametrize("damage", ["loop-list=p_sibling", "loop-list=p_child", "loop-list=allthreads"])
def test_ends_walks_of_lists_that_do_not(illumos, damage):
    debug = illumos(damage=damage)

    for walker, known in (("proc", "processes"), ("thread", "threads")):
        walked = debug.text(f"::walk {walker}")
        assert 0 < len(set(walked)) == len(walked) <= len(debug.truth[known])


def test_shows_what_threads_are(illumos):
    debug = illumos()

    rows = debug.rows("::thread")

    truth = {int(each["address"], 16): each for each in debug.truth["threads"]}
    assert {(row.addr, row.state, row.pri) for row in rows} == {
        (address, each["state"], each["priority"]) for address, each in truth.items()
    }


def test_prints_a_line_a_thread(illumos):
    assert illumos().text(f"{INTERRUPT:x}::thread") == [
        "ADDR             STATE    FLG PFLG SFLG   PRI  EPRI PIL             INTR",
        "ffffff00010bfc80 onproc     9    0    1   169     0   9 ffffff0001593c80",
    ]
    assert illumos().text(f"{CONSOLE:x}::thread")[1].endswith("  n/a")


def test_leaves_out_free_threads(illumos):
    debug = illumos()

    assert "free" in {row.state for row in debug.rows("::thread")}
    assert "free" not in {row.state for row in debug.rows("::thread -f")}


def test_names_a_state_that_it_does_not_know(illumos, member):
    (row,) = illumos({member("t_state", CONSOLE): b"\x40\0\0\0"}).rows(f"{CONSOLE:x}::thread")

    assert row.state == "inval/40"


def test_finds_every_stack_that_the_generator_made(illumos):
    debug = illumos()

    for each in debug.truth["threads"]:
        if each["state"] != "sleep":
            continue
        (row,) = debug.rows(f"{each['address']}::findstack -v")
        assert f"{row.sp:#x}" == each["stack_pointer"]
        shown = [f"{frame.symbol}({', '.join(f'{arg:x}' for arg in frame.args[:6])})" for frame in row.frames]
        assert shown == each["stack"]


def test_prints_a_stack_with_frame_pointers(illumos, sleeper):
    lines = illumos().text(f"{sleeper['address']}::findstack")

    thread, sp = (each.removeprefix("0x") for each in (sleeper["address"], sleeper["stack_pointer"]))
    assert lines[:2] == [f"stack pointer for thread {thread}: {sp}", f"[ {sp} _resume_from_idle+0xf1() ]"]
    assert lines[2].startswith("  ffffff00") and lines[2].endswith(" swtch+0x17f()")
    assert lines[3].endswith(" cv_wait+0x61()")


def test_tries_every_word_of_a_stack_whose_pointer_is_lost(illumos, sleeper, member, word):
    thread = int(sleeper["address"], 16)

    (row,) = illumos({member("t_pcb.val[1]", thread): word(0)}).rows(f"{thread:x}::findstack")

    assert row.pc is None
    assert row.frames[-1].symbol == "thread_start+8"


def test_lists_possible_frames_where_nothing_is_conclusive(illumos, sleeper, member, word):
    debug = illumos()
    thread = int(sleeper["address"], 16)
    record = debug.guest.objects.at("kthread_t", thread)
    (stack,) = debug.rows(f"{thread:x}::findstack")
    last = stack.frames[-1].fp
    damaged = illumos({stack.frames[-2].fp: word(last + 8), member("t_stk", thread): word(record.t_stk)})

    lines = damaged.text(f"{thread:x}::findstack")

    assert lines[0] == f"Possible stack pointers for thread {thread:x}:"
    assert lines[1].startswith("  ffffff00") and lines[1].endswith(")")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("t_schedflag", b"\0\0", "isn't in memory"),
        ("t_stk", bytes(8), "stack base or stack top corrupt"),
        ("t_stkbase", bytes(8), "is too big to be reasonable"),
    ],
)
def test_says_what_is_wrong_with_a_stack(illumos, sleeper, member, name, value, words):
    thread = int(sleeper["address"], 16)
    debug = illumos({member(name, thread): value})

    with pytest.raises(DebuggerError, match=words):
        debug.rows(f"{thread:x}::findstack")


def test_says_that_a_stack_cannot_be_read(illumos, sleeper):
    thread = int(sleeper["address"], 16)
    base = int(illumos().guest.objects.at("kthread_t", thread).t_stkbase)

    with pytest.raises(DebuggerError, match=f"couldn't read entire stack for thread {thread:x}"):
        illumos(gone=[base]).rows(f"{thread:x}::findstack")


def test_lists_threads(illumos):
    debug = illumos()

    lines = debug.text("::threadlist")

    free = [each for each in debug.truth["threads"] if each["state"] == "free"]
    assert lines[0] == "            ADDR             PROC              LWP CMD/LWPID"
    assert len(lines) - 1 == len(debug.truth["threads"]) - len(free)
    assert "ffffff00010f5c80 fffffffffbc2bb20                0 sched()" in lines
    assert any(line.endswith(" tq:ufs_taskq") for line in lines)
    assert any(line.endswith(" init/1") for line in lines)


def test_lists_threads_without_those_of_task_queues(illumos):
    lines = illumos().text("::threadlist -t")

    assert len(lines) > 10
    assert not any(" tq:" in line for line in lines)


def test_lists_threads_with_their_stacks(illumos):
    assert illumos().text("ffffff00010f5c80::threadlist -v 1") == [
        "            ADDR             PROC              LWP CLS PRI            WCHAN",
        "ffffff00010f5c80 fffffffffbc2bb20                0   0  60 fffffffec200e3f8",
        "  PC: _resume_from_idle+0xf1    THREAD: sched()",
        "  stack pointer for thread ffffff00010f5c80: ffffff00010f5be0",
        "  [ ffffff00010f5be0 _resume_from_idle+0xf1() ]",
        "    swtch+0x17f()",
        "    cv_wait+0x61(fffffffec200e3f8)",
        "    sched+0x5b()",
        "    thread_start+8()",
        "",
    ]


def test_tells_the_command_or_the_task_queue_of_a_thread(illumos):
    lines = illumos().text("::threadlist -v")

    assert "  PC: _resume_from_idle+0xf1    TASKQ: ufs_taskq" in lines
    assert any(line.endswith("    CMD: /sbin/init") for line in lines)


def test_takes_a_count_only_with_stacks(illumos):
    assert any("Usage" in line for line in illumos().errors("::threadlist 3"))


def test_reports_a_thread_whose_stack_is_not_there(illumos, sleeper, member):
    thread = int(sleeper["address"], 16)
    debug = illumos({member("t_schedflag", thread): b"\0\0"})

    lines = debug.text(f"{thread:x}::threadlist -v")

    assert len(lines) == 4
    assert debug.errors(f"{thread:x}::threadlist -v") == [f"vmdebug: thread {thread:x} isn't in memory"]


@pytest.mark.parametrize("nested", ["<.$c", "<.$C0", "::echo a; ::echo b", ".=K", "<.$c !head -1"])
def test_runs_a_command_where_a_stack_begins(illumos, sleeper, nested):
    debug = illumos()
    thread, sp = (each.removeprefix("0x") for each in (sleeper["address"], sleeper["stack_pointer"]))

    assert debug.text(f"{thread}::findstack '{nested}'") == [
        f"stack pointer for thread {thread}: {sp}",
        f"[ {sp} _resume_from_idle+0xf1() ]",
        *(f"  {line}" for line in debug.text(f"{sp}::eval '{nested}'")),
    ]


def test_a_stack_has_the_calls_or_what_a_command_printed(illumos, sleeper):
    debug = illumos()
    (whole,) = debug.rows(f"{sleeper['address']}::findstack")

    (row,) = debug.rows(f"{sleeper['address']}::findstack '::echo a b'")

    assert row == replace(whole, frames=[], output=["a b "])
    assert whole.frames and whole.output == ()


def test_a_command_that_fails_ends_the_list_of_stacks(illumos, sleeper):
    debug = illumos()
    thread = sleeper["address"].removeprefix("0x")

    lines = debug.text(f"{thread}::findstack '::echo a; ::nosuch'")

    assert lines[0].startswith(f"stack pointer for thread {thread}: ") and lines[2:] == ["  a "]
    assert "::nosuch" in debug.errors(f"{thread}::findstack '::nosuch'")[0]


def test_findstack_takes_one_command(illumos, sleeper):
    with pytest.raises(DebuggerError, match="Usage: "):
        illumos().rows(f"{sleeper['address']}::findstack a b")


def test_what_a_command_prints_of_a_stack_is_logged_once(illumos, sleeper, tmp_path):
    debug = illumos()
    log = tmp_path / "log"

    printed = debug.text(f"$>{log}; {sleeper['address'].removeprefix('0x')}::findstack '::echo a'")
    debug.text("$>")

    assert [line for line in log.read_text().splitlines() if "vmdebug:" not in line] == printed
    assert printed[2:] == ["  a "]


def test_walks_the_context_operations_of_a_thread(illumos, word):
    debug = illumos()
    java = next(each["address"] for each in debug.truth["processes"] if each["command"] == "java")
    threads = [row.address for row in debug.rows(f"{java}::walk thread")]
    found = [row.address for row in debug.rows(f"{threads[0]:x}::walk ctxop")]
    follow = debug.guest.objects.offsetof("struct ctxop", "next")

    assert debug.text(f"{threads[0]:x}::walk ctxop | ::print struct ctxop save_op") == [
        "save_op = swtch",
        "save_op = preempt",
    ]
    assert debug.rows(f"{threads[1]:x}::walk ctxop") == []
    ring = illumos({found[1] + follow: word(found[0])})
    assert [row.address for row in ring.rows(f"{threads[0]:x}::walk ctxop")] == found


def test_marks_the_stack_of_a_free_thread(illumos, sleeper, member):
    thread = int(sleeper["address"], 16)
    sp = sleeper["stack_pointer"].removeprefix("0x")

    lines = illumos({member("t_state", thread): bytes(4)}).text(f"{thread:x}::findstack")

    assert lines[0] == f"stack pointer for thread {thread:x} (TS_FREE): {sp}"


def test_a_stack_in_full_has_the_arguments_behind_the_frame_pointers(illumos):
    (row,) = illumos().rows("ffffff00010f5c80::findstack -v")

    assert illumos().text("ffffff00010f5c80::findstack -v")[2:] == [
        f"  {frame.fp:016x} {text}"
        for frame, text in zip(
            row.frames,
            ("swtch+0x17f()", "cv_wait+0x61(fffffffec200e3f8, fffffffec200e400)", "sched+0x5b()", "thread_start+8()"),
            strict=True,
        )
    ]


THREAD_TYPES = """
struct user { char u_comm[17]; char u_psargs[80]; };
typedef struct proc { struct user p_user; } proc_t;
typedef struct kthread {
    struct kthread *t_next; unsigned t_state; void *t_lwp; proc_t *t_procp; int t_tid; void *t_taskq; void *t_startpc;
    char *t_name;
} kthread_t;
"""


@pytest.mark.parametrize(
    ("values", "name", "told"),
    [
        ({"t_tid": 3}, "worker", "bash/3 [worker]"),
        ({"t_tid": 3}, "", "bash/3"),
        ({}, "kworker", "kworker"),
        ({"t_startpc": 0x1000}, "", "0x1000()"),
    ],
)
def test_a_thread_goes_by_the_name_that_it_was_given(printed, values, name, told):
    memory = TypedMemory(THREAD_TYPES)
    named, thread, process = BASE, BASE + 0x1000, BASE + 0x2000
    memory.put(named, name.encode() + bytes(512))
    memory.object("proc_t", process, {"p_user.u_comm": b"bash"})
    memory.object("kthread_t", thread, {"t_state": 1, "t_procp": process, "t_name": named if name else 0, **values})

    assert printed(memory, f"{thread:x}::threadlist")[1] == f"{thread:016x} {process:16x} {0:16x} {told}"
