"""Tab behind ::where, ::sort, ::select, ::group and ::uniq: the keys of the rows that come from the stages before."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.frames import Vaddr
from tests.fakes import language
from vmdebug.dcmd import Flag, Registry, columns, dcmd
from vmdebug.lang.conditions import key_at_end, parse_condition
from vmdebug.repl.columns import Stage, keys_behind
from vmdebug.repl.complete import Completions
from vmdebug.symbols.table import Part, Symbol, SymbolTable


@dataclass(frozen=True)
class Place:
    """A place.

    node: its node
    distance: how far it is
    """

    node: int
    distance: int


@dataclass(frozen=True)
class Thread:
    """A thread.

    addr: its address
    state: what it does
    Start: when it began
    pri: its priority
    near: where it may run
    home: where it ran, null if
        it never did
    counts: by cpu
    """

    addr: Vaddr
    state: str
    Start: int
    pri: int
    near: list[Place]
    home: Place | None
    counts: dict[str, Place]
    _hidden: int


@dataclass(frozen=True)
class Only:
    """An address.

    address: where
    """

    address: int


KEYS = ["addr", "state", "start", "pri", "near", "home", "counts"]


def make_session():
    registry = Registry()

    def add(name, **options):
        def run(call):
            """Does nothing."""

        dcmd(name, registry=registry, **options)(run)

    add("thread", row=Thread)
    add("thread", row=Only, guests=["linux"])
    add("walk", row=Only)
    add("status")
    add("eval")
    for name in ("where", "uniq", "json"):
        add(name, stream=True, passes=True)
    add("sort", stream=True, passes=True, flags=[Flag("r", "from the greatest down")])
    add("head", stream=True, passes=True, row=Only)
    for name in ("select", "group"):
        add(name, stream=True)
    table = SymbolTable(Part("", [Symbol("state_table", 1, 8, "FUNC")]))
    return SimpleNamespace(
        registry=registry,
        guest_kind="illumos",
        aliases={"mine": "::status"},
        symbols=table,
        walks=dict,
        variables=SimpleNamespace(each=lambda: iter([("rip", 1)])),
    )


SESSION = make_session()


@pytest.fixture
def session():
    return make_session()


@pytest.fixture
def complete(session):
    """complete(line): the lines that it may become."""
    completions = Completions(session)

    def become(line):
        found = [line[: candidate.start] + candidate.text for candidate in completions.at_end_of(line)]
        assert completions.take_bug() is None
        return found

    return become


@pytest.fixture
def offered(session):
    """offered(line): the words that are shown, with what each is."""
    return lambda line: [(each.text, each.note) for each in Completions(session).at_end_of(line)]


@pytest.mark.parametrize("name", ["where", "sort", "select", "group", "uniq"])
def test_every_key_of_the_rows_before_is_offered(offered, name):
    assert [key for key, _ in offered(f"::thread | ::{name} ")] == KEYS


def test_each_key_comes_with_what_the_help_says_of_it(offered):
    assert offered("::thread | ::where 's") == [("state", "what it does"), ("start", "when it began")]
    assert offered("::thread | ::sort ho") == [("home", "where it ran, null if it never did")]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("::thread | ::where sta", ["::thread | ::where state", "::thread | ::where start"]),
        ("::thread | ::where 'p", ["::thread | ::where 'pri"]),
        ('::thread | ::where "p', ['::thread | ::where "pri']),
        ("::thread | ::where 'pri > 60 && stat", ["::thread | ::where 'pri > 60 && state"]),
        ("::thread | ::where '!(p", ["::thread | ::where '!(pri"]),
        ("::thread | ::where 'addr==h", ["::thread | ::where 'addr==home"]),
        ("::thread | ::where pri == h", ["::thread | ::where pri == home"]),
        ("::thread | ::where 'state == \"a|b\" || p", ["::thread | ::where 'state == \"a|b\" || pri"]),
        ("::thread | ::where 'P", ["::thread | ::where 'pri"]),
        ("::thread | ::select addr,p", ["::thread | ::select addr,pri"]),
        ("::thread | ::sort -r p", ["::thread | ::sort -r pri"]),
        ("::thread | ::sort pri ad", ["::thread | ::sort pri addr"]),
        ("::status; ::thread | ::sort p", ["::status; ::thread | ::sort pri"]),
        ("::eval '::thread | ::sort p", ["::eval '::thread | ::sort pri"]),
        ("::eval \"::thread | ::where 'p", ["::eval \"::thread | ::where 'pri"]),
        ("::thread | ::sort -", ["::thread | ::sort -r"]),
    ],
)  # fmt: skip
def test_a_key_is_completed_where_it_stands(complete, line, lines):
    assert complete(line) == lines


@pytest.mark.parametrize(
    "line",
    [
        "::thread | ::where 'state == \"s",  # in a string
        "::thread | ::where 'state =~ ",  # where a string is due
        "::thread | ::where 'state ",  # where an operator is due
        "::thread | ::where 'pri == 1",
        "::thread | ::where '(pri) p",
        "::thread | ::where 'state' p",
        "::thread | ::where 'nosuch",
        "::where 's",  # at the head of a pipeline
        "::status | ::where 's",  # behind what tells nothing of its rows
        "::thread | ::status | ::where 's",
        "::nosuch | ::where 's",
        "::thread; ::where 's",
        "12/X | ::where 's",
    ],
)
def test_where_no_key_can_stand_nothing_is_offered(complete, line):
    assert complete(line) == []


@pytest.mark.parametrize(
    ("stages", "keys"),
    [
        ("::thread | ::where 'pri > 1' | ::sort pri | ::json", KEYS),
        ("::thread | ::head", KEYS),
        ("::walk thread | ::head", ["address"]),
        ("::thread | ::select pri,home.node", ["pri", "home_node"]),
        ("::thread | ::group state", ["count", "state"]),
        ("::thread | ::group state | ::group count", ["rows", "count"]),
        ("::thread ! 'grep x'", ["text"]),
        ("! 'cat file'", ["text"]),
    ],
)
def test_the_keys_are_those_that_the_stage_before_leaves(offered, stages, keys):
    assert [key for key, _ in offered(f"{stages} | ::sort ")] == keys


def test_keys_that_were_chosen_keep_what_they_are(offered):
    assert offered("::thread | ::group near.node | ::select ") == [
        ("count", "how many rows are the same in the keys"),
        ("near_node", "its node"),
    ]


def test_the_rows_are_those_of_the_guest(session, offered):
    session.guest_kind = "linux"

    assert offered("::thread | ::where '") == [("address", "where")]


@pytest.mark.parametrize("name", ["sort", "select", "group", "uniq"])
def test_a_list_of_keys_is_not_offered_what_it_has(offered, name):
    assert [key for key, _ in offered(f"::thread | ::{name} addr,state start,near,home,counts,")] == ["pri"]


@pytest.mark.parametrize("path", ["near.", "home."])
@pytest.mark.parametrize("before", ["::where 'pri == 1 && ", "::select pri,", "::sort "])
def test_behind_a_dot_come_the_members_of_what_a_key_holds(offered, before, path):
    assert offered(f"::thread | {before}{path}") == [
        (f"{path}node", "its node"),
        (f"{path}distance", "how far it is"),
    ]
    assert offered(f"::thread | {before}{path}d") == [(f"{path}distance", "how far it is")]


@pytest.mark.parametrize("path", ["pri.", "counts.", "nosuch.", "home.node.", "."])
def test_what_holds_no_rows_has_no_members(offered, path):
    assert offered(f"::thread | ::sort {path}") == []


def test_of_every_dcmd_the_keys_are_the_columns_of_its_help():
    registry = language()

    for entry in [*registry.dcmds("illumos"), *registry.dcmds("linux")]:
        if entry.row:
            keys = keys_behind([Stage(entry.name)], lambda name, entry=entry: entry)
            assert [(key.name, key.meaning) for key in keys] == list(columns(entry.row)), entry.name


KEY = st.sampled_from(["state", "p", "_x9", "near.node", "true", "nullable"])
VALUE = st.one_of(KEY, st.sampled_from(["0", "1.5", "-3", "0x1f", '""', '"a|b && c"', '"say \\"x\\""']))
JOINED = st.sampled_from([" && ", "||", " && !(1 < 2) || "])


@given(st.lists(st.tuples(VALUE, st.sampled_from([" == ", "!=", " <"]), VALUE, JOINED), max_size=3), KEY)
def test_a_condition_cut_inside_a_key_ends_in_that_piece_of_it(before, key):
    text = "".join(part for comparison in before for part in comparison)

    assert [key_at_end(text + key[:cut]) for cut in range(len(key) + 1)] == [key[:cut] for cut in range(len(key) + 1)]
    parse_condition(text + key)


@given(st.sampled_from(["where", "sort", "select"]), st.text("stae.12\"'&|=!<>(), ;$[]\\", max_size=30))
def test_any_text_is_answered(name, text):
    completions = Completions(SESSION)

    for found in completions.at_end_of(f"::thread | ::{name} {text}"):
        assert found.start <= len(f"::thread | ::{name} {text}")
    assert completions.take_bug() is None
