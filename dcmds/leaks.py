"""Buffers of illumos that leaked: ::findleaks, the walkers leak and leakbuf."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.audits import RECORD_HEAD, Audit, record_lines
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.leaks import Group, Leak, find_caller, find_leaks, group_of
from vmdebug.guests.illumos.vmem import Segment, segment_record

GUESTS = ("illumos",)
HEADS = (("BYTES", "VMEM_SEG"), ("CACHE", "BUFCTL"), ("CACHE", "BUFFER"))
WIDTH = 72
INDENT = " " * 4


class NoLeak(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x}: no buffer that leaked, no bufctl or vmem_seg of one")
        self.address = address


def _each_leak(call: Call) -> Iterator[Leak]:
    """Those of one group with the leak at the address, all without one."""
    found = find_leaks(illumos(call.guest), call.warn)
    groups = found.groups
    if call.address is not None:
        group = group_of(found, call.address)
        if group is None:
            raise NoLeak(call.address)
        groups = [group]
    return (leak for group in groups for leak in group.leaks)


@walker("leak", start="optional", guests=GUESTS)
def walk_leak(call: Call) -> Iterator[int]:
    """walk the bufctls and vmem_segs of what leaked by the same calls as the one given, or of all that leaked"""
    return (leak.address for leak in _each_leak(call))


@walker("leakbuf", start="optional", guests=GUESTS)
def walk_leakbuf(call: Call) -> Iterator[int]:
    """walk the buffers that leaked by the same calls as the one given, or all that leaked"""
    return (leak.base for leak in _each_leak(call))


@dataclass(frozen=True)
class LeakRow:
    """Buffers of one owner and one size that leaked by the same calls.

    addr: the bufctl or vmem_seg of the first, the buffer itself where nothing is recorded
    owner: their kmem_cache_t or vmem_t
    name: what that is called
    leaked: how many there are
    size: the bytes of one
    bytes: those of all
    caller: the call for which the first was taken, null where none is recorded
    stack: all the calls, the innermost first
    buffers: the buffers
    """

    addr: Vaddr
    owner: Vaddr
    name: str
    leaked: int
    size: int
    bytes: int
    caller: Vaddr | None
    stack: Sequence[Vaddr]
    buffers: Sequence[Vaddr]
    _group: Group
    _detailed: bool


def leak_lines(rows: Iterable[LeakRow], show: Show) -> Iterator[str]:
    """A table for each way in which leaks are recorded, with its sum; with -d the record of each group's first."""
    shown: list[LeakRow] = []
    for kind, some in groupby(rows, lambda row: row._group.kind):
        part = list(some)
        first, place = HEADS[kind]
        yield f"{first:<16} {'LEAKED':>7} {place:>16} CALLER"
        for row in part:
            column = f"{row.size:<16}" if kind == 0 else f"{row.owner:016x}"
            caller = "?" if row.caller is None else show.symbol(row.caller)
            yield f"{column} {row.leaked:>7} {row.addr:016x} {caller}"
        yield "-" * WIDTH
        yield f"{'Total':>16} {_sum(kind, sum(row.leaked for row in part), sum(row.bytes for row in part))}"
        yield ""
        shown += part
    for row in shown:
        if row._detailed:
            yield from _detail(row, show)


def _sum(kind: int, count: int, size: int) -> str:
    word = "kmem_oversize leak" if kind == 0 else "buffer"
    return f"{count:>7} {word}{'s' if count != 1 else ''}, {size} byte{'s' if size != 1 else ''}"


def _detail(row: LeakRow, show: Show) -> Iterator[str]:
    """What a group is, and the record of its first leak."""
    each = f"{row.size} byte{'s' if row.size != 1 else ''} each, " if row.leaked > 1 else ""
    yield f"{row.name} leak: {row.leaked} buffer{'s' if row.leaked != 1 else ''}, {each}{row.bytes} bytes total"
    record = row._group.first.record
    if isinstance(record, Segment):
        yield from (f"{INDENT}{line}".rstrip() for line in segment_record(record, show.symbol))
    elif isinstance(record, Audit):
        yield from (f"{INDENT}{line}".rstrip() for line in (*RECORD_HEAD, *record_lines(record, show.symbol)))
    else:
        yield f"{INDENT}{row.addr:x}: nothing is recorded, the cache is not audited"
        yield ""


@dcmd(
    "findleaks",
    address="optional",
    flags=(
        Flag("d", "the record of one leak of each group, too"),
        Flag("f", "search again, although that was done before"),
        Flag("v", "tell how much was looked at"),
    ),
    text=leak_lines,
    row=LeakRow,
    guests=GUESTS,
)
def findleaks(call: Call) -> Iterator[LeakRow]:
    """search for potential kernel memory leaks

    The buffers that are given out although nothing in use points into them: no word of the modules' data, of a
    thread's stack from its stack pointer on, or of a vcpu's registers, and no word of a buffer that those lead to. A
    word that looks like a pointer counts as one. Buffers of caches that are audited (KMF_AUDIT) are grouped by the
    calls that took them, and the first bufctl is shown; of other caches nothing is known but the cache, and the first
    buffer is shown. What is too large for a cache is recorded in a vmem_seg. The allocator's own caches are left out.

    The findings are kept: -f searches again. With an address only the group of that bufctl, vmem_seg or buffer;
    `::walk leak` and `::walk leakbuf` give all of a group.

    Reads: all that ::kmem_cache and ::vmem_seg read, kmem_bufctl_audit_t, struct module (data, bss), kthread_t (t_stk,
    t_stkbase, t_pcb), and all memory that is given out.

    Example:
        ::findleaks
    """
    guest = illumos(call.guest)
    found = find_leaks(guest, call.warn, anew="f" in call.flags)
    if "v" in call.flags:
        for label, count in (
            ("buffers", found.buffers),
            ("pointers of roots", found.rooted),
            ("pointers of buffers", found.links),
            ("buffers in use", found.reached),
            ("buffers that leaked", found.buffers - found.reached),
        ):
            call.warn(f"findleaks: {label:>24} => {count}")
    groups = found.groups
    if call.address is not None:
        group = group_of(found, call.address)
        if group is None:
            raise NoLeak(call.address)
        groups = [group]
    for group in groups:
        first = group.first
        caller = find_caller(guest, first.stack)
        yield LeakRow(
            addr=Vaddr(first.address),
            owner=Vaddr(first.owner),
            name=first.name,
            leaked=len(group.leaks),
            size=first.size,
            bytes=group.size,
            caller=None if caller is None else Vaddr(caller),
            stack=tuple(map(Vaddr, first.stack)),
            buffers=[Vaddr(leak.base) for leak in group.leaks],
            _group=group,
            _detailed="d" in call.flags,
        )
