"""Plug-ins: what they add, replace and take away again; what is wrong with one is a line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import Debug, language
from vmdebug.plugins import PLUGINS, load_file, load_plugins, unload
from vmdebug.repl.complete import Candidate, Completions

ROOT = Path(__file__).resolve().parents[2]
DCMD = """
from dataclasses import dataclass
from vmdebug.dcmd import Text, dcmd, walker

@dataclass(frozen=True)
class Row:
    word: str

@dcmd("{name}", row=Row, text=Text("{{word}}"))
def run(call):
    '''say a word'''
    yield Row("{word}")

@walker("{name}s")
def walk(call):
    '''walk a word'''
    yield 0x41
"""


@pytest.fixture
def plugin(tmp_path):
    """`plugin(name, source)`: writes a file; what is loaded of them is taken away at the end."""

    def write(name, source, folder="."):
        path = tmp_path / folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return path

    yield write
    for held in list(PLUGINS.values()):
        unload(held.name)


@pytest.fixture
def debug():
    language()
    return Debug()


def test_a_dcmd_works_at_once_and_is_gone_when_it_is_unloaded(debug, plugin):
    path = plugin("mine", DCMD.format(name="greet", word="hello"))

    assert debug.printed(f"::load {path}; ::greet; ::walk greets") == "hello\n0x41\n"
    assert debug.printed("::unload mine") == ""
    assert "unknown dcmd name" in debug.refused("::greet")
    assert "unknown walk name" in debug.refused("::walk greets")
    assert "mine module not loaded" in debug.refused("::unload mine")


def test_a_file_that_is_loaded_again_is_what_it_is_now(debug, plugin):
    debug.printed(f"::load {plugin('mine', DCMD.format(name='greet', word='hello'))}")

    debug.printed(f"::load {plugin('mine', DCMD.format(name='greet', word='goodbye'))}")

    assert debug.printed("::greet; ::which -v greet").splitlines()[:4] == [
        "goodbye",
        "greet is a dcmd from module mine",
        "   >  definition list:",
        f"  [1] mine`greet from {PLUGINS['vmdebug_plugins.mine'].origin}",
    ]
    assert "[2]" not in debug.printed("::which -v greet")


def test_two_files_of_one_name_are_told_apart(debug, plugin):
    first = plugin("mine", DCMD.format(name="greet", word="hello"), "one")
    second = plugin("mine", DCMD.format(name="greet", word="goodbye"), "two")
    debug.printed(f"::load {first}")

    assert debug.refused(f"::load {second}") == (
        f"vmdebug: failed to load {second}: mine is loaded from {first}: ::unload mine first\n"
    )
    assert debug.printed("::greet") == "hello\n"


def test_a_dcmd_of_a_plugin_goes_before_ours_and_can_leave_the_call_to_it(debug, plugin):
    source = DCMD.format(name="echo", word="mine")
    path = plugin("mine", source)
    debug.printed(f"::load {path}")

    assert debug.printed("::echo 1") == "mine\n"
    path.write_text(
        source.replace("    yield Row", "    raise NotMine\n    yield Row").replace("Text,", "NotMine, Text,")
    )
    debug.printed(f"::load {path}")
    assert debug.printed("::echo 1") == "1 \n"
    debug.printed("::unload mine")
    assert debug.printed("::echo 1") == "1 \n"


def test_a_plugin_named_like_a_module_of_ours_is_unloaded_alone(debug, plugin):
    debug.printed(f"::load {plugin('print', DCMD.format(name='greet', word='hello'))}")

    debug.printed("::unload print")

    assert "unknown dcmd name" in debug.refused("::greet")
    assert debug.printed("::which print") == "print is a dcmd from module print\n"


BUGS = """
from vmdebug.dcmd import dcmd, walker

@dcmd("bug")
def bug(call):
    '''fail'''
    yield {}["key"]

@walker("bugs")
def bugs(call):
    '''fail later'''
    yield 1
    yield {}["key"]

@dcmd("bugtext", text=lambda rows, show: (str({}["key"]) for row in rows))
def bugtext(call):
    '''fail in the text'''
    yield 1
"""


@pytest.mark.parametrize(("text", "printed"), [("::bug", ""), ("::walk bugs", "1\n"), ("::bugtext", "")])
def test_a_bug_is_a_line_and_the_session_goes_on(debug, plugin, text, printed):
    path = plugin("buggy", BUGS)
    debug.printed(f"::load {path}")

    out, err, status = debug(f"{text}\n::echo on\n", "(stdin)")

    assert (out, status) == (f"{printed}on \n", 1 if text == "::bugtext" else 0)
    assert err == f"vmdebug: {path}: internal error: KeyError: 'key' (VMDEBUG_TRACEBACK=1 shows where)\n"


def test_a_bug_is_shown_whole_to_who_asks(debug, plugin, monkeypatch):
    debug.printed(f"::load {plugin('buggy', BUGS)}")
    monkeypatch.setenv("VMDEBUG_TRACEBACK", "1")

    with pytest.raises(KeyError):
        debug("::bug")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nosuchmodule\n", "ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("def f(:\n", "SyntaxError: invalid syntax (broken.py, line 1)"),
        (
            "def probe(source): ...\ndef open_image(source): ...\n",
            "ReaderIncomplete: {path}: a format needs NAME, DESCRIPTION, probe, and open_image or unwrap: no NAME",
        ),
    ],
)
def test_a_file_that_fails_adds_nothing(debug, plugin, source, reason):
    path = plugin("broken", DCMD.format(name="greet", word="hello") + source)

    message = debug.refused(f"::load {path}")

    wanted = reason.format(path=path)
    assert message.startswith(f"vmdebug: failed to load {path}: {wanted.partition(' (')[0]}")
    assert message.count("\n") == 1
    assert "unknown dcmd name" in debug.refused("::greet")
    assert PLUGINS == {}


def test_of_a_folder_the_files_that_fail_are_reported_and_the_others_loaded(debug, plugin):
    plugin("_part", "1/0\n", "all")
    plugin("a", "1/0\n", "all")
    folder = plugin("b", DCMD.format(name="greet", word="hello"), "all").parent

    out, err, _ = debug(f"::load {folder}; ::greet; ::dmods b")

    assert out == f"hello\n{'b':<24} {folder}/b.py\n"
    assert err == f"vmdebug: failed to load {folder}/a.py: ZeroDivisionError: division by zero\n"


KERNEL = """
from vmdebug.errors import DebuggerError
NAME, DESCRIPTION = "mine", "my format"
KIND = "mine"

