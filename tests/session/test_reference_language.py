"""Rows of the mdb reference that no other test names: examples as they are printed there, sizes of letters, verbs."""

import pytest

from tests.fakes import Debug, FakeTarget
from vmdebug.lang.letters import LETTERS
from vmdebug.lang.lexer import scan
from vmdebug.lang.settings import CHOICES, FLAGS, VALUED

MARGIN = " " * 16

# 1: names of options

NAMES = [
    "adb",
    "array_mem_limit",
    "array_str_limit",
    "follow_exec_mode",
    "follow_fork_mode",
    "pager",
    "term",
    "autowrap",
    "ignoreeof",
    "repeatlast",
    "latest",
    "noctf",
    "nomods",
    "showlmid",
    "lmraw",
    "stop_on_bpt_nosym",
    "write_readback",
    "allow_io_access",
    "nostop",
]


def test_the_names_of_options_are_the_references():
    assert {*FLAGS, *VALUED} - {"intel"} == set(NAMES)
    assert CHOICES == {"follow_exec_mode": ("ask", "stop", "follow"), "follow_fork_mode": ("ask", "parent", "child")}


# 3: names of the $ and : forms; states in which a character means something else


@pytest.mark.parametrize("sign", "$:")
@pytest.mark.parametrize("letter", "?%@ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz")
def test_a_sign_and_a_letter_are_a_command(sign, letter):
    assert [(token.kind.name, token.text) for token in scan(f"1{sign}{letter}")][:-1] == [
        ("NUMBER", "1"), ("DOLLAR", f"{sign}{letter}"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("6=K // 7=K; 8=K\n9=K", "6 9"),
        ("6=K//7=K", "6"),
        ("1|2=K", "3"),
        ("::map 1|::map .+1", "2"),
        ("6=K|::map .+1", "7"),
        ('5="a|b"', "a|b"),
        ("::map '1|2'", "3"),
        ("5=$[1+1]B", "5 5"),
        ("::echo $[1|2]", "3"),
        ("::echo foo\"b c\"'d e'", "foob cd e"),
        ("::echo 'a\\n' \"a\\tb\"", "a\\n a b"),
        ("0t10=K", "a"),
        ("5=10d", "5 5 5 5 5 5 5 5 5 5"),  # a repeat count is decimal
        (" \t 5 = K", "5"),
        ("'ab'=K; 'a\\tb'=K", "6162 610962"),
    ],
)
def test_what_a_character_means_depends_on_where_it_stands(debug, text, printed):
    assert debug().printed(text).split() == printed.split()


# 5: the examples

EXAMPLES = [
    ("2+3*4=K", "e"), ("7%2=K", "3"), ("7%%2=K", "1"), ("7#4=K", "8"), ("#5=K", "0"), ("~0=K", "ffffffffffffffff"),
    ("1<<0t10=K", "400"), ("'a'=K", "61"), ("5==5&1=K", "1"), ("-1>>0t60=K", "f"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "printed"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
def test_the_examples_of_operators(debug, text, printed):
    filled = " " if len(printed) == 16 else ""

    assert debug().printed(text) == f"{MARGIN}{printed:16}{filled}\n"


def test_the_address_of_the_last_command(debug):
    assert debug().printed("20::step; &=K; 30::step; +=K; ^=K").split() == ["20", "20", "30", "38", "38"]


# 10.1: the verbs, and the examples


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1000/K", ["base:", "base:           706050403020100 "]),
        ("1000?K", ["base:", "base:           706050403020100 "]),
        ("1001/B", ["base+1:         1       "]),
        ("100\\X", ["0x100:          73796870        "]),
        ("100@X", ["0x100:          73796870        "]),
        ("1000=K", [f"{MARGIN}1000            "]),
        ("0t255=XD", [f"{MARGIN}ff              255             "]),
        ("1000,3/K", ["base:", "base:           706050403020100 f0e0d0c0b0a0908 1716151413121110"]),
        ("1000/5K", ["base:", "base:           706050403020100 f0e0d0c0b0a0908 1716151413121110",
                     f"{MARGIN}1f1e1d1c1b1a1918 2726252423222120"]),
        ("1000/X\"<>\"x", ["base:", "base:           3020100         <>504     "]),
        ("12345678abcdef12=B", [f"{MARGIN}12      "]),
    ],
)  # fmt: skip
def test_verbs(debug, text, lines):
    shown = debug().printed(text).splitlines()

    assert [line.rstrip() for line in shown] == [line.rstrip() for line in lines]


