"""The kernel's devices by the bus that they sit on or the class that they belong to.

A bus or class keeps its devices in a klist of its struct subsys_private. Up to 6.3 it points to that itself (member p);
since then it is found among all of them: the one whose `bus` or `class` is the one that is sought.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

DEAD = 1  # of n_klist: the node waits to be freed
MAX_DEVICES = 1 << 16
MAX_SUBSYSTEMS = 4096


class NoSubsystem(DebuggerError):
    def __init__(self, kind: str, address: int) -> None:
        super().__init__(f"the kernel has registered no {kind} at {address:#x}")


def each_bus_device(linux: "Linux", bus: int) -> Iterator["Typed"]:
    """Every struct device on a bus, in the order in which they came; `bus` is the address of its struct bus_type."""
    return _each_device(linux, _subsystem(linux, "bus", "struct bus_type", bus), "knode_bus")


def each_class_device(linux: "Linux", of: int) -> Iterator["Typed"]:
    """Every struct device of a class; `of` is the address of its struct class."""
    return _each_device(linux, _subsystem(linux, "class", "struct class", of), "knode_class")


def device_name(device: "Typed") -> str:
    """A device's name, as its folder in sysfs has it."""
    name = device["kobj.name"] or device["init_name"]
    return str(name.string()) if name else ""


def driver_name(device: "Typed") -> str:
    """The driver that a device is bound to; "" if it is to none."""
    driver = device["driver"]
    return str(driver["name"].string()) if driver and driver["name"] else ""


def _subsystem(linux: "Linux", kind: str, struct: str, address: int) -> int:
    """The struct subsys_private of a bus or class."""
    found = linux.objects.at(struct, address)
    if "p" in found:
        if not found["p"]:
            raise NoSubsystem(kind, address)
        return int(found["p"])
    kset = linux.read_word(f"{kind}_kset")
    head = kset + linux.objects.offsetof("struct kset", "list")
    inside = linux.objects.offsetof("struct subsys_private", "subsys.kobj")
    for kobject in linux.each_listed(head, "struct kobject", "entry", MAX_SUBSYSTEMS):
        private = linux.objects.at("struct subsys_private", kobject - inside)
        if int(private[kind]) == address:
            return kobject - inside
    raise NoSubsystem(kind, address)


def _each_device(linux: "Linux", subsystem: int, member: str) -> Iterator["Typed"]:
    objects = linux.objects
    head = subsystem + objects.offsetof("struct subsys_private", "klist_devices.k_list")
    for node in linux.each_listed(head, "struct klist_node", "n_node", MAX_DEVICES):
        if int(objects.at("struct klist_node", node)["n_klist"]) & DEAD:
            continue
        yield objects.container(node, "struct device_private", member)["device"].deref()
