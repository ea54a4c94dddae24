"""Drivers and devices of illumos by number: ::devnames ::major2name ::name2major ::devt and their like."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Text, dcmd, walker
from vmdebug.guests.illumos.devices import read_device
from vmdebug.guests.illumos.drivers import (
    each_driver,
    each_instance,
    find_driver_named,
    read_driver,
    split_device,
)
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)


@walker("devnames", guests=GUESTS)
def walk_devnames(call: Call) -> Iterator[int]:
    """walk the entries of devnames that have a driver"""
    return (each.address for each in each_driver(illumos(call.guest)))


@dataclass(frozen=True)
class DriverRow:
    """A driver.

    addr: its entry of the table devnames
    major: its major number
    name: what it is called
    flags: its flags
    head: the dev_info of its first instance, 0 if it has none
    """

    addr: Vaddr
    major: int
    name: str
    flags: Hex
    head: Vaddr


DRIVER = Text("{major:>4} {name:<20} {head:016x}", head=f"{'MAJ':>4} {'NAME':<20} DN_HEAD")
DRIVER_FULL = Text(
    "{major:>4} {name:<20} {head:016x} {addr:016x} {flags:#x}",
    head=f"{'MAJ':>4} {'NAME':<20} {'DN_HEAD':<16} {'DEVNAMES':<16} FLAGS",
)


@dcmd(
    "devnames",
    flags=(Flag("v", "where the entries are, and their flags, too"),),
    text=DRIVER,
    row=DriverRow,
    guests=GUESTS,
)
def devnames(call: Call) -> Iterator[DriverRow]:
    """list drivers by their major numbers

    Every driver that has a major number, with the first node of the device tree that is its.

    Reads: struct devnames (dn_name, dn_flags, dn_head) of devnamesp, devcnt.

    Example:
        ::devnames
    """
    call.text = DRIVER_FULL if "v" in call.flags else None
    for each in each_driver(illumos(call.guest)):
        yield DriverRow(Vaddr(each.address), each.major, each.name, Hex(each.flags), Vaddr(each.head))


@dataclass(frozen=True)
class MajorRow:
    """A driver's numbers.

    major: its major number
    name: what it is called
    """

    major: Hex
    name: str


@dcmd("name2major", synopsis="driver", text=Text("{major:r}"), row=MajorRow, guests=GUESTS)
def name2major(call: Call) -> Iterator[MajorRow]:
    """tell the major number of a driver

    Reads: struct devnames (dn_name) of devnamesp, devcnt.

    Example:
        ::name2major xdf
    """
    if len(call.args) != 1:
        raise call.usage()
    found = find_driver_named(illumos(call.guest), str(call.args[0]))
    yield MajorRow(Hex(found.major), found.name)


@dcmd("major2name", address="optional", synopsis="[major]", text=Text("{name}"), row=MajorRow, guests=GUESTS)
def major2name(call: Call) -> Iterator[MajorRow]:
    """tell the driver of a major number

    The number stands before or behind the command.

    Reads: struct devnames (dn_name) of devnamesp, devcnt.

    Example:
        ::major2name 4
    """
    if (call.address is None) != (len(call.args) == 1):
        raise call.usage()
    found = read_driver(illumos(call.guest), call.number(call.args[0]) if call.args else call.address or 0)
    yield MajorRow(Hex(found.major), found.name)


@dataclass(frozen=True)
class DeviceNumbers:
    """A device's numbers.

    major: of the driver
    minor: among the driver's devices
    device: both, as a dev_t
    """

    major: Hex
    minor: Hex
    device: Hex


DEVT = Text("{major:>10d} {minor:>10d}", head=f"{'MAJOR':>10} {'MINOR':>10}")


def _numbers(call: Call) -> DeviceNumbers:
    """Those of the dev_t that stands before or behind the command."""
    if (call.address is None) != (len(call.args) == 1):
        raise call.usage()
    device = call.number(call.args[0]) if call.args else call.address or 0
    major, minor = split_device(device)
    return DeviceNumbers(Hex(major), Hex(minor), Hex(device))


@dcmd("devt", address="optional", synopsis="[dev]", text=DEVT, row=DeviceNumbers, guests=GUESTS)
def devt(call: Call) -> Iterator[DeviceNumbers]:
    """split a dev_t into its two numbers

    In decimal. The dev_t stands before or behind the command; of a 64-bit kernel's its upper half is the major number.

    Reads: nothing.

    Example:
        400000001::devt
    """
    yield _numbers(call)


@dcmd("dev2major", address="optional", synopsis="[dev]", text=Text("{major:r}"), row=DeviceNumbers, guests=GUESTS)
def dev2major(call: Call) -> Iterator[DeviceNumbers]:
    """tell the major number in a dev_t

    Reads: nothing.

    Example:
        400000001::dev2major | ::major2name
    """
    yield _numbers(call)


@dataclass(frozen=True)
class MinorNumber:
    """A device's number among those of its driver.

    minor: the number
    """

    minor: Hex


@dcmd("dev2minor", address="optional", synopsis="[dev]", text=Text("{minor:r}"), row=MinorNumber, guests=GUESTS)
def dev2minor(call: Call) -> Iterator[MinorNumber]:
    """tell the minor number in a dev_t

    Reads: nothing.

    Example:
        400000001::dev2minor
    """
    yield MinorNumber(_numbers(call).minor)


@dataclass(frozen=True)
class BoundRow:
    """A node of the device tree.

    addr: its dev_info
    driver: the driver that is attached to it, null if there is none
    """

    addr: Vaddr
    driver: str | None


BOUND = Text("{driver}", missing="(driver not attached)")


@dcmd("devinfo2driver", address="required", text=BOUND, row=BoundRow, guests=GUESTS)
def devinfo2driver(call: Call) -> Iterator[BoundRow]:
    """tell the driver of a node of the device tree

    Reads: struct dev_info (devi_major, devi_node_state, devi_instance), devnamesp.

    Example:
        ::walk devinfo | ::devinfo2driver
    """
    for address in call.addresses:
        yield BoundRow(Vaddr(address), read_device(illumos(call.guest), address).driver)


@dataclass(frozen=True)
class NodeRow:
    """A node of the device tree.

    addr: its dev_info
    """

    addr: Vaddr


@dcmd("modctl2devinfo", address="required", text=Text("{addr:x}"), row=NodeRow, guests=GUESTS, whole=True)
def modctl2devinfo(call: Call) -> Iterator[NodeRow]:
    """list the nodes of the driver that a module is

    The nodes of the driver that the module is, by its name.

    Reads: struct modctl (mod_modname), struct devnames (dn_name, dn_head) of devnamesp, devcnt, struct dev_info along
    devi_next.

    Example:
        ::walk modctl | ::modctl2devinfo | ::devinfo -q
    """
    guest = illumos(call.guest)
    heads = {each.name: each.head for each in each_driver(guest)}
    for modctl in call.addresses:
        head = heads.get(guest.objects.at("struct modctl", modctl)["mod_modname"].string(), 0)
        yield from (NodeRow(Vaddr(node)) for node in each_instance(guest, head))
