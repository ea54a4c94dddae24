"""Section D.6: ::stacks."""

from types import SimpleNamespace

import pytest

from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.stack_groups import Group, Stack, _order
from vmdebug.symbols.table import Part, Symbol, SymbolTable

HEAD = "THREAD           STATE    SOBJ                COUNT"
ARP, TASKQ = 0xFFFF_FF00_0112_BC80, 0xFFFF_FF00_0114_FC80
ARP_STACK = ["swtch+0x17f", "cv_wait+0x61", "arp_worker+0x7a", "thread_start+8"]


@pytest.fixture
def member(illumos):
    objects = illumos().guest.objects
    return lambda name, thread: thread + objects.offsetof("kthread_t", name)


def indented(symbols):
    return [f"{'':17}{each}" for each in symbols]


def test_prints_a_group(illumos):
    assert illumos().text("::stacks -m arp") == [
        HEAD,
        "ffffff000112bc80 SLEEP    CV                      1",
        *indented(ARP_STACK),
        "",
    ]


def test_every_thread_is_in_one_group(illumos):
    debug = illumos()

    rows = debug.rows("::stacks")

    threads = [each for row in rows for each in row.threads]
    assert sorted(threads) == sorted(int(each["address"], 16) for each in debug.truth["threads"])
    assert [row.count for row in rows] == [len(row.threads) for row in rows]
    assert len({(row.state, row.sobj, tuple(row.frames), row.failure) for row in rows}) == len(rows)


def test_the_stacks_are_those_that_were_made(illumos):
    debug = illumos()
    made = {int(each["address"], 16): each["stack"] for each in debug.truth["threads"] if each["state"] == "sleep"}

    rows = [row for row in debug.rows("::stacks -t sleep") if not row.failure]

    for row in rows:
        for thread in row.threads:
            assert [each.symbol for each in row.frames] == [line.partition("(")[0] for line in made[thread]]
    assert {each for row in rows for each in row.threads} == set(made)


def test_the_largest_groups_come_first(illumos):
    counts = [row.count for row in illumos().rows("::stacks")]

    assert counts[0] > 30
    assert counts == sorted(counts, reverse=True)


def test_the_thread_that_panics_comes_last(illumos, word):
    panic = illumos().truth.address("panic_thread")

    rows = illumos({panic: word(TASKQ)}).rows("::stacks")

    assert (rows[-1].thread, rows[-1].state, rows[-1].count) == (TASKQ, "PANIC", 1)
    assert "PANIC" not in {row.state for row in rows[:-1]}


def test_lists_every_thread_of_each_group(illumos):
    (row,) = illumos().rows("::stacks -c taskq_thread")

    lines = illumos().text("::stacks -a -c taskq_thread")

    assert row.count == 6
    assert lines[:7] == [HEAD, *(f"{each:x} SLEEP    CV                      -" for each in row.threads)]
    assert illumos().text("::stacks -a -T sleep").count(HEAD) == len(illumos().rows("::stacks -T sleep"))


@pytest.mark.parametrize(
    ("options", "selects"),
    [
        ("-c taskq_thread", lambda row: "taskq_thread+0x1d2" in symbols(row)),
        ("-c taskq_thread+1d2", lambda row: "taskq_thread+0x1d2" in symbols(row)),
        ("-c taskq_thread+1d3", lambda row: False),
        ("-c genunix`taskq_thread", lambda row: "taskq_thread+0x1d2" in symbols(row)),
        ("-C cv_wait", lambda row: "cv_wait+0x61" not in symbols(row)),
        ("-m arp", lambda row: "arp_worker+0x7a" in symbols(row)),
        ("-M arp", lambda row: "arp_worker+0x7a" not in symbols(row)),
        ("-s cv", lambda row: row.sobj == "CV"),
        ("-s ALL", lambda row: row.sobj != "<NONE>"),
        ("-S ALL", lambda row: row.sobj == "<NONE>"),
        ("-S CV", lambda row: row.sobj != "CV"),
        ("-t run", lambda row: row.state == "RUN"),
        ("-t TS_ONPROC", lambda row: row.state == "ONPROC"),
        ("-T sleep", lambda row: row.state != "SLEEP"),
        ("-i", lambda row: row.sobj != "CV" and row.state != "FREE"),
        ("-f", lambda row: True),
        ("-v", lambda row: True),
        ("-t sleep -m sctp", lambda row: "sctp_flow_wait+0xb6" in symbols(row)),
    ],
)
def test_options_choose_groups(illumos, options, selects):
    debug = illumos()

    assert debug.rows(f"::stacks {options}") == [row for row in debug.rows("::stacks") if selects(row)]


def symbols(row):
    return [each.symbol for each in row.frames]


