"""Many names, found by how they begin: sorted once, then bisected, so that 200,000 symbols answer at once."""

from bisect import bisect_left
from collections.abc import Iterable

LIMIT = 200
LAST = chr(0x10FFFF)


class Names:
    """Sorted names without repetition."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(set(names))

    def __len__(self) -> int:
        return len(self._names)

    def starting(self, prefix: str, limit: int = LIMIT) -> list[str]:
        """The names with that prefix, in order.

        Of more than `limit` the first ones and the very last are given: what those have in common, all have.
        """
        start = bisect_left(self._names, prefix)
        end = bisect_left(self._names, prefix + LAST, start)
        if end - start <= limit:
            return self._names[start:end]
        return [*self._names[start : start + limit - 1], self._names[end - 1]]

    def count(self, prefix: str) -> int:
        """How many names have that prefix."""
        start = bisect_left(self._names, prefix)
        return bisect_left(self._names, prefix + LAST, start) - start
