"""Drivers: their major numbers, and what they and their buses keep: minor nodes, soft states, hotplug connections.

Specified in: sys/autoconf.h, sys/ddi_impldefs.h, sys/ddi_hp_impl.h, sys/mkdev.h of illumos.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import each_link, read_string

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MINOR_BITS = 32  # of a dev_t of a 64-bit kernel
MAX_DRIVERS = 1 << 16
MAX_MINORS = 1 << 16
MAX_INSTANCES = 1 << 16
MAX_STATES = 1 << 20
MAX_CONNECTIONS = 1 << 12
KINDS = {0x2000: "c", 0x6000: "b"}  # S_IFCHR, S_IFBLK
CONNECTION_STATES = {  # ddi_hp_cn_state_t
    0x1000: "Empty",
    0x2000: "Present",
    0x3000: "Powered",
    0x4000: "Enabled",
    0x5000: "Port_Empty",
    0x6000: "Port_Present",
    0x7000: "Offline",
    0x8000: "Attached",
    0x9000: "Maintenance",
    0xA000: "Online",
}
VIRTUAL_PORT = 1  # DDI_HP_CN_TYPE_VIRTUAL_PORT
PCI_PORT = 0x06_0400  # DEVI_PORT_TYPE_PCI: the class of a bridge to a PCI bus


class NoSuchDriver(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"the kernel knows no driver of the name '{name}'")


class NoSuchMajor(DebuggerError):
    def __init__(self, major: int) -> None:
        super().__init__(f"no driver has the major number {major:#x}")


class NoSuchState(DebuggerError):
    def __init__(self, address: int, instance: int, count: int) -> None:
        super().__init__(f"the soft states at {address:x} have none of instance {instance:#x}, but room for {count:#x}")


class TooManyStates(DebuggerError):
    def __init__(self, address: int, count: int) -> None:
        super().__init__(f"the soft states at {address:x} say that there are {count:#x} of them")


class NotKept(DebuggerError):
    def __init__(self, what: str, member: str) -> None:
        super().__init__(f"this kernel keeps no {what}: its struct dev_info has no {member}")


@dataclass(frozen=True)
class Driver:
    """An entry of devnames: its major number, its name, flags, and the dev_info of its first instance if any."""

    address: int
    major: int
    name: str
    flags: int
    head: int


def split_device(device: int) -> tuple[int, int]:
    """The major and the minor number in a dev_t."""
    return device >> MINOR_BITS, device & ((1 << MINOR_BITS) - 1)


def each_driver(guest: "Illumos") -> Iterator[Driver]:
    """Every driver that has a major number."""
    for major in range(min(guest.variable("devcnt"), MAX_DRIVERS)):
        found = _driver(guest, major)
        if found:
            yield found


def _driver(guest: "Illumos", major: int) -> Driver | None:
    """The driver of a major number below devcnt; None if there is none. A name that cannot be read is `?`."""
    entry = guest.objects.pointer("struct devnames", guest.variable("devnamesp"))[major]
    if not entry["dn_name"]:
        return None
    try:
        name = str(entry["dn_name"].string())
    except ReadFailed:
        name = "?"
    return Driver(int(entry), major, name, entry["dn_flags"], int(entry["dn_head"]))


def read_driver(guest: "Illumos", major: int) -> Driver:
    """The driver of a major number, or NoSuchMajor."""
    found = _driver(guest, major) if 0 <= major < min(guest.variable("devcnt"), MAX_DRIVERS) else None
    if found is None:
        raise NoSuchMajor(major)
    return found


def find_driver_named(guest: "Illumos", name: str) -> Driver:
    """The driver of a name, or NoSuchDriver."""
    for each in each_driver(guest):
        if each.name == name:
            return each
    raise NoSuchDriver(name)


def each_instance(guest: "Illumos", node: int) -> Iterator[int]:
    """A dev_info and the next ones of its driver."""
    return each_link(guest.follow("struct dev_info", "devi_next"), node, MAX_INSTANCES)


@dataclass(frozen=True)
class MinorNode:
    """A ddi_minor_data: the device's dev_t, c or b or the number of its kind in octal, its class and its name."""

    address: int
    device: int
    kind: str
    group: str
    name: str


