"""Section 11.1 and 1: $d $s $w $V $P $W, ::set, and the option names."""

import pytest

from tests.fakes import Debug, FakeTarget
from vmdebug.errors import DebuggerError


@pytest.fixture
def debug():
    return Debug(FakeTarget({0x10: bytes(8)}))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("$d", "radix = 16 base ten\n"),
        ("0t10$d", "radix = 10 base ten\n"),
        ("2$d", "radix = 2 base ten\n"),
        ("$s", "symbol matching distance = 0 (smart mode)\n"),
        ("20$s", "symbol matching distance = 0x20 (absolute mode)\n"),
        ("$w", "output page width = 80\n"),
        ("0t132$w", "output page width = 132\n"),
        ("$V", "disassembly mode is amd64 (AMD64 and IA32e 64-bit disassembler)\n"),
        ("$V ia32; $V", "disassembly mode is ia32 (Intel 32-bit disassembler)\n"),
        ("::term", "vt100\n"),
        ("::set -o term=xterm; ::term", "xterm\n"),
    ],
)
def test_shows_and_sets(debug, monkeypatch, text, printed):
    monkeypatch.setenv("TERM", "vt100")

    assert debug.printed(text) == printed


def test_the_disassembler_follows_the_target():
    assert Debug(FakeTarget(word=4)).printed("$V").startswith("disassembly mode is ia32 ")


def test_the_radix_is_for_input_and_output(debug):
    debug.printed("8$d")

    assert debug.printed("17::map .+1; 20=w") == f"20\n{'':16}{'20':8}\n"


def test_the_width_is_where_format_commands_wrap(debug):
    debug.printed("0t40$w")

    assert debug.printed("1=XX") == f"{'':16}{'1':16}\n{'':16}{'1':16}\n"


def test_sets_the_prompt(debug):
    debug.printed("$P 'vm> '")
    assert debug.session.prompt == "vm> "
    debug.printed("::set -P other")
    assert debug.session.prompt == "other"
    debug.printed("$P")
    assert debug.session.prompt == "> "


SHEET = """\
                macro path: /a:/b
               module path: /c
  symbol matching distance: 16
  array member print limit: none
  array string print limit: 7
            command prompt: "> "
          debugger options: adb,pager,stop_on_bpt_nosym,write_readback
            target options: none
"""


def test_set_shows_and_changes_properties(debug):
    debug.printed("::set -I /a:/b -L/c -s 16 -o adb,array_mem_limit=none -o array_str_limit=7")

    assert debug.printed("::set") == SHEET
    debug.printed("::set +o adb,pager")
    assert "debugger options: stop_on_bpt_nosym,write_readback\n" in debug.printed("::set")


def test_the_target_stays_read_only(debug):
    words = "vmdebug: read-only target\nvmdebug: failed to re-open target for writing\n"

    assert debug("$W")[1:] == (words, 1)
    assert debug("::set -w")[1:] == (words, 1)


FLAGS = [
    *("adb", "pager", "autowrap", "ignoreeof", "repeatlast", "latest", "noctf", "nomods", "showlmid", "lmraw"),
    *("stop_on_bpt_nosym", "write_readback", "allow_io_access", "nostop"),
]


@pytest.mark.parametrize("name", FLAGS)
def test_options_are_switched(debug, name):
    debug.session.set_option(name)
    assert getattr(debug.session.settings, name) is True
    debug.session.set_option(name, on=False)
    assert getattr(debug.session.settings, name) is False


VALUES = [
    ("array_mem_limit=10", "array_mem_limit", 10),
    ("array_mem_limit=none", "array_mem_limit", None),
    ("array_str_limit=5", "array_str_limit", 5),
    *((f"follow_exec_mode={mode}", "follow_exec_mode", mode) for mode in ("ask", "stop", "follow")),
    *((f"follow_fork_mode={mode}", "follow_fork_mode", mode) for mode in ("ask", "parent", "child")),
    ("term=vt52", "term", "vt52"),
    ("nopager", "pager", False),
]


@pytest.mark.parametrize(("word", "name", "value"), VALUES, ids=[word for word, _, _ in VALUES])
def test_options_take_values(debug, word, name, value):
    debug.session.set_option(word)

    assert getattr(debug.session.settings, name) == value


def test_the_defaults_are_mdbs(debug):
    settings = debug.session.settings

    assert (settings.array_mem_limit, settings.array_str_limit) == (32, 1024)
    assert settings.enabled() == "pager,stop_on_bpt_nosym,write_readback"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nosuch", "invalid debugger option -- nosuch"),
        ("adb,nosuch", "invalid debugger option -- nosuch"),
        ("", "invalid debugger option -- "),
        ("term", "option requires an argument -- term"),
        ("array_mem_limit", "option requires an argument -- array_mem_limit"),
        ("adb=1", "option does not accept an argument -- adb"),
        ("array_mem_limit=-1", "invalid argument for option array_mem_limit -- -1"),
        ("array_mem_limit=0x10", "invalid argument for option array_mem_limit -- 0x10"),
        ("follow_exec_mode=go", "invalid argument for option follow_exec_mode -- go"),
    ],
)
def test_refuses_options(debug, word, message):
    with pytest.raises(DebuggerError) as caught:
        debug.session.set_option(word)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["1$P", "::set -s", "::set -x", "::set pager", "$V a b"])
def test_tells_the_usage(debug, text):
    assert "Usage: " in debug.refused(text)
