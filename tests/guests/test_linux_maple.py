"""Maple trees with words of 8 bytes and of 4: a node is of 256 bytes in both, what it holds is not."""

import struct

import pytest

from vmdebug.guests.linux.trees import BrokenTree, each_maple

LEAF, ARANGE = 1, 3
# By the size of a word: the pivots of a leaf and where its slots begin, those of an inner node, where its metadata are.
LEAVES = {8: (15, 128), 4: (31, 128)}
INNER = {8: (9, 80, 240), 4: (20, 84, 252)}


def node(word, kind, pivots, slots):
    """A node that uses so many slots, behind which all is stale."""
    count, at = LEAVES[word] if kind == LEAF else INNER[word][:2]
    code = "Q" if word == 8 else "I"
    data = bytearray(b"\xa5" * 256)
    struct.pack_into(f"<{count}{code}", data, word, *pivots, *[0] * (count - len(pivots)))
    struct.pack_into(f"<{len(slots)}{code}", data, at, *slots)
    if kind == ARANGE:
        data[INNER[word][2]] = len(slots) - 1
    elif len(pivots) < count:
        data[256 - word] = len(slots) - 1
    return bytes(data)


def encoded(address, kind):
    """A pointer to a node, which says what kind it is."""
    return address | kind << 3 | 2


def read_of(memory):
    return lambda at, size: memory[at][:size]


@pytest.mark.parametrize("word", [8, 4])
def test_a_tree_of_two_levels_gives_its_entries_with_their_ranges(word):
    last = (1 << 8 * word) - 1
    memory = {
        0x1000: node(word, ARANGE, [0xFFFF], [encoded(0x2000, LEAF), encoded(0x3000, LEAF)]),
        0x2000: node(word, LEAF, [0xFFF, 0x1FFF], [0, 0x8000, 0]),
        0x3000: node(word, LEAF, [0x1_0FFF], [0x9000, 0xA000]),
    }

    found = list(each_maple(read_of(memory), encoded(0x1000, ARANGE), word))

    assert found == [(0x1000, 0x1FFF, 0x8000), (0x1_0000, 0x1_0FFF, 0x9000), (0x1_1000, last, 0xA000)]


@pytest.mark.parametrize("word", [8, 4])
def test_the_last_slot_of_a_full_leaf_is_an_entry_too(word):
    count = LEAVES[word][0]
    entries = [0x8000 + 0x100 * number for number in range(count + 1)]
    memory = {0x2000: node(word, LEAF, [16 * number + 15 for number in range(count)], entries)}

    found = list(each_maple(read_of(memory), encoded(0x2000, LEAF), word))

    assert [entry for _, _, entry in found] == entries
    assert found[-1][:2] == (16 * count, (1 << 8 * word) - 1)


@pytest.mark.parametrize("word", [8, 4])
def test_a_tree_that_leads_back_into_itself_is_refused(word):
    memory = {0x1000: node(word, ARANGE, [0xFFFF], [encoded(0x1000, ARANGE), 0])}

    with pytest.raises(BrokenTree, match="comes again"):
        list(each_maple(read_of(memory), encoded(0x1000, ARANGE), word))