def test_a_pipe_gets_no_header(debug):
    assert debug().printed("1000/BB | ::map .") == "0\n1\n"
    assert debug().printed("::walk numbers | =K").split() == ["10", "11", "12", "13"]


# 10.2: the increment that each letter leaves

SIZES = {
    **dict.fromkeys("BbcCV", 1),
    **dict.fromkeys("dhoqux", 2),
    **dict.fromkeys("DfHOQUXY", 4),
    **dict.fromkeys("eEFgGjJKpPRy", 8),
    **dict.fromkeys("nNrtTa", 0),
    "s": 5,
    "S": 5,
    "i": 2,
    "I": 2,
}
AT_ONLY = {"v": 1, "w": 2, "W": 4, "Z": 8}
MOVES = {"+": 1, "-": -1, "^": 0}
TEXT = b"text\0\0" + bytes(64)


@pytest.mark.parametrize(("letter", "size"), SIZES.items())
@pytest.mark.parametrize("verb", "/?\\@")
def test_a_letter_goes_on_by_its_size(letter, size, verb):
    memory = {0x1000: b"\x74\x02\x61\x62" + bytes(64) if letter in "iI" else TEXT}
    debug = Debug(FakeTarget(memory, memory))

    debug.printed(f"1000{verb}{letter}")

    assert (debug.session.dot, debug.session.increment) == (0x1000, size)


@pytest.mark.parametrize(("letter", "size"), AT_ONLY.items())
def test_a_letter_that_writes_elsewhere_shows_behind_at(letter, size):
    debug = Debug(FakeTarget(physical={0x1000: TEXT}))

    debug.printed(f"1000@{letter}")

    assert debug.session.increment == size


@pytest.mark.parametrize("letter", sorted({*SIZES, *AT_ONLY} - set("iI")))
def test_a_value_leaves_no_increment(letter):
    debug = Debug()

    debug.printed(f"1000={letter}")

    assert (debug.session.dot, debug.session.increment) == (0x1000, 0)


def test_every_letter_is_in_the_table_of_the_reference():
    assert {*SIZES, *AT_ONLY, *MOVES, "l", "L", "M", "z"} == set(LETTERS)


@pytest.mark.parametrize(("text", "dot"), [("1000/X2+", 0x1006), ("1000/X1-", 0x1003), ("1000/XX2^", 0x1000)])
def test_the_letters_that_move_dot(debug, text, dot):
    sitting = debug()

    sitting.printed(text)

    assert sitting.session.dot + sitting.session.increment == dot


# 12.2: a prefix where a number has more than one digit


@pytest.mark.parametrize(
    ("radix", "one", "two"), [("2", "1", "0i10"), ("8", "7", "0o10"), ("0t10", "9", "0t10"), ("10", "9", "0xa")]
)
def test_offsets_have_a_prefix_where_they_are_longer_than_a_digit(debug, radix, one, two):
    sitting = debug()
    sitting.printed(f"{radix}$d")
    short, long = int(one, 16), {"2": 2, "8": 8, "0t10": 10, "10": 10}[radix]

    assert sitting.session.show.symbol(0x1000 + short) == f"base+{one}"
    assert sitting.session.show.symbol(0x1000 + long) == f"base+{two}"


# 14: sources of errors


@pytest.mark.parametrize("text", ["::eval '1 2'", "5::map '1 2'", "5::grep '1 2'"])
def test_an_error_in_a_string_names_it(debug, text):
    assert debug().refused(text) == 'vmdebug: syntax error on line 1 of (string) near "2"\n'


def test_an_error_is_told_with_the_token_escaped(debug):
    assert debug().refused("1+") == 'vmdebug: syntax error on line 1 of (string) near "\\n"\n'
    assert debug().refused('1 "a\tb"').endswith('near "\\"a\\tb\\""\n')
