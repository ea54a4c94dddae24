"""Pipelines of rows: which go on, how they are shown, what they pass on."""

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass

import pytest

from formats.frames import Vaddr
from formats.opener import open_image
from tests.fakes import Debug, FakeGuest, FakeTarget, Registry, language
from vmdebug.dcmd import Hex, Text, dcmd, walker
from vmdebug.guests import find_guest
from vmdebug.session import Session
from vmdebug.targets.target import Target


@dataclass(frozen=True)
class Part:
    name: str
    size: int


@dataclass(frozen=True)
class Thing:
    addr: Vaddr
    state: str
    pri: int | None
    mask: Hex
    parts: list[Part]


THINGS = [
    Thing(Vaddr(0x1000), "run", 10, Hex(1), [Part("a", 1)]),
    Thing(Vaddr(0x1010), "sleep", None, Hex(2), []),
    Thing(Vaddr(0x1020), "run", 9, Hex(0x10), [Part("b", 2), Part("c", 3)]),
    Thing(Vaddr(0x1030), "sleep", 10, Hex(1), [Part("a", 1)]),
    Thing(Vaddr(0x1000), "run", 10, Hex(1), [Part("a", 1)]),
]
HEAD = "ADDR STATE PRI"


class Rows(Registry):
    """The language's dcmds and ::things, which tells how far it was asked."""

    asked = 0

    def dcmd(self, name, guest=None):
        return super().dcmd(name, guest) or language().dcmd(name, guest)


@pytest.fixture
def debug():
    registry = Rows()

    @dcmd("things", row=Thing, text=Text("{addr:x} {state} {pri}", head=HEAD), registry=registry)
    def things(call):
        """list things"""
        for thing in THINGS:
            registry.asked += 1
            yield thing

    @dcmd("chosen", row=Thing, text=Text("{addr:x}"), registry=registry)
    def chosen(call):
        """choose its text"""
        call.text = Text("chosen {state}")
        yield from THINGS

    @walker("numbers", registry=registry)
    def numbers(call):
        """walk three numbers"""
        yield from range(0x10, 0x13)

    def make(**options):
        return Debug(FakeTarget({0x1000: bytes(64)}), FakeGuest(), registry, **options)

    return make


def lines(*things):
    return "\n".join([HEAD, *(f"{THINGS[n].addr:x} {THINGS[n].state} {THINGS[n].pri or '-'}" for n in things), ""])


@pytest.mark.parametrize(
    ("stages", "kept"),
    [
        ("""::where 'state == "run"'""", (0, 2, 4)),
        ("::where pri==10", (0, 3, 4)),
        ("::where 'addr > 0x1010 && mask != 1'", (2,)),
        ("::where pri '==' $[0t10]", (0, 3, 4)),
        ("""::where 'parts.name =~ "[bc]"'""", (2,)),
        ("::where 'PRI == null'", (1,)),
        ("::where pri | ::where 'pri < 10'", (2,)),
        ("::head 2", (0, 1)),
        ("::head -n 1", (0,)),
        ("::tail -n 2", (3, 4)),
        ("::tail -1", (4,)),
        ("::sort pri", (1, 2, 0, 3, 4)),
        ("::sort -r pri", (0, 3, 4, 2, 1)),
        ("::sort state,pri addr", (0 + 2, 0, 4, 1, 3)),
        ("::sort", (0, 4, 1, 2, 3)),
        ("::sort parts.size", (0, 3, 4, 2, 1)),  # lists go by their text: [1] [2, 3] []
        ("::uniq", (0, 1, 2, 3)),
        ("::uniq state", (0, 1)),
        ("::uniq state mask", (0, 1, 2, 3)),
        ("::sort -r addr | ::where 'mask == 1' | ::uniq | ::head 1", (3,)),
    ],
)
def test_rows_keep_the_table_of_their_dcmd(debug, stages, kept):
    assert debug().printed(f"::things | {stages}") == lines(*kept)


def test_rows_keep_the_text_that_their_call_chose(debug):
    assert debug().printed("::chosen | ::where pri==9") == "chosen run\n"


