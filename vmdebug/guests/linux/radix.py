"""Entries by index, in whatever tree the kernel keeps them: an xarray (4.20 and later), a radix tree, an idr's layers.

Which it is, the members of its types say, not a version: distributions bring newer trees to older kernels.
Specified in: include/linux/radix-tree.h and lib/radix-tree.c of Linux 3.10 to 4.19, include/linux/idr.h up to 4.10.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from vmdebug.guests.linux.trees import MAX_DEPTH, MAX_NODES, BrokenTree, each_xarray

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

NODE = 1  # of an entry of a radix tree: it leads to a node
ENTRY_BITS = 3  # since 4.7: 01 leads to a node, 10 is a value; before, the lowest bit says all
EXCEPTIONAL = 2  # a value that is no pointer
MAX_SLOTS = 1 << 10
NODE_TYPE = "struct radix_tree_node"
ROOT, XARRAY = "struct radix_tree_root", "struct xarray"  # since 4.20 the former is a macro, which types do not have


def each_entry(linux: "Linux", address: int) -> Iterator[tuple[int, int]]:
    """Index and value of what an xarray or a radix tree at an address holds, by rising index."""
    if linux.types.knows(XARRAY) or not linux.types.knows(ROOT):
        head = address + linux.objects.offsetof(XARRAY, "xa_head")
        return each_xarray(linux, linux.read_word(head))
    root = linux.read_word(address + linux.objects.offsetof(ROOT, "rnode"))
    return _Radix(linux, root).each()


def each_of_idr(linux: "Linux", address: int) -> Iterator[tuple[int, int]]:
    """Number and value of what a struct idr at an address holds, by rising number."""
    idr = linux.objects.at("struct idr", address)
    if "top" in idr:
        yield from _each_layered(linux, int(idr["top"]), int(idr["layers"]))
        return
    base = int(idr["idr_base"]) if "idr_base" in idr else 0
    for index, entry in each_entry(linux, address + linux.objects.offsetof("struct idr", "idr_rt")):
        yield index + base, entry


class Slot(NamedTuple):
    """What a slot of a node holds: a value, or as `inner` the address of another node; and its first index."""

    value: int
    first: int
    inner: bool


class _Radix:
    """A radix tree by the value of its `rnode`."""

    def __init__(self, linux: "Linux", root: int) -> None:
        self._linux = linux
        self._root = root
        self._kind = linux.types.find(NODE_TYPE)
        self._slots_at = linux.objects.offsetof(NODE_TYPE, "slots")

    def each(self) -> Iterator[tuple[int, int]]:
        """Its entries by rising index; BrokenTree where a node comes again."""
        inner = bool(self._root & NODE)
        pending, seen = [Slot(self._root & ~NODE if inner else self._root, 0, inner)], set[int]()
        while pending and self._root:
            value, index, inner = pending.pop()
            if not inner:
                yield index, value
                continue
            if value in seen or len(seen) >= MAX_NODES:
                raise BrokenTree(self._root, f"node {value:#x} comes again")
            seen.add(value)
            node = self._linux.objects.at(self._kind, value)
            slots = self._marked(node, index) if "shift" in node else self._plain(node, index)
            pending.extend(reversed([slot for slot in slots if slot.value]))

    def _marked(self, node: "Typed", index: int) -> Iterator[Slot]:
        """The slots of a node since 4.7: what leads to another is marked so."""
        entries = _entries(node)
        shift, first = int(node["shift"]), node.address_ + self._slots_at
        own = range(first, first + len(entries) * self._linux.word)
        for number, entry in enumerate(entries):
            inner = entry & ENTRY_BITS == NODE
            value = entry & ~NODE if inner else entry
            if not (inner and value in own):  # else a part of an entry that takes several slots
                yield Slot(value, index + (number << shift), inner)

    def _plain(self, node: "Typed", index: int) -> Iterator[Slot]:
        """The slots of a node before 4.7, of which only those of 4.6 are marked: its height says where they lead."""
        entries = _entries(node)
        bits = len(entries).bit_length() - 1
        height = self._height(node, bits)
        for number, entry in enumerate(entries):
            inner = height > 1 and not entry & EXCEPTIONAL
            if inner or not entry & NODE:  # at the lowest level the mark says that an entry was moved
                yield Slot(entry & ~NODE if inner else entry, index + (number << (height - 1) * bits), inner)

    def _height(self, node: "Typed", bits: int) -> int:
        """How many levels a node stands above its entries; `path` has its place in its parent above that."""
        if "height" in node:
            height = int(node["height"])
        else:
            longest = -(-8 * self._linux.word // max(bits, 1))
            height = int(node["path"]) & ((1 << longest + 1) - 1)
        return min(max(height, 1), MAX_DEPTH)


def _entries(node: "Typed") -> list[int]:
    slots = node["slots"]
    return [int(slots[number]) for number in range(min(len(slots), MAX_SLOTS))]


def _each_layered(linux: "Linux", top: int, layers: int) -> Iterator[tuple[int, int]]:
    """The entries of an idr of 4.10 or before: layers of pointers, the lowest of which has the values."""
    kind = linux.types.find("struct idr_layer")
    pending, seen = [(top, 0, min(layers, MAX_DEPTH))] if top else [], set[int]()
    while pending:
        entry, number, above = pending.pop()
        if not above:
            yield number, entry
            continue
        if entry in seen or len(seen) >= MAX_NODES:
            raise BrokenTree(top, f"layer {entry:#x} comes again")
        seen.add(entry)
        slots = linux.objects.at(kind, entry)["ary"]
        count = min(len(slots), MAX_SLOTS)
        step = (count.bit_length() - 1) * (above - 1)
        children = [(int(slots[slot]), number + (slot << step), above - 1) for slot in range(count)]
        pending.extend(child for child in reversed(children) if child[0])