def each_minor(guest: "Illumos", node: int) -> Iterator[int]:
    """The ddi_minor_data of a dev_info."""
    first = int(guest.objects.at("struct dev_info", node)["devi_minor"])
    return each_link(guest.follow("struct ddi_minor_data", "next"), first, MAX_MINORS)


def read_minor(guest: "Illumos", address: int) -> MinorNode:
    found = guest.objects.at("struct ddi_minor_data", address)
    kind = found["d_minor.spec_type"]
    name, group = (_text(guest, int(found[f"d_minor.{member}"])) for member in ("name", "node_type"))
    return MinorNode(address, found["d_minor.dev"], KINDS.get(kind, f"{kind:o}"), group, name)


def each_soft_state(guest: "Illumos", address: int) -> Iterator[int]:
    """The states of a driver by instance, null where an instance has none."""
    found = guest.objects.at("struct i_ddi_soft_state", address)
    if found["n_items"] > MAX_STATES:
        raise TooManyStates(address, found["n_items"])
    return iter(guest.objects.array("uintptr_t", int(found["array"]), found["n_items"]))


def find_soft_state(guest: "Illumos", address: int, instance: int) -> int:
    """The state of an instance, or NoSuchState."""
    states = list(each_soft_state(guest, address))
    if not 0 <= instance < len(states) or not states[instance]:
        raise NoSuchState(address, instance, len(states))
    return states[instance]


@dataclass(frozen=True)
class Connection:
    """A ddi_hp_cn_handle_t: the dev_info of its bus, the kind in words, its name, what it does."""

    address: int
    node: int
    kind: str
    name: str
    state: str
    is_virtual: bool


def each_connection(guest: "Illumos", nodes: Iterable[int], warn: Callable[[str], None]) -> Iterator[int]:
    """The hotplug connections of nodes of the device tree; what is broken is told to `warn`."""
    follow = guest.follow("ddi_hp_cn_handle_t", "next") if _keeps(guest, "devi_hp_hdlp") else None
    if follow is None:
        raise NotKept("hotplug connections", "devi_hp_hdlp")
    for node in nodes:
        try:
            first = int(guest.objects.at("struct dev_info", node)["devi_hp_hdlp"])
            yield from each_link(follow, first, MAX_CONNECTIONS)
        except ReadFailed as err:
            warn(f"failed to read the hotplug connections of {node:x}: {err}")


def read_connection(guest: "Illumos", address: int) -> Connection:
    found = guest.objects.at("ddi_hp_cn_handle_t", address)
    state = int(found["cn_info.cn_state"])
    return Connection(
        address=address,
        node=int(found["cn_dip"]),
        kind=_text(guest, int(found["cn_info.cn_type_str"])),
        name=_text(guest, int(found["cn_info.cn_name"])),
        state=CONNECTION_STATES.get(state, f"{state:#x}"),
        is_virtual=int(found["cn_info.cn_type"]) == VIRTUAL_PORT,
    )


def each_pcie_bus(guest: "Illumos", nodes: Iterable[int], warn: Callable[[str], None]) -> Iterator[int]:
    """The pcie_bus_t of each node that has one: of the bus that it is on, or else of the one that it is a bridge to."""
    if not _keeps(guest, "devi_bus"):
        raise NotKept("private data of buses", "devi_bus")
    for node in nodes:
        try:
            ports = guest.objects.at("struct dev_info", node)["devi_bus"]
            found = [port for port in (ports["port_up"], ports["port_down"]) if port["info.port.type"] == PCI_PORT]
        except ReadFailed as err:
            warn(f"failed to read the buses of {node:x}: {err}")
            continue
        if found:
            yield int(found[0]["priv_p"])


def _keeps(guest: "Illumos", member: str) -> bool:
    return member in guest.objects.at("struct dev_info", 0)


def _text(guest: "Illumos", address: int) -> str:
    """The characters at an address; nothing at NULL, `?` where they cannot be read."""
    try:
        return read_string(guest.target.read, address) if address else ""
    except ReadFailed:
        return "?"
