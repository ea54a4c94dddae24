"""Walkers of what a Linux kernel keeps things in: list_head hlist rbtree xarray radix idr maple."""

from collections.abc import Iterator

from vmdebug.dcmd import Call, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.lists import each_hashed, each_listed
from vmdebug.guests.linux.radix import each_entry, each_of_idr
from vmdebug.guests.linux.trees import each_maple, each_rbtree

GUESTS = ("linux",)


def start_of(call: Call) -> int:
    """Where the walk begins."""
    if call.address is None:
        raise DebuggerError("walker requires starting address")
    return call.address


@walker("list_head", start="required", guests=GUESTS)
def walk_list_head(call: Call) -> Iterator[int]:
    """walk the nodes of a list, by the address of its head"""
    kernel = linux(call.guest)
    yield from each_listed(kernel.space.read, start_of(call), 0, word=kernel.word)


@walker("hlist", start="required", guests=GUESTS)
def walk_hlist(call: Call) -> Iterator[int]:
    """walk the nodes of a hash chain, by the address of its struct hlist_head"""
    kernel = linux(call.guest)
    yield from each_hashed(kernel.space.read, kernel.read_word(start_of(call)), 0, word=kernel.word)


@walker("rbtree", start="required", guests=GUESTS)
def walk_rbtree(call: Call) -> Iterator[int]:
    """walk the nodes of a red-black tree in order, by the address of its struct rb_root"""
    kernel = linux(call.guest)
    yield from each_rbtree(kernel, kernel.read_word(start_of(call)))


@walker("xarray", start="required", guests=GUESTS)
def walk_xarray(call: Call) -> Iterator[int]:
    """walk the entries of an xarray, by its address"""
    for _, entry in each_entry(linux(call.guest), start_of(call)):
        yield entry


@walker("radix", start="required", guests=GUESTS)
def walk_radix(call: Call) -> Iterator[int]:
    """walk the entries of a radix tree, by the address of its struct radix_tree_root: an xarray since 4.20"""
    return walk_xarray(call)


@walker("idr", start="required", guests=GUESTS)
def walk_idr(call: Call) -> Iterator[int]:
    """walk the entries of a struct idr, by its address"""
    for _, entry in each_of_idr(linux(call.guest), start_of(call)):
        yield entry


@walker("maple", start="required", guests=GUESTS)
def walk_maple(call: Call) -> Iterator[int]:
    """walk the entries of a maple tree, by its address"""
    kernel = linux(call.guest)
    root = start_of(call) + kernel.objects.offsetof("struct maple_tree", "ma_root")
    for _, _, entry in each_maple(kernel.space.read, kernel.read_word(root), kernel.word):
        yield entry
