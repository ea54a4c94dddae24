"""Several sources one after the other, as one."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from formats.errors import SourceEnd
from formats.frames import PAGE_SIZE
from formats.source import Buffer, Source


class Joined:
    """The bytes of the parts in a row. Pages inside one part are served without a copy."""

    def __init__(self, parts: Sequence[Source], name: str | None = None) -> None:
        self.name = name or " ".join(part.name for part in parts)
        self.parts = parts
        self.starts = [0, *accumulate(part.size for part in parts)]
        self.size = self.starts.pop()

    def read(self, offset: int, size: int) -> bytes:
        self._check(offset, size)
        part, inner = self._find(offset)
        if inner + size <= self.parts[part].size:
            return self.parts[part].read(inner, size)
        pieces = []
        while size:
            part, inner = self._find(offset)
            chunk = min(size, self.parts[part].size - inner)
            pieces.append(self.parts[part].read(inner, chunk))
            offset += chunk
            size -= chunk
        return b"".join(pieces)

    def peek(self, offset: int, size: int) -> bytes:
        start = min(max(offset, 0), self.size)
        return self.read(start, min(max(size, 0), self.size - start)) if start < self.size else b""

    def view(self, offset: int, size: int) -> memoryview:
        self._check(offset, size)
        part, inner = self._find(offset)
        if inner + size <= self.parts[part].size:
            return self.parts[part].view(inner, size)
        return memoryview(self.read(offset, size))

    def page(self, offset: int) -> tuple[Buffer, int]:
        self._check(offset, PAGE_SIZE)
        part, inner = self._find(offset)
        if inner + PAGE_SIZE <= self.parts[part].size:
            return self.parts[part].page(inner)
        return self.read(offset, PAGE_SIZE), 0

    def _find(self, offset: int) -> tuple[int, int]:
        part = bisect_right(self.starts, offset) - 1
        return part, offset - self.starts[part]

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise SourceEnd(self.name, offset, size, self.size)
