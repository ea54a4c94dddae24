"""The shell through a real pseudo-terminal: what is typed, what is seen."""

import re
import shutil
import signal
import stat
import sys

import pytest

UP, DOWN, RIGHT, LEFT, HOME, END, TAB, ESC = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F", "\t", "\x1b"
CTRL = {letter: chr(ord(letter) - 0x60) for letter in "abcdefghijklmnopqrstuvwxyz"}


def numbers(text):
    """Which lines of `::many` a text has."""
    return [int(number) for number in re.findall(r"line (\d+) of many", text)]


class TestCommands:
    def test_a_command_answers_and_the_next_one_too(self, screen):
        assert "42" in screen.run("0t66=K")
        assert "ff" in screen.run("0t255=X")

    def test_control_d_on_an_empty_line_leaves_with_status_0(self, terminal):
        screen = terminal()
        screen.prompt()

        screen.send(CTRL["d"])

        assert screen.end() == 0

    def test_quit_leaves_with_status_0(self, terminal):
        screen = terminal()
        screen.prompt()

        screen.line("::quit")

        assert screen.end() == 0

    def test_the_terminal_is_left_as_it_was(self, terminal):
        screen = terminal()
        screen.prompt()

        screen.line("::quit")
        screen.end()

        assert screen.modes_now() == screen.modes

    def test_the_prompt_is_the_sessions(self, terminal):
        screen = terminal("-P", "vm% ")
        screen.prompt("vm% ")

        screen.line("1=K")

        screen.prompt("vm% ")

    def test_a_mistake_is_told_and_the_session_goes_on(self, screen):
        assert "vmdebug: invalid command '::nonsense': unknown dcmd name" in screen.run("::nonsense")
        assert "42" in screen.run("0t66=K")

    def test_pasted_lines_are_run_one_after_the_other(self, screen):
        screen.send("\x1b[200~::echo first\n::echo second\x1b[201~")
        screen.see("::echo second")
        screen.send("\r")

        assert screen.prompt().splitlines()[-2:] == ["first", "second"]

    def test_a_shell_command_has_the_terminal(self, screen):
        assert screen.run("! tty").startswith("/dev/")
        assert screen.run("::many ! wc -l").strip() == "64"


class TestInterrupts:
    def test_control_c_stops_a_command_and_keeps_the_session(self, screen):
        screen.line("::spin")
        screen.see("spinning")

        screen.send(CTRL["c"])
        screen.prompt()

        assert "42" in screen.run("0t66=K")

    def test_control_c_drops_the_line(self, screen):
        screen.send("::echo dropped")
        screen.typed("::echo dropped")

        screen.send(CTRL["c"])
        screen.prompt()

        assert "dropped" not in screen.run("::echo kept")

    def test_control_backslash_leaves_at_the_prompt_and_is_ignored_in_a_command(self, terminal):
        screen = terminal()
        screen.prompt()
        screen.line("::spin")
        screen.see("spinning")
        screen.send("\x1c")
        screen.see("^\\")
        screen.send(CTRL["c"])
        screen.prompt()

        screen.send("\x1c")

        assert screen.end() == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    @pytest.mark.parametrize("busy", [False, True])
    def test_a_deadly_signal_leaves_the_terminal_as_it_was(self, terminal, number, busy):
        screen = terminal()
        screen.prompt()
        if busy:
            screen.line("::spin")
            screen.see("spinning")

        screen.process.send_signal(number)

        assert screen.end() == 128 + number
        assert screen.modes_now() == screen.modes

    def test_a_deadly_signal_that_something_caught_comes_again(self, terminal):
        screen = terminal()
        screen.prompt()
        screen.line("::deaf")
        screen.see("listening")

        screen.process.send_signal(signal.SIGTERM)

        screen.see("what?")
        assert screen.end() == 128 + signal.SIGTERM
        assert screen.modes_now() == screen.modes

    @pytest.fixture
    def shell(self, terminal, plugin):
        """A shell with job control, in which the debugger was started."""
        if not shutil.which("bash"):
            pytest.skip("no bash, whose job control the test needs")
        shell = terminal(command=["bash", "--norc", "--noprofile", "-i"], env={"PS1": "shell: "})
        shell.prompt("shell: ")
        shell.line(f"{sys.executable} -m vmdebug -L {plugin}")
        shell.prompt()
        return shell

    def test_control_z_suspends_and_fg_resumes(self, shell):
        shell.send("0t66=")
        shell.typed("0t66=")
        shell.send(CTRL["z"])
        assert "Stopped" in shell.prompt("shell: ")
        shell.line("fg")
        shell.typed("0t66=")
        shell.send("K\r")

        assert "42" in shell.prompt()

    def test_control_z_at_the_pager_asks_again_afterwards(self, shell):
        shell.line("::many")
        shell.question()

        shell.send(CTRL["z"])
        assert "Stopped" in shell.prompt("shell: ")
        shell.line("fg")
        shell.question()
        shell.send(" ")

        assert numbers(shell.question()) == list(range(23, 46))

    def test_control_z_stops_a_command_that_runs(self, shell):
        shell.line("::spin")
        shell.see("spinning")

        shell.send(CTRL["z"])
        assert "Stopped" in shell.prompt("shell: ")
        shell.line("fg")
        shell.see("vmdebug")
        shell.handed_over()
        shell.send(CTRL["c"])
        shell.prompt()

        assert "42" in shell.run("0t66=K")

    def test_a_bug_in_a_dcmd_is_reported_and_the_session_goes_on(self, screen):
        shown = screen.run("::boom").replace("\n", "")

        assert "ZeroDivisionError: no such luck" in shown
        assert "internal error" in shown
        assert "VMDEBUG_TRACEBACK" in shown
        assert "Traceback" not in shown
        assert "42" in screen.run("0t66=K")

    def test_control_c_stops_a_shell_command(self, screen):
        screen.line("! 'echo begun; sleep 1000'")
        screen.see("\nbegun")

        screen.send(CTRL["c"])
        screen.prompt()

        assert "42" in screen.run("0t66=K")


