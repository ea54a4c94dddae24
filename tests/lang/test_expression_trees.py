"""Random expressions as trees: printed with as few parentheses as precedence needs, computed here on their own."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdebug.errors import DebuggerError
from vmdebug.lang.expressions import evaluate
from vmdebug.lang.grammar import parse_expression

BITS = 64
TOP = 1 << BITS
MEMORY = bytes((7 * at + 3) % 256 for at in range(64))
VARIABLES = {"v": 5, "big": TOP - 2}
SYMBOLS = {"main": 0x10, "mod`main": 0x20}
HERE = {".": 0x18, "+": 0x20, "^": 0x10, "&": 0x30}
RADIX = {"0x": 16, "0t": 10, "0o": 8, "0i": 2}
# Section 5, the loosest first, written down here anew
LEVELS = [("|",), ("^",), ("&",), ("==", "!="), ("<<", ">>"), ("-", "+"), ("*", "%", "#"), ("%%",)]
LEVEL = {sign: level for level, signs in enumerate(LEVELS) for sign in signs}
UNARY = ("-", "~", "#", "*", "%", "*/c/", "*/1/", "*/s/", "*/2/", "*/i/", "*/4/", "*/l/", "*/8/", "%/c/", "%/i/")
WIDTH = {"c": 1, "1": 1, "s": 2, "2": 2, "i": 4, "4": 4, "l": 8, "8": 8}


class Refused(Exception):
    """What the debugger has to refuse."""


class World(SimpleNamespace):
    def variable(self, name):
        return VARIABLES[name]

    def symbol(self, name):
        return SYMBOLS[name]

    def fetch(self, address, size):
        if address + size > len(MEMORY):
            raise DebuggerError("no mapping for address")
        return int.from_bytes(MEMORY[address : address + size], "little")


def two_complement(number):
    return number - TOP if number >= TOP // 2 else number


def quotient(left, right):
    """C's signed division, which cuts towards zero."""
    left, right = two_complement(left), two_complement(right)
    if right == 0 or (left, right) == (-TOP // 2, -1):
        raise Refused
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def rounded(left, right):
    return quotient((left + right - 1) % TOP, right) * right


def remainder(left, right):
    if right == 0:
        raise Refused
    return left % right


BINARY = {
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "&": lambda left, right: left & right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<<": lambda left, right: left << right if right < BITS else 0,
    ">>": lambda left, right: left >> right,
    "-": lambda left, right: left - right,
    "+": lambda left, right: left + right,
    "*": lambda left, right: left * right,
    "%": quotient,
    "#": rounded,
    "%%": remainder,
}


def value(tree):
    """The value of a tree, a leaf being a pair of its text and its value."""
    match tree:
        case (str(), int(number)):
            return number
        case (str(sign), inner):
            return applied(sign, value(inner)) % TOP
        case (left, str(sign), right):
            return int(BINARY[sign](value(left), value(right))) % TOP


def applied(sign, number):
    match sign:
        case "-":
            return -number
        case "~":
            return ~number
        case "#":
            return number == 0
        case _:
            size = WIDTH[sign[2]] if len(sign) > 1 else 8
            if number + size > len(MEMORY):
                raise Refused
            return int.from_bytes(MEMORY[number : number + size], "little")


def text(tree, loosest=0):
    """A tree with the parentheses that it needs and no others."""
    match tree:
        case (str(leaf), int()):
            return leaf
        case (str(sign), inner):
            return f"{sign} {text(inner, len(LEVELS))}"
        case (left, str(sign), right):
            level = LEVEL[sign]
            shown = f"{text(left, level)} {sign} {text(right, level + 1)}"
            return f"({shown})" if level < loosest else shown


def spelled(number, prefix):
    digits = {"0x": f"{number:x}", "0t": f"{number}", "0o": f"{number:o}", "0i": f"{number:b}"}[prefix]
    return prefix + digits, number


numbers = st.one_of(st.integers(0, 70), st.integers(0, TOP - 1), st.sampled_from([TOP - 1, TOP // 2, TOP // 2 - 1]))
leaves = st.one_of(
    st.builds(spelled, numbers, st.sampled_from(list(RADIX))),
    st.sampled_from(list(HERE.items())),
    st.sampled_from([(f"<{name}", number) for name, number in VARIABLES.items()]),
    st.sampled_from(list(SYMBOLS.items())),
    st.text("abz AZ09", min_size=1, max_size=8).map(lambda word: (f"'{word}'", int.from_bytes(word.encode(), "big"))),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(UNARY), inner),
        st.tuples(inner, st.sampled_from(list(LEVEL)), inner),
    ),
    max_leaves=16,
)


@given(trees, st.integers(2, 16))
def test_a_tree_has_the_value_that_arithmetic_gives_it(tree, radix):
    world = World(radix=radix, word=8, dot=0x18, increment=8, last_address=0x30, variables={})
    try:
        expected = value(tree)
    except Refused:
        with pytest.raises(DebuggerError):
            evaluate(parse_expression(text(tree)), world)
    else:
        assert evaluate(parse_expression(text(tree)), world) == expected


def test_every_operator_of_the_reference_is_in_the_trees():
    assert set(LEVEL) == set(BINARY) == {"|", "^", "&", "==", "!=", "<<", ">>", "-", "+", "*", "%", "#", "%%"}


@pytest.mark.parametrize("outer", LEVEL)
@pytest.mark.parametrize("inner", LEVEL)
def test_each_operator_beside_each_other(outer, inner):
    world = World(radix=16, word=8, dot=0, increment=0, last_address=0, variables={})
    a, b, c = ("0x37", 0x37), ("0x5", 5), ("0x3", 3)
    for tree in ((a, outer, (b, inner, c)), ((a, inner, b), outer, c)):
        try:
            expected = value(tree)
        except Refused:
            continue
        assert evaluate(parse_expression(text(tree)), world) == expected
