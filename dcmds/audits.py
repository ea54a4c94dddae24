"""What illumos' slab allocator records of its buffers: ::bufctl ::kmem_log, the walkers bufctl_history and kmem_log."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.guests.illumos.audits import (
    RECORD_HEAD,
    Audit,
    code_of,
    each_transaction,
    find_caller,
    read_audit,
    read_bufctl,
    record_lines,
)
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.kmem_log import Log

GUESTS = ("illumos",)


@walker("bufctl_history", start="required", guests=GUESTS)
def walk_bufctl_history(call: Call) -> Iterator[int]:
    """walk what is recorded of the buffer of a bufctl, the latest first"""
    return (each.address for each in each_transaction(illumos(call.guest), call.address or 0))


@dataclass(frozen=True)
class BufctlRow:
    """A transaction of the allocator.

    addr: its kmem_bufctl_audit_t, in a bufctl or in the log
    bufaddr: the buffer
    timestamp: when, in nanoseconds since boot
    thread: the thread that took the buffer or gave it back
    caller: the call for which it did, null where none is known
    cache: the kmem_cache_t of the buffer
    lastlog: of a bufctl its copy in the log, of a copy the one before
    contents: where the log has what a freed buffer held, 0 where it has not
    stack: the calls that led to it, the innermost first
    """

    addr: Vaddr
    bufaddr: Vaddr
    timestamp: Hex
    thread: Vaddr
    caller: Vaddr | None
    cache: Vaddr
    lastlog: Vaddr
    contents: Vaddr
    stack: Sequence[Vaddr]
    _audit: Audit


BUFCTL = Text(
    "{addr:016x} {bufaddr:016x} {timestamp:>12x} {thread:016x} {caller:a}",
    head=f"{'ADDR':<16} {'BUFADDR':<16} {'TIMESTAMP':<12} {'THREAD':<16} CALLER",
)


def record_text(rows: Iterable[BufctlRow], show: Show) -> Iterator[str]:
    """All of each transaction."""
    for number, row in enumerate(rows):
        if number == 0:
            yield from RECORD_HEAD
        yield from record_lines(row._audit, show.symbol)


@dcmd(
    "bufctl",
    address="required",
    flags=(
        Flag("v", "all that is recorded, with the calls that led to it"),
        Flag("h", "what the log has of the buffer, the latest first"),
        Flag("a", "only of the buffer at this address", "number", "addr"),
        Flag("c", "only if a call out of this function led to it", "number", "caller"),
        Flag("e", "only at this time or later", "number", "earliest"),
        Flag("l", "only at this time or earlier", "number", "latest"),
        Flag("t", "only by this thread", "number", "thd"),
    ),
    text=BUFCTL,
    row=BufctlRow,
    guests=GUESTS,
)
def bufctl(call: Call) -> Iterator[BufctlRow]:
    """print or filter a bufctl

    Of caches that audit (KMF_AUDIT): who took the buffer or gave it back last, when and where from. The caller is the
    first function on the stack that is not the allocator's own. Options that select go together; in a pipe they
    let the bufctls through that fit. A caller (-c $[name]) selects one call, or the whole function that begins there.

    Reads: kmem_bufctl_audit_t, kmem_slab_t (slab_cache), kmem_cache_t (cache_flags).

    Example:
        ::kmem_cache -n thread_cache | ::walk bufctl | ::bufctl -v
    """
    guest = illumos(call.guest)
    if "v" in call.flags:
        call.text = record_text
    for address in call.addresses:
        for found in each_transaction(guest, address) if "h" in call.flags else [read_bufctl(guest, address)]:
            if _wanted(call, guest, found):
                yield _row(guest, found)


def _wanted(call: Call, guest: Illumos, found: Audit) -> bool:
    """True if all options that select let it through."""
    flags = call.flags
    return (
        flags.get("a", found.buffer) == found.buffer
        and flags.get("t", found.thread) == found.thread
        and flags.get("e", 0) <= found.time <= flags.get("l", found.time)
        and ("c" not in flags or any(pc in code_of(guest, flags["c"]) for pc in found.stack))
    )


def _row(guest: Illumos, found: Audit) -> BufctlRow:
    caller = find_caller(guest, found.stack)
    return BufctlRow(
        addr=Vaddr(found.address),
        bufaddr=Vaddr(found.buffer),
        timestamp=Hex(found.time),
        thread=Vaddr(found.thread),
        caller=None if caller is None else Vaddr(caller),
        cache=Vaddr(found.cache),
        lastlog=Vaddr(found.logged),
        contents=Vaddr(found.contents),
        stack=[Vaddr(pc) for pc in found.stack],
        _audit=found,
    )


@walker("kmem_log", start="optional", guests=GUESTS)
def walk_kmem_log(call: Call) -> Iterator[int]:
    """walk the kmem transaction log, the latest entry first"""
    return Log(illumos(call.guest), call.warn, call.address).entries()


@dataclass(frozen=True)
class LogRow:
    """An entry of the allocator's log.

    addr: its kmem_bufctl_audit_t
    cpu: which cpu wrote it, null for one in a chunk that no cpu writes into
    bufaddr: the buffer
    timestamp: when, in nanoseconds since boot
    thread: the thread that took the buffer or gave it back
    """

    addr: Vaddr
    cpu: int | None
    bufaddr: Vaddr
    timestamp: Hex
    thread: Vaddr


LOG = Text(
    "{cpu:>3} {addr:016x} {bufaddr:016x} {timestamp:>16x} {thread:016x}",
    head=f"{'CPU':<3} {'ADDR':<16} {'BUFADDR':<16} {'TIMESTAMP':>16} THREAD",
    missing="",
)


@dcmd(
    "kmem_log",
    address="optional",
    flags=(Flag("b", "the address is of an entry, or of a bufctl"),),
    text=LOG,
    row=LogRow,
    guests=GUESTS,
)
def kmem_log(call: Call) -> Iterator[LogRow]:
    """dump kmem transaction log

    The latest transaction first; of the buffer that holds the address, if one is given. The cpu is told of entries in
    the chunk that it writes into.

    Reads: kmem_log_header_t from kmem_transaction_log, kmem_bufctl_audit_t, kmem_cache_t (cache_bufsize).

    Example:
        ::kmem_log
    """
    guest = illumos(call.guest)
    log = Log(guest, call.warn)
    if "b" in call.flags and call.address is None:
        raise call.usage("-b takes an address")
    for entry in [call.address] if call.address is not None and "b" in call.flags else log.entries(call.address):
        found = read_audit(guest, entry)
        yield LogRow(Vaddr(entry), log.find_cpu(entry), Vaddr(found.buffer), Hex(found.time), Vaddr(found.thread))
