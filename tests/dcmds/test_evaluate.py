"""Section 8.3: ::eval ::map ::grep ::head ::echo, and $[ ] in arguments."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from vmdebug.errors import DebuggerError


@pytest.fixture
def debug():
    return Debug(FakeTarget({0x1000: bytes(range(64))}), FakeGuest([symbol("base", 0x1000, 64)]))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("10::eval '.=K'", f"{'':16}{'10':16}\n"),
        ("::eval ::echo a b", "a b \n"),
        ("::eval '::echo a; ::echo b'", "a \nb \n"),
        ('::eval "::echo \\"a b\\""', "a b \n"),
        ("10::eval '20::map .' | ::map .+1", "21\n"),
        ("10::map .+1", "11\n"),
        ("10::map '*base'", "706050403020100\n"),
        ("10::map 0", "0\n"),
        ("10::map 'ffffffffffffffff'", "ffffffffffffffff\n"),
        ("10::grep 1", "10\n"),
        ("10::grep 0", ""),
        ("10::grep .==10", "10\n"),
        ("10::grep '.!=10'", ""),
        ("10::map .+1 | ::grep .==11 | ::map .*2", "22\n"),
        ("! 'seq 10 30' | ::head | ::grep .==19", "19\n"),
        ("! 'seq 10 30' | ::head -2", "10\n11\n"),
        ("! 'seq 10 30' | ::head -n 2", "10\n11\n"),
        ("! 'seq 10 30' | ::head -n3", "10\n11\n12\n"),
        ("! 'seq 10 30' | ::head -0", ""),
        ("::head -2", ""),
        ("::echo", "\n"),
        ("::echo a 'b c' d", "a b c d \n"),
        ("::echo $[0t10+1] $[base]", "b 1000 \n"),
        ("::echo a//b", "a//b \n"),
        ("::echo a //b", "a \n"),
    ],
)
def test_prints(debug, text, printed):
    assert debug.printed(text) == printed


def test_numbers_are_in_the_current_radix(debug):
    debug.printed("0t10$d")

    assert debug.printed("::echo $[10]; 10::map .+1; 12::grep 1") == "10 \n11\n12\n"
    assert debug.printed("! 'seq 10 12' | ::head -1") == "a\n"


@pytest.mark.parametrize(
    "text", ["::eval", "::map", "::grep", "1::echo", "::head x", "::head -x", "::head -1 -2", "::walk"]
)
def test_tells_the_usage(debug, text):
    assert "Usage: " in debug.refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "! 'seq 1 3' | ::eval '9000/X' | ::map .",
        "! 'seq 1 3' | ::map '*.' | ::map .",
        "! 'seq 1 3' | ::grep '1 2' | ::map .",
        "! 'seq 1 3' | ::eval '::nosuch' | ::map .",
    ],
)
def test_a_failure_inside_ends_the_pipeline(debug, text):
    out, err, status = debug(text)

    assert (out, status) == ("", 1)
    assert len(err.splitlines()) == 1


def test_rows_come_out_of_eval(debug):
    assert [row.value for row in debug.session.rows("5::eval '.=K'")] == [5]
    with pytest.raises(DebuggerError, match="unknown dcmd"):
        debug.session.rows("::eval ::nosuch")