class TestEditing:
    @pytest.mark.parametrize(
        ("typed", "line"),
        [
            ("::echo ac" + LEFT + "b", "::echo abc"),
            ("::echo ad" + LEFT + LEFT + RIGHT + "bc", "::echo abcd"),
            ("echo x" + CTRL["a"] + "::" + CTRL["e"] + "y", "::echo xy"),
            ("echo x" + HOME + "::" + END + "y", "::echo xy"),
            ("::echo ac" + CTRL["b"] + CTRL["b"] + CTRL["f"] + "b", "::echo abc"),
            ("::echo one two" + ESC + "\x7f" + "three", "::echo one three"),
            ("::echo one two" + ESC + CTRL["h"] + "three", "::echo one three"),
            ("::echo abc" + CTRL["b"] + CTRL["b"] + CTRL["k"], "::echo a"),
            ("rubbish" + LEFT + CTRL["u"] + "::echo new", "::echo new"),
            ("::echo ab" + CTRL["t"], "::echo ba"),
            ("::echo abc" + CTRL["b"] + CTRL["d"], "::echo ab"),
            ("::echo abc" + CTRL["h"], "::echo ab"),
            ("::echo abc\x7f", "::echo ab"),
            ("X::echo a" + CTRL["a"] + CTRL["d"], "::echo a"),
            ("::echo one two" + ESC + "b" + ESC + "d" + "2", "::echo one 2"),
            ("::echo one two" + ESC + "b" + ESC + "b" + ESC + "f" + "s", "::echo ones two"),
        ],
    )
    def test_the_editing_keys(self, screen, typed, line):
        screen.send(typed)

        screen.typed(line)

    def test_control_l_draws_the_line_on_an_empty_screen(self, screen):
        screen.run("::echo before")
        screen.send("::echo here")
        screen.typed("::echo here")

        screen.send(CTRL["l"])
        screen.wait(lambda: screen.screen.line(screen.screen.top) == "> ::echo here", "an empty screen")
        screen.send("\r")

        assert screen.prompt().splitlines()[-1] == "here"

    @pytest.mark.parametrize(("key", "command"), [("[", "::step over"), ("]", "::step")])
    def test_the_accelerators_answer_like_their_commands(self, screen, key, command):
        screen.send(key)
        by_key = screen.prompt()

        assert by_key == screen.run(command) != ""

    def test_brackets_in_a_line_are_brackets(self, screen):
        assert screen.run("::echo $[1+2]") == "3"


