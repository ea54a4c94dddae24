"""Macros, aliases, logs, files and plug-ins."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol


@pytest.fixture
def debug(tmp_path):
    made = Debug(FakeTarget({0x1000: bytes(64)}), FakeGuest([symbol("base", 0x1000, 64)]))
    made.session.settings.macro_path = str(tmp_path)
    return made


@pytest.fixture
def macro(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)

    return write


def test_runs_a_macro_along_the_path(debug, macro, tmp_path):
    macro("hello", "::echo hello\n.=K\n")

    assert debug.printed("10$<hello") == f"hello \n{'':16}{'10':16}\n"
    assert debug.printed(f"$<{tmp_path}/hello").startswith("hello")


def test_a_macro_gives_way_to_the_next(debug, macro):
    macro("one", "::echo one\n$<two\n::echo never\n")
    macro("two", "::echo two\n")

    assert debug.printed("$<one; ::echo end") == "one \ntwo \nend \n"


def test_a_nested_macro_comes_back(debug, macro):
    macro("one", "::echo one\n$<<two\n::echo again\n")
    macro("two", "::echo two\n")

    assert debug.printed("$<<one; ::echo end") == "one \ntwo \nagain \nend \n"


def test_a_count_of_0_runs_no_macro_and_a_macro_may_loop(debug, macro):
    macro("loop", "::echo $[<9]\n.,<9-1$<loop\n")

    assert debug("5,0$<loop") == ("", "", 0)
    assert debug.printed("5,3$<loop") == "3 \n2 \n1 \n"


def test_9_is_the_count_of_the_last_macro(debug, macro):
    macro("empty", "\n")

    debug.printed("1,4$<empty; 1,7$<<empty")

    assert debug.session.evaluate("<9") == 4


def test_leaving_a_macro(debug, macro):
    macro("one", "::echo one\n$<\n::echo never\n")

    assert debug.printed("$<one; ::echo end") == "one \nend \n"
    assert debug.refused("$<") == "vmdebug: input stack is empty\n"


def test_an_error_in_a_macro_names_its_line(debug, macro, tmp_path):
    macro("bad", "::echo 1\n1 2\n::echo 3\n")

    out, err, _ = debug("$<bad")

    assert out == "1 \n3 \n"
    assert err == f'vmdebug: syntax error on line 2 of {tmp_path}/bad near "2"\n'


def test_a_name_without_a_file_is_an_alias_or_a_type(debug, monkeypatch):
    ran = []
    monkeypatch.setattr(
        debug.session.guest.types, "find", lambda name: name == "foo_t" or _unknown(name), raising=False
    )
    monkeypatch.setattr(debug.session, "run_nested", ran.append)

    debug.printed("1000$<foo; $<thread")

    assert ran == ["0x1000::print foo_t", "::print kthread_t"]
    assert "failed to open bar (see ::help '$<')" in debug.refused("$<bar")


def _unknown(name):
    from vmdebug.types.errors import UnknownType

    raise UnknownType(name)


def test_an_alias_runs_with_its_address(debug, monkeypatch):
    monkeypatch.setattr("dcmds.scripts.ALIASES", {"here": "::map .+1; .=K"})

    assert debug.printed("10$<here") == f"11\n{'':16}{'11':16}\n"
    assert debug.session.rows("10$<here")[-1].value == 0x11


def test_cat(debug, macro, tmp_path):
    macro("a", "one\ntwo")
    macro("b", "three\x1b\n")

    assert debug.printed(f"::cat {tmp_path}/a {tmp_path}/b") == "one\ntwo\nthree\\033\n"
    assert "failed to open /nosuch: No such file or directory" in debug.refused("::cat /nosuch")


LOGGED = "> ::echo one\none \n> nosuch=K\nvmdebug: failed to dereference symbol: unknown symbol name\n"


@pytest.mark.parametrize(
    ("start", "stop"), [("$>{}", "$>"), ("::log {}", "::log -d"), ("::log -e {}", "$>"), ("$>{}", "::log -d")]
)
def test_logs(debug, tmp_path, start, stop):
    log = tmp_path / "log"

    debug(start.format(log) + "\n", "(stdin)")
    assert debug.session.outlet.log is not None
    debug("::echo one\n", "(stdin)")
    debug("nosuch=K\n", "(stdin)")
    debug(stop + "\n", "(stdin)")
    debug("::echo two\n", "(stdin)")

    assert LOGGED in log.read_text()
    assert "two" not in log.read_text()


def test_tells_about_the_log(debug, tmp_path):
    log = tmp_path / "log"

    assert debug("::log")[1] == "vmdebug: no log is active\n"
    assert debug(f"::log {log}")[1] == f'vmdebug: logging to "{log}"\n'
    assert debug("::log")[1] == f'vmdebug: logging to "{log}" is currently enabled\n'
    assert debug("::log -d")[2] == 0
    assert debug.refused("::log -d") == "vmdebug: no log is active\n"
    assert "failed to open /nosuch/log" in debug.refused("::log /nosuch/log")


PLUGIN = """
from dataclasses import dataclass
from vmdebug.dcmd import Call, Text, dcmd

@dataclass(frozen=True)
class Row:
    number: int

@dcmd("{name}", row=Row, text=Text("{{number}}"))
def run(call):
    '''give a number'''
    yield Row(41)
"""


def test_loads_and_unloads_a_plugin(debug, macro, tmp_path):
    macro("myplugin.py", PLUGIN.format(name="forty-one".replace("-", "_")))

    debug.printed(f"::load {tmp_path}/myplugin.py")
    assert debug.printed("::forty_one") == "41\n"
    assert debug.printed("::which forty_one") == "forty_one is a dcmd from module myplugin\n"
    debug.printed("::unload myplugin")
    assert "unknown dcmd name" in debug.refused("::forty_one")


def test_a_broken_plugin_is_one_line(debug, macro, tmp_path):
    macro("broken.py", "import nosuchmodule\n")

    err = debug.refused(f"::load {tmp_path}/broken.py")

    assert err == f"vmdebug: failed to load {tmp_path}/broken.py: ModuleNotFoundError: No module named 'nosuchmodule'\n"
    assert debug.printed("::echo on") == "on \n"
    assert "failed to load /nosuch.py" in debug.refused("::load /nosuch.py")


@pytest.mark.parametrize("text", ["::cat", "::log a b", "::log -d a", "::log -e", "::load", "::unload", "$<<"])
def test_tells_the_usage(debug, text):
    assert "Usage: " in debug.refused(text)