def test_nothing_is_printed_of_no_rows(debug):
    for stages in ("::where false", "::head -0", "::tail -0", "::where 0 | ::json", "::where 0 | ::csv"):
        assert debug().printed(f"::things | {stages}") == ""


def test_addresses_go_on(debug):
    sitting = debug()

    assert sitting.printed("::things | ::where 'pri == 9' | ::map .+1") == "1021\n"
    assert sitting.printed("::things | ::sort -r addr | ::head 1 | ::map .") == "1030\n"
    assert sitting.printed("::things | ::select state | ::where 'state == \"sleep\"' | ::map .") == "1010\n1030\n"
    assert sitting.printed("::things | ::group state | ::map .") == "1000\n1010\n"
    assert sitting.printed("::things | ::count | ::map .") == "5\n"
    assert sitting.printed("::things | ::json | ::head 1 | ::map .") == "1000\n"


@pytest.mark.parametrize(
    ("stages", "asked"), [("::head 1", 1), ("::where pri==9 | ::head 1", 3), ("::select pri | ::json | ::head 2", 2)]
)
def test_the_stages_before_stop_when_enough_is_there(debug, stages, asked):
    sitting = debug()

    sitting.printed(f"::things | {stages}")

    assert sitting.session.registry.asked == asked


def test_select_has_a_table_and_json_of_its_own(debug):
    text = debug().printed("::things | ::select pri,state,addr,parts.size | ::head 2")
    (told,) = map(
        json.loads, debug(json=True).printed("::things | ::select pri,addr parts.size | ::head 1").splitlines()
    )

    assert [line.split() for line in text.splitlines()] == [
        ["PRI", "STATE", "ADDR", "PARTS_SIZE"],
        ["10", "run", "0x1000", "[1]"],
        ["-", "sleep", "0x1010", "[]"],
    ]
    assert told == {"dcmd": "select", "rows": [{"pri": 10, "addr": "0x1000", "parts_size": [1]}], "errors": []}


def test_group_counts_the_most_frequent_first(debug):
    rows = debug().session.rows("::things | ::group state,mask")

    assert [(row.count, row.state, row.mask) for row in rows] == [
        (2, "run", 1),
        (1, "sleep", 2),
        (1, "run", 16),
        (1, "sleep", 1),
    ]
    (row, *_) = debug().session.rows("::things | ::group pri | ::group count")
    assert (row.rows, row.count) == (2, 1)


def test_count(debug):
    assert debug().printed("::things | ::count") == "COUNT\n5\n"
    assert debug().printed("::things | ::where 0 | ::count") == "COUNT\n0\n"


def test_json_prints_an_object_a_line(debug):
    first, second = map(json.loads, debug().printed("::things | ::json | ::head 2").splitlines())

    assert first == {
        "addr": "0x1000", "state": "run", "pri": 10, "mask": "0x1", "parts": [{"name": "a", "size": 1}],
    }  # fmt: skip
    assert second["pri"] is None


def test_csv_has_a_head_and_quotes(debug):
    head, first, second = csv.reader(io.StringIO(debug().printed("::things | ::head 2 | ::csv")))

    assert head == ["addr", "state", "pri", "mask", "parts"]
    assert first == ["0x1000", "run", "10", "0x1", '[{"name": "a", "size": 1}]']
    assert second == ["0x1010", "sleep", "", "0x2", "[]"]


def test_the_shell_gets_the_text(debug):
    assert debug().printed("::things | ::where pri==9 ! tr a-z A-Z") == lines(2).upper()
    assert debug().printed("::things | ::select state | ::csv ! sort -u") == "run\nsleep\nstate\n"


def test_rows_are_named_after_the_dcmd_that_made_them(debug):
    sitting = debug(json=True)

    for stages, name in [
        ("::where pri==9", "things"), ("::sort pri | ::head 1 | ::json", "things"), ("::where 0", "things"),
        ("::select pri | ::tail 1", "select"), ("::group pri", "group"), ("::where 1 | ::count", "count"),
    ]:  # fmt: skip
        assert json.loads(sitting.printed(f"::things | {stages}"))["dcmd"] == name


