"""STREAMS: queues in pairs below a stream's head, the messages in them, and the data of a message.

A queue_t for reading lies right before the one for writing of the same module. Specified in: sys/stream.h,
sys/strsubr.h of illumos.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kmem import Cache
from vmdebug.guests.illumos.memory import each_cache
from vmdebug.guests.memory import each_link

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_MESSAGES = 1 << 20
MAX_MODULES = 1 << 10  # in a stream
READS = 0x10  # QREADR
BLOCKS = "streams_mblk"  # the cache of message blocks
ADDRESSES = (1 << 64) - 1

# The bits of q_flag and of b_flag, and what each says.
QUEUE_FLAGS: Mapping[str, tuple[int, str]] = {
    "QENAB": (0x1, "its service procedure is to run"),
    "QWANTR": (0x2, "it was found empty: the next message wakes its service procedure"),
    "QWANTW": (0x4, "somebody waits until it has room"),
    "QFULL": (0x8, "it holds as much as it may"),
    "QREADR": (0x10, "it is for reading"),
    "QUSE": (0x20, "it is in use"),
    "QNOENB": (0x40, "a message does not wake its service procedure"),
    "QWANTRMQSYNC": (0x80, "it waits to be removed from a synchronous stream"),
    "QBACK": (0x100, "it was woken when there was room behind it"),
    "QPAIR": (0x800, "one syncq for both queues of the pair"),
    "QPERQ": (0x1000, "a syncq for each queue"),
    "QPERMOD": (0x2000, "one syncq for the module"),
    "QMTSAFE": (0x4000, "its module may run in several threads"),
    "QMTOUTPERIM": (0x8000, "its module has an outer perimeter"),
    "QINSERVICE": (0x1_0000, "its service procedure runs"),
    "QWCLOSE": (0x2_0000, "it is being closed and is not woken any more"),
    "QEND": (0x4_0000, "it is the last of its stream"),
    "QWANTWSYNC": (0x8_0000, "the stream's head waits to write to it"),
    "QSYNCSTR": (0x10_0000, "it can do synchronous streams"),
    "QISDRV": (0x20_0000, "it belongs to a driver"),
    "_QINSERTING": (0x400_0000, "its module is being pushed"),
    "_QREMOVING": (0x800_0000, "its module is being popped"),
    "_QASSOCIATED": (0x1000_0000, "it is tied to a device"),
    "_QDIRECT": (0x2000_0000, "a transport that talks with sockets directly"),
    "_QSINGLE_INSTANCE": (0x4000_0000, "its module may be pushed once only"),
}
MESSAGE_FLAGS: Mapping[str, tuple[int, str]] = {
    "MSGMARK": (0x1, "its last byte is marked"),
    "MSGNOLOOP": (0x2, "it does not come back on the other side"),
    "MSGDELIM": (0x4, "it ends a record"),
    "MSGMARKNEXT": (0x10, "the first byte behind it is marked"),
    "MSGNOTMARKNEXT": (0x20, "the first byte behind it is not marked"),
    "MSGWAITSYNC": (0x40, "it waits for a synchronous entry"),
}
_ORDINARY = "data proto multidata - - - - - break passfp event sig delay ctl ioctl - setopts rse"
_URGENT = (  # from 0x81 on
    "iocack iocnak pcproto pcsig read flush stop start hangup error copyin copyout iocdata pcrse stopi starti pcevent "
    "unhangup cmd"
)
MESSAGE_TYPES: Mapping[int, str] = {  # db_type, without M_
    **{number: name for number, name in enumerate(_ORDINARY.split()) if name != "-"},
    **dict(enumerate(_URGENT.split(), 0x81)),
}


class NoSuchCache(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"the kernel has no cache named {name}")


@dataclass(frozen=True)
class Queue:
    """A queue_t: its module, its flags, the bytes and the first message in it, its stream's head and its syncq."""

    address: int
    module: str
    flags: int
    bytes: int
    first: int
    stream: int
    syncq: int

    @property
    def reads(self) -> bool:
        return bool(self.flags & READS)


def read_queue(guest: "Illumos", address: int) -> Queue:
    """A queue_t; its module is `?` where none is named."""
    found = guest.objects.at("queue_t", address)
    try:
        module = found["q_qinfo"]["qi_minfo"]["mi_idname"].string() if found["q_qinfo"] else "?"
    except DebuggerError:
        module = "?"
    return Queue(
        address=address,
        module=module,
        flags=found["q_flag"],
        bytes=found["q_count"],
        first=int(found["q_first"]),
        stream=int(found["q_stream"]),
        syncq=int(found["q_syncq"]),
    )


def other_queue(guest: "Illumos", queue: Queue) -> int:
    """The queue_t of the same module for the other direction."""
    size = guest.objects.sizeof("queue_t")
    return (queue.address + (size if queue.reads else -size)) & ADDRESSES


def each_message(guest: "Illumos", queue: Queue) -> Iterator[int]:
    """The first mblk_t of every message in a queue."""
    return each_link(guest.follow("mblk_t", "b_next"), queue.first, MAX_MESSAGES)


def each_module(guest: "Illumos", stream: int) -> Iterator[tuple[Queue, Queue]]:
    """The queues for writing and for reading of each module of a stream, from its head down.

    What is written to a pipe goes on into the other end's queue for reading, which is of another stream: there it ends.
    """
    first = int(guest.objects.at("stdata_t", stream)["sd_wrq"])
    for address in each_link(guest.follow("queue_t", "q_next"), first, MAX_MODULES):
        queue = read_queue(guest, address)
        if queue.reads:
            return
        yield queue, read_queue(guest, other_queue(guest, queue))


@dataclass(frozen=True)
class Block:
    """An mblk_t: its flags, the type of its data block, how many bytes it has and how many that could hold."""

    address: int
    flags: int
    type: int
    length: int
    room: int
    data: int
    block: int


def read_block(guest: "Illumos", address: int) -> Block:
    """An mblk_t with what its dblk_t says."""
    found = guest.objects.at("mblk_t", address)
    data, block = int(found["b_rptr"]), found["b_datap"]
    return Block(
        address=address,
        flags=found["b_flag"],
        type=block["db_type"],
        length=int(found["b_wptr"]) - data,
        room=int(block["db_lim"]) - int(block["db_base"]),
        data=data,
        block=int(block),
    )


def each_block(guest: "Illumos") -> Iterator[int]:
    """Every mblk_t that is allocated, by the cache that they come from; NoSuchCache if the kernel has none."""
    found = next((cache for each in each_cache(guest) if (cache := Cache(guest, each)).name == BLOCKS), None)
    if found is None:
        raise NoSuchCache(BLOCKS)
    yield from found.allocated()
