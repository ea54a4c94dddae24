import pytest

from vmdebug.errors import ReadFailed
from vmdebug.guests.memory import BrokenList, TableTooLarge, decode, each_link, read_sparse, read_string

PAGE = 4096


class Pages:
    """Memory of whole pages, each filled with one byte; the rest cannot be read."""

    def __init__(self, **pages):
        self.pages = {int(name[1:]): fill for name, fill in pages.items()}
        self.read_pages = set()

    def __call__(self, address, size):
        out = bytearray()
        for at in range(address, address + size):
            if at // PAGE not in self.pages:
                raise ReadFailed(at, "nothing there")
            self.read_pages.add(at // PAGE)
            out.append(self.pages[at // PAGE])
        return bytes(out)


def links(chain):
    return lambda node: chain.get(node, 0)


def test_follows_a_list_to_null():
    assert list(each_link(links({1: 2, 2: 3}), 1, 10)) == [1, 2, 3]


def test_follows_a_ring_once_around():
    assert list(each_link(links({1: 2, 2: 3, 3: 1}), 1, 10)) == [1, 2, 3]


def test_gives_nothing_for_null():
    assert list(each_link(links({}), 0, 10)) == []


@pytest.mark.parametrize(("chain", "found"), [({1: 2, 2: 3, 3: 2}, [1, 2, 3]), ({1: 2, 2: 2}, [1, 2])])
def test_says_that_a_list_bites_itself_after_its_nodes(chain, found):
    walk = each_link(links(chain), 1, 10)

    assert [next(walk) for _ in found] == found
    with pytest.raises(BrokenList, match="comes back here"):
        next(walk)


def test_gives_up_on_a_list_without_end():
    walk = each_link(lambda node: node + 1, 1, 5)

    assert [next(walk) for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(BrokenList, match="more than 5 elements"):
        next(walk)


def test_reads_a_string_without_touching_the_page_behind_it():
    def read(address, size):
        assert address + size <= 2 * PAGE
        return (b"x" * 10 + b"\0" * PAGE)[:size]

    assert read_string(read, 2 * PAGE - 16) == "x" * 10


def test_reads_a_string_across_pages():
    memory = Pages(p1=0x61, p2=0x62)

    assert read_string(memory, 2 * PAGE - 2, limit=4) == "aabb"


def test_cuts_a_string_that_does_not_end():
    assert read_string(Pages(p0=0x61, p1=0x61), 0, limit=5000) == "a" * 5000


def test_shows_bytes_that_are_no_utf8():
    assert decode(b"ok\xff\x00tail") == "ok\\xff"


def test_fills_missing_pages_of_a_table_with_zeros():
    data, missing = read_sparse(Pages(p0=1, p2=3), 100, 3 * PAGE - 200, "a table")

    assert missing == PAGE
    assert data == b"\1" * (PAGE - 100) + bytes(PAGE) + b"\3" * (PAGE - 100)


def test_reads_a_table_in_one_go_where_it_is_all_there():
    assert read_sparse(Pages(p0=1), 10, 20, "a table") == (b"\1" * 20, 0)


def test_refuses_a_table_larger_than_any():
    with pytest.raises(TableTooLarge, match="a table: 0x4000001 bytes"):
        read_sparse(Pages(), 0, (1 << 26) + 1, "a table")
