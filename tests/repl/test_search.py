import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document

from vmdebug.repl.history import LineHistory
from vmdebug.repl.search import Search


class Line:
    """A line being edited over a history, and its search."""

    def __init__(self, history):
        self.buffer = Buffer(document=Document("typed"))
        self.search = Search(history)
        self.buffer.on_text_changed += lambda _: self.search.edited()

    def find(self, text):
        """^R, the text, Return; what the line is then."""
        self.search.begin(self.buffer)
        self.buffer.insert_text(text)
        self.search.finish(self.buffer)
        return self.buffer.text

    @property
    def shown(self):
        return self.search.match(self.buffer.text)


@pytest.fixture
def history():
    history = LineHistory(None, 100)
    for text in ("::status", "cpu0::print", "::cpuinfo -v", "cpu0::print", "::quit"):
        history.append_string(text)
    return history


@pytest.fixture
def line(history):
    return Line(history)


def test_return_fetches_the_latest_line_with_the_text(line):
    assert line.find("cpu") == "cpu0::print"
    assert line.buffer.cursor_position == len("cpu0::print")
    assert not line.search.active


def test_nothing_repeats_the_search_further_back(line):
    line.find("cpu")

    assert line.find("") == "::cpuinfo -v"


def test_nothing_in_a_new_line_repeats_the_last_search_from_the_latest(line):
    line.find("cpu")
    line.search.reset()

    assert line.find("") == "cpu0::print"


def test_what_return_would_fetch_is_known_while_typing(line):
    line.search.begin(line.buffer)
    assert line.shown is None

    line.buffer.insert_text("c")
    assert line.shown == "cpu0::print"

    line.search.further(line.buffer)
    assert line.shown == "::cpuinfo -v"

    line.search.further(line.buffer)
    assert line.shown == "::cpuinfo -v"

    line.buffer.insert_text("pu0")
    assert line.shown == "cpu0::print"


def test_a_text_that_no_line_has_leaves_the_line_as_it_was(line):
    assert line.find("nowhere") == "typed"


def test_a_search_that_is_given_up_leaves_the_line_as_it_was(line):
    line.search.begin(line.buffer)
    line.buffer.insert_text("cpu")
    line.search.cancel(line.buffer)

    assert line.buffer.text == "typed"
    assert not line.search.active
