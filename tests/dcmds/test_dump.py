"""Section G.1: ::dump, each shown example and each option."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget

BASE = 0xFFFFFFFFFBC4B7F0
TEXT = b" fox jumps over The quick brown "
HEAD = "                   \\/ 1 2 3  4 5 6 7  8 9 a b  c d e f  v123456789abcdef\n"
MIDDLE = "                    0 1 2 3 \\/ 5 6 7  8 9 a b  c d e f  0123v56789abcdef\n"
FOX = "fffffffffbc4b7f0:  20666f78 206a756d 7073206f 76657220   fox jumps over \n"
QUICK = "fffffffffbc4b800:  54686520 71756963 6b206272 6f776e20  The quick brown \n"


@pytest.fixture
def debug():
    return Debug(FakeTarget({BASE: TEXT}, physical={0x100: TEXT}), FakeGuest())


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("fffffffffbc4b7f4::dump", MIDDLE + FOX),
        ("fffffffffbc4b7f0::dump -l 20", HEAD + FOX + QUICK),
        ("fffffffffbc4b7f0,20::dump", HEAD + FOX + QUICK),
        (
            "fffffffffbc4b7f4::dump -t -l 10",
            MIDDLE
            + "fffffffffbc4b7f0:           206a756d 7073206f 76657220       jumps over \n"
            + "fffffffffbc4b800:  54686520                             The             \n",
        ),
        (
            "fffffffffbc4b7f4::dump -u -l 10",
            "                    4 5 6 7  8 9 a b  c d e f  0 1 2 3  456789abcdef0123\n"
            "fffffffffbc4b7f4:  206a756d 7073206f 76657220 54686520   jumps over The \n",
        ),
        (
            "fffffffffbc4b7f0::dump -e -g 8 -l 20",
            "fffffffffbc4b7f0:  6d756a20786f6620 207265766f207370\n"
            "fffffffffbc4b800:  6369757120656854 206e776f7262206b\n",
        ),
        (
            "fffffffffbc4b7f0::dump -r -l 20",
            "      0 1 2 3  4 5 6 7  8 9 a b  c d e f  0123456789abcdef\n"
            "00:  20666f78 206a756d 7073206f 76657220   fox jumps over \n"
            "10:  54686520 71756963 6b206272 6f776e20  The quick brown \n",
        ),
        (
            "fffffffffbc4b7f0::dump -g 1",
            "                   \\/  1  2  3  4  5  6  7   8  9  a  b  c  d  e  f  v123456789abcdef\n"
            "fffffffffbc4b7f0:  20 66 6f 78 20 6a 75 6d  70 73 20 6f 76 65 72 20   fox jumps over \n",
        ),
        ("fffffffffbc4b7f0::dump -g 3", HEAD + FOX),
        ("fffffffffbc4b7f0::dump -q", HEAD[:54] + "\n" + FOX[:54] + "\n"),
        (
            "fffffffffbc4b7f0::dump -w 2 -uq",
            "                    0 1 2 3  4 5 6 7  8 9 a b  c d e f  0 1 2 3  4 5 6 7  8 9 a b  c d e f\n"
            "fffffffffbc4b7f0:  20666f78 206a756d 7073206f 76657220 54686520 71756963 6b206272 6f776e20\n",
        ),
        ("100::dump -pq", "      \\/ 1 2 3  4 5 6 7  8 9 a b  c d e f\n100:  20666f78 206a756d 7073206f 76657220\n"),
        (
            "100::dump -pqv",
            f"{'':19}\\/ 1 2 3  4 5 6 7  8 9 a b  c d e f\n0000000000000100:  20666f78 206a756d 7073206f 76657220\n",
        ),
        ("fffffffffbc4b7f0::dump -f", HEAD + FOX),
        ("0t10$d; 0xfffffffffbc4b7f0::dump -l 32", "radix = 10 base ten\n" + HEAD + FOX + QUICK),
    ],
)
def test_lays_out_lines(debug, text, printed):
    assert debug.printed(text) == printed


def test_addresses_are_as_wide_as_the_last_one():
    debug = Debug(FakeTarget({0xFF0: bytes(32)}), FakeGuest())

    assert [line[:6] for line in debug.printed("ff0::dump -q -l 20").splitlines()[1:]] == ["0ff0: ", "1000: "]


def test_repeated_lines_become_one_star():
    debug = Debug(FakeTarget({0x1000: bytes(0x50) + b"\1" * 0x30}), FakeGuest())

    lines = debug.printed("1000::dump -sq -l 80").splitlines()

    assert [line[:4] for line in lines[1:]] == ["1000", "*", "1050", "*"]
    assert [row.addr for row in debug.session.rows("1000::dump -s -l 80")] == list(range(0x1000, 0x1080, 16))


def test_dot_is_behind_what_was_dumped(debug):
    assert debug.printed("fffffffffbc4b7f0::dump -l 13 ! true\n.=J") == "                fffffffffbc4b803 \n"


def test_what_cannot_be_read_ends_the_dump(debug):
    out, err, status = debug("fffffffffbc4b800::dump -l 20")

    assert out == HEAD.replace("7f0", "800") + QUICK
    assert (err, status) == ("vmdebug: failed to read data at 0xfffffffffbc4b810: no mapping for address\n", 1)


def test_the_part_of_a_line_that_is_missing_is_blank():
    debug = Debug(FakeTarget({0x2008: b"readable"}), FakeGuest())

    out, err, _ = debug("2008::dump")

    assert out.splitlines()[1] == "2000:                    72656164 61626c65          readable"
    assert err == "vmdebug: failed to read data at 0x2000: no mapping for address\n"


@pytest.mark.parametrize("words", [",2::dump -l 20", "::dump -w 11", "::dump -w 0", "::dump -g 101", "::dump -l 0"])
def test_wrong_calls_show_the_usage(debug, words):
    assert debug.refused(f"fffffffffbc4b7f0{words}").startswith("Usage: [address]::dump [-eqrstuvfp] [-g bytes]")


def test_lines_across_a_page_are_whole_whatever_follows():
    debug = Debug(FakeTarget({0xFF0: b"0123456789abcdef" * 2}), FakeGuest())

    out, err, _ = debug("ff8::dump -uq -l 20")

    assert out.splitlines()[1] == "0ff8:  38396162 63646566 30313233 34353637"
    assert err == "vmdebug: failed to read data at 0x1010: no mapping for address\n"
