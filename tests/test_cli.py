"""The command line: what runs, what is printed where, and the exit statuses of mdb."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fixtures
from vmdebug.cli import main
from vmdebug.options import BadUsage, parse
from vmdebug.plugins import PLUGINS, unload

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "core.domu"
    fixtures.make("demo", path)
    return str(path)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["-e", "::status"], 0),
        (["-e", "::status; ::nosuch"], 1),
        (["-e", "::nosuch; ::status"], 1),
        (["-e", "0/J"], 1),
        (["-e", "0/J; ::status"], 0),
        (["-e", "::quit"], 0),
        (["-e", "((("], 1),
        (["-o", "nosuch", "-e", "::status"], 2),
        (["-Z", "-e", "::status"], 2),
        (["-s", "x", "-e", "::status"], 2),
        (["-e", "1", "-e", "2"], 2),
        (["-P", "x" * 36, "-e", "::status"], 2),
        (["-?"], 0),
        (["-V", "nosuch", "-e", "::status"], 0),
        (["-p", "12"], 2),
        (["--page-cache", "1", "-e", "::status"], 0),
        (["--page-cache", "much", "-e", "::status"], 2),
        (["--page-cache", "²", "-e", "::status"], 2),  # a digit to str, no number to int
        (["-s", "²", "-e", "::status"], 2),
        (["-s", "9" * 5000, "-e", "::status"], 2),
    ],
)
def test_exit_statuses_are_those_of_mdb(words, status, demo):
    assert main(["-S", *words, demo]) == status


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-Z"], "vmdebug: illegal option -- Z"),
        (["-e"], "vmdebug: option requires an argument -- e"),
        (["-s", "x"], "vmdebug: expected integer following -s"),
        (["-e", "1", "-e", "2"], "vmdebug: -e already specified"),
        (["-P", "x" * 36], "vmdebug: prompt may not exceed 35 characters"),
        (["-I", "a;b"], "vmdebug: macro path cannot contain semicolons"),
        (["-L", "a;b"], "vmdebug: module path cannot contain semicolons"),
        (["-o", "nosuch"], "vmdebug: invalid debugger option -- nosuch"),
        (["-V", "nosuch"], "vmdebug: invalid disassembler mode -- nosuch"),
    ],
)
def test_a_wrong_command_line_says_why(words, text, capsys):
    main(["-S", *words, *([] if words == ["-e"] else ["-e", "1=K"] if "-e" not in words else [])])

    assert capsys.readouterr().err.splitlines()[0] == text


def test_a_missing_file_is_one_line_and_status_1(capsys, tmp_path):
    assert main(["-e", "::status", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"vmdebug: failed to open {tmp_path}/none: No such file or directory\n"


def test_errors_on_piped_input_do_not_change_the_status(demo):
    ran = subprocess.run(
        [sys.executable, "-m", "vmdebug", "-S", demo],
        input="::nosuch\n::status\n", capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip

    assert ran.returncode == 0
    assert ran.stdout.startswith(f"debugging domain crash dump {demo} (64-bit) from sxc16\n")
    assert "vmdebug: invalid command '::nosuch': unknown dcmd name" in ran.stderr


def test_the_language_works_without_an_image(capsys):
    assert main(["-S", "-e", "2+3*4=K"]) == 0
    assert capsys.readouterr().out.split() == ["e"]
    assert main(["-S", "-e", "::status"]) == 1
    assert capsys.readouterr().err == "vmdebug: command is not supported by current target\n"


def test_json_is_one_object_a_dcmd_on_stdout_alone(demo, capsys):
    assert main(["-S", "--json", "-e", "::status; ::cpuinfo", demo]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["dcmd"], len(line["rows"]), line["errors"]) for line in lines] == [
        ("status", 1, []),
        ("cpuinfo", 1, []),
    ]
    assert lines[1]["rows"][0]["addr"] == "0xfffffffffbc4b7f0"


def test_c_ignores_the_types_and_a_leaves_out_the_guests_commands(demo, capsys):
    for words in (["-C"], ["-o", "noctf"]):
        assert main(["-S", *words, "-e", "cpus::print cpu_t", demo]) == 1
        assert capsys.readouterr().err.endswith("vmdebug: no types: they are ignored: noctf is set\n")
    for words in (["-A"], ["-o", "nomods"]):
        assert main(["-S", *words, "-e", "::status; cpus=p", demo]) == 0
        assert capsys.readouterr().out.endswith(f"{'':16}cpus               \n")
        assert main(["-S", *words, "-e", "::cpuinfo", demo]) == 1
        assert "invalid command '::cpuinfo': unknown dcmd name" in capsys.readouterr().err


def test_m_reads_all_symbols_at_once(demo, capsys):
    assert main(["-S", "-M", "-e", "::quit", demo]) == 0
    assert capsys.readouterr().out.startswith("Preloading module symbols: [ unix genunix ")


def test_options_may_follow_the_operands_and_a_dash_is_dropped():
    options = parse(["-", "core", "-o", "adb", "-e", "1=K"])

    assert (options.operands, options.settings, options.evaluate) == (["core"], [("adb", True)], "1=K")


@pytest.mark.parametrize("name", ["HOME", "TERM", "SHELL", "HISTSIZE"])
def test_no_variable_of_the_environment_is_needed(name, demo, monkeypatch, capfd):
    monkeypatch.setenv("TERM", "vt100")
    monkeypatch.delenv(name, raising=False)

    assert main(["-e", "! echo here; ::term", demo]) == 0
    assert capfd.readouterr().out == f"here\n{'unknown' if name == 'TERM' else 'vt100'}\n"


def test_a_number_alone_is_the_crash_dump_of_that_number(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["-S", "-e", "::status", "3"]) == 1
    assert capsys.readouterr().err == "vmdebug: failed to open vmcore.3: No such file or directory\n"

    fixtures.make("demo", tmp_path / "vmcore.3")
    assert main(["-S", "-e", "::status", "3"]) == 0
    assert capsys.readouterr().out.startswith("debugging domain crash dump vmcore.3 (64-bit)")

    (tmp_path / "vmcore.3").rename("3")
    assert main(["-S", "-e", "::status", "3"]) == 0
    assert capsys.readouterr().out.startswith("debugging domain crash dump 3 (64-bit)")


def test_a_compressed_dump_of_that_number_is_told_how_to_open(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vmdump.3").write_bytes(b"")

    assert main(["-S", "-e", "::status", "3"]) == 0
    assert capsys.readouterr() == (
        "", "vmdebug: cannot open compressed dump; decompress using savecore -f vmdump.3\n"
    )  # fmt: skip


def test_the_users_file_runs_before_the_commands_unless_told_not_to(home, demo, capsys):
    (home / ".vmdebugrc").write_text("5>answer\n")

    main(["-e", "<answer=K", demo])
    with_file = capsys.readouterr().out
    main(["-S", "-e", "<answer=K", demo])

    assert with_file.split() == ["5"]
    assert "variable 'answer' is not defined" in capsys.readouterr().err


def test_mdbs_file_of_the_user_runs_where_there_is_none_of_vmdebug(home, demo, capsys):
    (home / ".mdbrc").write_text("6>answer\n")
    main(["-e", "<answer=K", demo])
    (home / ".vmdebugrc").write_text("5>answer\n")
    main(["-e", "<answer=K", demo])

    assert capsys.readouterr().out.split() == ["6", "5"]


def test_shows_the_bytes_of_any_file(tmp_path, capsys):
    path = tmp_path / "notes"
    path.write_bytes(b"hello, file\0\1")

    assert main(["-S", "-f", "-e", "0/s; 0xc/B", str(path)]) == 0
    assert capsys.readouterr().out == f"{'0:':16}hello, file\n{'0xc:':16}{'1':8}\n"
    assert main(["-S", "-f", "-e", "2000/B", str(path)]) == 1
    assert main(["-S", "-f", "-e", "::vtop", str(path), str(path)]) == 2
    assert "-f takes one file" in capsys.readouterr().err


HEADER = ("02010100", "01000000", "00000000")  # the rest of an ELF file's first line


def test_an_image_opened_raw_shows_its_own_header(demo, capsys):
    assert main(["-S", "-f", "-e", "0/X; 0::dump -g 4 -q -l 4 ! tail -1", demo]) == 0
    assert capsys.readouterr().out.split() == ["0:", "464c457f", "0:", "7f454c46", *HEADER]


def test_refuses_processes_and_machines_that_run(demo, capsys):
    for words in (["-u"], ["-p", "1"], ["-b", "vm"]):
        assert main(["-S", *words, demo]) == 2
        assert capsys.readouterr().err == (
            f"vmdebug: {words[0]}: not supported: only images of machines that do not run can be opened\n"
        )


@pytest.mark.parametrize("letter", ["-k", "-m", "-y", "-F", "-W"])
def test_takes_letters_that_say_what_is_so_anyway(demo, capsys, letter):
    assert main(["-S", letter, "-e", "1=K", demo]) == 0
    assert capsys.readouterr().out.split() == ["1"]


def test_macros_are_looked_for_below_the_root(tmp_path, demo, capsys):
    folder = tmp_path / "proto" / "amd64" / "kvm"
    folder.mkdir(parents=True)
    (folder / "answer").write_text("2a=K\n")

    assert main(["-S", "-R", str(tmp_path / "proto"), "-I", "%r/%i/%t", "-e", "$<answer", demo]) == 0
    assert main(["-S", "-I", "%r/%i/%t", "-e", "$<answer", demo]) == 1
    assert capsys.readouterr().out.split() == ["2a"]


@pytest.fixture
def loaded():
    """What is loaded of plug-ins is taken away at the end."""
    yield
    for held in list(PLUGINS.values()):
        unload(held.name)


def test_a_plug_in_file_adds_its_dcmd(home, demo, capsys, loaded):
    plugin = home / "hello.py"
    plugin.write_text(
        "from dataclasses import dataclass\nfrom vmdebug.dcmd import Text, dcmd\n"
        "@dataclass(frozen=True)\nclass Row:\n    word: str\n"
        "@dcmd('hello', text=Text('{word}'))\ndef hello(call):\n    '''say hello'''\n    yield Row('hello')\n"
    )

    assert main(["-S", "-L", str(plugin), "-e", "::hello", demo]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_a_broken_plug_in_is_one_line_and_the_session_goes_on(home, demo, capsys):
    (home / "bad.py").write_text("raise RuntimeError('on purpose')\n")

    assert main(["-S", "-L", str(home / "bad.py"), "-e", "::status", demo]) == 0
    printed = capsys.readouterr()
    assert "RuntimeError: on purpose" in printed.err
    assert printed.out.startswith("debugging domain crash dump")


@pytest.mark.parametrize("action", ["formats", "info"])
def test_commands_beside_the_session(action, demo, capsys):
    assert main([action, *([demo] if action == "info" else [])]) == 0
    assert "xen-elf" in capsys.readouterr().out


def test_plus_o_unsets_an_option():
    assert parse(["-o", "adb", "+o", "pager", "core"]).settings == [("adb", True), ("pager", False)]
    with pytest.raises(BadUsage, match="option requires an argument -- o"):
        parse(["+o"])


def test_a_closed_pipe_is_no_error(demo):
    command = f"{sys.executable} -m vmdebug -S -e '::walk thread; ::walk thread' {demo} | head -1"
    ran = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)


def test_a_bug_is_one_line(monkeypatch, demo):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code = "import vmdebug.cli as c, sys; c.parse = lambda words: 1 / 0; sys.argv = ['vmdebug']; c.run()"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ}
    )

    assert ran.returncode == 1
    assert (
        ran.stderr == "vmdebug: internal error: ZeroDivisionError: division by zero (VMDEBUG_TRACEBACK=1 shows where)\n"
    )


@pytest.mark.parametrize(
    ("words", "command", "line"),
    [
        (["-s", "20"], "$s", "symbol matching distance = 0x14 (absolute mode)"),  # decimal
        (["-V", "ia32"], "$V", "disassembly mode is ia32 (Intel 32-bit disassembler)"),
        (["-P", "vm> "], "::set", '            command prompt: "vm> "'),
        (["-I", "/a:/b"], "::set", "                macro path: /a:/b"),
        (["-o", "array_mem_limit=5"], "::set", "  array member print limit: 5"),
        (["-o", "adb,array_str_limit=none"], "::set", "  array string print limit: none"),
        (["-o", "adb", "+o", "pager"], "::set", "          debugger options: adb,stop_on_bpt_nosym,write_readback"),
    ],
)
def test_options_are_in_force_in_the_session(words, command, line, capsys):
    assert main(["-S", *words, "-e", command]) == 0

    assert line in capsys.readouterr().out.splitlines()
