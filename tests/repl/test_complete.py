"""Candidates for what stands before the cursor, without a terminal."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmdebug.dcmd import Flag, Registry, dcmd, walker
from vmdebug.errors import NoTarget, NoTypes
from vmdebug.repl.complete import Candidate, Completions
from vmdebug.symbols.table import Part, Symbol, SymbolTable
from vmdebug.types.model import Array, Integer, Member, Pointer, Struct, Typedef, Union
from vmdebug.types.source import TypeSource
from vmdebug.types.typedefs import OwnTypes

INT = Integer("int", 4, signed=True)


class Types(TypeSource):
    """struct proc with a pointer, a structure, an anonymous union and an array of pointers in it."""

    def __init__(self):
        self.reads = 0
        user = Struct("user", 8, lambda: [Member("u_comm", 0, lambda: INT), Member("u_flag", 32, lambda: INT)])
        union = Union("", 4, lambda: [Member("u_a", 0, lambda: INT), Member("u_b", 0, lambda: INT)])
        members = []
        proc = Struct("proc", 64, lambda: members)
        following = Pointer(lambda: proc)
        members += [
            Member("p_id", 0, lambda: INT),
            Member("p_next", 64, lambda: following),
            Member("p_user", 128, lambda: user),
            Member("", 192, lambda: union),
            Member("p_all", 256, lambda: Array(lambda: following, 4)),
        ]
        self.all = {("struct", "user"): user, ("struct", "proc"): proc, ("", "int"): INT}
        self.all["", "proc_t"] = Typedef(lambda: proc, "proc_t")

    def lookup(self, tag, name, module):
        return self.all.get((tag, name))

    def each(self):
        self.reads += 1
        return iter(self.all.values())


class NoGuest:
    @property
    def types(self):
        raise NoTypes("none here")


@pytest.fixture
def registry():
    registry = Registry()

    def add(name, summary, flags=(), **options):
        def run(call):
            """Does nothing."""

        run.__doc__ = summary
        dcmd(name, flags=flags, registry=registry, **options)(run)

    flags = [Flag("a", "print addresses"), Flag("t", "print types"), Flag("c", "limit of arrays", "number")]
    add("print", "print the contents of a data structure", flags)
    for name in (
        "sizeof",
        "offsetof",
        "list",
        "printf",
        "array",
        "help",
        "walk",
        "eval",
        "echo",
        "set",
        "cat",
        "unset",
    ):
        add(name, f"the dcmd {name}")
    add("status", "print summary of current target")
    add("stack", "print stack", flags)
    add("only_linux", "for another guest", guests=["linux"])
    add(["$c", "$C"], "print stack backtrace")
    add("$r", "print registers")
    add(":c", "continue")
    for name in ("proc", "cpu", "thread", "process_list"):
        walker(name, registry=registry)(lambda call: iter(()))
    return registry


@pytest.fixture
def session(registry):
    main = Part("", [
        Symbol("main", 1, 8, "FUNC"),
        Symbol("mutex_enter", 2, 8, "FUNC"),
        Symbol("mutex_exit", 3, 8, "FUNC"),
        Symbol("maxusers", 4, 4, "OBJT"),
        Symbol("mutex_panic", 5, 4, "FUNC", "LOCL"),
        Symbol("local_only", 6, 4, "OBJT", "LOCL"),
        Symbol("main.c", 0, 0, "FILE", "LOCL"),
        Symbol("weak_one", 7, 4, "FUNC", "WEAK"),
    ])  # fmt: skip
    modules = [Part("ufs", [Symbol("ufs_read", 9, 4, "FUNC"), Symbol("ufs_write", 10, 4, "FUNC")])]
    table = SymbolTable(main, modules, private={"my_name": Symbol("my_name", 11, 1)})
    return SimpleNamespace(
        registry=registry,
        guest_kind="illumos",
        aliases={"mine": "::status"},
        symbols=table,
        guest=SimpleNamespace(types=Types()),
        walks=lambda: {"zone_cache": None, "pro\x1bx": None},
        variables=SimpleNamespace(each=lambda: iter([(".", 0), ("rip", 0xFB8), ("rsp", 16), ("mine", 3)])),
    )


@pytest.fixture
def complete(session):
    """complete(line): the lines that it may become."""
    completions = Completions(session)

    def become(line):
        found = [line[: candidate.start] + candidate.text for candidate in completions.at_end_of(line)]
        assert completions.take_bug() is None
        return found

    return become


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("::sta", ["::stack", "::status"]),
        ("addr::sta", ["addr::stack", "addr::status"]),
        ("::walk proc | ::pri", ["::walk proc | ::print", "::walk proc | ::printf"]),
        ("::status; ::sta", ["::status; ::stack", "::status; ::status"]),
        ("::stat", ["::status"]),
        ("::nothing", []),
        ("::test_complete`stat", ["::test_complete`status"]),
        ("::elsewhere`stat", []),
        ("::only", []),
    ],
)
def test_dcmds_behind_two_colons(complete, line, lines):
    assert complete(line) == lines


def test_two_colons_alone_give_every_dcmd_that_begins_with_a_letter(complete):
    lines = complete("::")

    assert lines == sorted(lines)
    assert "::status" in lines
    assert "::mine" in lines
    assert not any("$" in line for line in lines)


@pytest.mark.parametrize("line", ["", "::walk proc |", "::walk proc | ", "addr ", "::status;"])
def test_where_a_command_may_begin_every_dcmd_may(complete, line):
    assert f"{line}::status" in complete(line)


@pytest.mark.parametrize(
    ("line", "lines"),
    [("$", ["$C", "$c", "$r"]), ("$c", ["$c"]), ("addr$", ["addr$C", "addr$c", "addr$r"]), (":", [":c"])],
)
def test_the_dollar_forms(complete, line, lines):
    assert complete(line) == lines


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("mutex_e", ["mutex_enter", "mutex_exit"]),
        ("main+mut", ["main+mutex_enter", "main+mutex_exit"]),
        ("m", ["my_name", "main", "maxusers", "mutex_enter", "mutex_exit"]),
        ("wea", ["weak_one"]),
        ("ufs_", ["ufs_read", "ufs_write"]),
        ("ufs`ufs_r", ["ufs`ufs_read"]),
        ("elsewhere`x", []),
        ("0x10", []),
        ("::echo $[main+mutex_en", ["::echo $[main+mutex_enter"]),
        ("::echo mutex_en", ["::echo mutex_enter"]),
        ("main/", None),
    ],
)
def test_symbols_in_expressions_and_words(complete, line, lines):
    assert complete(line) == lines if lines is not None else complete(line) != []


def test_local_symbols_only_where_no_global_fits(complete):
    assert complete("mutex_p") == ["mutex_panic"]
    assert complete("local") == ["local_only"]
    assert complete("main.") == []


def test_variables(complete):
    assert complete("<r") == ["<rip", "<rsp"]
    assert complete("main+<") == ["main+<.", "main+<mine", "main+<rip", "main+<rsp"]
    assert complete("main>m") == ["main>mine"]
    assert complete("::unset m") == ["::unset mine"]


def test_walkers(complete):
    assert complete("::walk pro") == ["::walk proc", "::walk process_list"]
    assert complete("::walk ") == ["::walk cpu", "::walk proc", "::walk process_list", "::walk thread"]
    assert complete("::walk proc p") == []


def test_walks_that_the_guest_names_behind_their_first_letter(complete):
    assert complete("::walk zo") == ["::walk zone_cache"]
    assert complete("::help zo") == []


def test_help_takes_dcmds_by_either_name_and_walkers(complete):
    assert complete("::help stat") == ["::help status"]
    assert complete("::help thr") == ["::help thread"]


def test_flags_are_explained_by_their_help(session):
    found = Completions(session).at_end_of("::stack -")

    assert found == [
        Candidate("-a", 8, "print addresses"),
        Candidate("-t", 8, "print types"),
        Candidate("-c", 8, "limit of arrays"),
    ]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("::stack ", ["::stack -a", "::stack -t", "::stack -c"]),
        ("::stack -a", ["::stack -a", "::stack -at", "::stack -ac"]),
        ("::stack -at", ["::stack -atc"]),
        ("::stack -c", ["::stack -c"]),
        ("::stack -a -", ["::stack -a -a", "::stack -a -t", "::stack -a -c"]),
        ("::stack -c ", []),
        ("::stack -c 5 -", ["::stack -c 5 -a", "::stack -c 5 -t", "::stack -c 5 -c"]),
        ("::stack -ac ", []),
        ("::stack -c5 -", ["::stack -c5 -a", "::stack -c5 -t", "::stack -c5 -c"]),
        ("::stack word -", []),
    ],
)
def test_flags_letters_combine_and_values_are_left_alone(complete, line, lines):
    assert complete(line) == lines


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("::sizeof ", ["::sizeof int", "::sizeof proc_t", "::sizeof struct proc", "::sizeof struct user"]),
        ("::print pro", ["::print proc_t"]),
        ("::print str", ["::print struct proc", "::print struct user"]),
        ("::print struct pr", ["::print struct proc"]),
        ("::print 'struct pr", ["::print 'struct proc"]),
        ("::print -at struct pr", ["::print -at struct proc"]),
        ("::array struct us", ["::array struct user"]),
        ("::array struct user 4", []),
        ("::sizeof struct", ["::sizeof struct proc", "::sizeof struct user"]),
    ],
)
def test_types(complete, line, lines):
    assert complete(line) == lines


def test_types_that_the_user_made(session, complete):
    types = session.guest.types
    assert complete("::sizeof mine") == []  # the kernel's names are kept from here on
    types.own = OwnTypes(types.find, 8)
    types.own.define("struct mine { int my_low; proc_t *my_proc; }", "mine_t")

    assert complete("::sizeof mine") == ["::sizeof mine_t"]
    assert complete("::print struct mi") == ["::print struct mine"]
    assert complete("::print mine_t my_") == ["::print mine_t my_low", "::print mine_t my_proc"]
    assert complete("::print mine_t my_proc->p_i") == ["::print mine_t my_proc->p_id"]


MEMBERS = ["p_all", "p_id", "p_next", "p_user", "u_a", "u_b"]


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("::print proc_t ", MEMBERS),
        ("::print struct proc p_", ["p_all", "p_id", "p_next", "p_user"]),
        ("::print 'struct proc' p_i", ["p_id"]),
        ("::print proc_t p_user.", ["p_user.u_comm", "p_user.u_flag"]),
        ("::print proc_t p_user.u_c", ["p_user.u_comm"]),
        ("::print proc_t p_next->p_user.u_f", ["p_next->p_user.u_flag"]),
        ("::print proc_t p_next.p_i", ["p_next.p_id"]),
        ("::print proc_t p_all[2]->p_i", ["p_all[2]->p_id"]),
        ("::print proc_t p_all[0]->p_next->p_i", ["p_all[0]->p_next->p_id"]),
        ("::offsetof proc_t p_n", ["p_next"]),
        ("::list struct proc p_n", ["p_next"]),
        ('::printf "%d" proc_t p_n', ["p_next"]),
        ("::print -c 4 proc_t p_n", ["p_next"]),
        ("::print proc_t p_id.", []),
        ("::print proc_t p_all.", []),
        ("::print proc_t nothing.", []),
        ("::print nothing_t p_", []),
        ("::print proc_t p_id p_n", ["p_next"]),
    ],
)
def test_members_along_a_path(complete, line, ends):
    word = line.rpartition(" ")[2]

    assert complete(line) == [line.removesuffix(word) + end for end in ends]


def test_members_are_explained_by_their_types(session):
    notes = {found.text: found.note for found in Completions(session).at_end_of("::print proc_t p_")}

    assert notes["p_next"] == "struct proc *"


def test_printf_takes_its_format_first(complete):
    assert complete("::printf pro") == []


def test_options_of_set(complete):
    assert complete("::set -o rep") == ["::set -o repeatlast"]
    assert complete("::set +o page") == ["::set +o pager"]
    assert complete("::set -o adb,nopa") == ["::set -o adb,nopager"]
    assert complete("::set -o array_s") == ["::set -o array_str_limit="]


def test_format_letters_with_their_meaning(session):
    found = {candidate.text: candidate for candidate in Completions(session).at_end_of("main/")}

    assert found["X"] == Candidate("X", 5, "hexadecimal int (4 bytes)")
    assert "W" not in found
    assert "W" in {candidate.text for candidate in Completions(session).at_end_of("1=")}


def test_files(complete, tmp_path, monkeypatch):
    (tmp_path / "macro_one").write_text("")
    (tmp_path / "macros").mkdir()
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "macro;!rm").write_text("")
    monkeypatch.chdir(tmp_path)

    assert complete("$<mac") == ["$<macro_one", "$<macros/"]
    assert complete("::cat ") == ["::cat macro_one", "::cat macros/"]
    assert complete(f"::cat {tmp_path}/.") == [f"::cat {tmp_path}/.hidden"]
    assert complete("::cat /nowhere/x") == []


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("::eval '::stat", ["::eval '::status"]),
        ('::eval "mutex_en', ['::eval "mutex_enter']),
        ("::eval '::walk pro", ["::eval '::walk proc", "::eval '::walk process_list"]),
        ("::eval '::eval \"::stat", ["::eval '::eval \"::status"]),
    ],
)
def test_quoted_commands_are_completed_like_others(complete, line, lines):
    assert complete(line) == lines


@pytest.mark.parametrize(
    "line", ["! ls", "::status ! gr", "::status // mut", "// mut", "main+0x", "(", "::echo 'a' \"b\" "]
)
def test_where_nothing_fits_nothing_comes(complete, line):
    assert complete(line) == []


def test_without_an_image_dcmds_are_still_completed(session):
    class Nothing(SimpleNamespace):
        @property
        def guest(self):
            raise NoTarget

    session = Nothing(**{**vars(session), "guest_kind": None, "symbols": SymbolTable()} | {"guest_": None})
    del session.__dict__["guest"]
    completions = Completions(session)

    assert [found.text for found in completions.at_end_of("::stat")] == ["status"]
    assert completions.at_end_of("::print pro") == []
    assert completions.at_end_of("mut") == []
    assert completions.take_bug() is None


HOSTILE = ["x_;!touch pwned", "x_\n::quit", "x_$[1", "x_ y", "x_|z", "x_'", 'x_"', "x_\x1b]0;t\x07", "x_!a", "x_\u202e"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_an_image_that_could_be_more_than_names_are_not_offered(session, complete, name):
    session.symbols = SymbolTable(Part("", [Symbol(name, 1, 8, "FUNC"), Symbol("x_ok", 2, 8, "FUNC")]))
    proc = session.guest.types.find("struct proc")
    proc.members.append(Member(name, 0, lambda: INT))
    session.guest.types.all["", name] = Typedef(lambda: INT, f"{name};")

    assert complete("x_") == ["x_ok"]
    assert complete("::print x_") == []
    assert complete("::print struct proc x_") == []


def test_a_guest_without_types_gives_none(session):
    session.guest = NoGuest()

    assert Completions(session).at_end_of("::print pro") == []


def test_a_bug_is_kept_for_the_shell_and_gives_nothing(session):
    session.guest = SimpleNamespace(types=SimpleNamespace(each=lambda: 1 / 0))
    completions = Completions(session)

    assert completions.at_end_of("::print pro") == []
    assert isinstance(completions.take_bug(), ZeroDivisionError)


def test_names_are_sorted_once(session):
    completions = Completions(session)

    for line in ("::print pro", "::print int", "::sizeof struct "):
        completions.at_end_of(line)

    assert session.guest.types.reads == 1


def test_of_very_many_symbols_the_first_and_the_last_are_given(session):
    session.symbols = SymbolTable(Part("", [Symbol(f"sym_{n:06}", n + 1, 1, "FUNC") for n in range(50_000)]))

    found = Completions(session).at_end_of("sym_")

    assert len(found) == 200
    assert (found[0].text, found[-1].text) == ("sym_000000", "sym_049999")
    assert found[-1].note == "the last of 50000"


PIECES = [
    "::",
    "print",
    "proc_t",
    "struct",
    " ",
    "p_user",
    ".",
    "->",
    "[",
    "]",
    "'",
    '"',
    "$[",
    "$",
    "<",
    ">",
    "|",
    "!",
    ";",
]
PIECES += [
    "/",
    "=",
    "-",
    "-c",
    "set",
    "-o",
    "walk",
    "main",
    "`",
    ":",
    "//",
    "\n",
    "eval",
    "help",
    "\\",
    "é",
    "0t1",
    ",",
    "+",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
def test_no_text_meets_a_bug(session, text):
    completions = Completions(session)

    found = completions.at_end_of(text)

    assert completions.take_bug() is None
    assert all(0 <= candidate.start <= len(text) and candidate.text for candidate in found)
