"""Section 8.4: shell commands before, behind and inside a pipeline."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("!echo hi", "hi\n"),
        ("! echo a b | wc -w", "2\n"),
        ("!echo one; ::echo two", "one\ntwo \n"),
        ("::echo a ! cat -n", "     1\ta \n"),
        ("::walk numbers ! wc -l", "4\n"),
        ("0t255=XD ! cat", "ff              255             \n"),  # no wrapping, no indentation
        ("1000/8K ! wc -l", "2\n"),
        ("::walk numbers | ::seen ! head -2", "AT COUNT\n10 0\n"),
        ("! 'echo 1; echo 2' | ::map .+1", "2\n3\n"),
        ("::walk numbers ! 'grep -v 2' | ::map .+1", "11\n12\n14\n"),
        ('! "echo \\"a b\\"; echo \\\'c\\\'"', "a b\nc\n"),
        ("!< echo '::echo fed'", "fed \n"),
        ("::echo ::echo fed !< cat", "fed \n"),
        ("!< 'echo ::echo 1; echo ::echo 2'", "1 \n2 \n"),
        ("! 'true' | ::map .", ""),
        ("! printf ''", ""),
    ],
)
def test_runs_shell_commands(debug, text, printed):
    assert debug().printed(text) == printed


def test_a_semicolon_ends_an_unquoted_command_only(debug):
    assert debug().printed("! echo a; ::echo b") == "a\nb \n"
    assert debug().printed("! 'echo a; echo b'") == "a\nb\n"


def test_uses_the_users_shell(debug, monkeypatch, tmp_path):
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "$1 $2"\n')
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))

    assert debug().printed("!anything at all") == "-c anything at all\n"


def test_what_the_shell_leaves_unread_is_no_error(debug):
    assert debug().printed("::walk numbers ! true") == ""


def test_control_characters_of_a_guest_do_not_reach_the_shells_terminal(debug):
    assert "\x1b" not in debug().printed("::many ! cat")


@pytest.mark.parametrize("text", ["!echo out", "::echo out ! cat", "!seq 100000 | head -1 >/dev/null; ::echo out"])
def test_a_childs_output_goes_where_ours_goes_in_order(text):
    program = (
        "import sys; from vmdebug.session import Session; from vmdebug.load import load_dcmds\n"
        "session = Session(); load_dcmds(session.warn)\n"
        f"session.run('::echo before'); session.run({text!r}); session.run('::echo after')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ)
    )

    assert done.stdout.split() == ["before", "out", "after"]
    assert done.stderr == ""
