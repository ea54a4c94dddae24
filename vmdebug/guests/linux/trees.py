"""Trees of the Linux kernel: xarrays, maple trees, red-black trees. All walks are bounded and end at a cycle.

Specified in: include/linux/xarray.h, include/linux/maple_tree.h, include/linux/rbtree.h. Node layouts that the kernel's
types describe are taken from there; a maple node's is fixed (256 bytes, the type in its pointer).
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.guests.memory import Read

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

MAX_NODES = 1 << 20
MAX_DEPTH = 64
INTERNAL, INTERNAL_BITS = 2, 3
SMALLEST_NODE = 4096  # internal entries up to here are marks: siblings, retry, zero

SLOTS = 64  # of an xarray's node; 16 where the kernel was built to be small

MAPLE_NODE = 256
MAPLE_LEAF, MAPLE_RANGE, MAPLE_ARANGE = 1, 2, 3
MAPLE_KINDS = (MAPLE_LEAF, MAPLE_RANGE, MAPLE_ARANGE)
# By the size of a word: how many pivots, where the slots begin, where the metadata are.
MAPLE_SHAPES = {
    8: {MAPLE_LEAF: (15, 128, 248), MAPLE_RANGE: (15, 128, 248), MAPLE_ARANGE: (9, 80, 240)},
    4: {MAPLE_LEAF: (31, 128, 252), MAPLE_RANGE: (31, 128, 252), MAPLE_ARANGE: (20, 84, 252)},
}
RB_COLOUR = 3


class BrokenTree(DebuggerError):
    """A tree that cannot be followed; the text says where and why."""

    def __init__(self, root: int, found: str) -> None:
        super().__init__(f"the tree at {root:#x} is broken: {found}")
        self.root = root


def each_xarray(linux: "Linux", head: int) -> Iterator[tuple[int, int]]:
    """The entries of an xarray, idr or radix tree by rising index; `head` is the value of its xa_head."""
    objects = linux.objects
    kind = linux.types.find("struct xa_node")
    pending, seen = [(head, 0, 0)], set[int]()
    while pending:
        entry, index, depth = pending.pop()
        if entry & INTERNAL_BITS != INTERNAL:
            if entry:
                yield index, entry
            continue
        if entry <= SMALLEST_NODE:
            continue
        if entry in seen or depth > MAX_DEPTH or len(seen) >= MAX_NODES:
            raise BrokenTree(head, f"node {entry:#x} comes again")
        seen.add(entry)
        node = objects.at(kind, entry - INTERNAL)
        shift, slots = int(node["shift"]), node["slots"]
        children = [(int(slots[slot]), index + (slot << shift), depth + 1) for slot in range(min(len(slots), SLOTS))]
        pending.extend(child for child in reversed(children) if child[0])


def each_maple(read: Read, root: int, word: int = 8) -> Iterator[tuple[int, int, int]]:
    """The entries of a maple tree as (first index, last index, entry), rising.

    `root` is the value of its ma_root, `word` the size of a pointer.
    """
    if not root:
        return
    if root & INTERNAL_BITS != INTERNAL:
        yield 0, 0, root
        return
    pending, seen = [(root, 0, (1 << 8 * word) - 1, 0)], set[int]()
    while pending:
        entry, first, last, depth = pending.pop()
        address, kind = entry & ~0xFF, entry >> 3 & 0xF
        if kind not in MAPLE_KINDS or address in seen or depth > MAX_DEPTH or len(seen) >= MAX_NODES:
            raise BrokenTree(root, f"node {entry:#x} is of no known kind, or comes again")
        seen.add(address)
        parts = list(_maple_slots(read(address, MAPLE_NODE), kind, first, last, word))
        if kind == MAPLE_LEAF:
            yield from (part for part in parts if part[2] and (part[2] & INTERNAL_BITS != INTERNAL))
            continue
        pending.extend((child, low, high, depth + 1) for low, high, child in reversed(parts) if child)


def _maple_slots(node: bytes, kind: int, first: int, last: int, word: int) -> Iterator[tuple[int, int, int]]:
    """The slots of a node that are in use: those behind its end are stale."""
    count, slots_at, meta_at = MAPLE_SHAPES[word][kind]
    code = "Q" if word == 8 else "I"
    pivots = struct.unpack_from(f"<{count}{code}", node, word)
    slots = struct.unpack_from(f"<{count + 1}{code}", node, slots_at)
    end = node[meta_at] if kind == MAPLE_ARANGE else _maple_end(node, pivots, last, meta_at)
    low = first
    for number in range(min(end, count) + 1):
        high = pivots[number] if number < count else last
        if number == end and (number == count or not high):
            high = last
        if high < low or high > last:
            return
        yield low, high, slots[number]
        low = high + 1


def _maple_end(node: bytes, pivots: tuple[int, ...], last: int, meta_at: int) -> int:
    """The number of the last slot in use of a node whose metadata share their place with its last slot."""
    if not pivots[-1]:
        return node[meta_at]
    return len(pivots) - 1 if pivots[-1] == last else len(pivots)


def each_rbtree(linux: "Linux", root: int) -> Iterator[int]:
    """The nodes of a red-black tree in order, by their struct rb_node; `root` is the address of the topmost."""
    objects = linux.objects
    left_at, right_at = (objects.offsetof("struct rb_node", side) for side in ("rb_left", "rb_right"))
    stack: list[int] = []
    seen: set[int] = set()
    node = root
    while node or stack:
        while node:
            if node in seen or len(seen) >= MAX_NODES:
                raise BrokenTree(root, f"node {node:#x} comes again")
            seen.add(node)
            stack.append(node)
            node = linux.read_word(node + left_at)
        node = stack.pop()
        yield node
        node = linux.read_word(node + right_at)
