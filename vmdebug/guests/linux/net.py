"""Network interfaces, with their addresses and queues, in every network namespace."""

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, TypeVar

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ImageError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

FLAGS = (
    *("up", "broadcast", "debug", "loopback", "pointopoint", "notrailers", "running", "noarp", "promisc", "allmulti"),
    *("master", "slave", "multicast", "portsel", "automedia", "dynamic", "lower_up", "dormant", "echo"),
)
OPERATING = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")  # RFC 2863
STATE_START, STATE_NOCARRIER, STATE_DORMANT = 0, 2, 4  # bits of net_device.state
RUNNING, LOWER_UP, DORMANT = 1 << 6, 1 << 16, 1 << 17
OPERATING_UNKNOWN, OPERATING_UP = 0, 6
STOPPED_BY_DRIVER, STOPPED_BY_STACK = 1, 2  # __QUEUE_STATE_DRV_XOFF, __QUEUE_STATE_STACK_XOFF
FROZEN = 4
MAX_NAMESPACES = 1 << 16
MAX_INTERFACES = 1 << 16
MAX_ADDRESSES = 1 << 12
MAX_QUEUES = 1 << 12
MAX_MAC = 32

Item = TypeVar("Item")


class NoNetwork(DebuggerError):
    def __init__(self) -> None:
        super().__init__("the kernel has no network: it has neither net_namespace_list nor init_net")


@dataclass(frozen=True)
class TransmitQueue:
    """A queue to transmit. `stopped` says by what: driver, stack, frozen, or "" where it may go on."""

    address: int
    qdisc: int
    stopped: str
    started: int


@dataclass(frozen=True)
class Interface:
    """A network interface. Addresses are with the lengths of their prefixes."""

    address: int
    namespace: int
    index: int
    name: str
    flags: tuple[str, ...]
    operating: str
    mtu: int
    mac: str
    inet: tuple[str, ...]
    inet6: tuple[str, ...]
    transmit: tuple[TransmitQueue, ...]
    receive_queues: int
    problems: tuple[str, ...]


def each_namespace(linux: "Linux") -> Iterator[int]:
    """Every struct net; NoNetwork where the kernel has none."""
    if linux.names.find("net_namespace_list"):
        yield from linux.each_listed("net_namespace_list", "struct net", "list", MAX_NAMESPACES)
    elif linux.names.find("init_net"):
        yield linux.address("init_net")
    else:
        raise NoNetwork


def each_interface(linux: "Linux", namespace: int) -> Iterator["Typed"]:
    """Every struct net_device of a namespace."""
    head = namespace + linux.objects.offsetof("struct net", "dev_base_head")
    for address in linux.each_listed(head, "struct net_device", "dev_list", MAX_INTERFACES):
        yield linux.objects.at("struct net_device", address)


def read_interface(linux: "Linux", namespace: int, device: "Typed") -> Interface:
    """What an interface says of itself; what of it cannot be read is told in `problems`."""
    problems: list[str] = []
    return Interface(
        address=int(device),
        namespace=namespace,
        index=int(device["ifindex"]),
        name=device["name"].string(),
        flags=_flags(device),
        operating=_operating(int(device["operstate"])),
        mtu=int(device["mtu"]),
        mac=_mac(linux, device),
        inet=_gathered(_each_inet(device), "IPv4 addresses", problems),
        inet6=_gathered(_each_inet6(linux, device), "IPv6 addresses", problems),
        transmit=_gathered(_each_transmit(linux, device), "queues", problems),
        receive_queues=int(device["num_rx_queues"]) if "num_rx_queues" in device else 1,
        problems=tuple(problems),
    )


def _gathered(items: Iterator[Item], what: str, problems: list[str]) -> tuple[Item, ...]:
    found: list[Item] = []
    try:
        found.extend(items)
    except (DebuggerError, ImageError) as err:
        problems.append(f"{what} end here: {err}")
    return tuple(found)


def _flags(device: "Typed") -> tuple[str, ...]:
    """The flags that a user sees: those of the state of the link are not kept, but follow from it."""
    flags = int(device["flags"]) & ~(RUNNING | LOWER_UP | DORMANT)
    state, operating = int(device["state"]), int(device["operstate"])
    if state >> STATE_START & 1:
        flags |= RUNNING if operating in (OPERATING_UNKNOWN, OPERATING_UP) else 0
        flags |= 0 if state >> STATE_NOCARRIER & 1 else LOWER_UP
        flags |= DORMANT if state >> STATE_DORMANT & 1 else 0
    return tuple(name for bit, name in enumerate(FLAGS) if flags >> bit & 1)


def _operating(number: int) -> str:
    return OPERATING[number] if number < len(OPERATING) else str(number)


def _mac(linux: "Linux", device: "Typed") -> str:
    """The hardware address; "" for an interface that has none, or only zeros."""
    length = min(int(device["addr_len"]), MAX_MAC)
    data = linux.space.read(int(device["dev_addr"]), length) if length and device["dev_addr"] else b""
    return ":".join(f"{byte:02x}" for byte in data) if any(data) else ""


def _each_inet(device: "Typed") -> Iterator[str]:
    """The IPv4 addresses, in a chain."""
    if not device["ip_ptr"]:
        return
    address, seen = device["ip_ptr"]["ifa_list"], set[int]()
    while address and int(address) not in seen and len(seen) < MAX_ADDRESSES:
        seen.add(int(address))
        local = int(address["ifa_local"]).to_bytes(4, "little")
        yield f"{'.'.join(map(str, local))}/{int(address['ifa_prefixlen'])}"
        address = address["ifa_next"]


def _each_inet6(linux: "Linux", device: "Typed") -> Iterator[str]:
    """The IPv6 addresses, on a list; a kernel without IPv6 has none."""
    if "ip6_ptr" not in device or not device["ip6_ptr"]:
        return
    head = int(device["ip6_ptr"]) + linux.objects.offsetof("struct inet6_dev", "addr_list")
    for address in linux.each_listed(head, "struct inet6_ifaddr", "if_list", MAX_ADDRESSES):
        held = linux.objects.at("struct inet6_ifaddr", address)
        yield f"{IPv6Address(held['addr'].bytes_())}/{int(held['prefix_len'])}"


def _each_transmit(linux: "Linux", device: "Typed") -> Iterator[TransmitQueue]:
    count = min(int(device["num_tx_queues"]), MAX_QUEUES)
    if not device["_tx"]:
        return
    for queue in linux.objects.array("struct netdev_queue", int(device["_tx"]), count):
        state = int(queue["state"])
        reasons = {STOPPED_BY_DRIVER: "driver", STOPPED_BY_STACK: "stack", FROZEN: "frozen"}
        stopped = next((name for bit, name in reasons.items() if state & bit), "")
        yield TransmitQueue(int(queue), int(queue["qdisc"]), stopped, int(queue["trans_start"]))
