"""Short names for command lines: ::alias, $M, and arguments of macros."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol


@pytest.fixture
def debug(tmp_path):
    made = Debug(FakeTarget({0x1000: bytes(range(64))}), FakeGuest([symbol("base", 0x1000, 64)]))
    made.session.settings.macro_path = str(tmp_path)
    return made


def test_a_name_stands_for_a_command_line(debug):
    debug.printed("::alias three \"::echo one; ::echo two | ::count\"; ::alias word '/B'")

    assert debug.printed("::three").split() == ["one", "COUNT", "1"]
    assert debug.printed("$<three") == debug.printed("::three")
    assert debug.printed("1003::word") == debug.printed("1003/B")
    assert debug.printed("$<word") == debug.printed("/B")


def test_its_rows_go_on_in_a_pipe(debug):
    debug.printed("::alias after '::map .+1'")

    assert debug.printed("1000::after | ::after | ::map .+10") == "1012\n"
    assert [row.value for row in debug.session.rows("1000::after")] == [0x1001]


def test_a_line_that_begins_with_an_expression_finds_the_address_in_dot(debug):
    debug.printed("::alias double '.+.=X'")

    assert debug.printed("1000::double").split() == ["2000"]


def test_lists_shows_and_takes_away(debug):
    debug.printed("::alias b '::echo b'; ::alias a '::echo a'")

    assert debug.printed("::alias") == f"{'ALIAS':<20} COMMAND\n{'a':<20} ::echo a\n{'b':<20} ::echo b\n"
    assert debug.printed("::alias b").splitlines()[1:] == [f"{'b':<20} ::echo b"]
    assert debug.printed("$M").splitlines()[-1] == f"{'a':<20} ::echo a"
    assert debug.printed("::which a") == "a is a macro alias for '::echo a'\n"
    assert debug.printed("::alias -d a; ::alias").splitlines()[1:] == [f"{'b':<20} ::echo b"]
    assert debug.refused("::a") == "vmdebug: invalid command '::a': unknown dcmd name\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("::alias nosuch", "nosuch is no alias"),
        ("::alias -d nosuch", "nosuch is no alias"),
        ("::alias echo '::echo'", "::echo is a command already"),
        ("::alias 1x '::echo'", "1x cannot be the name of a command"),
        ("::alias half '1+'", "syntax error"),
    ],
)
def test_refuses(debug, text, told):
    assert debug.refused(text).startswith(f"vmdebug: {told}")
    assert debug.printed("::alias") == ""


def test_a_command_of_other_guests_says_so_and_its_name_is_free(debug):
    assert debug.refused("::evtchns") == (
        "vmdebug: command is not supported by current target (::evtchns is for guests of kind illumos and linux,"
        " this is fake)\n"
    )
    assert debug.printed("::alias evtchns '::echo mine'; ::evtchns") == "mine \n"


def test_one_that_calls_itself_ends(debug):
    debug.printed("::alias again '::again'")

    assert debug.refused("::again").startswith("vmdebug: commands are nested more than 40 deep")


def test_takes_no_words(debug):
    debug.printed("::alias hello '::echo hello'")

    assert debug.refused("::hello world").startswith("Usage: [address]::hello")


def test_a_macro_gets_the_values_behind_its_name(debug, tmp_path):
    (tmp_path / "show").write_text("::echo $[<argc] $[<arg1] $[<arg2]\n")
    (tmp_path / "outer").write_text("$<<show 7 8\n::echo $[<argc] $[<arg1]\n")

    assert debug.printed("$<show 1+1 $[3]") == "2 2 3 \n"
    assert debug.printed("$<outer base") == "2 7 8 \n1 1000 \n"
    assert debug.refused("$<show nosuch").startswith("vmdebug: failed to dereference symbol")


def test_a_macro_keeps_its_values_where_another_fails(debug, tmp_path):
    (tmp_path / "outer").write_text("$<<nosuch 7\n::echo $[<arg1]\n")

    out, err, _ = debug("$<outer 5")

    assert (out, err) == ("5 \n", "vmdebug: failed to open nosuch (see ::help '$<')\n")


def test_a_macro_without_words_has_none(debug, tmp_path):
    (tmp_path / "count").write_text("::echo $[<argc]\n")

    assert debug.printed("$<count") == "0 \n"


def test_each_runs_for_every_address(debug):
    assert debug.printed("::eval '1000::map .; 1008::map .' | ::each '.=X'").split() == ["1000", "1008"]