class TestHistory:
    @pytest.mark.parametrize(("before", "behind"), [(UP, DOWN), (CTRL["p"], CTRL["n"])])
    def test_the_up_arrow_brings_the_last_line(self, screen, before, behind):
        screen.run("::echo one")
        screen.run("::echo two")

        screen.send(before + before)
        screen.typed("::echo one")
        screen.send(behind + "2\r")

        assert screen.prompt() == "two2"

    def test_it_is_kept_for_the_next_session(self, terminal, home):
        first = terminal()
        first.prompt()
        first.run("::echo remembered")
        first.line("::quit")
        first.end()
        path = home / ".local" / "state" / "vmdebug" / "history"
        assert path.read_text() == "::echo remembered\n::quit\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

        second = terminal()
        second.prompt()
        second.send(UP + UP + "\r")

        assert second.prompt() == "remembered"

    def test_a_home_that_cannot_be_written_does_no_harm(self, terminal, tmp_path):
        screen = terminal(env={"XDG_STATE_HOME": "/proc/nowhere"})
        screen.prompt()
        screen.run("::echo one")

        screen.send(UP + "2\r")

        assert screen.prompt() == "one2"

    def test_control_r_searches_under_its_own_prompt(self, terminal):
        screen = terminal()
        screen.prompt()
        screen.run("::echo first")
        screen.run("::echo second")

        screen.send(CTRL["r"])
        screen.typed("", "Search: ")
        screen.send("fir")
        screen.typed("fir   ::echo first", "Search: ")  # what Return would fetch
        screen.send("\r")
        screen.typed("::echo first")
        screen.send("2\r")

        assert screen.prompt() == "first2"


class TestCompletion:
    def test_tab_completes_the_only_candidate(self, screen):
        screen.send("::windo" + TAB)
        screen.typed("::window")

        screen.send("\r")

        assert screen.prompt() == "window 24x80"

    def test_tab_inserts_what_is_common_and_shows_the_candidates(self, screen):
        screen.send("::sta" + TAB)
        screen.see("print summary of current target")
        screen.see("print stack backtrace")
        screen.send("tus\r")

        assert "command is not supported by current target" in screen.prompt()

    def test_flags_are_shown_with_their_help(self, screen):
        screen.send("::many " + TAB)
        screen.typed("::many -n")
        screen.send(" 2\r")

        assert numbers(screen.prompt()) == [0, 1]

    def test_the_keys_of_rows_are_completed_in_a_quoted_condition(self, screen):
        screen.send("::many -n 2 | ::where 'te" + TAB)
        screen.typed("::many -n 2 | ::where 'text")
        screen.send(""" =~ "line 1"'\r""")

        assert numbers(screen.prompt()) == [1]

    def test_return_before_the_candidates_are_there_runs_the_line(self, screen):
        screen.send("::windo" + TAB + "\r")

        screen.prompt()
        assert "42" in screen.run("0t66=K")


class TestPager:
    @pytest.fixture
    def asking(self, screen):
        """At the first question of a long output."""
        screen.line("::many")
        assert numbers(screen.question()) == list(range(23))
        return screen

    def test_space_shows_the_next_page(self, asking):
        asking.send(" ")

        assert numbers(asking.question()) == list(range(23, 46))

    @pytest.mark.parametrize("key", ["\r", "n"])
    def test_return_and_n_show_a_line(self, asking, key):
        asking.send(key)

        assert numbers(asking.question()) == [23]

    def test_c_shows_the_rest(self, asking):
        asking.send("c")

        assert numbers(asking.prompt()) == list(range(23, 64))

    @pytest.mark.parametrize("key", ["q", CTRL["c"]])
    def test_q_and_control_c_quit_the_command(self, asking, key):
        asking.send(key)

        assert numbers(asking.prompt()) == []
        assert "42" in asking.run("0t66=K")

    def test_q_quits_one_command_a_all_of_the_line(self, screen):
        screen.line("::many; ::echo next")
        screen.question()
        screen.send("q")
        assert "next" in screen.prompt()
        screen.line("::many; ::echo next")
        screen.question()
        screen.send("a")

        assert "next" not in screen.prompt()

    def test_the_question_is_erased_and_keys_are_not_echoed(self, asking):
        asking.send("xyz ")

        assert asking.question().splitlines()[0] == "line 23 of many"

    def test_every_command_begins_with_an_empty_screen(self, screen):
        for _ in range(3):
            assert numbers(screen.run("::many -n 0t20")) == list(range(20))

    @pytest.mark.parametrize("how", ["-o nopager", "+o pager"])
    def test_it_can_be_turned_off_from_the_start(self, terminal, how):
        screen = terminal(*how.split())
        screen.prompt()

        assert numbers(screen.run("::many")) == list(range(64))

    def test_it_can_be_turned_off_and_on_in_the_session(self, terminal):
        screen = terminal()
        screen.prompt()
        screen.run("::set +o pager")

        assert numbers(screen.run("::many")) == list(range(64))

        screen.run("::set -o pager")
        screen.line("::many")
        screen.question()

    def test_long_lines_count_as_their_rows(self, terminal):
        screen = terminal(rows=10)
        screen.prompt()

        screen.line("::long; ::many -n 5")

        assert numbers(screen.question()) == [0, 1]

    def test_output_to_a_file_is_not_paged(self, terminal, home, plugin):
        screen = terminal(command=["/bin/sh", "-c", f"{sys.executable} -m vmdebug -L {plugin} > out"])
        screen.prompt()
        screen.line("::many")
        screen.prompt()
        screen.send(CTRL["d"])
        screen.end()

        assert (home / "out").read_text() == "".join(f"line {number} of many\n" for number in range(64))


