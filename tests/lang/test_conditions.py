"""Conditions of ::where: what they say of a row, and what is refused."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdebug.errors import DebuggerError
from vmdebug.lang.conditions import BadCondition, BadPattern, parse_condition

ROW = {
    "addr": "0xffffff0001",
    "low": "0x9",
    "state": "D",
    "pri": 60,
    "load": 1.5,
    "free": False,
    "busy": True,
    "intr": None,
    "name": 'a "b" \\c',
    "digits": "60",
    "frames": [{"symbol": "swtch"}, {"symbol": "cv_wait"}],
    "none": [],
}


def holds(text, row=ROW):
    return parse_condition(text).holds(row.__getitem__)


@pytest.mark.parametrize(
    "text",
    [
        'state == "D"', 'state != "S"', "pri == 60", "pri == 0x3c", "pri == 0t60", "pri == 0o74",
        "pri == 0I111100", "pri > -0t60", "pri > 59", "pri >= 60", "pri < 61", "pri <= 60",
        "60 == pri", "-1 < pri", "load > 1", "load == 1.5", "addr == 0xffffff0001", 'addr == "0xffffff0001"',
        "addr > low", "low < addr", "free == false", "busy == true", "busy", "!free", "intr == null", "!intr",
        "addr != null", 'state =~ "^[A-E]$"', 'addr =~ "^0xff"', 'pri =~ "6"', 'busy =~ "true"',
        'name == "a \\"b\\" \\\\c"',
        'name =~ "\\\\\\\\c$"', "digits == 60", "digits > 59.5", 'frames =~ "cv_"', 'frames == "swtch"', "!none",
        "frames",
        'state == "D" && pri == 60', 'state == "S" || pri == 60', 'state == "D" || pri == 1 && pri == 2',
        '!(state == "D" && pri == 1)', "!!busy", "((pri == 60))", 'state=="D"&&pri==60', 'state < "E"',
    ],
)  # fmt: skip
def test_holds(text):
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        'state == "d"', "pri == 61", "pri != 60", "state < 1", "state > 1", "intr < 1", "intr >= 0", "free", "intr",
        'intr =~ ""', "none", 'none == ""', 'frames != "swtch"', '(state == "D" || pri == 1) && pri == 2',
        'state =~ "^d"', "state == null", 'state == 13', "low > addr", "pri == 0t61",
    ],
)  # fmt: skip
def test_does_not_hold(text):
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a key or a value at character 1, found the end"),
        ("pri ==", "expected a key or a value at character 7, found the end"),
        ("pri == 1 2", "expected &&, || or the end at character 10, found 2"),
        ("(pri == 1", r"expected \) at character 10, found the end"),
        ("pri = 1", "expected a key, a value or an operator at character 5, found ="),
        ("pri == 0q10", "expected a key, a value or an operator at character 8, found 0q10"),
        ("pri == 0i102", "expected a number of at most 32 digits at character 8, found 0i102"),
        ('state == "D', 'expected a key, a value or an operator at character 10, found "D'),
        ("state =~ D", 'expected a "regular expression" at character 10, found D'),
        ("pri == __import__('os')", r"operator at character 19, found 'os'\)"),
        ("pri == " + "9" * 33, "expected a number of at most 32 digits at character 8"),
        ("!" * 200 + "busy", "no more than 100 levels"),
        ("(" * 200 + "busy", "no more than 100 levels"),
    ],
)
def test_refuses_what_is_no_condition(text, told):
    with pytest.raises(BadCondition, match=told):
        parse_condition(text)


def test_refuses_a_pattern_that_is_none():
    with pytest.raises(BadPattern, match="is not a regular expression: missing"):
        parse_condition('state =~ "("')


# Random conditions against Python's own operators

KEYS = {"number": 7, "big": 0xFFFF_8000_0000_0000, "text": "run", "other": "sleep"}
OPERATORS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: type(a) is type(b) and a < b,
    "<=": lambda a, b: type(a) is type(b) and a <= b,
    ">": lambda a, b: type(a) is type(b) and a > b,
    ">=": lambda a, b: type(a) is type(b) and a >= b,
}
VALUES = st.one_of(
    st.sampled_from(sorted(KEYS)).map(lambda key: (key, KEYS[key])),
    st.integers(-10, 1 << 64).map(lambda number: (str(number), number)),
    st.integers(0, 1 << 64).map(lambda number: (hex(number), number)),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs", "Nd"]), max_size=4).map(
        lambda text: (quote(text), text)
    ),
)


def quote(text):
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def compared(left, operator, right):
    return f"{left[0]} {operator} {right[0]}", OPERATORS[operator](left[1], right[1])


LEAVES = st.builds(compared, VALUES, st.sampled_from(sorted(OPERATORS)), VALUES)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda each: (f"!({each[0]})", not each[1])),
        st.builds(lambda a, b: (f"({a[0]}) && ({b[0]})", a[1] and b[1]), inner, inner),
        st.builds(lambda a, b: (f"({a[0]})||({b[0]})", a[1] or b[1]), inner, inner),
        st.builds(lambda a, b, c: (f"{a[0]} || {b[0]} && {c[0]}", a[1] or (b[1] and c[1])), LEAVES, LEAVES, LEAVES).map(
            lambda each: (f"({each[0]})", each[1])
        ),
    ),
    max_leaves=12,
)


@given(CONDITIONS)
def test_agrees_with_python(condition):
    text, expected = condition

    assert holds(text, KEYS) is bool(expected)


PIECES = [
    "&&",
    "||",
    "!",
    "(",
    ")",
    "==",
    "!=",
    "=~",
    "<",
    ">=",
    '"a"',
    '"(a"',
    '"',
    "pri",
    "intr",
    "frames",
    "0x",
    "1",
    "\x1f",  # a blank to str.split, none to the scanner
    "\u2003",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("0x10"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=10), st.dictionaries(st.just("pri"), JSON))
def test_any_text_and_any_value_end_in_an_answer_or_one_error(pieces, changed):
    row = {**ROW, **changed}

    try:
        answer = parse_condition(" ".join(pieces)).holds(lambda key: row.get(key))
    except DebuggerError as err:
        assert str(err).startswith("condition: ")
    else:
        assert answer in (True, False)
        json.dumps(answer)
