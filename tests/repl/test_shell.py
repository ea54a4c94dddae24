"""The loop, with a reader that says what the user would."""

from types import SimpleNamespace

import pytest

from vmdebug.lang.settings import Settings
from vmdebug.repl.shell import Shell


class Sitting:
    """A session that notes what it is asked, and a shell over it."""

    prompt = "> "

    def __init__(self, lines, bug=None, **settings):
        self.lines = list(lines)
        self.settings = Settings()
        vars(self.settings).update(settings)
        self.finished = False
        self.ran, self.said = [], []
        self.print = self.warn = self.said.append
        self.shell = Shell(self, self, SimpleNamespace(take_bug=lambda: bug), None)

    def read(self, prompt):
        line = self.lines.pop(0)
        if isinstance(line, str):
            return line
        raise line

    def run(self, text, source):
        self.ran.append((text, source))
        if text == "bug\n":
            raise ZeroDivisionError("it was me")
        if text == "interrupted late\n":
            raise KeyboardInterrupt
        self.finished = text == "quit\n"


def test_runs_lines_as_a_terminals_until_the_session_is_finished():
    sitting = Sitting(["::status", "quit", "not run"])

    assert sitting.shell.loop() == 0
    assert sitting.ran == [("::status\n", "(stdin)"), ("quit\n", "(stdin)")]


@pytest.mark.parametrize("end", [EOFError(), OSError(5, "Input/output error")])
def test_ends_with_the_input(end):
    sitting = Sitting(["::status", end, "not run"])

    assert sitting.shell.loop() == 0
    assert len(sitting.ran) == 1


def test_interrupts_end_a_line_or_a_command_but_not_the_session():
    sitting = Sitting([KeyboardInterrupt(), "interrupted late", "quit"])

    sitting.shell.loop()

    assert [text for text, _ in sitting.ran] == ["interrupted late\n", "quit\n"]


def test_a_bug_is_one_line_and_the_next_command_runs():
    sitting = Sitting(["bug", "quit"])

    sitting.shell.loop()

    assert sitting.said == ["internal error: ZeroDivisionError: it was me (VMDEBUG_TRACEBACK=1 shows where)"]
    assert [text for text, _ in sitting.ran] == ["bug\n", "quit\n"]


def test_a_bug_is_shown_with_its_traceback_to_who_asks(monkeypatch, capsys):
    monkeypatch.setenv("VMDEBUG_TRACEBACK", "1")

    Sitting(["bug", "quit"]).shell.loop()

    assert "in run" in capsys.readouterr().err


def test_a_bug_in_completion_is_told_after_the_line():
    sitting = Sitting(["quit"], bug=KeyError("lost"))

    sitting.shell.loop()

    assert sitting.said == ["internal error in completion: KeyError: 'lost' (VMDEBUG_TRACEBACK=1 shows where)"]


def test_ignoreeof_holds_for_nine_ends_in_a_row():
    sitting = Sitting([*[EOFError()] * 9, "::status", *[EOFError()] * 10, "not run"], ignoreeof=True)

    sitting.shell.loop()

    assert sitting.ran == [("::status\n", "(stdin)")]
    assert sitting.lines == ["not run"]
    assert sitting.said[0] == "the end of input is ignored: type ::quit to leave"
