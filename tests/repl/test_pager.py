import io

import pytest

from vmdebug.lang.output import Quit, QuitAll
from vmdebug.repl.pager import QUESTION, Pager
from vmdebug.repl.terminal import Size


class Screen:
    """A pager of 5 rows by 60 columns, the keys that will be pressed, and what was written."""

    def __init__(self, keys="", rows=5, columns=60):
        self.sink = io.StringIO()
        self.keys = list(keys)
        self.size = Size(rows, columns)
        self.on = True
        self.pager = Pager(self.sink, key=self.press, size=lambda: self.size, enabled=lambda: self.on)

    def press(self, show, keys):
        """What the terminal does: the question, again after ^Z; ^C interrupts; other keys are not answers."""
        show()
        while (key := self.keys.pop(0)) and key not in keys:
            if key == "\x03":
                self.pager.interrupted()
                raise KeyboardInterrupt
            if key == "\x1a":
                show()
            if key == "+":
                self.size = Size(9, 60)
        return key

    def lines(self, count):
        for number in range(count):
            self.pager.write(f"line {number}\n")

    def pages(self):
        """How many lines were written before each question, and after the last."""
        return [part.count("\n") for part in self.sink.getvalue().split(QUESTION)]


def test_asks_when_a_screen_is_full_and_more_is_to_come():
    screen = Screen(" ")

    screen.lines(6)

    assert screen.pages() == [4, 2]


def test_output_that_just_fits_is_not_asked_for():
    screen = Screen()

    screen.lines(4)

    assert screen.pages() == [4]


@pytest.mark.parametrize("key", ["\r", "\n", "n"])
def test_return_and_n_go_on_by_a_line(key):
    screen = Screen(key * 2 + " ")

    screen.lines(8)

    assert screen.pages() == [4, 1, 1, 2]


def test_c_goes_on_until_the_command_ends():
    screen = Screen("c ")

    screen.lines(100)
    screen.pager.restart()
    screen.lines(6)

    assert screen.pages() == [4, 100, 2]


@pytest.mark.parametrize(("key", "error"), [("q", Quit), ("\x03", Quit), ("a", QuitAll), ("", QuitAll)])
def test_q_and_interrupt_quit_the_command_a_and_a_lost_terminal_quit_all(key, error):
    screen = Screen([key])

    with pytest.raises(error) as caught:
        screen.lines(6)

    assert caught.type is error
    assert "line 4" not in screen.sink.getvalue()


def test_other_keys_are_not_answers():
    screen = Screen("xyz\x1b[A ")

    screen.lines(6)

    assert screen.pages() == [4, 2]


def test_the_question_is_erased():
    screen = Screen(" ")

    screen.lines(5)

    assert screen.sink.getvalue().endswith(f"{QUESTION}\r{' ' * len(QUESTION)}\rline 4\n")


def test_the_question_is_shown_again_after_a_stop():
    screen = Screen("\x1a ")

    screen.lines(5)

    assert screen.sink.getvalue().count(QUESTION) == 2


def test_after_an_interrupt_nothing_is_asked_until_the_next_command():
    screen = Screen(" ")
    screen.lines(4)

    screen.pager.interrupted()
    screen.lines(5)
    screen.pager.restart()
    screen.lines(6)

    assert screen.pages() == [13, 2]


def test_an_interrupt_at_the_question_does_not_free_what_comes_next():
    screen = Screen("\x03 ")
    with pytest.raises(Quit):
        screen.lines(6)

    screen.lines(6)

    assert screen.pages() == [4, 4, 2]


def test_a_command_begins_with_an_empty_screen():
    screen = Screen()

    for _ in range(5):
        screen.pager.restart()
        screen.lines(4)

    assert screen.pages() == [20]


def test_without_paging_nothing_is_asked():
    screen = Screen()
    screen.on = False

    screen.lines(50)

    assert screen.pages() == [50]


def test_a_long_line_counts_as_the_rows_that_it_fills():
    screen = Screen(" ")

    screen.pager.write("x" * 121 + "\n")  # three rows
    screen.lines(2)

    assert screen.pages() == [2, 1]


def test_a_line_longer_than_the_screen_is_shown_a_screen_at_a_time():
    screen = Screen("  ")

    screen.pager.write("x" * 60 * 9 + "\n")

    assert [part.count("x") for part in screen.sink.getvalue().split(QUESTION)] == [240, 240, 60]


def test_a_line_as_wide_as_the_screen_is_one_row():
    screen = Screen()

    for _ in range(4):
        screen.pager.write("x" * 60 + "\n")

    assert screen.pages() == [4]


def test_a_line_may_come_in_pieces():
    screen = Screen(" ")

    for _ in range(5):
        for piece in ("one ", "two ", "x" * 30, "\n"):
            screen.pager.write(piece)

    assert screen.pages() == [4, 1]


def test_wide_characters_tabs_and_colours_take_their_own_room():
    screen = Screen(" ")

    screen.pager.write("漢" * 31 + "\n")  # 62 columns: two rows
    screen.pager.write("\x1b[1m" + "x" * 60 + "\x1b[0m\n")  # one
    screen.pager.write("\t" * 7 + "x" * 5 + "\n")  # 61 columns: two, of which one has room
    screen.lines(1)

    assert [part.count("\n") for part in screen.sink.getvalue().split(QUESTION)] == [2, 2]


def test_a_question_fits_a_narrow_window():
    screen = Screen(" ", columns=20)

    screen.lines(5)

    assert QUESTION[:19] in screen.sink.getvalue()
    assert QUESTION[:20] not in screen.sink.getvalue()


def test_a_window_that_grew_at_the_question_shows_more():
    screen = Screen("+  ")

    screen.lines(13)

    assert screen.pages() == [4, 8, 1]


@pytest.mark.parametrize("paging", [True, False])
def test_nothing_that_could_drive_the_terminal_gets_through(paging):
    screen = Screen()
    screen.on = paging

    screen.pager.write("a\x07b\x1b]0;title\x07c\x9bd\x7f\x1b[2Je\u202ef\r\tg\n")

    assert screen.sink.getvalue() == "a\\007b\\033]0;title\\007c\\233d\\177\\033[2Je\\u202ef\\015\tg\n"


def test_colours_get_through():
    screen = Screen()

    screen.pager.write("\x1b[1;31mred\x1b[0m\n")

    assert screen.sink.getvalue() == "\x1b[1;31mred\x1b[0m\n"
