"""Devices of a Linux guest on Xen: ::xenbus."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.xenbus import each_device, read_device


@dataclass(frozen=True)
class XenbusRow:
    """A device on xenbus.

    addr: its struct xenbus_device
    name: its name on the bus
    side: frontend, or backend
    type: vif, vbd, ...
    state: its state: initialising, initwait, initialised, connected, closing, closed, ...
    driver: the driver that it is bound to
    node: its path in xenstore
    otherend: the path of its other half
    domain: the domain of its other half
    """

    addr: Vaddr
    name: str
    side: str
    type: str
    state: str
    driver: str
    node: str
    otherend: str
    domain: int


@dcmd(
    "xenbus",
    address="optional",
    text=Text(
        "{addr:016x} {name:<14} {side:<8} {type:<8} {state:<13} {driver:<10} {node:<22} d{domain} {otherend}",
        head=f"{'ADDR':<16} {'NAME':<14} {'SIDE':<8} {'TYPE':<8} {'STATE':<13} {'DRIVER':<10} {'NODE':<22} OTHER END",
    ),
    row=XenbusRow,
    guests=("linux",),
)
def xenbus(call: Call) -> Iterator[XenbusRow]:
    """print devices on xenbus

    The halves of split drivers that the guest holds, with their states. An address is that of a struct xenbus_device
    and shows that one.

    Reads: struct xen_bus_type (bus) at xenbus_frontend and xenbus_backend, struct subsys_private (klist_devices),
    struct klist_node (n_node, n_klist), struct device_private (knode_bus, device), struct xenbus_device (dev,
    devicetype, nodename, otherend, otherend_id, state), struct device (driver, kobj), struct device_driver (name).

    Example:
        ::xenbus
    """
    for side, device in each_device(linux(call.guest)):
        if call.address not in (None, int(device)):
            continue
        try:
            found = read_device(side, device)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the device at {int(device):x}: {err}")
            continue
        yield XenbusRow(
            addr=Vaddr(found.address),
            name=found.name,
            side=found.side,
            type=found.type,
            state=found.state,
            driver=found.driver,
            node=found.node,
            otherend=found.otherend,
            domain=found.domain,
        )


@walker("xenbus", guests=("linux",))
def walk_xenbus(call: Call) -> Iterator[int]:
    """walk the devices on xenbus"""
    for _, device in each_device(linux(call.guest)):
        yield int(device)
