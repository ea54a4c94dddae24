"""The device tree of illumos: ::prtconf ::devinfo ::devbindings, the walkers devinfo and devi_next and their like."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.devices import (
    each_device,
    each_parent,
    each_related,
    each_sibling,
    read_device,
    root_device,
)
from vmdebug.guests.illumos.drivers import each_instance, find_driver_named, read_driver, split_device
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.properties import LISTS, Property, each_property

GUESTS = ("illumos",)
STEP = 4  # columns a level


@walker("devinfo", start="optional", guests=GUESTS)
def walk_devinfo(call: Call) -> Iterator[int]:
    """walk the device tree, or the parents of a node, the node and what is below it"""
    guest = illumos(call.guest)
    start = root_device(guest) if call.address is None else call.address
    return (node for node, _ in each_related(guest, start, call.warn))


@walker("devinfo_children", start="required", guests=GUESTS)
def walk_children(call: Call) -> Iterator[int]:
    """walk a node and what is below it"""
    return (node for node, _ in each_device(illumos(call.guest), call.address or 0, call.warn))


@walker("devinfo_siblings", start="required", guests=GUESTS)
def walk_siblings(call: Call) -> Iterator[int]:
    """walk a node and those behind it below the same parent"""
    return each_sibling(illumos(call.guest), call.address or 0)


@walker("devinfo_parents", start="required", guests=GUESTS)
def walk_parents(call: Call) -> Iterator[int]:
    """walk the parents of a node from the root on, and the node"""
    return each_parent(illumos(call.guest), call.address or 0)


@walker("devi_next", start="required", guests=GUESTS)
def walk_devi_next(call: Call) -> Iterator[int]:
    """walk a node and the next ones of its driver"""
    return each_instance(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class PropertyRow:
    """A property of a node of the device tree.

    addr: its ddi_prop_t
    list: who set it: System, Driver or Hardware
    first: the first ddi_prop_t of that list
    name: what it is called
    type: int, int64, byte, string, boolean, undefined, or any where the kernel does not say
    items: how many values it has
    value: they, null where they cannot be read
    device: the dev_t that it is of, null if it is of the node
    """

    addr: Vaddr
    list: str
    first: Vaddr
    name: str
    type: str
    items: int
    value: str | None
    device: Vaddr | None


@dataclass(frozen=True)
class DeviceRow:
    """A node of the device tree.

    addr: its dev_info
    parent: the dev_info above it, null for the root
    depth: how many nodes are above it in what is shown
    name: what it is called
    instance: its number among those of its driver, null if it is not attached
    driver: that driver, null likewise
    properties: its properties, null where they were not asked for
    """

    addr: Vaddr
    parent: Vaddr | None
    depth: int
    name: str
    instance: int | None
    driver: str | None
    properties: Sequence[PropertyRow] | None


def device_lines(rows: Iterable[DeviceRow], show: Show) -> Iterator[str]:
    """A line a node, below its parent."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'DEVINFO':<16} {'NAME':<50}"
        yield from node_lines((row,), show)


def node_lines(rows: Iterable[DeviceRow], _: Show) -> Iterator[str]:
    """A line a node, and its properties if they are there."""
    for row in rows:
        indent = " " * (STEP * row.depth)
        yield f"{indent}{row.addr:016x} {row.name}{_about(row)}"
        for line in _property_lines(row.properties or ()):
            yield f"{indent}{'':8}{line}"


def _about(row: DeviceRow) -> str:
    """What stands behind the name of a node; nothing at the root, which is not a device."""
    if row.parent is None:
        return ""
    if row.instance is None:
        return " (driver not attached)"
    return f", instance #{row.instance}" + (f" (driver name: {row.driver})" if row.driver else "")


def _property_lines(properties: Sequence[PropertyRow]) -> Iterator[str]:
    """List by list, of each property its name, its type and its values."""
    for source in LISTS:
        for number, each in enumerate(each for each in properties if each.list == source):
            if number == 0:
                yield f"{source} properties at 0x{each.first:x}:"
            items = f" items={each.items}" if each.type not in ("boolean", "undefined") else ""
            device = "" if each.device is None else " dev=({},{})".format(*split_device(each.device))
            yield f"    name='{each.name}' type={each.type}{items}{device}"
            if items:
                yield f"        value={'?' if each.value is None else each.value}"


