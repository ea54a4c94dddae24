"""Section 12: columns, wrapping, margins, tabs."""

import pytest

from vmdebug.lang.output import Page
from vmdebug.lang.values import date


def lines(page):
    page.finish()
    return list(page.take())


def test_pads_fields():
    page = Page(80)
    page.field("ab", 4)
    page.field("c", 2)

    assert lines(page) == ["ab  c "]


def test_a_field_that_does_not_fit_begins_a_line_with_the_margin():
    page = Page(20, margin=4)
    page.field("a" * 10)
    page.field("b" * 7)

    assert lines(page) == ["    " + "a" * 10, "    " + "b" * 7]


def test_a_field_of_exactly_the_remaining_width_fits():
    page = Page(20)
    page.field("a" * 10)
    page.field("b" * 10)

    assert lines(page) == ["a" * 10 + "b" * 10]


def test_padding_that_would_reach_the_width_ends_the_line():
    page = Page(20)
    page.field("a", 10)
    page.field("b", 10)
    page.field("c", 10)

    assert lines(page) == ["a         b", "c         "]


def test_a_field_wider_than_the_page_stands_alone():
    page = Page(10, margin=2)
    page.field("a")
    page.field("b" * 30)
    page.field("c")

    assert lines(page) == ["  a", "  " + "b" * 30, "  c"]


def test_does_not_wrap_without_a_width():
    page = Page(None)
    page.field("a" * 60, 70)
    page.field("b" * 60)

    assert lines(page) == ["a" * 60 + " " * 10 + "b" * 60]


@pytest.mark.parametrize(("stop", "text"), [(8, "ab      c"), (1, "ab c"), (3, "ab c"), (2, "ab  c")])
def test_tabs_go_to_the_next_multiple(stop, text):
    page = Page(80)
    page.field("ab")
    page.tab(stop)
    page.field("c")

    assert lines(page) == [text]


def test_labels_ignore_the_margin_and_what_follows_a_tab_stop_stays():
    page = Page(80, margin=16)
    page.label("x:".ljust(16), 16)
    page.field("1", 8)
    page.newline()
    page.field("2")

    assert lines(page) == ["x:".ljust(16) + "1       ", " " * 16 + "2"]


def test_a_long_label_reaches_the_next_multiple():
    page = Page(80, margin=16)
    page.label("a_name_of_twenty_one_:", 16)
    page.field("1")

    assert lines(page) == ["a_name_of_twenty_one_:".ljust(32) + "1"]


def test_raw_text_keeps_its_newlines_and_expands_tabs():
    page = Page(10)
    page.raw("a long line of text\nnext\tx")

    assert lines(page) == ["a long line of text", "next    x"]


def test_gives_each_finished_line_once():
    page = Page(80)
    page.field("a")
    page.newline()

    assert list(page.take()) == ["a"]
    assert list(page.take()) == []


def test_an_impossible_date_is_shown_as_its_number():
    assert date(1 << 62) == str(1 << 62)
