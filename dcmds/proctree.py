"""Processes and their relations in illumos: ::ptree ::pid2proc ::as2proc."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show, Text, dcmd
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.processes import Process, each_ancestor, each_branch, find_owner, find_pid

GUESTS = ("illumos",)


@dataclass(frozen=True)
class Branch:
    """A process in the tree of processes.

    addr: its proc_t
    depth: how many ancestors it has in what is shown
    comm: its name
    """

    addr: Vaddr
    depth: int
    comm: str


def branch_lines(rows: Iterable[Branch], _: Show) -> Iterator[str]:
    return (f"{'':{5 * row.depth}}{row.addr:016x}  {row.comm}" for row in rows)


@dcmd("ptree", address="optional", text=branch_lines, row=Branch, guests=GUESTS)
def ptree(call: Call) -> Iterator[Branch]:
    """print process tree

    Every process below its parent; with an address that process, its ancestors and all below it.

    Reads: proc_t along p_parent, p_child and p_sibling.

    Example:
        ::ptree
    """
    guest = illumos(call.guest)
    top = guest.symbol("p0").value if call.address is None else call.address
    above = [] if call.address is None else list(each_ancestor(guest, top))[::-1]
    for depth, address in enumerate(above):
        yield Branch(Vaddr(address), depth, _command(guest, address))
    for address, depth in each_branch(guest, top, len(above)):
        yield Branch(Vaddr(address), depth, _command(guest, address))


def _command(guest: Illumos, process: int) -> str:
    """The name of a process, `?` where it cannot be read."""
    try:
        return Process(guest, process).command
    except ReadFailed:
        return "?"


@dataclass(frozen=True)
class ProcessAddress:
    """A process.

    addr: its proc_t
    """

    addr: Vaddr


@dcmd("pid2proc", address="required", text=Text("{addr:x}"), row=ProcessAddress, guests=GUESTS)
def pid2proc(call: Call) -> Iterator[ProcessAddress]:
    """convert PID to proc_t address

    The number is read in the current radix: write 0t for decimal.

    Reads: struct pid from pidhash along pid_link, the slots of procdir.

    Example:
        0t611::pid2proc | ::ps
    """
    for pid in call.addresses:
        yield ProcessAddress(Vaddr(find_pid(illumos(call.guest), pid)))


@dcmd("as2proc", address="required", text=Text("{addr:x}"), row=ProcessAddress, guests=GUESTS)
def as2proc(call: Call) -> Iterator[ProcessAddress]:
    """convert as to proc_t address

    The first process of the tree that uses the address space.

    Reads: p_as of each proc_t.

    Example:
        kas::as2proc
    """
    for space in call.addresses:
        yield ProcessAddress(Vaddr(find_owner(illumos(call.guest), space)))