def test_the_thread_that_panics_is_interesting(illumos, word):
    panic = illumos().truth.address("panic_thread")

    assert illumos({panic: word(TASKQ)}).rows("::stacks -i")[-1].thread == TASKQ


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "MUTEX"), (2, "RWLOCK"), (3, "CV"), (4, "SEMA"), (5, "USER"), (6, "USER_PI"), (7, "SHUTTLE"), (0, "<NONE>")],
)
def test_names_what_threads_sleep_on(illumos, number, name):
    operations = illumos().truth.address("cv_sobj_ops")

    (row,) = illumos({operations: bytes([number])}).rows("::stacks -m arp")

    assert row.sobj == name


@pytest.mark.parametrize(
    ("name", "value", "failure"),
    [
        ("t_schedflag", b"\0\0", "<thread not in memory>"),
        ("t_stkbase", bytes(8), "<thread structure stack info corrupt>"),
    ],
)
def test_says_why_there_is_no_stack(illumos, member, name, value, failure):
    debug = illumos({member(name, ARP): value})

    (row,) = debug.rows(f"{ARP:x}::stacks")

    assert (row.failure, row.frames) == (failure, [])
    assert debug.text(f"{ARP:x}::stacks")[2:] == [*indented([failure]), ""]


def test_says_that_no_stack_is_consistent(illumos):
    assert {row.failure for row in illumos().rows("::stacks -t free")} == {"<no consistent stack found>"}


def test_an_address_selects_the_group_of_that_thread(illumos):
    (row,) = illumos().rows(f"{TASKQ + 0x6000:x}::stacks")

    assert row.count == 6 and row.thread == TASKQ


def test_a_pipe_gives_and_takes_threads(illumos):
    debug = illumos()
    (row,) = debug.rows("::stacks -c taskq_thread")

    assert [each.addr for each in debug.rows("::stacks -c taskq_thread | ::thread")] == row.threads
    assert [each.count for each in debug.rows(f"{row.threads[2]:x}::map . | ::stacks")] == [1]
    assert debug.rows("::walk thread | ::stacks -c taskq_thread") == [row]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("1234::stacks", "stacks: 1234 not in thread list"),
        ("::stacks -m nosuch", "stacks: 'nosuch' is not a loaded module"),
        ("::stacks -c nosuch", "stacks: cannot find function 'nosuch'"),
        ("::stacks -c swtch+zz", "the offset is no hexadecimal number"),
        ("::stacks -s nosuch", "no kind of synchronisation object; known are MUTEX, RWLOCK"),
        ("::stacks -t nosuch", "no state of threads; known are FREE, SLEEP"),
    ],
)
def test_says_what_is_wrong(illumos, command, told):
    with pytest.raises(DebuggerError, match=told):
        illumos().rows(command)


def test_reports_a_thread_that_cannot_be_read(illumos, word, member):
    debug = illumos({member("t_sobj_ops", ARP): word(0x10)})

    (row,) = debug.rows(f"{ARP:x}::stacks")

    assert row.sobj == "?"


def test_tells_how_the_gathering_goes_on(illumos):
    debug = illumos()
    rows = debug.rows("::stacks")

    assert debug.errors("::stacks -v -m arp") == [
        "vmdebug: stacks: processing kernel threads",
        f"vmdebug: stacks: {len(rows)} unique stacks / {len(debug.truth['threads'])} threads",
        "vmdebug: stacks: done",
    ]
    assert debug.text("::stacks -v -m arp") == debug.text("::stacks -m arp")


def test_what_is_too_deep_is_cut(illumos, monkeypatch):
    monkeypatch.setattr("vmdebug.guests.illumos.stack_groups.MAX_DEPTH", 2)

    assert illumos().text(f"{ARP:x}::stacks")[2:] == [*indented([*ARP_STACK[:2], "... truncated ..."]), ""]


def stack(state="SLEEP", pcs=(), failure=""):
    return Stack(state, "CV", pcs, failure)


ORDER = [  # threads, stack
    (3, stack("SLEEP", (0x10,))),
    (2, stack("FREE", (), "<no consistent stack found>")),
    (2, stack("RUN", (0x20,))),
    (2, stack("SLEEP", (0x30,))),  # "a" comes before "b"
    (2, stack("SLEEP", (0x30, 0x10))),
    (2, stack("SLEEP", (0x10,))),
    (2, stack("SLEEP", (0x11,))),
    (2, stack("SLEEP", (), "<thread not in memory>")),
    (2, stack("SLEEP", (), "<thread structure stack info corrupt>")),
    (9, stack("PANIC", (0x10,))),
]


def test_groups_are_in_the_order_of_their_size_state_failure_and_names():
    names = SymbolTable(Part("", [Symbol("b", 0x10, 0x10), Symbol("c", 0x20, 0x10), Symbol("a", 0x30, 0x10)]))
    groups = [Group(each, list(range(count))) for count, each in reversed(ORDER)]

    found = sorted(groups, key=lambda group: _order(SimpleNamespace(symbols=names), group))

    assert [(len(group.threads), group.stack) for group in found] == ORDER
