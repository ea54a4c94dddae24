"""Section 10.2 and 10.5: what each format letter shows, and the list of them."""

import time

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from vmdebug.lang.letters import LETTERS, TABLE, each_format
from vmdebug.lang.values import picture

VALUE = "12345678abcdef12"
MARGIN = " " * 16


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


SHOWN = [
    ("B", 8, "12"),
    ("b", 8, "022"),
    ("c", 0, "\\022"),
    ("C", 0, "\\022"),
    ("d", 8, "-4334"),
    ("D", 16, "-1412567278"),
    ("e", 21, "1311768467750121234"),
    ("E", 21, "1311768467750121234"),
    ("f", 0, "-1.4632481e-12"),
    ("F", 0, "+5.6263495563190469e-221"),
    ("g", 24, "110642547425363367422"),
    ("G", 23, "110642547425363367422"),
    ("h", 8, "12ef"),
    ("H", 16, "12efcdab"),
    ("J", 16, "12345678abcdef12"),
    ("K", 16, "12345678abcdef12"),
    ("o", 8, "0167422"),
    ("O", 16, "025363367422"),
    ("p", 19, "0x12345678abcdef12"),
    ("P", 19, "0x12345678abcdef12"),
    ("q", 8, "-010356"),
    ("Q", 16, "-012414410356"),
    ("R", 64, "1001000110100010101100111100010101011110011011110111100010010"),
    ("u", 8, "61202"),
    ("U", 16, "2882400018"),
    ("v", 8, "18"),
    ("V", 8, "18"),
    ("w", 8, "ef12"),
    ("W", 16, "abcdef12"),
    ("x", 8, "ef12"),
    ("X", 16, "abcdef12"),
    ("Y", 24, "1925 Mar 28 20:12:02"),
    ("y", 24, "1311768467750121234"),
    ("Z", 16, "12345678abcdef12"),
]


@pytest.mark.parametrize(("letter", "width", "text"), SHOWN, ids=[letter for letter, _, _ in SHOWN])
def test_shows_a_value(letter, width, text):
    out = Debug(terminal=True).printed(f"{VALUE}={letter}")

    filled = len(text) == width and letter in "JKZ"
    assert out.rstrip("\n") == (MARGIN + text.ljust(width + filled))[:80] if letter != "R" else MARGIN + text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0=Y", "1970 Jan  1 00:00:00"),
        ("0=y", "1970 Jan  1 00:00:00"),
        ("0t1190000000=y", "2007 Sep 17 03:33:20"),
        ("3f800000=f", "+1.0000000e+00"),
        ("3ff0000000000000=F", "+1.0000000000000000e+00"),
        ("0t1.23456789=F", "+1.2345678899999999e+00"),
        ("bff8000000000000=F", "-1.5000000000000000e+00"),
        ("7f800000=f", "+inf"),
        ("ff=v", "-1"),
        ("ffff=d", "-1"),
        ("ffffffff=D", "-1"),
        ("ffffffffffffffff=e", "-1"),
        ("ffffffffffffffff=g", "-1"),
        ("ffff=q", "-01"),
        ("0=b", "0"),
        ("0=o", "0"),
        ("0=q", "0"),
        ("0=p", "0"),
        ("9=p", "9"),
        ("f=p", "0xf"),
    ],
)
def test_shows_special_values(text, shown):
    assert Debug().printed(text).strip() == shown


def test_shows_words_in_the_default_radix():
    debug = Debug()

    debug.printed("0t10$d")

    assert debug.printed("0xff=w").strip() == "255"


def test_a_value_that_fills_its_field_is_followed_by_a_blank():
    assert Debug().printed("ffffffffffffffff=JJ") == f"{MARGIN}{'f' * 16} {'f' * 16} \n"
    assert Debug().printed("1=JJ") == f"{MARGIN}{'1':16}{'1':16}\n"


def test_binary_is_one_wider_with_the_top_bit():
    out = Debug().printed("8000000000000000=R")

    assert out == f"{MARGIN}1{'0' * 63}\n"


JAZZED = """\
                11101
                ||| |
                ||| +-- bit 0 mask 0x01
                ||+---- bit 2 mask 0x04
                |+----- bit 3 mask 0x08
                +------ bit 4 mask 0x10
"""


def test_draws_bits():
    assert Debug().printed("1d=j") == JAZZED
    assert Debug().printed("0=j") == f"{MARGIN}0\n"
    assert list(picture(0x401)) == [
        "10000000001",
        "|         |",
        "|         +-- bit 0  mask 0x001",
        "+------------ bit 10 mask 0x400",
    ]
    assert list(picture(2)) == ["10", "|", "+--- bit 1 mask 0x2"]


MEMORY = b"hello\0w\x01rld\0" + bytes(range(1, 33)) + b"\x00" * 20


@pytest.fixture
def debug():
    target = FakeTarget(memory={0x1000: MEMORY, 0x2000: b"\x55\x48\x89\xe5" + b"\x90" * 30})
    return Debug(target, FakeGuest([symbol("text", 0x1000, 6), symbol("code", 0x2000, 16, "FUNC")]))


