"""The page cache keeps what was used last, within its bound, and counts."""

from formats.pagecache import PageCache


def test_the_block_unused_for_longest_makes_room():
    cache = PageCache(3 * 4096)
    for number in range(3):
        cache.keep(number, bytes(4096))
    cache.find(0)

    cache.keep(3, bytes(4096))

    assert [cache.find(number) is not None for number in range(4)] == [True, False, True, True]
    assert cache.used == 3 * 4096


def test_counts_hits_and_misses():
    cache = PageCache(1 << 20)
    assert cache.hit_rate == 0

    cache.find(1)
    cache.keep(1, b"x")
    cache.find(1)
    cache.find(1)

    assert (cache.hits, cache.misses) == (2, 1)
    assert cache.hit_rate == 2 / 3


def test_a_limit_of_nothing_keeps_nothing():
    cache = PageCache(0)

    cache.keep(1, b"x")

    assert cache.find(1) is None
    assert cache.used == len(cache) == 0


def test_a_block_kept_twice_counts_once():
    cache = PageCache(1 << 20)

    cache.keep(1, bytes(100))
    cache.keep(1, bytes(50))

    assert cache.used == 50
