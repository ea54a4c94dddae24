"""Sections 3 and 5: numbers in a radix, operators and their precedence, dereferences."""

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdebug.errors import DebuggerError, LanguageError, UnknownObject, UnknownSymbol
from vmdebug.lang.expressions import evaluate
from vmdebug.lang.grammar import parse_expression
from vmdebug.lang.numbers import show_number

MASK = (1 << 64) - 1
SYMBOLS = {"f00d": 0x5, "main": 0x1000, "unix`main": 0x2000, "bad___cafe": 7}
MEMORY = bytes(range(0x80, 0xA0))


class World(SimpleNamespace):
    """An environment of constants."""

    def variable(self, name):
        if name not in self.variables:
            raise LanguageError(f"variable '{name}' is not defined", f"<{name}")
        return self.variables[name]

    def symbol(self, name):
        if name not in SYMBOLS:
            raise UnknownObject(name) if "`" in name else UnknownSymbol(name)
        return SYMBOLS[name]

    def fetch(self, address, size):
        if not 0 <= address <= len(MEMORY) - size:
            raise DebuggerError(f"failed to read from address {address:x}: no mapping for address")
        return int.from_bytes(MEMORY[address : address + size], "little")


def value(text, radix=16, **world):
    known = {"radix": radix, "word": 8, "dot": 0x30, "increment": 4, "last_address": 0x77, "variables": {"a": 9}}
    return evaluate(parse_expression(text), World(**known | world))


NUMBERS = [
    ("0i101", 5),
    ("0o17", 0o17),
    ("0t123", 123),
    ("0x1f", 0x1F),
    ("0X1F", 0x1F),
    ("10", 16),
    ("ffffffffffffffff", MASK),
    ("0t12.5", struct.unpack("<Q", struct.pack("<d", 12.5))[0]),
    ("0x123__45", 0x12345),
    ("44_44_", 0x4444),
    ("0i1_0", 2),
    ("add", 0xADD),
    ("f00d", 5),  # the symbol wins
    ("bad___cafe", 7),
    ("cafe_", 0xCAFE),
    ("'ab'", 0x6162),
    ("'a'", 0x61),
    ("''", 0),
    ("'abcdefgh'", 0x6162636465666768),
    (r"'\n\0'", 0x0A00),
    (r"'\377'", 0xFF),
]


