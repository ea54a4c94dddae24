"""What drivers and buses of illumos keep: ::minornodes ::softstate ::hotplug, the walkers for these and pcie_bus."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Text, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.devices import each_device, root_device
from vmdebug.guests.illumos.drivers import (
    each_connection,
    each_minor,
    each_pcie_bus,
    each_soft_state,
    find_soft_state,
    read_connection,
    read_minor,
)
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)


@walker("minornode", start="required", guests=GUESTS)
def walk_minornode(call: Call) -> Iterator[int]:
    """walk the minor nodes of a node of the device tree"""
    return each_minor(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class MinorRow:
    """A minor node: a device that a driver offers.

    addr: its ddi_minor_data
    dev: its dev_t
    spec: c for a character, b for a block device, else the number of its kind in octal
    type: its class
    name: what it is called
    """

    addr: Vaddr
    dev: Hex
    spec: str
    type: str
    name: str


MINOR = Text(
    "{addr:016x} {dev:>16x} {spec:<4} {type:<20} {name}",
    head=f"{'ADDR':<16} {'DEV':>16} SPEC {'TYPE':<20} NAME",
)


@dcmd("minornodes", address="required", text=MINOR, row=MinorRow, guests=GUESTS)
def minornodes(call: Call) -> Iterator[MinorRow]:
    """list the minor nodes of a node of the device tree

    Reads: devi_minor of struct dev_info, struct ddi_minor_data (next, d_minor).

    Example:
        ::devbindings -q xdf | ::minornodes
    """
    guest = illumos(call.guest)
    for node in call.addresses:
        for address in each_minor(guest, node):
            try:
                found = read_minor(guest, address)
            except ReadFailed as err:
                call.warn(f"failed to read the minor node at {address:x}: {err}")
                continue
            yield MinorRow(Vaddr(address), Hex(found.device), found.kind, found.group, found.name)


@walker("softstate", start="required", guests=GUESTS)
def walk_softstate(call: Call) -> Iterator[int]:
    """walk what a driver keeps of its instances"""
    return (state for state in each_soft_state(illumos(call.guest), call.address or 0) if state)


@walker("softstate_all", start="required", guests=GUESTS)
def walk_softstate_all(call: Call) -> Iterator[int]:
    """walk what a driver keeps of its instances, NULL for those without"""
    return each_soft_state(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class StateRow:
    """What a driver keeps of an instance.

    addr: where
    instance: the instance's number
    """

    addr: Vaddr
    instance: Hex


STATE = Text("{addr:x}")
STATES = Text("{instance:>8x} {addr:016x}", head="INSTANCE SOFTSTATE")


@dcmd("softstate", address="required", synopsis="[instance]", text=STATE, row=StateRow, guests=GUESTS)
def softstate(call: Call) -> Iterator[StateRow]:
    """find what a driver keeps of an instance

    By the pointer that it gave to ddi_soft_state_init; without a number of all
    instances, with their numbers. The number is read in the current radix.

    Reads: struct i_ddi_soft_state (array, n_items).

    Example:
        *xdf_ssp::softstate 0
    """
    if len(call.args) > 1:
        raise call.usage()
    guest = illumos(call.guest)
    call.text = STATE if call.args else STATES
    for address in call.addresses:
        if call.args:
            number = call.number(call.args[0])
            yield StateRow(Vaddr(find_soft_state(guest, address, number)), Hex(number))
            continue
        for number, state in enumerate(each_soft_state(guest, address)):
            if state:
                yield StateRow(Vaddr(state), Hex(number))


def _nodes(call: Call) -> Iterator[int]:
    """The nodes of the device tree, or a node and what is below it."""
    guest = illumos(call.guest)
    top = root_device(guest) if call.address is None else call.address
    return (node for node, _ in each_device(guest, top, call.warn))


@walker("hotplug", start="optional", guests=GUESTS)
def walk_hotplug(call: Call) -> Iterator[int]:
    """walk the hotplug connections of the device tree, or of a node and what is below it"""
    return each_connection(illumos(call.guest), _nodes(call), call.warn)


@walker("pcie_bus", start="optional", guests=GUESTS)
def walk_pcie_bus(call: Call) -> Iterator[int]:
    """walk the pcie_bus_t of the device tree, or of a node and what is below it"""
    return each_pcie_bus(illumos(call.guest), _nodes(call), call.warn)


@dataclass(frozen=True)
class ConnectionRow:
    """A place where a device can be plugged in.

    addr: its ddi_hp_cn_handle_t
    node: the dev_info of the bus that it is of
    type: its kind
    name: what it is called
    state: Empty, Present, Powered or Enabled; of a port Port_Empty, Port_Present, Offline, Attached, Maintenance or
        Online
    """

    addr: Vaddr
    node: Vaddr
    type: str
    name: str
    state: str


CONNECTION = Text(
    "{node:016x} {addr:016x} {type:<12} {name:<15} {state}",
    head=f"{'DEVINFO':<16} {'HANDLE':<16} {'TYPE':<12} {'NAME':<15} STATE",
)


@dcmd(
    "hotplug",
    address="optional",
    flags=(Flag("p", "only places of hardware, no virtual ports"),),
    text=CONNECTION,
    row=ConnectionRow,
    guests=GUESTS,
)
def hotplug(call: Call) -> Iterator[ConnectionRow]:
    """list the places where devices can be plugged in

    All of them, or those of the node at the address and what is below it.

    Reads: struct dev_info from top_devinfo (devi_hp_hdlp), ddi_hp_cn_handle_t (cn_dip, cn_info, next).

    Example:
        ::hotplug
    """
    guest = illumos(call.guest)
    for address in each_connection(guest, _nodes(call), call.warn):
        try:
            found = read_connection(guest, address)
        except ReadFailed as err:
            call.warn(f"failed to read the hotplug connection at {address:x}: {err}")
            continue
        if not (found.is_virtual and "p" in call.flags):
            yield ConnectionRow(Vaddr(address), Vaddr(found.node), found.kind, found.name, found.state)
