"""Virtio devices as the guest's drivers hold them.

A device's own status register is behind its bus, not in memory: what the kernel notes of it is told here.
Feature bits are specified in: Virtual I/O Device (VIRTIO) Version 1.3, 5.1.3, 5.2.3 and 6.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.devices import device_name, driver_name, each_bus_device

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

NET, BLOCK = 1, 2
KINDS = {
    NET: "net", BLOCK: "block", 3: "console", 4: "rng", 5: "balloon", 8: "scsi", 9: "9p", 16: "gpu", 18: "input",
    19: "vsock", 26: "fs",
}  # fmt: skip
COMMON_FEATURES = {
    24: "notify-on-empty", 27: "any-layout", 28: "indirect-desc", 29: "event-idx", 32: "version-1",
    33: "access-platform", 34: "ring-packed", 35: "in-order", 36: "order-platform", 37: "sr-iov",
    38: "notification-data", 39: "notif-config-data", 40: "ring-reset", 41: "admin-vq",
}  # fmt: skip
FEATURES: Mapping[int, Mapping[int, str]] = {
    NET: {
        0: "csum", 1: "guest-csum", 2: "ctrl-guest-offloads", 3: "mtu", 5: "mac", 6: "gso", 7: "guest-tso4",
        8: "guest-tso6", 9: "guest-ecn", 10: "guest-ufo", 11: "host-tso4", 12: "host-tso6", 13: "host-ecn",
        14: "host-ufo", 15: "mrg-rxbuf", 16: "status", 17: "ctrl-vq", 18: "ctrl-rx", 19: "ctrl-vlan",
        20: "ctrl-rx-extra", 21: "guest-announce", 22: "mq", 23: "ctrl-mac-addr",
    },
    BLOCK: {
        0: "barrier", 1: "size-max", 2: "seg-max", 4: "geometry", 5: "ro", 6: "blk-size", 7: "scsi", 9: "flush",
        10: "topology", 11: "config-wce", 12: "mq", 13: "discard", 14: "write-zeroes",
    },
}  # fmt: skip
MAX_QUEUES = 1 << 16


class NoVirtio(DebuggerError):
    def __init__(self) -> None:
        super().__init__("the kernel has no virtio bus: neither it nor a module that is loaded has virtio_bus")


@dataclass(frozen=True)
class VirtioDevice:
    """A virtio device. `status` is what the kernel knows: running, bound, failed, or unbound."""

    address: int
    name: str
    kind: str
    driver: str
    features: int
    feature_names: tuple[str, ...]
    status: str
    private: int


def each_device(linux: "Linux") -> Iterator["Typed"]:
    """Every struct virtio_device; NoVirtio where the kernel has no such bus."""
    bus = linux.symbols.find("virtio_bus")
    if bus is None:
        raise NoVirtio
    for device in each_bus_device(linux, bus.value):
        yield linux.objects.container(int(device), "struct virtio_device", "dev")


def each_queue(linux: "Linux", device: "Typed") -> Iterator[int]:
    """Every struct virtqueue of a device, by its address."""
    return linux.each_listed(int(device.refer_("vqs")), "struct virtqueue", "list", MAX_QUEUES)


def read_device(device: "Typed") -> VirtioDevice:
    """What the kernel notes of a device."""
    kind, features = int(device["id.device"]), int(device["features"])
    names = {**COMMON_FEATURES, **FEATURES.get(kind, {})}
    driver = driver_name(device["dev"])
    return VirtioDevice(
        address=int(device),
        name=device_name(device["dev"]),
        kind=KINDS.get(kind, str(kind)),
        driver=driver,
        features=features,
        feature_names=tuple(names.get(bit, f"bit{bit}") for bit in range(64) if features >> bit & 1),
        status=_status(device, driver),
        private=int(device["priv"]),
    )


def _status(device: "Typed", driver: str) -> str:
    """A driver that is happy with its device lets it report changes of its configuration."""
    if device["failed"]:
        return "failed"
    if not driver:
        return "unbound"
    enabled = next((name for name in ("config_core_enabled", "config_enabled") if name in device), None)
    return "running" if enabled and device[enabled] else "bound"
