"""What a Linux guest and dom0 last told each other: ::xenstore ::xenconsole."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.xenrings import Message, Ring, each_console, each_message, store_rings

HEAD = f"{'ADDR':<16} {'REQ':>5} {'TX':>4} {'TYPE':<18} TEXT"
GUESTS = ("linux",)


@dataclass(frozen=True)
class StoreRow:
    """A message between the guest and xenstore.

    addr: where its header lies
    ring: requests, or replies (watch events come there too)
    type: what is asked: read, write, directory, watch, ...; watch_event, or error, in a reply
    request: the number that a reply shares with its request
    transaction: the transaction that it belongs to, 0 for none
    length: how long its text is
    text: its words; fewer than its length says where it is not all there
    waits: whether its reader had not taken it yet
    """

    addr: Vaddr
    ring: str
    type: str
    request: int
    transaction: int
    length: int
    text: Sequence[str]
    waits: bool


def store_lines(rows: Iterable[StoreRow], _: Show) -> Iterator[str]:
    ring = ""
    for row in rows:
        if row.ring != ring:
            ring = row.ring
            yield f"{ring}:"
            yield HEAD
        mark = " (waits)" if row.waits else ""
        text = " ".join(row.text)
        yield f"{row.addr:016x} {row.request:>5} {row.transaction:>4} {row.type:<18} {text}{mark}".rstrip()


@dcmd("xenstore", text=store_lines, row=StoreRow, guests=GUESTS)
def xenstore(call: Call) -> Iterator[StoreRow]:
    """print the last messages to and from xenstore

    The requests and replies that the page shared with dom0 still holds, the oldest first; those that are marked were
    not read yet. A dump of an auto-translated domain lacks that page.

    Reads: xen_store_interface, and the ring that it points to as Xen specifies it.

    Example:
        ::xenstore
    """
    for ring in store_rings(linux(call.guest)):
        try:
            yield from map(_store_row, each_message(ring))
        except DebuggerError as err:
            call.warn(str(err))


def _store_row(message: Message) -> StoreRow:
    words = message.payload.decode("utf-8", "backslashreplace").split("\0")
    return StoreRow(
        addr=Vaddr(message.address),
        ring=message.ring,
        type=message.type,
        request=message.request,
        transaction=message.transaction,
        length=message.length,
        text=words if words[-1] else words[:-1],
        waits=message.waits,
    )


@dataclass(frozen=True)
class ConsoleRow:
    """A line of the hypervisor's console.

    addr: the ring that it lies in
    ring: out for what the guest wrote, in for what was typed
    text: the line
    """

    addr: Vaddr
    ring: str
    text: str


def console_lines(rows: Iterable[ConsoleRow], _: Show) -> Iterator[str]:
    for row in rows:
        yield row.text


@dcmd(
    "xenconsole",
    flags=(Flag("i", "what was typed instead"),),
    text=console_lines,
    row=ConsoleRow,
    guests=GUESTS,
)
def xenconsole(call: Call) -> Iterator[ConsoleRow]:
    """print the tail of the console

    What the page shared with dom0 still holds of the guest's last output, 2048 bytes at most: it is there even where
    the kernel's log is lost. A dump of an auto-translated domain lacks that page.

    Reads: struct xencons_info (list, intf) from xenconsoles, and the rings as Xen specifies them.

    Example:
        ::xenconsole
    """
    for typed, written in each_console(linux(call.guest)):
        ring = typed if "i" in call.flags else written
        for line in _lines(ring):
            yield ConsoleRow(Vaddr(ring.address), ring.name, line)
        if ring.waiting:
            call.warn(f"the last {ring.waiting} bytes of {ring.name} were not read yet")


def _lines(ring: Ring) -> Sequence[str]:
    return ring.history.decode("utf-8", "backslashreplace").replace("\r\n", "\n").removesuffix("\n").split("\n")