def probe(source): return False
def open_image(source): ...
def find(target): raise DebuggerError("no kernel of mine")
"""


def test_what_can_only_be_used_later_says_so(debug, plugin):
    path = plugin("both", KERNEL)

    out, err, status = debug(f"::load {path}; ::dmods -l both")

    assert (err.splitlines(), status) == (
        [
            "vmdebug: both: its format mine applies to the next image that is opened",
            "vmdebug: both: its kernel mine applies to the next image that is opened",
        ],
        0,
    )
    assert out.splitlines() == [
        "",
        f"{'both':<24} {path}",
        f"  format {'mine':<20} - my format",
        f"  kernel {'mine':<20} - looked for in the next image",
    ]
    debug.printed("::unload both")
    assert "both module not loaded" in debug.refused("::dmods both")


def test_the_help_of_a_plugin_says_where_it_comes_from(debug, plugin):
    path = plugin("mine", DCMD.format(name="greet", word="hello"))
    debug.printed(f"::load {path}")

    assert f"  Module: mine (plug-in {path})" in debug.printed("::help greet").splitlines()
    assert "  Module: helping" in debug.printed("::help help").splitlines()
    assert [row.origin for row in debug.session.rows("::help greet")] == [str(path)]


def test_tab_offers_what_can_be_unloaded(debug, plugin):
    mine = plugin("mine", "A = 1\n")
    debug.printed(f"::load {mine}; ::load {plugin('other', 'A = 1')}")

    found = Completions(debug.session).at_end_of("::unload m")

    assert found == [Candidate("mine", len("::unload "), str(mine))]


def test_sources_of_whatis_go_with_their_plugin(plugin):
    from vmdebug.guests import whatis

    before = list(whatis.SOURCES)
    path = plugin(
        "knows",
        "from vmdebug.guests.whatis import source\n@source('mine', rank=1)\ndef find(guest, all): yield from ()\n",
    )

    load_file(path, pytest.fail)
    assert [each.name for each in whatis.SOURCES if each not in before] == ["mine"]
    unload("knows")
    assert before == whatis.SOURCES


def test_paths_that_cannot_be_loaded_are_reported_one_by_one(plugin):
    told = []

    load_plugins(told.append, ["/nosuch.py", plugin("mine", "A = 1\n"), "/nosuch.txt"], groups=[])

    assert told == [
        "failed to load /nosuch.py: FileNotFoundError: [Errno 2] No such file or directory: '/nosuch.py'",
        "failed to load /nosuch.txt: ImportError: not a Python file",
    ]
    assert [held.name for held in PLUGINS.values()] == ["mine"]


POINTS = """
[vmdebug.dcmds]
works = works
raises = raises

[vmdebug.formats]
works = works

[vmdebug.guests]
works = works
nosuch = nosuch
"""
SESSION = """
import sys
from vmdebug.load import load_dcmds
from vmdebug.plugins import load_plugins
from vmdebug.session import Session
load_plugins(lambda text: print("report:", text))
session = Session()
load_dcmds(session.warn)
session.run("::greet; ::dmods works; ::unload works; ::greet")
"""


def test_of_what_is_installed_each_that_fails_is_a_line(tmp_path):
    (tmp_path / "plug-1.5.dist-info").mkdir()
    (tmp_path / "plug-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.5\n")
    (tmp_path / "plug-1.5.dist-info" / "entry_points.txt").write_text(POINTS)
    (tmp_path / "works.py").write_text(DCMD.format(name="greet", word="hello"))
    (tmp_path / "raises.py").write_text(DCMD.format(name="greet", word="worse") + "1/0\n")

    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]{SESSION}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )

    needs = "a format needs NAME, DESCRIPTION, probe, and open_image or unwrap"
    assert ran.stdout.splitlines() == [
        "report: failed to load raises of plug 1.5: ZeroDivisionError: division by zero",
        f"report: failed to load works of plug 1.5: ReaderIncomplete: plug 1.5: {needs}: no NAME",
        "report: failed to load works of plug 1.5: NoKernel: a kernel needs KIND and find: it has no KIND",
        "report: failed to load nosuch of plug 1.5: ModuleNotFoundError: No module named 'nosuch'",
        "hello",
        f"{'works':<24} plug 1.5",
    ]
    assert ran.stderr == "vmdebug: invalid command '::greet': unknown dcmd name\n"
