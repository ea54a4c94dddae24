import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Text, Whitespace

from vmdebug.repl.highlight import PALETTE, MdbLexer


def colours(text):
    """Kinds and texts of everything but blanks."""
    found = MdbLexer(ensurenl=False, stripnl=False).get_tokens(text)
    return [(kind, piece) for kind, piece in found if kind is not Whitespace]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0x1f", Number.Hex),
        ("1f", Number.Hex),
        ("0t10", Number.Integer),
        ("0i101", Number.Bin),
        ("0o17", Number.Oct),
        ("0t1.5", Number.Float),
        ("unix`main", Name),
        (".", Name.Builtin.Pseudo),
        ("'ab'", String.Char),
        ("::status", Name.Function),
        ("$c", Name.Function.Magic),
        ("<rip", Name.Variable),
        ("*/i/", Operator),
        ("+", Operator),
        ("// why", Comment.Single),
        (";", Punctuation),
    ],
)
def test_each_piece_has_its_kind(text, kind):
    assert colours(text) == [(kind, text)]


def test_a_command_line_with_all_its_parts():
    assert colours("cpu0::print -a struct 'a b' $[1] | ::walk cpu >x ! wc -l") == [
        (Name, "cpu0"),
        (Name.Function, "::print"),
        (Name.Attribute, "-a"),
        (Text, "struct"),
        (String, "'a b'"),
        (String.Interpol, "$["),
        (Number.Hex, "1"),
        (String.Interpol, "]"),
        (Punctuation, "|"),
        (Name.Function, "::walk"),
        (Text, "cpu"),
        (Text, ">x"),
        (Punctuation, "!"),
        (String.Backtick, " wc -l"),
    ]


def test_format_letters_and_counts_behind_a_verb():
    assert colours('. / 4X "x"') == [
        (Name.Builtin.Pseudo, "."),
        (Keyword, "/"),
        (Number.Integer, "4"),
        (Keyword.Type, "X"),
        (String.Double, '"x"'),
    ]


def test_an_open_quote_is_an_error_up_to_the_end_of_its_line():
    assert colours("::echo 'abc\n::status") == [
        (Name.Function, "::echo"),
        (Error, "'abc"),
        (Name.Function, "::status"),
    ]


@given(st.text(alphabet=st.sampled_from("::$c/\\?@=|!'\"<>.a0x[](){}%*+-#~ \t\n;é\x00")))
def test_no_character_is_lost_whatever_the_text(text):
    pieces = list(MdbLexer().get_tokens_unprocessed(text))

    assert "".join(piece for _, _, piece in pieces) == text
    assert [at for at, _, _ in pieces] == [len("".join(p for _, _, p in pieces[:n])) for n in range(len(pieces))]


def test_pygments_can_use_it_elsewhere():
    html = highlight("::status", MdbLexer(), HtmlFormatter())

    assert '<span class="nf">::status</span>' in html


def test_every_colour_is_one_of_the_terminals_own():
    words = {word for style in PALETTE.values() for word in style.split()}

    assert all(word in ("bold", "nobold") or word.startswith("ansi") for word in words)
