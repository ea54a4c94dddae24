"""Heaps drawn as trees."""

from vmdebug.heaps import MAX_DRAWN, heap_lines


def drawn(count):
    return [line.rstrip() for line in heap_lines([[f"[ {number} ]"] for number in range(count)])]


def test_a_heap_without_elements_has_no_lines():
    assert drawn(0) == []


def test_draws_one_element():
    assert drawn(1) == [" [ 0 ]"]


def test_draws_a_last_element_without_a_brother():
    assert drawn(4) == [
        "          [ 0 ]",
        "            |",
        "      +-----+-----+",
        "    [ 1 ]       [ 2 ]",
        "      |",
        "   +--+",
        " [ 3 ]",
    ]


def test_draws_the_last_pair_below_the_third():
    assert drawn(7) == [
        "          [ 0 ]",
        "            |",
        "      +-----+-----+",
        "    [ 1 ]       [ 2 ]",
        "      |           |",
        "   +--+--+     +--+--+",
        " [ 3 ] [ 4 ] [ 5 ] [ 6 ]",
    ]


def test_writes_every_line_of_a_box_in_its_middle():
    assert heap_lines([["[ 0 ]", "12345678"], ["[ 1 ]", "9"], ["[ 2 ]", "10"]]) == [
        "       [ 0 ]",
        "     12345678",
        "         |",
        "    +----+---+",
        "  [ 1 ]    [ 2 ]",
        "    9       10",
    ]


def test_does_not_draw_what_is_deeper_than_six_levels():
    assert drawn(1000) == drawn(MAX_DRAWN)
    assert len(drawn(MAX_DRAWN)) == 6 + 5 * 2
