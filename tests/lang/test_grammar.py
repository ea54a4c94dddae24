"""Section 4: statements, their parts, and a printer whose text parses to the same statement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdebug.errors import LanguageError
from vmdebug.lang import tree
from vmdebug.lang.grammar import Parser, parse
from vmdebug.lang.printer import print_statement, quote
from vmdebug.lang.tokens import ParseError, ShellText
from vmdebug.lang.tree import Format, Invoke, Name, Number, Quoted, Statement

ONE, TWO = Number("1"), Number("2")

STATEMENTS = [
    ("1,2::a b", Statement(ONE, TWO, (Invoke("a", ("b",)),))),
    ("1::a", Statement(ONE, None, (Invoke("a"),))),
    (",2::a", Statement(None, TWO, (Invoke("a"),))),
    ("::a|::b x|::c ! d", Statement(None, None, (Invoke("a"), Invoke("b", ("x",)), Invoke("c"), ShellText("d")))),
    ("1", Statement(ONE)),
    ("1,2", Statement(ONE, TWO)),
    ("1,2 ! d", Statement(ONE, TWO, (ShellText("d"),))),
    (",2", Statement(None, TWO)),
    (",2 ! d", Statement(None, TWO, (ShellText("d"),))),
    ("! d", Statement(None, None, (ShellText("d"),))),
    ("", None),
    (";", Statement()),
    ("1/X", Statement(ONE, None, (Format("/", ("X",)),))),
    ("1\\X", Statement(ONE, None, (Format("\\", ("X",)),))),
    ("1@X", Statement(ONE, None, (Format("@", ("X",)),))),
    ("1?X", Statement(ONE, None, (Format("?", ("X",)),))),
    ("1=X", Statement(ONE, None, (Format("=", ("X",)),))),
    ("/", Statement(None, None, (Format("/", ()),))),
    ('1/4X "t"', Statement(ONE, None, (Format("/", (4, "X", Quoted("t"))),))),
    ("1/2$[1+2]^", Statement(ONE, None, (Format("/", (2, tree.Binary("+", ONE, TWO), "^")),))),
    ("$", Statement(None, None, (Invoke("$?"),))),
    ("1$c 2", Statement(ONE, None, (Invoke("$c", ("2",)),))),
    (":k", Statement(None, None, (Invoke(":k"),))),
    ("1>a", Statement(ONE, None, (tree.Assign("", ("a",)),))),
    ("1>/i/a b", Statement(ONE, None, (tree.Assign("i", ("a", "b")),))),
    ("1/W 1 $[2]", Statement(ONE, None, (tree.Write("/", "W", ("1", TWO)),))),
    ("1/L 1 2", Statement(ONE, None, (tree.Search("/", "L", ("1", "2")),))),
    ("1?M 1", Statement(ONE, None, (tree.Search("?", "M", ("1",)),))),
    ("1|2::a", Statement(tree.Binary("|", ONE, TWO), None, (Invoke("a"),))),
    ("::a $[1] b", Statement(None, None, (Invoke("a", (ONE, "b")),))),
    ("-1=K", Statement(tree.Unary("-", ONE), None, (Format("=", ("K",)),))),
    ("*/i/foo=K", Statement(tree.Unary("*/i/", Name("foo")), None, (Format("=", ("K",)),))),
    ("+/X", Statement(tree.Here("+"), None, (Format("/", ("X",)),))),
    ("! 'a' | ::b", Statement(None, None, (ShellText("a", quoted=True), Invoke("b")))),
    ("::a ! 'b' | ::c", Statement(None, None, (Invoke("a"), ShellText("b", quoted=True), Invoke("c")))),
    ("!< a", Statement(None, None, (ShellText("a", feed=True),))),
    ("::a !< b", Statement(None, None, (Invoke("a"), ShellText("b", feed=True)))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STATEMENTS, ids=[text for text, _ in STATEMENTS])
def test_parses(text, expected):
    parsed = parse(text)[:1]
    assert parsed == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("1 2", "2"),
        ("1 | ::a", "::a"),
        ("::a | 1", "1"),
        ("::a |", r"\n"),
        ("1 ! ls", "! ls"),
        ("! 'a' ! 'b'", "!"),
        ("!< 'a' | ::b", "|"),
        ("::a b$c", "$"),
        ("::a $[1", r"\n"),
        ("1,,2", ","),
        ('"text"', '\\"text\\"'),
        ("1//X 2\n)", ")"),
        ("$[1]", "$"),
        ("::a $[1 X]", "X"),
        ("::a 'x", "'x"),
    ],
)
def test_refuses_with_the_token_that_is_wrong(text, token):
    with pytest.raises(LanguageError) as caught:
        parse(text)
    assert caught.value.token == token


def test_counts_lines():
    parser = Parser("1\n\n::a; ::b\n)", line=10)

    lines = []
    with pytest.raises(ParseError) as caught:
        lines.extend(statement.line for statement in parser)

    assert lines == [10, 11, 12, 12]
    assert caught.value.line == 13


def test_goes_on_behind_a_bad_statement():
    parser = Parser("1 2; ::a\n3")

    with pytest.raises(ParseError):
        parser.next()
    parser.skip()

    assert list(parser) == [Statement(None, None, (Invoke("a"),)), Statement(Number("3"))]


def test_an_empty_line_is_told_from_an_empty_statement():
    assert [statement.blank for statement in parse("\n;1 // c\n\n")] == [True, False, False, True]


PIECES = st.lists(
    st.sampled_from([
        "1", "0t9", "f00", "main", "<v", "'a'", ".", "+", "-", "*", "%", "%%", "~", "#", "&", "^", "|", "(", ")", ",",
        "==", "!=", "<<", ">>", "*/i/", "::foo", "::a`b", "$c", "$<", ":k", ">", ">/s/", "/", "\\", "?", "=", "@", "X",
        "4", "w",
        "L", '"t\\n"', "'b c'", "$[", "]", "!", "!<", "ls", "'q'", ";", "\n", " ", "// c", "$", "-v", "\t", "\\'",
    ]),
    max_size=12,
)  # fmt: skip


@given(st.one_of(PIECES.map("".join), PIECES.map(" ".join), st.text(max_size=30)))
def test_any_text_is_parsed_or_refused_and_what_is_parsed_prints_to_itself(text):
    parser = Parser(text)
    while True:
        try:
            statement = parser.next()
        except LanguageError:
            parser.skip()
            continue
        if statement is None:
            break
        again = parse(print_statement(statement))
        assert again == ([statement] if statement != Statement() else [])


names = st.from_regex(r"[g-z][a-z_.`]{0,6}", fullmatch=True)
expressions = st.recursive(
    st.one_of(
        st.integers(0, (1 << 64) - 1).map(lambda number: Number(f"0x{number:x}")),
        names.map(Name),
        names.map(tree.Variable),
        st.sampled_from(".+^&").map(tree.Here),
        st.just(tree.Character("'ab'")),
    ),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["-", "~", "#", "*", "%", "*/i/", "%/c/"]), inner).map(lambda got: tree.Unary(*got)),
        st.tuples(
            st.sampled_from(["|", "^", "&", "==", "!=", "<<", ">>", "-", "+", "*", "%", "#", "%%"]), inner, inner
        ).map(lambda got: tree.Binary(*got)),
    ),
    max_leaves=10,
)
words = st.one_of(st.text(st.characters(codec="latin-1", exclude_characters="\0"), max_size=6), expressions)
arguments = st.lists(words, max_size=3).map(tuple)
letters = st.sampled_from("XKsSiCnt^+-ab")
items = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 99), letters),
        letters.map(lambda letter: (letter,)),
        st.text(st.characters(codec="ascii", min_codepoint=32), max_size=4).map(lambda text: (Quoted(text),)),
        expressions.map(lambda expression: (expression, "X")),
    ),
    max_size=4,
).map(lambda groups: tuple(item for group in groups for item in group))
commands = st.one_of(
    st.tuples(names.filter(lambda name: "`" not in name), arguments).map(lambda got: Invoke(*got)),
    st.tuples(st.sampled_from(["$c", "$<", "$<<", ":k", "$?"]), arguments).map(lambda got: Invoke(*got)),
    st.tuples(st.sampled_from(["", "i", "8"]), arguments).map(lambda got: tree.Assign(*got)),
    st.tuples(st.sampled_from("/\\?@="), items).map(lambda got: Format(*got)),
    st.tuples(st.sampled_from("/\\?"), st.sampled_from("lLM"), arguments).map(lambda got: tree.Search(*got)),
    st.tuples(st.sampled_from("/\\?"), st.sampled_from("vwzWZ"), arguments).map(lambda got: tree.Write(*got)),
)


@given(
    st.one_of(st.none(), expressions),
    st.one_of(st.none(), expressions),
    st.lists(commands, min_size=1, max_size=3).map(tuple),
)
def test_a_made_statement_prints_to_itself(address, count, stages):
    statement = Statement(address, count, stages)

    assert parse(print_statement(statement)) == [statement]


plain_shell = st.from_regex(r"[a-z][a-z |'\"$<>&-]{0,8}[a-z]", fullmatch=True).map(ShellText)
quoted_shell = st.text(st.characters(codec="latin-1", exclude_characters="\0"), max_size=8).map(
    lambda text: ShellText(text, quoted=True)
)
fed_shell = st.one_of(plain_shell, quoted_shell).map(lambda shell: ShellText(shell.command, shell.quoted, feed=True))
runs = st.lists(commands, min_size=1, max_size=2).map(tuple)


@given(
    st.one_of(st.none(), expressions),
    st.one_of(st.just(()), runs),
    st.lists(st.tuples(quoted_shell, runs).map(lambda got: (got[0], *got[1])), max_size=2),
    st.one_of(st.just(()), st.one_of(plain_shell, quoted_shell, fed_shell).map(lambda shell: (shell,))),
)
def test_a_made_statement_with_shell_commands_prints_to_itself(address, first, filters, last):
    stages = (*first, *(stage for each in filters for stage in each), *last)
    statement = Statement(address if first else None, None, stages)

    assert parse(print_statement(statement)) == ([statement] if stages else [])


@given(st.lists(st.tuples(expressions, commands), min_size=1, max_size=4), st.sampled_from([";", "\n", " ; ", "\n\n"]))
def test_statements_in_a_row_are_parsed_one_by_one(made, separator):
    statements = [Statement(address, None, (command,)) for address, command in made]

    parsed = list(parse(separator.join(map(print_statement, statements))))

    assert [(each.address, each.stages) for each in parsed if each.stages] == [
        (each.address, each.stages) for each in statements
    ]


@given(st.text(st.characters(codec="latin-1"), max_size=12))
def test_a_quoted_word_reads_back(word):
    (statement,) = parse(f"::a {quote(word)}")

    assert statement.stages == (Invoke("a", (word,)),)
