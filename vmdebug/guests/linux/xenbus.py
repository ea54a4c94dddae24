"""Devices on xenbus: the halves of split drivers that a guest holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.devices import NoSubsystem, device_name, driver_name, each_bus_device

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

BUSES = {"frontend": "xenbus_frontend", "backend": "xenbus_backend"}
STATES = (
    *("unknown", "initialising", "initwait", "initialised", "connected", "closing", "closed"),
    *("reconfiguring", "reconfigured"),
)


class NoXenbus(DebuggerError):
    def __init__(self) -> None:
        super().__init__("the kernel has no xenbus: it has neither xenbus_frontend nor xenbus_backend")


@dataclass(frozen=True)
class XenDevice:
    """A device on xenbus. `otherend` is the path of the other half in xenstore, `domain` whose that is."""

    address: int
    name: str
    side: str
    type: str
    node: str
    otherend: str
    domain: int
    state: str
    driver: str


def each_device(linux: "Linux") -> Iterator[tuple[str, "Typed"]]:
    """Every struct xenbus_device and the side that it is, frontends first; NoXenbus where there is no such bus."""
    buses = {side: symbol.value for side, name in BUSES.items() if (symbol := linux.symbols.find(name))}
    if not buses:
        raise NoXenbus
    inside = linux.objects.offsetof("struct xen_bus_type", "bus")
    for side, address in buses.items():
        try:
            for device in each_bus_device(linux, address + inside):
                yield side, linux.objects.container(int(device), "struct xenbus_device", "dev")
        except NoSubsystem:
            continue


def read_device(side: str, device: "Typed") -> XenDevice:
    """What a device says of itself."""
    return XenDevice(
        address=int(device),
        name=device_name(device["dev"]),
        side=side,
        type=_text(device, "devicetype"),
        node=_text(device, "nodename"),
        otherend=_text(device, "otherend"),
        domain=int(device["otherend_id"]),
        state=state_name(int(device["state"])),
        driver=driver_name(device["dev"]),
    )


def state_name(number: int) -> str:
    """A state of xenbus in words."""
    return STATES[number] if 0 <= number < len(STATES) else str(number)


def _text(device: "Typed", member: str) -> str:
    return str(device[member].string()) if device[member] else ""
