"""The tasks of a toy kernel: ::toytasks, and the walker toytask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from formats.frames import Vaddr
from vmdebug.dcmd import Call, Text, dcmd, walker

if TYPE_CHECKING:
    from vmdebug_toy.toyos import Toy


@dataclass(frozen=True)
class Task:
    """A task.

    addr: its address
    id: its number
    name: what it is called
    """

    addr: Vaddr
    id: int
    name: str


@walker("toytask", guests=["toy"])
def each_task(call: Call) -> Iterator[int]:
    """walk the tasks of a toy kernel

    In the order of the kernel's list.
    """
    yield from cast("Toy", call.guest).each_task()


@dcmd(
    "toytasks",
    address="optional",
    row=Task,
    text=Text("{addr:016x} {id:>4} {name}", head=f"{'ADDR':<16} {'ID':>4} NAME"),
    guests=["toy"],
)
def show_tasks(call: Call) -> Iterator[Task]:
    """show the tasks of a toy kernel

    The one at the address, or all.

    Example:
        ::toytasks
        ::walk toytask | ::toytasks
    """
    guest = cast("Toy", call.guest)
    for address in call.addresses or call.walk("toytask"):
        number, name = guest.task(address)
        yield Task(Vaddr(address), number, name)
