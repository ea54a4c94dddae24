"""Interrupt descriptors, wherever the kernel keeps them: a maple tree (since 6.5), an xarray, radix tree or array."""

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.radix import each_entry
from vmdebug.guests.linux.trees import each_maple

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

MAX_ACTIONS = 64
MAX_INTERRUPTS = 1 << 16


def each_descriptor(linux: "Linux") -> Iterator[tuple[int, "Typed"]]:
    """The number and the struct irq_desc of every interrupt, rising."""
    names, objects = linux.names, linux.objects
    entries: Iterator[tuple[int, int]]
    if names.find("sparse_irqs"):
        tree = objects.at("struct maple_tree", linux.address("sparse_irqs"))
        entries = map(itemgetter(0, 2), each_maple(linux.space.read, int(tree["ma_root"]), linux.word))
    elif names.find("irq_desc_tree"):
        entries = each_entry(linux, linux.address("irq_desc_tree"))
    elif names.find("irq_desc"):
        entries = _array(linux)
    else:
        raise DebuggerError(
            "the kernel has no interrupt descriptors: neither sparse_irqs nor irq_desc_tree nor irq_desc"
        )
    for number, address in entries:
        yield number, objects.at("struct irq_desc", address)


def _array(linux: "Linux") -> Iterator[tuple[int, int]]:
    """The descriptors of a kernel that was built without CONFIG_SPARSE_IRQ."""
    start, size = linux.address("irq_desc"), linux.objects.sizeof("struct irq_desc")
    count = int.from_bytes(linux.space.read(linux.address("nr_irqs"), 4), "little")
    return ((number, start + number * size) for number in range(min(count, MAX_INTERRUPTS)))


def handler_of(descriptor: "Typed") -> int:
    """What an interrupt calls: the thread of its first action, or that action's handler; 0 if nothing is bound."""
    action = descriptor["action"]
    if not action:
        return 0
    return int(action["thread_fn"]) or int(action["handler"])


def name_of(descriptor: "Typed") -> str:
    """The name under which the interrupt was asked for; "" if nothing is bound."""
    action = descriptor["action"]
    return action["name"].string() if action and action["name"] else ""


def each_action(descriptor: "Typed") -> Iterator["Typed"]:
    """What an interrupt calls, each struct irqaction: several where devices share it."""
    action, seen = descriptor["action"], set[int]()
    while action and int(action) not in seen and len(seen) < MAX_ACTIONS:
        seen.add(int(action))
        yield action.deref()
        action = action["next"]


def counts_of(linux: "Linux", descriptor: "Typed") -> list[int]:
    """How often the interrupt came, a number for each processor; none where nothing counts it."""
    pointer = descriptor["kstat_irqs"]
    if not pointer:
        return []
    read, places = linux.space.read, (linux.per_cpu.moved(int(pointer), cpu) for cpu in linux.per_cpu.cpus)
    return [int.from_bytes(read(place, 4), "little") for place in places]  # u32, since 6.10 first in struct irqstat
