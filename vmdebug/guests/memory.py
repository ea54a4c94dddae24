"""Small readings that every kernel needs: words, C strings, linked lists.

All are bounded, and a list that bites its own tail ends there.
"""

from collections.abc import Callable, Iterator

from formats.frames import PAGE_MASK, PAGE_SIZE
from vmdebug.errors import DebuggerError, ReadFailed

Read = Callable[[int, int], bytes]

MAX_STRING = 4096
MAX_TABLE = 1 << 26  # no table of a kernel is larger


class TableTooLarge(DebuggerError):
    def __init__(self, what: str, size: int) -> None:
        super().__init__(f"{what}: {size:#x} bytes are more than any kernel's ({MAX_TABLE:#x})")


class CannotWalk(DebuggerError):
    """A list whose first element is not known; `what` is the list."""

    def __init__(self, what: str, err: DebuggerError) -> None:
        super().__init__(f"can't walk {what}: {err}")


class BrokenList(ReadFailed):
    """A linked list that has no end; the address is the node at which that shows."""


def read_word(read: Read, address: int, size: int = 8) -> int:
    """The word at an address: an unsigned number of so many bytes."""
    return int.from_bytes(read(address, size), "little")


def read_string(read: Read, address: int, limit: int = MAX_STRING) -> str:
    """The characters up to a NUL, at most `limit`; only the pages that they lie in are read."""
    parts = []
    while limit > 0:
        chunk = read(address, min(limit, PAGE_SIZE - (address & PAGE_MASK)))
        text, end, _ = chunk.partition(b"\0")
        parts.append(text)
        if end:
            break
        address += len(chunk)
        limit -= len(chunk)
    return decode(b"".join(parts))


def decode(data: bytes) -> str:
    """The characters of a fixed array up to its NUL."""
    return data.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def read_sparse(read: Read, address: int, size: int, what: str) -> tuple[bytes, int]:
    """A whole table, and how many bytes of it could not be read: those are zero."""
    if size > MAX_TABLE:
        raise TableTooLarge(what, size)
    try:
        return read(address, size), 0
    except ReadFailed:
        data, missing = bytearray(size), 0
    for at in _page_starts(address, size):
        length = min(PAGE_SIZE - (at & PAGE_MASK), address + size - at)
        try:
            data[at - address : at - address + length] = read(at, length)
        except ReadFailed:
            missing += length
    return bytes(data), missing


def each_link(follow: Callable[[int], int], first: int, limit: int) -> Iterator[int]:
    """The nodes of a linked list from `first` on, until NULL or back at `first`.

    A list that comes back to another node, or goes on for more than `limit`, ends in BrokenList.
    """
    seen: set[int] = set()
    node = first
    while node and node not in seen:
        if len(seen) >= limit:
            raise BrokenList(node, f"the list has more than {limit} elements")
        yield node
        seen.add(node)
        node = follow(node)
    if node and node != first:
        raise BrokenList(node, "the list comes back here and has no end")


def _page_starts(address: int, size: int) -> Iterator[int]:
    yield address
    yield from range((address | PAGE_MASK) + 1, address + size, PAGE_SIZE)
