"""Linked lists of the Linux kernel, bounded, and ended where they bite themselves or cannot be read."""

from collections.abc import Iterator

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import Read, read_word

MAX_LIST = 1 << 20


class BrokenList(DebuggerError):
    """A linked list that does not lead back to its head."""

    def __init__(self, head: int, found: str) -> None:
        super().__init__(f"the list at {head:#x} is broken {found}")
        self.head = head


def each_listed(read: Read, head: int, offset: int, limit: int = MAX_LIST, word: int = 8) -> Iterator[int]:
    """What hangs on a `struct list_head`, by its own address; BrokenList where the list does not lead back.

    `offset` is where in each element its list_head lies, `word` the size of a pointer.
    """
    seen = {head}
    node = read_word(read, head, word)
    while node not in seen:
        if len(seen) > limit:
            raise BrokenList(head, f"after {limit} elements: it goes on")
        try:
            following = read_word(read, node, word)
        except ReadFailed as err:
            raise BrokenList(head, f"after {len(seen) - 1} elements: {err}") from err
        seen.add(node)
        yield node - offset
        node = following
    if node != head:
        raise BrokenList(head, f"after {len(seen) - 1} elements: it leads back into itself at {node:#x}")


def each_hashed(read: Read, first: int, offset: int, limit: int = MAX_LIST, word: int = 8) -> Iterator[int]:
    """What hangs on a `struct hlist_head`, by its own address; BrokenList where it leads back into itself.

    `first` is the value of the head, `offset` where in each element its hlist_node lies, `word` the size of a pointer.
    """
    node, seen = first, set[int]()
    while node:
        if node in seen or len(seen) >= limit:
            raise BrokenList(first, f"after {len(seen)} elements: it comes back, or goes on, at {node:#x}")
        seen.add(node)
        yield node - offset
        node = read_word(read, node, word)
