"""Section 6: dot, count, increment, repetition."""

import pytest

DEFAULT = "(stdin)"


def dots(out):
    return [int(word, 16) for word in out.split()]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("20::place", [0x20]),  # 6.1 dot is the given address
        ("20::place; ::place", [0x20, 0x20]),
        ("20::place; &=K", [0x20, 0x20]),
        ("20,0::place; .=K", [0x20]),  # even when the count is 0
        ("20,3::place", [0x20, 0x20, 0x20]),  # 6.2 most dcmds leave no increment
        ("20,3::step", [0x20, 0x28, 0x30]),
        ("20::step; +=K; ^=K", [0x20, 0x28, 0x28]),
        ("20::step; .=K; +=K", [0x20, 0x20, 0x20]),  # = leaves dot and no increment
        ("1000/X; +=K", None),
        ("30>.; .=K", [0x30]),
        ("20; .=K", [0x20]),  # 6.3 in a string a bare expression sets dot
        ("1000::dis -n 0; .=K", None),
    ],
)
def test_dot(debug, text, printed):
    out = debug().printed(text)
    if printed is None:
        assert out.splitlines()[-1].split() == (["1004"] if "/X" in text else ["1002"])
    else:
        assert dots(out) == printed


@pytest.mark.parametrize("text", ["1000,3/B", "1000/3B"])
def test_format_commands_go_on_by_what_they_read(debug, text):
    out = debug().printed(text)

    assert out == "base:\nbase:           0       1       2       \n"


def test_count_0_runs_nothing_and_succeeds(debug):
    assert debug()("20,0::seen") == ("", "", 0)


def test_a_count_without_an_address_gives_none(debug):
    sitting = debug()

    sitting.printed("20; ,2::place")

    assert sitting.session.rows(",2::seen")[0].address is None


@pytest.mark.parametrize("text", ["7fffffffffffffff,2::step", "fffffffffffffff8,2::step"])
def test_dot_never_crosses_the_sign_bit(debug, text):
    assert debug().refused(text) == "vmdebug: ',' would cause '.' to overflow\n"


def test_the_next_address_never_crosses_the_sign_bit(debug):
    sitting = debug()
    sitting("7fffffffffffffff::step", DEFAULT)
    assert "',' would cause '.' to overflow" in sitting(",2", DEFAULT)[1]
    sitting.session.settings.repeatlast = True
    sitting("7fffffffffffffff::step", DEFAULT)
    assert r"'\n' would cause '.' to overflow" in sitting("\n", DEFAULT)[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("7fffffffffffffff::step; +=K", "'+' would cause '.' to overflow"),
        ("fffffffffffffff8::step; +=K", "'+' would cause '.' to overflow"),
        ("4::step; ^=K", "'^' would cause '.' to underflow"),
    ],
)
def test_neither_do_the_terms_that_go_on_and_back(debug, text, told):
    assert debug().refused(text) == f"vmdebug: {told}\n"


# 6.3 and 6.4: what a command line repeats


def test_a_bare_expression_repeats_the_last_line_there(debug):
    sitting = debug()

    assert sitting.printed("20::place | ::map .+1", DEFAULT) == "21\n"
    assert sitting.printed("30", DEFAULT) == "31\n"
    assert sitting.printed("40; 50", DEFAULT) == "41\n51\n"


def test_a_bare_expression_does_nothing_before_the_first_command(debug):
    sitting = debug()

    assert sitting("30", DEFAULT) == ("", "", 0)
    assert sitting.session.dot == 0


def test_an_expression_and_a_count_repeat(debug):
    sitting = debug()
    sitting.printed("20::step", DEFAULT)

    assert dots(sitting.printed("30,2", DEFAULT)) == [0x30, 0x38]
    assert dots(sitting.printed(",2", DEFAULT)) == [0x40, 0x48]
    assert sitting.printed("30,2 ! cat -n", DEFAULT).split() == ["1", "30", "2", "38"]


def test_an_empty_line_repeats_only_with_repeatlast(debug):
    sitting = debug()
    sitting.printed("20::step", DEFAULT)

    assert sitting("\n", DEFAULT) == ("", "", 0)
    sitting.session.set_option("repeatlast")
    assert dots(sitting.printed("\n", DEFAULT)) == [0x28]
    assert dots(sitting.printed("\n", DEFAULT)) == [0x30]


# 6.5 results


def test_an_error_does_not_end_the_loop_or_the_pipeline(debug):
    sitting = debug()

    out, err, status = sitting("::walk numbers | ::fails")

    assert out == "10\n12\n"
    assert err == "vmdebug: 11 is odd\nvmdebug: 13 is odd\n"
    assert status == 1
    assert sitting("10::walk numbers | ::head -3 | ::fails")[2] == 0


def test_an_abort_ends_loop_and_pipeline(debug):
    out, err, status = debug()("::walk numbers | ::aborts | ::map .")

    assert (out, err, status) == ("10\n", "vmdebug: 11 is odd\n", 1)
    assert debug()("11,3::aborts")[1] == "vmdebug: 11 is odd\n"


USAGES = [
    ("::needs", "Usage: address::needs [-v]\nvmdebug: try '::help needs' for more information\n"),
    ("1::bare", "Usage: ::bare\n"),
    ("::eval", "Usage: [address]::eval command\nvmdebug: try '::help eval' for more information\n"),
    ("1::needs -x", "vmdebug: illegal option -- x\nUsage: address::needs [-v]\n"
                    "vmdebug: try '::help needs' for more information\n"),
    ("1,3::bare", "Usage: ::bare\n"),
    ("1$v", "Usage: $v\nvmdebug: try '::help $v' for more information\n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), USAGES, ids=[text for text, _ in USAGES])
def test_tells_the_usage(debug, text, told):
    assert debug()(text) == ("", told, 1)


def test_usage_ends_the_pipeline(debug):
    assert debug()("::walk numbers | ::bare | ::map .")[1] == "Usage: ::bare\n"


# 6.6 and 6.7


def test_unfinished_lines_are_ended(debug):
    assert debug().printed('1="a"; ::echo b') == f"{' ' * 16}a\nb \n"


@pytest.mark.parametrize(
    ("text", "dot"),
    [
        ("20::eval '30::step'", 0x30),
        ("20::map .+5", 0x25),
        ("1000/X", 0x1000),
        ("20=X", 0x20),
        ("20; 30=X; .=K", 0x30),
    ],
)
def test_nested_commands_pass_their_dot_on(debug, text, dot):
    sitting = debug()

    sitting.printed(text)

    assert sitting.session.dot == dot
