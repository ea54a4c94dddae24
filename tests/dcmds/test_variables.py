"""Section 7: `>`, ::vars, $v, ::typeset, ::unset."""

import pytest

from tests.fakes import Debug, FakeTarget


@pytest.fixture
def debug():
    return Debug(FakeTarget({0x10: bytes(8)}, registers={"rip": 0x1234}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2a>foo", 0x2A),
        ("2a; >foo", 0x2A),
        ("12345678abcdef12>/c/foo", 0x12),
        ("12345678abcdef12>/s/foo", 0xEF12),
        ("12345678abcdef12>/i/foo", 0xABCDEF12),
        ("12345678abcdef12>/l/foo", 0x12345678ABCDEF12),
        ("1>foo; <foo+1>foo", 2),
        ("10::map .+1 | >foo", 0x11),
        ("1,3>foo", 1),
        ("<rip>foo", 0x1234),
    ],
)
def test_assigns(debug, text, value):
    debug.printed(text)

    assert debug.session.evaluate("<foo") == value


def test_lists(debug):
    debug.printed("0t10>ten; 0>zero; ::typeset -t ten")

    listed = debug.printed("::vars").splitlines()

    assert {"ten = a", "zero = 0", "rip = 1234", "hits = 0", ". = 0", "thread = 0"} <= set(listed)
    assert debug.printed("::vars -t") == "ten = a\n"
    assert "zero = 0" not in debug.printed("::vars -n").splitlines()
    assert debug.printed("$v") == debug.printed("::vars -n")
    assert {"0xa>ten", "0x0>zero"} <= set(debug.printed("::vars -p").splitlines())
    debug.printed("0t10$d")
    assert "ten = 10" in debug.printed("::vars").splitlines()


def test_typeset_creates_and_tags(debug):
    debug.printed("::typeset x y; 5::typeset -t z; ::typeset -t x; ::typeset +t x")

    assert [debug.session.evaluate(f"<{name}") for name in "xyz"] == [0, 0, 5]
    assert debug.printed("::vars -t") == "z = 5\n"


def test_unset_removes(debug):
    debug.printed("1>x; 2>y; ::unset x y")

    assert "x = 1" not in debug.printed("::vars")
    assert debug("::unset x")[1] == "vmdebug: variable 'x' not defined\n"


@pytest.mark.parametrize("text", ["::typeset", "::unset", "::vars -x", "::typeset -t"])
def test_tells_the_usage(debug, text):
    assert "Usage: " in debug.refused(text)
