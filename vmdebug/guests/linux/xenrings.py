"""The two rings that a guest shares with dom0 from the start: xenstore's messages and the console's text.

Indices run on for ever, modulo 2^32; what was consumed lies in the ring until it is written over. Both are the other
side's to write as well: no index is believed further than the ring is long.
Specified in: xen/include/public/io/xs_wire.h and io/console.h.
"""

import struct
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

STORE_RING = 1024
STORE_INDICES = struct.Struct("<4I")  # req_cons, req_prod, rsp_cons, rsp_prod
REQUESTS_AT, REPLIES_AT, STORE_INDICES_AT = 0, 1024, 2048
STORE_SIZE = STORE_INDICES_AT + STORE_INDICES.size
HEADER = struct.Struct("<4I")  # type, request, transaction, length
MAX_PAYLOAD = 4096
TYPES = (
    *("control", "directory", "read", "get_perms", "watch", "unwatch", "transaction_start", "transaction_end"),
    *("introduce", "release", "get_domain_path", "write", "mkdir", "rm", "set_perms", "watch_event", "error"),
    *("is_domain_introduced", "resume", "set_target", "restrict", "reset_watches", "directory_part"),
    *("get_feature", "set_feature", "get_quota", "set_quota"),
)
IN_AT, IN_SIZE, OUT_AT, OUT_SIZE = 0, 1024, 1024, 2048
CONSOLE_INDICES_AT, CONSOLE_INDICES = 3072, struct.Struct("<4I")  # in_cons, in_prod, out_cons, out_prod
CONSOLE_SIZE = CONSOLE_INDICES_AT + CONSOLE_INDICES.size
MAX_CONSOLES = 64
INDEX = (1 << 32) - 1


class BadIndices(DebuggerError):
    def __init__(self, ring: str, consumed: int, produced: int, size: int) -> None:
        super().__init__(
            f"the ring of {ring} cannot be followed: {produced - consumed & INDEX:#x} bytes from {consumed:#x} to "
            f"{produced:#x} are more than its {size:#x}"
        )


class NoRing(DebuggerError):
    def __init__(self, what: str, symbol: str) -> None:
        super().__init__(f"the guest has no {what}: {symbol} names none")


@dataclass(frozen=True)
class Message:
    """A message of xenstore. `waits` says that its reader had not taken all of it; `payload` is what the ring has."""

    address: int
    ring: str
    type: str
    request: int
    transaction: int
    length: int
    payload: bytes
    waits: bool


@dataclass(frozen=True)
class Ring:
    """The bytes of a ring, and where its reader and its writer are."""

    name: str
    address: int
    data: bytes
    consumed: int
    produced: int

    @property
    def waiting(self) -> int:
        """How many bytes were written, but not read; BadIndices if that is more than the ring holds."""
        found = self.produced - self.consumed & INDEX
        if found > len(self.data):
            raise BadIndices(self.name, self.consumed, self.produced, len(self.data))
        return found

    @property
    def history(self) -> bytes:
        """All that the ring holds, the oldest first: fewer bytes than its size while it was never filled."""
        start = self.produced % len(self.data)
        turned = self.data[start:] + self.data[:start]
        return turned[-self.produced :] if 0 < self.produced < len(self.data) else turned if self.produced else b""


def store_rings(linux: "Linux") -> tuple[Ring, Ring]:
    """Xenstore's requests and replies; ReadFailed where the image does not hold the page."""
    address = _pointer(linux, "xen_store_interface", "ring of xenstore")
    page = linux.space.read(address, STORE_SIZE)
    req_cons, req_prod, rsp_cons, rsp_prod = STORE_INDICES.unpack_from(page, STORE_INDICES_AT)
    requests, replies = page[REQUESTS_AT:REPLIES_AT], page[REPLIES_AT : REPLIES_AT + STORE_RING]
    return (
        Ring("requests", address + REQUESTS_AT, requests, req_cons, req_prod),
        Ring("replies", address + REPLIES_AT, replies, rsp_cons, rsp_prod),
    )


def each_message(ring: Ring) -> Iterator[Message]:
    """The messages that a ring still holds, the oldest first.

    The oldest bytes are the rest of a message that was written over: it begins where a chain of headers leads exactly
    to what was written last.
    """
    waiting, data = ring.waiting, ring.history
    start = _oldest_start(data)
    first = (ring.produced - len(data)) % len(ring.data)  # the slot of the oldest byte
    while len(data) - start >= HEADER.size:
        kind, request, transaction, length = HEADER.unpack_from(data, start)
        end = start + HEADER.size + length
        yield Message(
            address=ring.address + (first + start) % len(ring.data),
            ring=ring.name,
            type=TYPES[kind],
            request=request,
            transaction=transaction,
            length=length,
            payload=data[start + HEADER.size : end],
            waits=end > len(data) - waiting,
        )
        start = end


def _oldest_start(data: bytes) -> int:
    """Where the oldest whole message begins; where no chain ends with the data, one whose last message is cut off."""
    ends = {at: end for at in range(len(data)) if (end := _chain_end(data, at))}
    whole = (at for at, end in ends.items() if end == len(data))
    return next(whole, next(iter(ends), len(data)))


def _chain_end(data: bytes, at: int) -> int:
    """Where the messages that lie one behind the other from here on end, at the end of the data or behind; 0 if not."""
    while len(data) - at >= HEADER.size:
        kind, _, _, length = HEADER.unpack_from(data, at)
        if kind >= len(TYPES) or length > MAX_PAYLOAD:
            return 0
        at += HEADER.size + length
    return at if at >= len(data) else 0


def each_console(linux: "Linux") -> Iterator[tuple[Ring, Ring]]:
    """What was typed at each console of the hypervisor, and what was written to it; NoRing where there is none."""
    head = linux.names.find("xenconsoles")
    listed = linux.each_listed(head.value, "struct xencons_info", "list", MAX_CONSOLES) if head else iter(())
    rings = (int(linux.objects.at("struct xencons_info", address)["intf"]) for address in listed)
    first = next(filter(None, rings), 0)
    if not first:
        raise NoRing("console of the hypervisor", "xenconsoles")
    for shared in chain([first], rings):
        if shared:
            yield _console(shared, linux.space.read(shared, CONSOLE_SIZE))


def _console(address: int, page: bytes) -> tuple[Ring, Ring]:
    in_cons, in_prod, out_cons, out_prod = CONSOLE_INDICES.unpack_from(page, CONSOLE_INDICES_AT)
    typed, written = page[IN_AT : IN_AT + IN_SIZE], page[OUT_AT : OUT_AT + OUT_SIZE]
    return Ring("in", address + IN_AT, typed, in_cons, in_prod), Ring(
        "out", address + OUT_AT, written, out_cons, out_prod
    )


def _pointer(linux: "Linux", symbol: str, what: str) -> int:
    place = linux.names.find(symbol)
    address = linux.read_word(place.value) if place else 0
    if not address:
        raise NoRing(what, symbol)
    return address