def test_what_is_only_an_address_is_shown_as_one(debug):
    assert debug().printed("1000/XX | ::head -1") == "0\n"
    assert debug().printed("! 'seq 3' | ::tail -2") == "2\n3\n"
    assert debug().printed("10::map . | ::head") == "10\n"
    assert debug().printed("! 'echo a; echo b' | ::where 'text == \"b\"'") == "b\n"


def test_a_variable_stays_in_step(debug):
    out = debug().printed("::walk numbers p | ::where 'address != 0x11' | ::sort -r | ::eval '<p=K'")

    assert [int(word, 16) for word in out.split()] == [0x12, 0x10]


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ("::where 'stat == 1'", "the rows have no key stat: there are addr, state, pri, mask, parts"),
        ('::where state == "run"', "the rows have no key run"),
        ("::where 'parts.colour == 1'", "the rows have no key parts.colour: there are parts.name, parts.size"),
        ("::where 'pri.x == 1'", "the rows have no key pri.x"),
        ("::where 'pri =='", "condition: expected a key or a value at character 7"),
        ("::sort nosuch", "the rows have no key nosuch"),
        ("::uniq nosuch", "the rows have no key nosuch"),
        ("::select pri,nosuch", "the rows have no key nosuch"),
        ("::group nosuch", "the rows have no key nosuch"),
        ("::where", "Usage: ::where 'condition'"),
        ("::select", "Usage: ::select key[,key ...]"),
        ("::group", "Usage: ::group key[,key ...]"),
        ("::count x", "Usage: ::count"),
        ("::json x", "Usage: ::json"),
        ("::csv x", "Usage: ::csv"),
        ("::tail x", "Usage: ::tail [-num | -n num]"),
        ("::sort -x pri", "illegal option -- x"),
    ],
)
def test_refuses(debug, stages, told):
    assert told in debug().refused(f"::things | {stages}")


# On images


def test_the_threads_of_the_demo(illumos):
    debugger = illumos()
    threads = debugger.session.rows("::thread")

    sleeping = debugger.session.rows("::thread | ::where 'state == \"sleep\" && pri >= 60' | ::sort -r addr")
    groups = debugger.session.rows("::thread | ::group state")
    stacks = debugger.session.rows("::thread | ::where 'state == \"sleep\"' | ::head 2 | ::findstack")

    chosen = [row for row in threads if row.state == "sleep" and row.pri >= 60]
    assert sleeping == sorted(chosen, key=lambda row: row.addr, reverse=True)
    assert len(sleeping) > 10
    assert {row.state: row.count for row in groups} == Counter(row.state for row in threads)
    assert [row.thread for row in stacks] == [row.addr for row in threads if row.state == "sleep"][:2]


def test_what_a_dcmd_gives_into_a_pipe_of_addresses_only_can_be_filtered(illumos):
    rows = illumos().session.rows("fffffffffbc4b7f0::whatis | ::where address")

    assert [row.address for row in rows] == [0xFFFFFFFFFBC4B7F0]


def test_the_processes_of_a_linux_guest(real):
    target = Target(open_image(real("linux-mini.elf.core")))
    out = io.StringIO()
    session = Session(target, find_guest(target), out=out, err=out, registry=language())
    tasks = session.rows("::ps -t")

    kernel = session.rows("::ps -t | ::where 'flags && ppid == 2 && state != \"I\"' | ::sort -r pid")
    states = session.rows("::ps -t | ::group state,cpu")
    session.run("::ps | ::where 'pid == 1' ! cat; ::ps | ::where 'pid == 1' | ::task")

    chosen = [row for row in tasks if row.ppid == 2 and row.state != "I"]
    assert kernel == sorted(chosen, key=lambda row: -row.pid)
    assert len(kernel) > 2
    assert {(row.state, row.cpu): row.count for row in states} == Counter((row.state, row.cpu) for row in tasks)
    head, first, again, second = out.getvalue().splitlines()
    assert (head, first.split()[1]) == (again, "1")
    assert second.split()[:8] == first.split()[:8]
