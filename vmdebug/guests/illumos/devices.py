"""The device tree: a dev_info for each node, below the root nexus.

Specified in: sys/ddi_impldefs.h, sys/autoconf.h of illumos.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import each_link

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

ATTACHED = 5  # DS_ATTACHED
MAX_NODES = 1 << 16


@dataclass(frozen=True)
class Device:
    """A node: its name, its number among those of its driver if it is attached, and that driver."""

    address: int
    parent: int
    name: str
    instance: int | None
    driver: str | None


def read_device(guest: "Illumos", address: int) -> Device:
    node = guest.objects.at("struct dev_info", address)
    name = node["devi_node_name"].string() if node["devi_node_name"] else ""
    attached = node["devi_node_state"] >= ATTACHED and node["devi_instance"] >= 0
    driver = find_driver(guest, node["devi_major"]) if attached else None
    return Device(address, int(node["devi_parent"]), name, node["devi_instance"] if attached else None, driver)


def find_driver(guest: "Illumos", major: int) -> str | None:
    """The name of the driver with a major number; None if the kernel knows none."""
    try:
        return str(guest.objects.pointer("struct devnames", guest.variable("devnamesp"))[major]["dn_name"].string())
    except DebuggerError:
        return None


def find_instance(guest: "Illumos", device: int) -> str | None:
    """The driver of a device node and the node's instance, as `xnf#0`; None where they are not known."""
    try:
        node = guest.objects.at("struct dev_info", device)
        name = find_driver(guest, node["devi_major"]) if device else None
        return None if name is None else f"{name}#{node['devi_instance']}"
    except DebuggerError:
        return None


def root_device(guest: "Illumos") -> int:
    """The root nexus."""
    return guest.variable("top_devinfo")


def each_sibling(guest: "Illumos", node: int) -> Iterator[int]:
    """A node and those behind it below the same parent."""
    return each_link(guest.follow("struct dev_info", "devi_sibling"), node, MAX_NODES)


def each_parent(guest: "Illumos", node: int) -> Iterator[int]:
    """The parents of a node, the root first, and the node itself."""
    return reversed(list(each_link(guest.follow("struct dev_info", "devi_parent"), node, MAX_NODES)))


def each_device(guest: "Illumos", top: int, warn: Callable[[str], None]) -> Iterator[tuple[int, int]]:
    """A node and all below it, each once and with its depth, a node before its children.

    What cannot be read is told to `warn`, and left out.
    """
    child = guest.follow("struct dev_info", "devi_child")
    pending, seen = [(top, 0)], set[int]()
    while pending and len(seen) < MAX_NODES:
        node, depth = pending.pop()
        if not node or node in seen:
            continue
        seen.add(node)
        try:
            first = child(node)
        except ReadFailed as err:
            warn(f"failed to read the node at {node:x}: {err}")
            continue
        yield node, depth
        children: list[tuple[int, int]] = []
        try:
            children.extend((each, depth + 1) for each in each_sibling(guest, first))
        except ReadFailed as err:
            warn(f"failed to read the nodes below {node:x}: {err}")
        pending.extend(reversed(children))


def each_related(guest: "Illumos", node: int, warn: Callable[[str], None]) -> Iterator[tuple[int, int]]:
    """The parents of a node, the root first, the node, and all below it, each with its depth."""
    above = list(each_parent(guest, node))[:-1]
    yield from ((parent, depth) for depth, parent in enumerate(above))
    yield from ((each, len(above) + depth) for each, depth in each_device(guest, node, warn))
