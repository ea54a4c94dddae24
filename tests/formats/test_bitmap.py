"""Ranks of bitmaps, beside counting bit by bit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.bitmap import Bitmap, count_difference, last_set
from formats.errors import SourceEnd
from formats.source import BufferSource


def bitmap(data, bits, offset=0):
    return Bitmap(BufferSource("bits", bytes(offset) + data), offset, bits)


def bits_of(data, count):
    return [data[number >> 3] >> (number & 7) & 1 for number in range(count)]


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=300), cut=st.integers(0, 7), at=st.integers(0, 2400))
def test_rank_counts_the_bits_before(data, cut, at):
    count = 8 * len(data) - cut
    found = bitmap(data, count, offset=5)
    bits = bits_of(data, count)
    at = min(at, count)

    assert found.rank(at) == sum(bits[:at])
    assert found.count() == sum(bits)
    assert all(found.test(number) == bool(bits[number]) for number in range(count))


@pytest.mark.parametrize("at", [0, 1, 511, 512, 32767, 32768, 32769, 65536, 100_000, 131_071, 131_072])
def test_rank_reaches_over_blocks(at):
    data = bytes(number * 37 & 0xFF for number in range(1 << 14))

    assert bitmap(data, 1 << 17).rank(at) == sum(bits_of(data, at))


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=40), first=st.integers(0, 319), count=st.integers(0, 100))
def test_all_set_looks_at_every_bit_of_a_range(data, first, count):
    bits = 8 * len(data)
    first = min(first, bits)
    count = min(count, bits - first)

    assert bitmap(data, bits).all_set(first, count) == all(bits_of(data, bits)[first : first + count])


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=50), cut=st.integers(0, 7)
)
def test_differences_and_the_last_bit(pairs, cut):
    first, second = bytes(pair[0] for pair in pairs), bytes(pair[1] for pair in pairs)
    count = 8 * len(pairs) - cut
    mine, other = bits_of(first, count), bits_of(second, count)

    assert count_difference(bitmap(first, count), bitmap(second, count)) == sum(
        one > two for one, two in zip(mine, other, strict=True)
    )
    assert last_set(bitmap(first, count)) == max((number for number in range(count) if mine[number]), default=-1)


def test_bits_past_the_file_are_an_error():
    with pytest.raises(SourceEnd):
        bitmap(bytes(10), 81).count()
