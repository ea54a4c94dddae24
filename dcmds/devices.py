"""The device tree of illumos: ::prtconf, the walkers devinfo, devinfo_children, devinfo_parents, devinfo_siblings."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.guests.illumos.devices import (
    each_child,
    each_device,
    each_parent,
    each_sibling,
    read_device,
    root_device,
)
from vmdebug.guests.illumos.kernel import Illumos, illumos

GUESTS = ("illumos",)
STEP = 4  # columns a level


@walker("devinfo", start="optional", guests=GUESTS)
def walk_devinfo(call: Call) -> Iterator[int]:
    """walk the device tree, or what is below a node"""
    guest = illumos(call.guest)
    yield from (node for node, _ in each_device(guest, root_device(guest) if call.address is None else call.address))


@walker("devinfo_children", start="required", guests=GUESTS)
def walk_children(call: Call) -> Iterator[int]:
    """walk the nodes right below a node"""
    return each_child(illumos(call.guest), call.address or 0)


@walker("devinfo_siblings", start="required", guests=GUESTS)
def walk_siblings(call: Call) -> Iterator[int]:
    """walk a node and those behind it below the same parent"""
    return each_sibling(illumos(call.guest), call.address or 0)


@walker("devinfo_parents", start="required", guests=GUESTS)
def walk_parents(call: Call) -> Iterator[int]:
    """walk the parents of a node from the root on, and the node"""
    return each_parent(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class DeviceRow:
    """A node of the device tree.

    addr: its dev_info
    parent: the dev_info above it, null for the root
    depth: how many nodes are above it in what is shown
    name: what it is called
    instance: its number among those of its driver, null if it is not attached
    driver: that driver, null likewise
    """

    addr: Vaddr
    parent: Vaddr | None
    depth: int
    name: str
    instance: int | None
    driver: str | None


def device_lines(rows: Iterable[DeviceRow], _: Show) -> Iterator[str]:
    """A line a node, below its parent."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'DEVINFO':<16} {'NAME':<50}"
        yield f"{'':{STEP * row.depth}}{row.addr:016x} {row.name}{_about(row)}"


def _about(row: DeviceRow) -> str:
    """What stands behind the name of a node; nothing at the root, which is not a device."""
    if row.parent is None:
        return ""
    if row.instance is None:
        return " (driver not attached)"
    return f", instance #{row.instance}" + (f" (driver name: {row.driver})" if row.driver else "")


@dcmd(
    "prtconf",
    address="optional",
    synopsis="[-cp] [-d driver] [-i instance]",
    flags=(
        Flag("c", "only the children of the node"),
        Flag("p", "only the node and its parents"),
        Flag("d", "only nodes of this driver", "text", "driver"),
        Flag("i", "only nodes of this number", "number", "instance"),
    ),
    text=device_lines,
    row=DeviceRow,
    guests=GUESTS,
)
def prtconf(call: Call) -> Iterator[DeviceRow]:
    """print devinfo tree

    The device tree, or what is below the node at the address; each node with its number and its driver.

    Reads: struct dev_info from top_devinfo along devi_child and devi_sibling, devnamesp.

    Example:
        ::prtconf -d xnf
    """
    guest = illumos(call.guest)
    for address, depth in _chosen(call, guest):
        node = read_device(guest, address)
        if "d" in call.flags and node.driver != call.flags["d"]:
            continue
        if "i" in call.flags and node.instance != call.flags["i"]:
            continue
        parent = Vaddr(node.parent) if node.parent else None
        depth = 0 if {"d", "i"} & set(call.flags) else depth
        yield DeviceRow(Vaddr(address), parent, depth, node.name, node.instance, node.driver)


def _chosen(call: Call, guest: Illumos) -> Iterable[tuple[int, int]]:
    """The nodes that a call asks for, each with its depth."""
    top = root_device(guest) if call.address is None else call.address
    if "p" in call.flags:
        return ((node, depth) for depth, node in enumerate(each_parent(guest, top)))
    if "c" in call.flags:
        return ((node, 1) for node in each_child(guest, top))
    return each_device(guest, top)