@pytest.mark.parametrize(("text", "expected"), NUMBERS, ids=[text for text, _ in NUMBERS])
def test_reads_numbers(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize("radix", range(2, 17))
def test_reads_numbers_without_a_prefix_in_the_radix(radix):
    digits = "11"

    assert value(digits, radix) == radix + 1
    assert value("0x11", radix) == 17


@pytest.mark.parametrize(
    ("text", "radix", "message"),
    [
        ("12", 2, "digit '2' is invalid in current base"),
        ("a", 10, "digit 'a' is invalid in current base"),
        ("08", 8, "digit '8' is invalid in current base"),
        ("10000000000000000", 16, "specified value exceeds maximum immediate value"),
        ("0t18446744073709551616", 16, "specified value exceeds maximum immediate value"),
        ("0i" + "1" * 5000, 16, "specified value exceeds maximum immediate value"),
        ("'123456789'", 16, "character literal may not exceed 8 bytes"),
    ],
)
def test_refuses_numbers(text, radix, message):
    with pytest.raises(LanguageError, match=message) as caught:
        value(text, radix)
    assert caught.value.token == text


def test_a_word_with_a_leading_underscore_is_always_a_symbol():
    with pytest.raises(UnknownSymbol):
        value("_007")


EXAMPLES = [
    ("2+3*4", 0xE),
    ("7%2", 3),
    ("7%%2", 1),
    ("7#4", 8),
    ("8#4", 8),
    ("#5", 0),
    ("#0", 1),
    ("~0", MASK),
    ("1<<0t10", 0x400),
    ("'a'", 0x61),
    ("5==5&1", 1),
    ("-1>>0t60", 0xF),
    # each level against the next
    ("1|2^3", 1 | (2 ^ 3)),
    ("1^3&2", 1 ^ (3 & 2)),
    ("6&4==4", 6 & 1),
    ("1==2>>1", 1),
    ("1<<2+1", 8),
    ("1+2*3", 7),
    ("2*7%%4", 6),
    ("-2*3", -6 & MASK),
    # left to right within a level
    ("9-3-2", 4),
    ("1<<2<<1", 8),
    ("0t20%3*2", 12),
    ("5==5==1", 1),
    ("3!=3!=0", 0),
    ("-8%3", -2 & MASK),
    ("-7#4", -4 & MASK),
    ("-1%%0t10", MASK % 10),
    ("~-1", 0),
    ("--5", 5),
    ("- -5", 5),
    ("(2+3)*4", 20),
    ("1<<0t64", 0),
    ("1>>0t64", 0),
    ("1+ffffffffffffffff", 0),
    ("0-1", MASK),
    (".", 0x30),
    (".+5", 0x35),
    ("+", 0x34),
    ("^", 0x2C),
    ("&", 0x77),
    ("++1", 0x35),
    ("^^^", 0),
    ("&&&", 0x77),
    ("<a", 9),
    ("<a+main", 0x1009),
    ("unix`main", 0x2000),
    ("*8", int.from_bytes(MEMORY[8:16], "little")),
    ("%8", int.from_bytes(MEMORY[8:16], "little")),
    ("*/c/3", 0x83),
    ("*/1/3", 0x83),
    ("*/s/3", 0x8483),
    ("*/2/3", 0x8483),
    ("*/i/3", 0x86858483),
    ("*/4/3", 0x86858483),
    ("*/l/3", 0x8A89888786858483),
    ("*/8/3", 0x8A89888786858483),
    ("%/c/3", 0x83),
    ("%/i/3", 0x86858483),
    ("*/c/1+1", 0x82),
    ("#*/c/0", 0),
    ("*/c/0-80", 0),  # unary operators bind tighter than any binary one
]


@pytest.mark.parametrize(("text", "expected"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
def test_computes(text, expected):
    assert value(text) == expected


def test_a_pointer_is_as_wide_as_the_targets():
    assert value("*8", word=4) == int.from_bytes(MEMORY[8:12], "little")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1%0", "attempted to divide by zero"),
        ("1%%0", "attempted to divide by zero"),
        ("1#0", "attempted to divide by zero"),
        ("8000000000000000%-1", "divide overflow"),
        ("*/q/0", r"invalid cast -- \*/q/"),
        ("%/q/0", r"invalid cast -- %/q/"),
        ("*1000", "failed to read from address 1000: no mapping for address"),
        ("nosuch", "failed to dereference symbol: unknown symbol name"),
        ("nosuch`main", "failed to dereference symbol: unknown object file name"),
        ("<b", "variable 'b' is not defined"),
        ("(1", "syntax error"),
        ("1 2", "syntax error"),
        ("1+", "syntax error"),
        ("1/2", "syntax error"),
        ("1<2", "syntax error"),
        ("", "syntax error"),
        ("(" * 5000, "nested too deeply"),
        ("-" * 5000 + "1", "nested too deeply"),
    ],
)
def test_refuses(text, message):
    with pytest.raises(DebuggerError, match=message):
        value(text)


def test_takes_long_chains():
    assert value("+".join(["1"] * 5000)) == 5000
    assert value("-".join(["1"] * 5000) + "+" + "*".join(["1"] * 5000)) == (1 - 4999 + 1) & MASK


@pytest.mark.parametrize(
    ("number", "radix", "prefix", "text"),
    [
        (1, 2, True, "1"),
        (2, 2, True, "0i10"),
        (7, 8, True, "7"),
        (8, 8, True, "0o10"),
        (9, 10, True, "9"),
        (10, 10, True, "0t10"),
        (9, 16, True, "9"),
        (10, 16, True, "0xa"),
        (8, 16, True, "8"),
        (255, 16, False, "ff"),
        (-255, 16, True, "-0xff"),
        (120, 5, False, "440"),
        (0, 3, False, "0"),
    ],
)
def test_shows_numbers_with_a_prefix_where_they_have_more_than_one_digit(number, radix, prefix, text):
    assert show_number(number, radix, prefix) == text


# An oracle that shares nothing with the parser: numbers and operators in a list, reduced level by level.
LEVELS = [["%%"], ["*", "%", "#"], ["-", "+"], ["<<", ">>"], ["==", "!="], ["&"], ["^"], ["|"]]


def signed(number):
    return number - (1 << 64) if number >> 63 else number


def divided(left, right):
    left, right = signed(left), signed(right)
    if right == 0 or (left == -(1 << 63) and right == -1):
        raise ZeroDivisionError
    return int(abs(left) // abs(right)) * (1 if (left < 0) == (right < 0) else -1)


def applied(left, operator, right):
    match operator:
        case "%%":
            return left % right
        case "%":
            return divided(left, right)
        case "#":
            return divided((left + right - 1) & MASK, right) * right
        case "<<" | ">>":
            if right >= 64:
                return 0
            return left << right if operator == "<<" else left >> right
        case "==" | "!=":
            return int((left == right) == (operator == "=="))
        case _:
            return eval(f"{left} {operator} {right}")


def reduced(terms, operators):
    terms, operators = list(terms), list(operators)
    for level in LEVELS:
        at = 0
        while at < len(operators):
            if operators[at] in level:
                terms[at : at + 2] = [applied(terms[at], operators.pop(at), terms[at + 1]) & MASK]
            else:
                at += 1
    return terms[0]


numbers = st.one_of(st.integers(0, 70), st.integers(0, MASK), st.sampled_from([0, 1, 1 << 63, MASK, MASK - 1]))
operators = st.sampled_from([operator for level in LEVELS for operator in level])


@given(st.lists(st.tuples(numbers, operators), max_size=8), numbers)
def test_agrees_with_arithmetic_level_by_level(pairs, last):
    terms = [term for term, _ in pairs] + [last]
    signs = [sign for _, sign in pairs]
    text = "".join(f"0x{term:x} {sign} " for term, sign in pairs) + f"0x{last:x}"
    try:
        expected = reduced(terms, signs)
    except ZeroDivisionError:
        with pytest.raises(DebuggerError, match="divide"):
            value(text)
    else:
        assert value(text) == expected


UNARY = {"-": lambda number: -number, "~": lambda number: ~number, "#": lambda number: int(number == 0)}


@given(st.recursive(
    numbers.map(lambda number: (f"0x{number:x}", number)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("-~#"), inner).map(lambda got: (got[0] + got[1][0], UNARY[got[0]](got[1][1]) & MASK)),
        inner.map(lambda got: (f"({got[0]})", got[1])),
        st.tuples(inner, st.sampled_from(["+", "-", "&", "|", "^", "*", "==", "<<"]), inner).map(
            lambda got: (f"({got[0][0]}) {got[1]} ({got[2][0]})", applied(got[0][1], got[1], got[2][1]) & MASK)
        ).map(lambda got: (f"({got[0]})", got[1])),
    ),
    max_leaves=12,
))  # fmt: skip
def test_agrees_with_arithmetic_in_parentheses(made):
    text, expected = made

    assert value(text) == expected


@given(numbers, st.integers(2, 16))
def test_numbers_are_read_back_in_their_radix(number, radix):
    assert value(f"0{show_number(number, radix)}", radix) == number


@given(numbers, st.sampled_from([2, 8, 10, 16]), st.integers(10, 16))
def test_numbers_with_a_prefix_are_read_back_in_any_radix(number, radix, current):
    assert value(show_number(number, radix, prefix=True), current) == number
