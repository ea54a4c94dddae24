"""Linked lists and balanced trees of an illumos kernel, by its own types.

list_t holds objects that carry a list_node_t, avl_tree_t those that carry an avl_node_t; both say at which offset.
Every walk ends at a node that it has seen before.
"""

from collections.abc import Iterator

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.types.typed import Objects

MAX_NODES = 1 << 22
MAX_HEIGHT = 128  # an AVL tree of 2**64 nodes has 93 levels


class BadList(DebuggerError):
    """A list or tree that cannot be followed to its end: where it began, where it stopped, and why."""

    def __init__(self, what: str, start: int, found: str) -> None:
        super().__init__(f"{what} at {start:x}: {found}")
        self.start = start


class BadLink(DebuggerError):
    def __init__(self, node: int, reason: str) -> None:
        super().__init__(f"failed to read next pointer from object {node:x}: {reason}")
        self.node = node


class BadListHead(DebuggerError):
    def __init__(self, start: int) -> None:
        super().__init__(f"invalid or uninitialized list_t at {start:x}")
        self.start = start


def each_linked(objects: Objects, first: int, offset: int, end: int = 0) -> Iterator[int]:
    """The nodes of a chain whose next pointers lie `offset` bytes into them, up to NULL or to `end`.

    A chain may begin at its end, as circular ones do; BadList where it loops elsewhere.
    """
    seen: set[int] = set()
    node = first
    while node and (node != end or not seen):
        if node in seen or len(seen) >= MAX_NODES:
            raise BadList("list", first, f"loops at {node:x} after {len(seen)} nodes")
        seen.add(node)
        yield node
        try:
            node = int.from_bytes(objects.read(node + offset, objects.types.pointer), "little")
        except ReadFailed as err:
            raise BadLink(node, err.reason) from err


def each_listed(objects: Objects, address: int) -> Iterator[int]:
    """The objects of a list_t, in order."""
    head = objects.at("list_t", address)
    first, size, offset = int(head.list_head.list_next), head.list_size, head.list_offset
    if not first or not size or offset + objects.sizeof("list_node_t") > size:
        raise BadListHead(address)
    last = end = int(head.refer_("list_head"))
    if first == end:
        return
    for last in each_linked(objects, first, objects.offsetof("list_node_t", "list_next"), end):
        yield last - offset
    if int(objects.at("list_node_t", last).list_next) != end:
        raise BadList("list_t", address, f"ends at {last:x} without coming back to its head")


def each_avl(objects: Objects, address: int) -> Iterator[int]:
    """The objects of an avl_tree_t, in order."""
    tree = objects.at("avl_tree_t", address)
    offset, node = tree.avl_offset, int(tree.avl_root)
    seen: set[int] = set()
    above: list[int] = []
    while node or above:
        while node:
            if node in seen or len(above) >= MAX_HEIGHT or len(seen) >= MAX_NODES:
                raise BadList("avl_tree_t", address, f"loops at {node:x} after {len(seen)} nodes")
            seen.add(node)
            above.append(node)
            node = _child(objects, node, 0, address)
        node = above.pop()
        yield node - offset
        node = _child(objects, node, 1, address)


def _child(objects: Objects, node: int, which: int, tree: int) -> int:
    try:
        return int(objects.at("avl_node_t", node).avl_child[which])
    except ReadFailed as err:
        raise BadList("avl_tree_t", tree, f"failed to read node {node:x}: {err.reason}") from err
