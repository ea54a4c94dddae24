"""Section 3 of the language: tokens and the scanner's states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdebug.lang.escapes import escape, unescape
from vmdebug.lang.lexer import scan
from vmdebug.lang.tokens import Kind, ShellText, State


def kinds(text, state=State.INITIAL):
    return [(token.kind.name, token.text) for token in scan(text, state)][:-1]


def values(text, state=State.INITIAL):
    return [token.value for token in scan(text, state)][:-1]


TOKENS = [
    ("a // rest ; of ::line\nb", [("SYMBOL", "a"), ("COMMENT", "// rest ; of ::line"), ("END", "\n"), ("SYMBOL", "b")]),
    ("x//y", [("SYMBOL", "x"), ("COMMENT", "//y")]),
    ("a/X // c", [("SYMBOL", "a"), ("VERB", "/"), ("LETTER", "X"), ("COMMENT", "// c")]),
    ("::d a // c", [("DCMD", "::d"), ("WORD", "a"), ("COMMENT", "// c")]),
    ("a;b\nc", [("SYMBOL", "a"), ("END", ";"), ("SYMBOL", "b"), ("END", "\n"), ("SYMBOL", "c")]),
    ("_x.y`z9", [("SYMBOL", "_x.y`z9")]),
    ("f00dx f00d", [("SYMBOL", "f00dx"), ("SYMBOL", "f00d")]),
    (".5 .. .+5", [("SYMBOL", ".5"), ("SYMBOL", ".."), ("SYMBOL", "."), ("OPERATOR", "+"), ("NUMBER", "5")]),
    ("0i101 0o17 0t123 0x1f 10", [("NUMBER", each) for each in ("0i101", "0o17", "0t123", "0x1f", "10")]),
    ("0I1 0O7 0T9 0XaB", [("NUMBER", each) for each in ("0I1", "0O7", "0T9", "0XaB")]),
    ("0t12.5", [("NUMBER", "0t12.5")]),
    ("0x123__45 44_44_ 0i1_0", [("NUMBER", each) for each in ("0x123__45", "44_44_", "0i1_0")]),
    ("0x_1", [("NUMBER", "0"), ("SYMBOL", "x_1")]),
    ("0t_4", [("NUMBER", "0"), ("SYMBOL", "t_4")]),
    ("bad___cafe _007", [("SYMBOL", "bad___cafe"), ("SYMBOL", "_007")]),
    ("'ab' ''", [("CHARACTER", "'ab'"), ("CHARACTER", "''")]),
    ("::walk", [("DCMD", "::walk")]),
    ("::module`name", [("DCMD", "::module`name")]),
    ("$c:k", [("DOLLAR", "$c"), ("WORD", ":k")]),
    (":k", [("DOLLAR", ":k")]),
    ("$?", [("DOLLAR", "$?")]),
    ("$%", [("DOLLAR", "$%")]),
    ("$<<f", [("DOLLAR", "$<<"), ("WORD", "f")]),
    ("$<f", [("DOLLAR", "$<"), ("WORD", "f")]),
    ("$>f", [("DOLLAR", "$>"), ("WORD", "f")]),
    ("$", [("DOLLAR", "$")]),
    ("1>a", [("NUMBER", "1"), ("ASSIGN", ">"), ("WORD", "a")]),
    ("1>/i/a", [("NUMBER", "1"), ("ASSIGN", ">/i/"), ("WORD", "a")]),
    *((f"a{verb}{letter} 1", [("SYMBOL", "a"), ("WRITE", verb + letter), ("WORD", "1")])
      for verb in "/\\?" for letter in "vwzWZlLM"),
    ("a/ \tW 1", [("SYMBOL", "a"), ("WRITE", "/ \tW"), ("WORD", "1")]),
    *((f"a{verb}{letter}", [("SYMBOL", "a"), ("VERB", verb), ("LETTER", letter)])
      for verb in "=@" for letter in "vwzWZlLM"),
    *((f"a{verb}X", [("SYMBOL", "a"), ("VERB", verb), ("LETTER", "X")]) for verb in "/\\@?="),
    ("<a+<1", [("VARIABLE", "<a"), ("OPERATOR", "+"), ("VARIABLE", "<1")]),
    ("1<<2>>3==4!=5%%6", [("NUMBER", "1"), ("OPERATOR", "<<"), ("NUMBER", "2"), ("OPERATOR", ">>"), ("NUMBER", "3"),
                         ("OPERATOR", "=="), ("NUMBER", "4"), ("OPERATOR", "!="), ("NUMBER", "5"), ("OPERATOR", "%%"),
                         ("NUMBER", "6")]),
    ("*/i/a %/8/b */q/c", [("DEREFERENCE", "*/i/"), ("SYMBOL", "a"), ("DEREFERENCE", "%/8/"), ("SYMBOL", "b"),
                          ("DEREFERENCE", "*/q/"), ("SYMBOL", "c")]),
    ("1|2", [("NUMBER", "1"), ("OPERATOR", "|"), ("NUMBER", "2")]),
    ("::a|::b", [("DCMD", "::a"), ("PIPE", "|"), ("DCMD", "::b")]),
    ("a/X|::b", [("SYMBOL", "a"), ("VERB", "/"), ("LETTER", "X"), ("PIPE", "|"), ("DCMD", "::b")]),
    ("::a $[1|2]|::b", [("DCMD", "::a"), ("OPEN", "$["), ("NUMBER", "1"), ("OPERATOR", "|"), ("NUMBER", "2"),
                       ("CLOSE", "]"), ("PIPE", "|"), ("DCMD", "::b")]),
    (" \t 1 \t", [("NUMBER", "1")]),
    ("a/10X 2\"t\"$[2]C", [("SYMBOL", "a"), ("VERB", "/"), ("COUNT", "10"), ("LETTER", "X"), ("COUNT", "2"),
                         ("STRING", '"t"'), ("OPEN", "$["), ("NUMBER", "2"), ("CLOSE", "]"), ("LETTER", "C")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TOKENS, ids=[text for text, _ in TOKENS])
def test_reads_tokens(text, expected):
    assert kinds(text) == expected


def test_has_no_comments_inside_brackets():
    assert kinds("::a $[1//2]")[-4:] == [("ERROR", "/"), ("ERROR", "/"), ("NUMBER", "2"), ("CLOSE", "]")]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("!ls | wc > x // y", ShellText("ls | wc > x // y")),
        ("::a ! ls;b", ShellText("ls")),
        ("! 'a; b'", ShellText("a; b", quoted=True)),
        ("! 'it\\'s'", ShellText("it's", quoted=True)),
        ('! "a\\tb\\\'c"', ShellText("a\tb'c", quoted=True)),
        ("!< cmd", ShellText("cmd", feed=True)),
        ("!<'a;b'", ShellText("a;b", quoted=True, feed=True)),
        ("a/X ! cat", ShellText("cat")),
    ],
)
def test_reads_shell_commands(text, command):
    assert command in values(text)


def test_goes_on_behind_a_quoted_shell_command_only():
    assert kinds("! 'a' | ::b")[1:] == [("PIPE", "|"), ("DCMD", "::b")]
    assert kinds("! a | ::b") == [("SHELL", "! a | ::b")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo\"b c\"'d e'", ["foob cd e"]),
        ("'a\\n'", ["a\\n"]),
        ('"a\\n\\101\\\\"', ["a\nA\\"]),
        ("'a\"b' \"c'd\"", ['a"b', "c'd"]),
        ("''", [""]),
        ("a=b,c:d", ["a=b,c:d"]),
    ],
)
def test_joins_the_quoted_parts_of_a_word(text, words):
    assert values(text, State.ARGUMENT) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("::a 'b", "syntax error: ' unmatched"),
        ('::a "b', 'syntax error: " unmatched'),
        ("'a", "syntax error: ' unmatched"),
        ('a/"b', 'syntax error: " unmatched'),
        ("! 'b", "syntax error: quote unmatched"),
        ("::a $[1;2", "syntax error: $[ unmatched"),
        ("::a $[1!2", "syntax error: $[ unmatched"),
        ("::a $[1\n", "syntax error: $[ unmatched"),
        ("::a b$c", "syntax error"),
        ("1 ] 2", "syntax error"),
    ],
)
def test_marks_what_is_wrong(text, message):
    assert message in [token.value for token in scan(text) if token.kind is Kind.ERROR]


@pytest.mark.parametrize(
    ("text", "state"),
    [("a", "INITIAL"), ("::a b", "ARGUMENT"), ("a/X", "FORMAT"), ("::a $[b", "EXPRESSION"), ("! 'a' |", "SHELL")],
)
def test_tells_the_state_of_the_last_token(text, state):
    assert list(scan(text))[-2].state.name == state


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (r"\a\b\f\n\r\t\v\"\\", '\a\b\f\n\r\t\v"\\'),
        (r"\1\12\123\1234", "\1\nSS4"),
        (r"\q\'", "\\q\\'"),
    ],
)
def test_converts_escapes(text, meaning):
    assert unescape(text) == meaning


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_escapes_are_read_back(text):
    assert unescape(escape(text)) == text
    assert escape(text).isascii()


@given(st.text(alphabet=st.sampled_from(list("ab01./\\@?=<>|!$[]()'\"`~#%^&*-+,:; \n\tWlX_é"))))
def test_tokens_cover_the_text_in_order(text):
    end = 0
    for token in scan(text):
        assert token.start >= end
        assert text[token.start : token.end] == token.text
        assert not text[end : token.start].strip(" \t")
        end = token.end
    assert end == len(text) or not text[end:].strip(" \t")
