"""Rows as text: templates, heads, what is missing; and nothing from a guest reaches a terminal unescaped."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from vmdebug import render
from vmdebug.dcmd import Text
from vmdebug.lang.output import Quit, QuitAll


class Show:
    def symbol(self, address):
        return f"sym+{address:x}"

    def symbol_or_empty(self, address):
        return f"sym+{address:x}" if address else ""

    def number(self, value, *, signed=False, prefix=False):
        return f"{'s' if signed else 'u'}{value}"


class Row:
    def __init__(self, **fields):
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    ("line", "fields", "text"),
    [
        ("{a:x} {b}", {"a": 255, "b": "t"}, "ff t"),
        ("{a:<8x}|{a:>8x}|{a:08x}", {"a": 255}, "ff      |      ff|000000ff"),
        ("{a:a}", {"a": 16}, "sym+10"),
        ("{a:<10a}|{a:>10a}|{a:10A}", {"a": 16}, "sym+10    |    sym+10|sym+10    "),
        ("{a:A}|", {"a": 0}, "|"),
        ("{a:r} {a:R}", {"a": 5}, "u5 s5"),
        ("{a:>6r}", {"a": 5}, "    u5"),
        ("{a}", {"a": None}, "-"),
        ("{a:<6x}|{a:>6}|{a:016x}|{a:10a}|{a:r}", {"a": None}, "-     |     -|-               |-         |-"),
        ("{{{a}}}", {"a": 1}, "{1}"),
        ("", {"a": 1}, ""),
    ],
)
def test_fills_templates(line, fields, text):
    assert render.compiled(line, Text("").missing)(Row(**fields), Show()) == text


def test_a_missing_value_may_have_its_own_word():
    assert render.compiled("{a}", "none")(Row(a=None), Show()) == "none"


def test_rows_without_a_text_become_a_table(debug):
    assert (
        debug().printed("::untold") == "ADDRESS          COUNT            NOTE\n0x10             3                x\n"
    )


@pytest.mark.parametrize("char", "\x00\x07\b\r\x1b\x7f\x85\x9b\u2028\u202e\u2066")
def test_no_control_character_passes(char):
    shown = render.safe(f"a{char}b")

    assert char not in shown
    assert shown.isprintable()


def test_ordinary_text_passes_as_it_is():
    assert render.safe("grün → €") == "grün → €"
    assert render.safe("a\tb") == "a       b"
    assert render.safe("\udc9b") == "\\233"


def test_names_of_symbols_are_made_safe():
    guest = FakeGuest([symbol("evil\x1b[2J", 0x1000)])
    debug = Debug(FakeTarget({0x1000: bytes(64)}), guest)

    for text in ("1000/p", "1000/a", "1000/X", "1000=p", "1000::nm", "1000::dis -n 0", "1000/i", "::nm"):
        assert "\x1b" not in debug.printed(text)


@pytest.mark.parametrize("text", ["5000/s", "5000/6c", "5000/S", "5000/6C"])
def test_strings_of_memory_are_raw_only_off_a_terminal(text):
    target = FakeTarget({0x5000: b"a\x1b[2J\xff\0"})

    assert "\x1b" not in Debug(target, terminal=True).printed(text)
    assert ("\x1b" in Debug(target).printed(text)) == (text[-1] in "sc")


def test_lines_wrap_only_with_autowrap(debug):
    sitting, words = debug(), " ".join(["word"] * 30)

    assert sitting.printed(f"::echo {words}") == f"{words} \n"
    sitting.printed("::set -o autowrap; 0t40$w")
    assert [len(line) for line in sitting.printed(f"::echo {words}").splitlines()] == [39, 39, 39, 30]
    assert sitting.printed(f"::echo {'x' * 100}").splitlines()[0] == "x" * 40


class Screen:
    """An `out` that is left after some lines, as a pager's is."""

    def __init__(self, lines, leave):
        self.lines, self.leave, self.text = lines, leave, ""

    def write(self, text):
        if not self.lines:
            raise self.leave
        self.lines -= 1
        self.text += text

    def flush(self):
        pass


def test_leaving_the_pager_ends_the_command_only(debug):
    sitting = debug()
    sitting.session.outlet.out = screen = Screen(2, Quit)

    sitting.session.run("::walk numbers; 5>seen", "(stdin)")

    assert screen.text == "0x10\n0x11\n"
    assert sitting.session.variables.read("seen") == 5


def test_leaving_the_pager_for_good_ends_the_line(debug):
    sitting = debug()
    sitting.session.outlet.out = Screen(2, QuitAll)

    sitting.session.run("::walk numbers; 5>seen", "(stdin)")

    assert "seen" not in sitting.session.variables
