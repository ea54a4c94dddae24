"""Bounded bytes at an offset, whatever they come from.

A Source answers `read(offset, size)` with exactly that many bytes or raises SourceEnd; nothing else in formats/
touches a file. `page` is for readers that serve pages in place: it copies nothing where the source is mapped.
"""

import mmap
from pathlib import Path
from typing import Protocol

from formats.errors import ImageError, SourceEnd
from formats.frames import PAGE_SIZE

Buffer = bytes | mmap.mmap


class Source(Protocol):
    """Bytes at offsets 0 to `size`; `name` is what a message calls them."""

    name: str
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes at `offset`, or SourceEnd."""
        ...

    def peek(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes at `offset`: fewer at the end, none past it."""
        ...

    def view(self, offset: int, size: int) -> memoryview:
        """The same bytes as `read`, without a copy where the source is mapped."""
        ...

    def page(self, offset: int) -> tuple[Buffer, int]:
        """A buffer and where in it 4096 bytes from `offset` on begin: the mapping itself, or a copy."""
        ...


class BufferSource:
    """Bytes that are all at hand: a mapping, or bytes in memory."""

    def __init__(self, name: str, buffer: Buffer) -> None:
        self.name = name
        self.size = len(buffer)
        self.served = 0  # bytes copied out so far
        self._buffer = buffer

    def read(self, offset: int, size: int) -> bytes:
        self._check(offset, size)
        self.served += size
        return self._buffer[offset : offset + size]

    def peek(self, offset: int, size: int) -> bytes:
        start = min(max(offset, 0), self.size)
        self.served += size
        return self._buffer[start : min(start + size, self.size)]

    def view(self, offset: int, size: int) -> memoryview:
        self._check(offset, size)
        self.served += size
        return memoryview(self._buffer)[offset : offset + size]

    def page(self, offset: int) -> tuple[Buffer, int]:
        self._check(offset, PAGE_SIZE)
        return self._buffer, offset

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise SourceEnd(self.name, offset, size, self.size)


class FileSource(BufferSource):
    """A file, mapped read-only and never copied."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), map_file(path))
        self.path = path


class Window:
    """Part of another source, as a source of its own."""

    def __init__(self, inner: Source, start: int, size: int, name: str | None = None) -> None:
        if start < 0 or size < 0 or start + size > inner.size:
            raise SourceEnd(inner.name, start, size, inner.size)
        self.name = name or inner.name
        self.size = size
        self._inner = inner
        self._start = start

    def read(self, offset: int, size: int) -> bytes:
        self._check(offset, size)
        return self._inner.read(self._start + offset, size)

    def peek(self, offset: int, size: int) -> bytes:
        offset = max(offset, 0)
        return self._inner.peek(self._start + offset, max(min(size, self.size - offset), 0))

    def view(self, offset: int, size: int) -> memoryview:
        self._check(offset, size)
        return self._inner.view(self._start + offset, size)

    def page(self, offset: int) -> tuple[Buffer, int]:
        self._check(offset, PAGE_SIZE)
        return self._inner.page(self._start + offset)

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise SourceEnd(self.name, offset, size, self.size)


def map_file(path: Path) -> Buffer:
    """The file's bytes, mapped read-only; ImageError if it cannot be opened."""
    try:
        if not path.exists():
            raise ImageError(f"failed to open {path}: No such file or directory")
        if not (path.is_file() or path.is_block_device()):
            raise ImageError(f"failed to open {path}: neither a file nor a block device")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
        raise ImageError(f"failed to open {path}: {reason}") from err