def _row(call: Call, guest: Illumos, address: int, depth: int, full: bool) -> DeviceRow:
    """A node, with its properties if they are wanted."""
    node = read_device(guest, address)
    parent = Vaddr(node.parent) if node.parent else None
    properties = [_property(each) for each in each_property(guest, address, call.warn)] if full else None
    return DeviceRow(Vaddr(address), parent, depth, node.name, node.instance, node.driver, properties)


def _property(found: Property) -> PropertyRow:
    return PropertyRow(
        addr=Vaddr(found.address),
        list=found.source,
        first=Vaddr(found.first),
        name=found.name,
        type=found.kind,
        items=found.items,
        value=found.value,
        device=None if found.device is None else Vaddr(found.device),
    )


@dcmd(
    "prtconf",
    address="optional",
    synopsis="[-cpv] [-d driver] [-i instance]",
    flags=(
        Flag("c", "only the node and what is below it"),
        Flag("p", "only the node and its parents"),
        Flag("v", "the properties of each node"),
        Flag("d", "only nodes of this driver", "text", "driver"),
        Flag("i", "only nodes of this number", "number", "instance"),
    ),
    text=device_lines,
    row=DeviceRow,
    guests=GUESTS,
)
def prtconf(call: Call) -> Iterator[DeviceRow]:
    """print devinfo tree

    The device tree, or of a node its parents, itself and what is below it; each node with its number and its driver.
    Properties are shown in the lists of those who set them: the system, the driver, the hardware. Their values are
    words of four bytes (int) or eight (int64) or bytes, all in hex, or texts.

    Reads: struct dev_info from top_devinfo along devi_child, devi_sibling and devi_parent, devnamesp; with -v
    devi_sys_prop_ptr, devi_drv_prop_ptr, devi_hw_prop_ptr and ddi_prop_t.

    Example:
        ::prtconf -v -d xdf
    """
    guest = illumos(call.guest)
    for address, depth in _chosen(call, guest):
        try:
            row = _row(call, guest, address, 0 if {"d", "i"} & set(call.flags) else depth, False)
        except ReadFailed as err:
            call.warn(f"failed to read the node at {address:x}: {err}")
            continue
        if "d" in call.flags and row.driver != call.flags["d"]:
            continue
        if "i" in call.flags and row.instance != call.flags["i"]:
            continue
        yield _row(call, guest, address, row.depth, True) if "v" in call.flags else row


def _chosen(call: Call, guest: Illumos) -> Iterable[tuple[int, int]]:
    """The nodes that a call asks for, each with its depth."""
    top = root_device(guest) if call.address is None else call.address
    if "p" in call.flags:
        return ((node, depth) for depth, node in enumerate(each_parent(guest, top)))
    if "c" in call.flags:
        return each_device(guest, top, call.warn)
    return each_related(guest, top, call.warn)


QUICK = (Flag("q", "without properties"),)


@dcmd("devinfo", address="required", flags=QUICK, text=node_lines, row=DeviceRow, guests=GUESTS)
def devinfo(call: Call) -> Iterator[DeviceRow]:
    """show a node of the device tree with its properties

    As ::prtconf -v shows it.

    Reads: struct dev_info, devnamesp, ddi_prop_t.

    Example:
        ::walk devinfo | ::devinfo -q
    """
    for address in call.addresses:
        yield _row(call, illumos(call.guest), address, 0, "q" not in call.flags)


@dcmd(
    "devbindings",
    address="optional",
    synopsis="[-q] [driver]",
    flags=QUICK,
    text=node_lines,
    row=DeviceRow,
    guests=GUESTS,
)
def devbindings(call: Call) -> Iterator[DeviceRow]:
    """show the nodes of a driver

    The nodes of a driver, which is named, or whose major number stands before the command.

    Reads: struct devnames (dn_name, dn_head) of devnamesp, devcnt, struct dev_info along devi_next, ddi_prop_t.

    Example:
        ::devbindings -q xnf
    """
    guest = illumos(call.guest)
    if (call.address is None) != (len(call.args) == 1):
        raise call.usage("name a driver, or give its major number")
    driver = find_driver_named(guest, str(call.args[0])) if call.args else read_driver(guest, call.address or 0)
    for address in each_instance(guest, driver.head):
        try:
            yield _row(call, guest, address, 0, "q" not in call.flags)
        except ReadFailed as err:
            call.warn(f"failed to read the node at {address:x}: {err}")
