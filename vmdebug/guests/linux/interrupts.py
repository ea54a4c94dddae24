"""Interrupt descriptors, wherever this kernel keeps them: a maple tree (6.5 and later), an xarray, or a plain array."""

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.trees import each_maple, each_xarray
from vmdebug.guests.memory import read_word

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed


def each_descriptor(linux: "Linux") -> Iterator[tuple[int, "Typed"]]:
    """The number and the struct irq_desc of every interrupt, rising."""
    names, objects = linux.names, linux.objects
    entries: Iterator[tuple[int, int]]
    if names.find("sparse_irqs"):
        tree = objects.at("struct maple_tree", linux.address("sparse_irqs"))
        entries = map(itemgetter(0, 2), each_maple(linux.space.read, int(tree["ma_root"])))
    elif names.find("irq_desc_tree"):
        head = linux.address("irq_desc_tree") + objects.offsetof("struct xarray", "xa_head")
        entries = each_xarray(linux, read_word(linux.space.read, head))
    else:
        raise DebuggerError("the kernel's interrupts are neither in a maple tree nor in an xarray: not supported")
    for number, address in entries:
        yield number, objects.at("struct irq_desc", address)


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