class TestWindow:
    def test_the_session_knows_the_windows_size(self, terminal):
        screen = terminal(rows=30, columns=100)
        screen.prompt()

        assert "window 30x100" in screen.run("::window")

    def test_it_follows_a_change(self, terminal):
        screen = terminal()
        screen.prompt()
        assert "window 24x80" in screen.run("::window")

        screen.resize(40, 132)

        assert "window 40x132" in screen.run("::window")
        assert numbers(screen.run("::many -n 0t39")) == list(range(39))
        screen.line("::many")
        assert numbers(screen.question()) == list(range(39))

    def test_a_width_that_was_set_stays_until_the_window_changes(self, terminal):
        screen = terminal()
        screen.prompt()

        screen.run("0t60$w")
        assert "window 24x60" in screen.run("::window")

        screen.resize(24, 90)
        assert "window 24x90" in screen.run("::window")


class TestOptions:
    def test_ignoreeof_keeps_the_session(self, terminal):
        screen = terminal("-o", "ignoreeof")
        screen.prompt()

        screen.send(CTRL["d"])
        assert "::quit" in screen.prompt()

        screen.line("::quit")
        assert screen.end() == 0

    def test_ignoreeof_does_not_outlive_the_terminal(self, terminal):
        screen = terminal("-o", "ignoreeof")
        screen.prompt()

        for _ in range(10):
            screen.send(CTRL["d"])

        assert screen.end() == 0

    def test_an_empty_line_does_nothing_but_with_repeatlast(self, terminal):
        screen = terminal()
        screen.prompt()
        screen.run("::echo again")

        assert "again" not in screen.run("")

        screen.run("::set -o repeatlast")
        screen.run("::echo again")
        assert "again" in screen.run("")


class TestScreen:
    def test_nothing_from_a_guest_drives_the_terminal(self, screen):
        assert screen.run("::evil") == r"guest \033]0;owned\007 \033[2J text \23331m"

        assert screen.screen.bells == 0

    def test_colours_on_a_terminal(self, terminal):
        screen = terminal()
        screen.prompt()

        screen.run("::echo coloured")

        assert re.search(r"\x1b\[0;38;5;\d+;1m|\x1b\[0;34;1m", screen.raw)

    def test_no_colours_for_those_who_want_none(self, terminal):
        screen = terminal(env={"NO_COLOR": "1"})
        screen.prompt()

        screen.run("::echo plain")
        screen.send("::sta" + TAB)
        screen.see("print summary")
        screen.send(CTRL["c"])
        screen.prompt()

        assert not re.search(r"\x1b\[([0-9]+;)*[34][0-8][0-9;]*m", screen.raw)

    @pytest.mark.parametrize("name", ["dumb", "unknown", ""])
    def test_a_dumb_terminal_gets_no_sequences_at_all(self, terminal, name):
        screen = terminal(term=name)
        screen.prompt()

        assert "42" in screen.run("0t66=K")
        screen.line("::many")
        screen.question()
        screen.send("q")
        screen.prompt()
        screen.line("::spin")
        screen.see("spinning")
        screen.send(CTRL["c"])
        screen.prompt()
        screen.send("half a line")
        screen.typed("half a line")
        screen.send(CTRL["c"])
        screen.prompt()
        screen.send(CTRL["d"])

        assert screen.end() == 0
        assert "\x1b" not in screen.raw

    def test_the_terminals_type_can_be_given(self, terminal):
        screen = terminal("-o", "term=dumb")
        screen.prompt()

        screen.send(CTRL["d"])

        assert screen.end() == 0
        assert "\x1b" not in screen.raw
