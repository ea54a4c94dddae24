"""A Linux guest's network interfaces: ::net."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.net import Interface, TransmitQueue, each_interface, each_namespace, read_interface
from vmdebug.types.typed import Typed

GUESTS = ("linux",)
HEAD = f"{'ADDR':<16} {'IX':>3} {'NAME':<10} {'STATE':<8} {'MTU':>5} {'MAC':<17} {'TXQ':>3} {'RXQ':>3} ADDRESSES"


@dataclass(frozen=True)
class TransmitRow:
    """A queue to transmit.

    addr: its struct netdev_queue
    qdisc: its queueing discipline
    stopped: what keeps it from going on: driver, stack, frozen, or empty
    started: when it was last given something, in jiffies, as its driver or the watchdog noted it
    """

    addr: Vaddr
    qdisc: Vaddr
    stopped: str
    started: int


@dataclass(frozen=True)
class NetRow:
    """A network interface.

    addr: its struct net_device
    index: its number
    name: its name
    state: its operational state: up, down, unknown, dormant, ...
    flags: up, broadcast, running, ...
    mtu: the longest packet
    mac: its hardware address, empty if it has none
    inet: its IPv4 addresses, with the lengths of their prefixes
    inet6: its IPv6 addresses, likewise
    transmit: its queues to transmit
    rxqueues: how many queues to receive it has
    namespace: the struct net that it is in
    """

    addr: Vaddr
    index: int
    name: str
    state: str
    flags: Sequence[str]
    mtu: int
    mac: str
    inet: Sequence[str]
    inet6: Sequence[str]
    transmit: Sequence[TransmitRow]
    rxqueues: int
    namespace: Vaddr
    _full: bool


def net_lines(rows: Iterable[NetRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield HEAD
        yield (
            f"{row.addr:016x} {row.index:>3} {row.name:<10} {row.state:<8} {row.mtu:>5} {row.mac or '-':<17} "
            f"{len(row.transmit):>3} {row.rxqueues:>3} {' '.join((*row.inet, *row.inet6))}"
        ).rstrip()
        if row._full:
            yield f"{'':4}flags: {' '.join(row.flags)}"
            yield f"{'':4}namespace: {row.namespace:016x}"
            for each in row.transmit:
                stopped = f" stopped by {each.stopped}" if each.stopped else ""
                yield f"{'':4}txq {each.addr:016x} qdisc {each.qdisc:016x} started {each.started}{stopped}"


@dcmd(
    "net",
    address="optional",
    flags=(Flag("v", "with flags, namespace, and each queue to transmit"),),
    text=net_lines,
    row=NetRow,
    guests=GUESTS,
)
def net(call: Call) -> Iterator[NetRow]:
    """print network interfaces

    The interfaces of all network namespaces. An address is that of a struct net_device and shows that one.

    Reads: struct net (list, dev_base_head) from net_namespace_list, struct net_device (dev_list, name, ifindex, flags,
    state, operstate, mtu, addr_len, dev_addr, ip_ptr, ip6_ptr, _tx, num_tx_queues, num_rx_queues), struct in_device
    (ifa_list), struct in_ifaddr (ifa_local, ifa_prefixlen, ifa_next), struct inet6_dev (addr_list), struct inet6_ifaddr
    (if_list, addr, prefix_len), struct netdev_queue (state, qdisc, trans_start).

    Example:
        ::net -v
    """
    kernel = linux(call.guest)
    for namespace, device in _each(call, kernel):
        if call.address not in (None, int(device)):
            continue
        try:
            found = read_interface(kernel, namespace, device)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the interface at {int(device):x}: {err}")
            continue
        for problem in found.problems:
            call.warn(f"{found.name}: {problem}")
        yield _row(found, "v" in call.flags)


def _each(call: Call, kernel: Linux) -> Iterator[tuple[int, Typed]]:
    """The interfaces, namespace by namespace; a broken list of one leaves those of the others."""
    for namespace in each_namespace(kernel):
        try:
            for device in each_interface(kernel, namespace):
                yield namespace, device
        except (DebuggerError, ImageError) as err:
            call.warn(f"the interfaces of the namespace at {namespace:x} end here: {err}")


def _row(found: Interface, full: bool) -> NetRow:
    return NetRow(
        addr=Vaddr(found.address),
        index=found.index,
        name=found.name,
        state=found.operating,
        flags=found.flags,
        mtu=found.mtu,
        mac=found.mac,
        inet=found.inet,
        inet6=found.inet6,
        transmit=list(map(_transmit_row, found.transmit)),
        rxqueues=found.receive_queues,
        namespace=Vaddr(found.namespace),
        _full=full,
    )


def _transmit_row(queue: TransmitQueue) -> TransmitRow:
    return TransmitRow(Vaddr(queue.address), Vaddr(queue.qdisc), queue.stopped, queue.started)


@walker("netdev", guests=GUESTS)
def walk_netdev(call: Call) -> Iterator[int]:
    """walk the network interfaces, by their struct net_device"""
    yield from (int(device) for _, device in _each(call, linux(call.guest)))
