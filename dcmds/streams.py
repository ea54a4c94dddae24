"""Streams of illumos and their queues: ::queue ::stream ::q2rdq ::q2wrq ::q2otherq ::q2syncq ::q2stream."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.streams import QUEUE_FLAGS, Queue, each_message, each_module, other_queue, read_queue
from vmdebug.legend import bit_names, legend_lines

GUESTS = ("illumos",)
FLAGS_AT = 31  # the column of a queue's flags


@walker("readq", start="required", guests=GUESTS)
def walk_readq(call: Call) -> Iterator[int]:
    """walk read queue side of stdata"""
    return (reads.address for _, reads in each_module(illumos(call.guest), call.address or 0))


@walker("writeq", start="required", guests=GUESTS)
def walk_writeq(call: Call) -> Iterator[int]:
    """walk write queue side of stdata"""
    return (writes.address for writes, _ in each_module(illumos(call.guest), call.address or 0))


@dataclass(frozen=True)
class QueueRow:
    """A queue of a stream.

    addr: its queue_t
    module: the module or driver that it belongs to
    flags: q_flag
    flag_names: the names of its bits
    messages: how many messages are in it
    first: the first of them, 0 for none
    """

    addr: Vaddr
    module: str
    flags: Hex
    flag_names: Sequence[str]
    messages: int
    first: Vaddr
    _options: frozenset[str]


def queue_lines(rows: Iterable[QueueRow], _: Show) -> Iterator[str]:
    """A line a queue, below it its flags with -v; its address alone with -q."""
    for number, row in enumerate(rows):
        if "q" in row._options:
            yield f"{row.addr:016x}"
            continue
        if number == 0:
            yield f"{'ADDR':>16} {'MODULE':<13} {'FLAGS':>6} NBLK"
        yield f"{row.addr:016x} {row.module:<13} {row.flags:06x} {row.messages:>4} {row.first:016x}"
        if "v" in row._options:
            yield from legend_lines(FLAGS_AT, row.flags, QUEUE_FLAGS)


@dcmd(
    "queue",
    address="required",
    flags=(
        Flag("v", "with the names of its flags and what they mean"),
        Flag("q", "only its address"),
        Flag("m", "only queues of this module", "text", "module"),
        Flag("f", "only queues that have this flag, as QFULL", "text", "flag"),
        Flag("F", "only queues that do not have this flag", "text", "flag"),
        Flag("s", "only queues of this syncq", "number", "syncq"),
    ),
    text=queue_lines,
    row=QueueRow,
    guests=GUESTS,
)
def queue(call: Call) -> Iterator[QueueRow]:
    """filter and display STREAM queue

    The module of a queue, its flags, how many messages are in it, and the first of them; of a queue that the options
    do not ask for nothing, so that it can select in a pipeline.

    Reads: queue_t (q_qinfo, q_flag, q_first, q_syncq), qi_minfo of struct qinit, mi_idname of struct module_info,
    b_next of mblk_t.

    Example:
        fffffffec42d87b0::walk readq | ::queue -v
    """
    guest, wanted, unwanted = illumos(call.guest), _flag(call, "f"), _flag(call, "F")
    for address in call.addresses:
        found = read_queue(guest, address)
        if found.flags & wanted != wanted or found.flags & unwanted:
            continue
        if call.flags.get("m", found.module) == found.module and call.flags.get("s", found.syncq) == found.syncq:
            yield QueueRow(
                addr=Vaddr(address),
                module=found.module,
                flags=Hex(found.flags),
                flag_names=bit_names(found.flags, QUEUE_FLAGS),
                messages=_count(call, guest, found),
                first=Vaddr(found.first),
                _options=frozenset(call.flags),
            )


def _flag(call: Call, option: str) -> int:
    """The bit that an option names, 0 if it is not given."""
    name = call.flags.get(option)
    if name is not None and name not in QUEUE_FLAGS:
        raise DebuggerError(f"{name}: no flag of a queue; they are {' '.join(QUEUE_FLAGS)}")
    return 0 if name is None else QUEUE_FLAGS[name][0]


def _count(call: Call, guest: Illumos, queue: Queue) -> int:
    """How many messages are in a queue; a chain that cannot be followed to its end is reported."""
    count = 0
    try:
        for _ in each_message(guest, queue):
            count += 1
    except ReadFailed as err:
        call.warn(f"the messages of queue {queue.address:x} end here: {err}")
    return count


@dataclass(frozen=True)
class ModuleRow:
    """A module of a stream, with its queues for both directions.

    addr: its queue_t for writing
    read: its queue_t for reading
    write_name: what it is called in the queue for writing
    read_name: what it is called in the queue for reading
    write_bytes: how many bytes wait to be written
    read_bytes: how many wait to be read
    write_flags: q_flag of the queue for writing
    read_flags: q_flag of the queue for reading
    """

    addr: Vaddr
    read: Vaddr
    write_name: str
    read_name: str
    write_bytes: int
    read_bytes: int
    write_flags: Hex
    read_flags: Hex


BOX = 23  # columns inside a queue's box
EDGE = f"+{'-' * BOX}+{'-' * BOX}+"


def stream_lines(rows: Iterable[ModuleRow], _: Show) -> Iterator[str]:
    """A box a queue, those for writing on the left; arrows show where messages go."""
    for number, row in enumerate(rows):
        if number:
            yield f"{'|':>13}{'^':>24}"
            yield f"{'v':>13}{'|':>24}"
        yield EDGE
        yield _both(f"0x{row.addr:x}", f"0x{row.read:x}")
        yield _both(row.write_name, row.read_name)
        yield _both("", "")
        yield _both(f"cnt = 0t{row.write_bytes}", f"cnt = 0t{row.read_bytes}")
        yield _both(f"flg = 0x{row.write_flags:08x}", f"flg = 0x{row.read_flags:08x}")
        yield EDGE


def _both(left: str, right: str) -> str:
    return f"| {left:<{BOX - 1}}| {right:<{BOX - 1}}|"


@dcmd("stream", address="required", text=stream_lines, row=ModuleRow, guests=GUESTS)
def stream(call: Call) -> Iterator[ModuleRow]:
    """display STREAM

    A picture of the stream whose head (stdata_t) is at the address: the queues of each module from the head down, with
    the bytes that wait in them and their flags.

    Reads: sd_wrq of stdata_t, queue_t along q_next, struct qinit, struct module_info.

    Example:
        fffffffec42d87b0::stream
    """
    for address in call.addresses:
        for writes, reads in each_module(illumos(call.guest), address):
            yield ModuleRow(
                addr=Vaddr(writes.address),
                read=Vaddr(reads.address),
                write_name=writes.module,
                read_name=reads.module,
                write_bytes=writes.bytes,
                read_bytes=reads.bytes,
                write_flags=Hex(writes.flags),
                read_flags=Hex(reads.flags),
            )


@dataclass(frozen=True)
class Related:
    """What belongs to a queue.

    addr: where it lies
    """

    addr: Vaddr


RELATED = Text("{addr:x}")


def _each_related(call: Call, find: Callable[[Illumos, Queue], int]) -> Iterator[Related]:
    guest = illumos(call.guest)
    for address in call.addresses:
        yield Related(Vaddr(find(guest, read_queue(guest, address))))


@dcmd("q2rdq", address="required", text=RELATED, row=Related, guests=GUESTS)
def q2rdq(call: Call) -> Iterator[Related]:
    """print read queue for a given queue

    Reads: q_flag of queue_t.

    Example:
        fffffffec42cb3b0::q2rdq | ::queue
    """
    return _each_related(call, lambda guest, each: each.address if each.reads else other_queue(guest, each))


@dcmd("q2wrq", address="required", text=RELATED, row=Related, guests=GUESTS)
def q2wrq(call: Call) -> Iterator[Related]:
    """print write queue for a given queue

    Reads: q_flag of queue_t.

    Example:
        fffffffec42cb2b8::q2wrq | ::queue
    """
    return _each_related(call, lambda guest, each: other_queue(guest, each) if each.reads else each.address)


@dcmd("q2otherq", address="required", text=RELATED, row=Related, guests=GUESTS)
def q2otherq(call: Call) -> Iterator[Related]:
    """print peer queue for a given queue

    Reads: q_flag of queue_t.

    Example:
        fffffffec42cb2b8::q2otherq | ::queue
    """
    return _each_related(call, other_queue)


@dcmd("q2syncq", address="required", text=RELATED, row=Related, guests=GUESTS)
def q2syncq(call: Call) -> Iterator[Related]:
    """print syncq for a given queue

    Reads: q_syncq of queue_t.

    Example:
        fffffffec42d87b0::walk readq | ::q2syncq
    """
    return _each_related(call, lambda _, each: each.syncq)


@dcmd("q2stream", address="required", text=RELATED, row=Related, guests=GUESTS)
def q2stream(call: Call) -> Iterator[Related]:
    """print stream pointer for a given queue

    The head of the stream that the queue belongs to.

    Reads: q_stream of queue_t.

    Example:
        fffffffec42cb2b8::q2stream | ::stream
    """
    return _each_related(call, lambda _, each: each.stream)
