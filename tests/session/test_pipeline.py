"""Section 8.1 and 8.2: what flows from one stage into the next."""

import pytest

from vmdebug.dcmd import NotMine, dcmd


def test_each_address_becomes_a_call_and_the_head_is_printed_once(debug):
    assert debug().printed("::walk numbers | ::seen") == "AT COUNT\n10 0\n11 0\n12 0\n13 0\n"


def test_without_addresses_the_next_stage_does_not_run(debug):
    sitting = debug()

    assert sitting("::walk numbers | ::grep 0 | ::seen") == ("", "", 0)
    assert "AT" not in sitting.taken()


def test_rows_stream(debug):
    sitting = debug()

    sitting.printed("::walk numbers | ::seen | ::head -2")

    assert sitting.session.registry.log == ["walk 10", 0x10, "walk 11", 0x11]


def test_a_whole_dcmd_gets_all_addresses_at_once(debug):
    assert debug().printed("::walk numbers | ::whole") == "4\n"
    assert debug().printed("5::whole") == "1\n"
    assert debug().printed("::whole") == "0\n"


def test_a_count_belongs_to_the_first_stage(debug):
    assert debug().printed("20,3::step | ::place") == "20\n28\n30\n"


def test_dot_ends_where_the_last_stage_left_it(debug):
    sitting = debug()
    sitting.printed("20,2::step | ::map .+1")

    assert sitting.session.dot == 0x29


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("::echo 10 | ::map .+1", "11\n"),
        ("::echo 'base + 4' | ::map .", "1004\n"),
        ("! 'echo 1; echo; echo 0t10' | ::map .", "1\na\n"),
        ("1000/XX | ::map .", "3020100\n7060504\n"),
        ("1001=p | ::map .", "1001\n"),
        ("1000=a | ::map .", ""),
        ("1000/B | =K", f"{'':16}{'0':16}\n"),
        ("::walk numbers | /B", None),
    ],
)
def test_text_and_values_flow_as_expressions(debug, text, printed):
    if printed is None:
        assert "no mapping for address" in debug().refused(text)
    else:
        assert debug().printed(text) == printed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("::echo 1 2 | ::map .", 'syntax error on line 1 of (pipeline) near "2"'),
        ("! 'echo 1; echo 2 3' | ::map .", 'syntax error on line 2 of (pipeline) near "3"'),
        ("::echo ::seen | ::map .", 'syntax error on line 1 of (pipeline) near "::seen"'),
        ("::echo nosuch | ::map .", "failed to dereference symbol: unknown symbol name"),
        ("5000/s | ::map .", "failed to dereference symbol: unknown symbol name"),
    ],
)
def test_what_is_no_expression_ends_the_pipeline(debug, text, told):
    assert debug().refused(text) == f"vmdebug: {told}\n"


def test_later_stages_run_before_a_bad_line(debug):
    out, _, status = debug()("! 'echo 1; echo x y; echo 3' | ::map .")

    assert (out, status) == ("1\n", 1)


def test_a_later_definition_hides_an_earlier_one_or_leaves_the_call_to_it(debug):
    sitting = debug()

    @dcmd("place", address="optional", registry=sitting.session.registry)
    def place(call):
        """hide the other"""
        if call.address == 0x10:
            raise NotMine
        yield 5

    assert sitting.printed("20::place") == "5\n"
    assert sitting.printed("10::place | ::map .") == "10\n"


def test_a_call_that_nobody_takes_is_refused(debug):
    sitting = debug()

    @dcmd("lonely", registry=sitting.session.registry)
    def lonely(call):
        """leave everything to others"""
        raise NotMine

    assert "no other definition of the command takes the call" in sitting.refused("::lonely")


# 8.2 walkers


def test_walk_prints_addresses_with_a_prefix(debug):
    assert debug().printed("8::walk numbers") == "8\n9\n0xa\n0xb\n"


def test_a_walks_variable_goes_in_step_with_every_later_stage(debug):
    out = debug().printed("::walk numbers p | ::map .*2 | ::eval '<p=K'")

    assert [int(word, 16) for word in out.split()] == [0x10, 0x11, 0x12, 0x13]


def test_a_walks_variable_goes_in_step_through_a_stream(debug):
    out = debug().printed("::walk numbers p | ::head -2 | ::eval '<p=K'")

    assert [int(word, 16) for word in out.split()] == [0x10, 0x11]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("::walk nosuch", "failed to perform walk: unknown walk name"),
        ("1::walk free", "failed to perform walk: walker does not accept starting address"),
        ("::walk needy", "failed to perform walk: walker requires starting address"),
        ("::walk numbers rip", "variable rip is read-only"),
    ],
)
def test_refuses_walks(debug, text, told):
    assert debug().refused(text) == f"vmdebug: {told}\n"
