"""Decompressed pages, kept as long as there is room: a bound in bytes, and how often it helped."""

from collections import OrderedDict


class PageCache:
    """Blocks of bytes by number; the one unused for longest makes room. A limit of 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.hits = 0
        self.misses = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def find(self, number: int) -> bytes | None:
        """The block, counted as a hit, or None, counted as a miss."""
        block = self._blocks.get(number)
        if block is None:
            self.misses += 1
            return None
        self.hits += 1
        self._blocks.move_to_end(number)
        return block

    def keep(self, number: int, block: bytes) -> None:
        """Keeps a block that `find` did not have."""
        self.used += len(block) - len(self._blocks.get(number, b""))
        self._blocks[number] = block
        while self.used > self.limit:
            self.used -= len(self._blocks.popitem(last=False)[1])

    @property
    def hit_rate(self) -> float:
        """Hits out of all that was looked for, 0 before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0