LAYOUT = [
    ("1006/s", "0x1006:         w\x01rld"),
    ("1006/S", "0x1006:         w\\001rld"),
    ("1001/5C", "text+1:         ello\\000"),
    ("1001/2c", "text+1:         el"),
    ("1001/2S", "text+1:         ello\\0w\\001rld"),
    ("1001/Sa", "text+1:         ello0x1006:".ljust(48)),
    ("1001/B3+B", "text+1:         65      0       "),
    ("1001/B2-B", "text+1:         65      68      "),
    ("1001/x^x", "text+1:         6c65    6c65    "),
    ("1001/2x2^x", "text+1:         6c65    6f6c    6c65    "),
    ("1001/B3rB", "text+1:         65         6c      "),
    ("1001/B'x", None),
    ('1001/B"<-"B', "text+1:         65      <-6c      "),
    ("1001/C8tC", "text+1:         e       l"),
    ("1001/C8TC", "text+1:         e       l"),
    ("1001/C10tC", "text+1:         e   l"),
    ("1001/2B$[1+1]B", "text+1:         65      6c      6c      6f      "),
    ("1001/0B", "text+1:         "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), LAYOUT, ids=[text for text, _ in LAYOUT])
def test_lays_out_memory(debug, text, line):
    if line is None:
        assert "invalid format character -- '''" in debug.refused(text)
        debug.taken()
    else:
        assert debug.printed(text) == line + "\n"


def test_breaks_lines_at_n(debug):
    assert debug.printed("1001/BnB") == f"text+1:         65      \n{MARGIN}6c      \n"
    assert debug.printed("1001/B2NB") == f"text+1:         65      \n\n{MARGIN}6c      \n"


def test_disassembles(debug):
    assert debug.printed("2000/2i") == f"code:\ncode:           pushq  %rbp\n{MARGIN}movq   %rsp,%rbp\n"
    assert debug.printed("2001/I") == "code+1:         2001 90e58948: movq   %rsp,%rbp\n"
    assert debug.printed("2000/ai") == "code:           pushq  %rbp\n"
    assert debug.printed("2000,2/ai") == "code:           pushq  %rbp\ncode+1:         movq   %rsp,%rbp\n"
    assert debug.printed("2000/ia") == "code:           pushq  %rbp\ncode+1:         \n"
    assert debug.printed("9090=i") == f"{MARGIN}nop\n"


def test_the_verb_without_letters_shows_a_word_and_an_instruction(debug):
    assert debug.printed("2000/") == "code:\ncode:           e5894855        = pushq  %rbp\n"
    assert "expected one or more format characters following '='" in debug.refused("1=")


def test_labels_are_plain_with_the_variable_underscore(debug):
    debug.printed("1>_")

    assert debug.printed("2000/a") == "code:\n0x2000:         0x2000:         \n"


@pytest.mark.parametrize("letter", ["m", "k", "A", "l", "L", "M", "z", "'"])
def test_refuses_other_characters(letter):
    assert f"invalid format character -- '{letter}'" in Debug().refused(f"1={letter}")


@pytest.mark.parametrize("letter", ["v", "w", "W", "Z"])
def test_write_letters_show_a_value_behind_equals_and_at_only(debug, letter):
    assert f"invalid format character -- '{letter}'" in debug.refused(f"1000/X{letter}")
    debug.session.target.physical[0] = MEMORY
    debug.taken()
    assert debug.printed(f"0@{letter}")


LIST = """\
+ - increment dot by the count (variable size)
- - decrement dot by the count (variable size)
B - hexadecimal int (1 byte)
C - character using C character notation (1 byte)
D - decimal signed int (4 bytes)
E - decimal unsigned long long (8 bytes)
F - double (8 bytes)
G - octal unsigned long long (8 bytes)
H - swap bytes and shorts (4 bytes)
I - address and disassembled instruction (variable size)
J - hexadecimal long long (8 bytes)
K - hexadecimal uintptr_t (8 bytes)
L - match int (4 bytes)
M - match long long (8 bytes)
N - newline
O - octal unsigned int (4 bytes)
P - symbol (8 bytes)
Q - octal signed int (4 bytes)
R - binary int (8 bytes)
S - string using C string notation (variable size)
T - horizontal tab
U - decimal unsigned int (4 bytes)
V - decimal unsigned int (1 byte)
W - write default radix unsigned int (4 bytes)
X - hexadecimal int (4 bytes)
Y - decoded time32_t (4 bytes)
Z - write hexadecimal long long (8 bytes)
^ - decrement dot by increment * count (variable size)
a - dot as symbol+offset
b - octal unsigned int (1 byte)
c - character (1 byte)
d - decimal signed short (2 bytes)
e - decimal signed long long (8 bytes)
f - float (4 bytes)
g - octal signed long long (8 bytes)
h - swap bytes (2 bytes)
i - disassembled instruction (variable size)
j - jazzed-up binary int (8 bytes)
l - match short (2 bytes)
n - newline
o - octal unsigned short (2 bytes)
p - symbol (8 bytes)
q - octal signed short (2 bytes)
r - whitespace
s - raw string (variable size)
t - horizontal tab
u - decimal unsigned short (2 bytes)
v - write decimal signed int (1 byte)
w - write default radix unsigned short (2 bytes)
x - hexadecimal short (2 bytes)
y - decoded time64_t (8 bytes)
z - write integer of the size of the symbol's type (variable size)
"""


def test_lists_every_letter_in_ascii_order():
    assert Debug().printed("::formats") == LIST
    assert [letter.letter for letter in TABLE] == sorted(LETTERS)


def test_a_pointer_is_as_wide_as_the_targets():
    debug = Debug(FakeTarget(memory={0x1000: bytes(range(16))}, word=4))

    assert debug.printed("1000/KK").split()[1:] == ["3020100", "7060504"]
    assert "K - hexadecimal uintptr_t (4 bytes)" in list(each_format(4))


def test_remembers_the_last_value_in_the_variable_0(debug):
    debug.printed("2a=K")
    assert debug.printed("<0=K").split() == ["2a"]
    debug.printed("1001/2B")
    assert debug.printed("<0=K").split() == ["6c"]
