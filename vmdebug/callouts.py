"""Callouts of illumos as rows: the callouts themselves, the lists and the tables that they hang in, their ids."""

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Hex, Show
from vmdebug.guests.illumos.callouts import (
    ABSOLUTE,
    EXECUTING,
    FLAGS,
    HRESTIME,
    LONG,
    NORMAL,
    REALTIME,
    Callout,
    CalloutList,
    CalloutTable,
)

KINDS = {REALTIME: "realtime", NORMAL: "normal"}
UNKNOWN = "-"


@dataclass(frozen=True)
class CalloutRow:
    """A callout: what is called once, at its time.

    addr: its callout_t
    function: what is called
    argument: with what
    id: its extended id
    time: when it expires, in nanoseconds since boot; null where its list cannot be read
    left: how long that is from now, in nanoseconds; null where either is not known
    seqid: the sequence number of its cpu
    type: realtime or normal
    executing: whether it is being executed
    hrestime: whether it follows the time of day
    absolute: whether it was asked for by an absolute time
    long: whether it has a long-term id
    """

    addr: Vaddr
    function: Vaddr
    argument: Vaddr
    id: Hex
    time: Hex | None
    left: int | None
    seqid: int
    type: str
    executing: bool
    hrestime: bool
    absolute: bool
    long: bool


@dataclass(frozen=True)
class ListRow:
    """A list of callouts that expire together.

    addr: its callout_list_t
    seqid: the sequence number of its cpu
    type: realtime or normal
    time: when its callouts expire, in nanoseconds since boot
    left: how long that is from now, in nanoseconds; null where that is not known
    count: how many callouts hang in it
    flags: the names of its flags
    """

    addr: Vaddr
    seqid: int
    type: str
    time: Hex
    left: int | None
    count: int
    flags: Sequence[str]


@dataclass(frozen=True)
class TableRow:
    """A callout table.

    addr: its callout_table_t
    seqid: the sequence number of its cpu
    type: realtime or normal
    suspended: how often it was suspended without being resumed
    cyclic: the cyclic that looks at it
    heap: the heap of the times of its lists
    used: how many times the heap has
    room: how many it has room for
    short: the short-term id that was given last
    long: the long-term id that was given last
    """

    addr: Vaddr
    seqid: int
    type: str
    suspended: int
    cyclic: Vaddr
    heap: Vaddr
    used: int
    room: int
    short: Hex
    long: Hex


def callout_row(table: CalloutTable, found: Callout, now: int | None) -> CalloutRow:
    listed = found.listed
    return CalloutRow(
        addr=Vaddr(found.address),
        function=Vaddr(found.function),
        argument=Vaddr(found.argument),
        id=Hex(found.identity),
        time=_time(listed.expiration) if listed else None,
        left=listed.expiration - now if listed and now is not None else None,
        seqid=table.sequence,
        type=KINDS.get(table.type, UNKNOWN),
        executing=bool(found.identity & EXECUTING),
        hrestime=bool(listed and listed.flags & HRESTIME),
        absolute=bool(listed and listed.flags & ABSOLUTE),
        long=bool(found.identity & LONG),
    )


def list_row(table: CalloutTable, listed: CalloutList, count: int, now: int | None) -> ListRow:
    return ListRow(
        addr=Vaddr(listed.address),
        seqid=table.sequence,
        type=KINDS.get(table.type, UNKNOWN),
        time=_time(listed.expiration),
        left=listed.expiration - now if now is not None else None,
        count=count,
        flags=[name for bit, name in FLAGS.items() if listed.flags & bit],
    )


def table_row(table: CalloutTable) -> TableRow:
    found = table.record
    return TableRow(
        addr=Vaddr(table.address),
        seqid=table.sequence,
        type=KINDS.get(table.type, UNKNOWN),
        suspended=found["ct_suspend"],
        cyclic=Vaddr(int(found["ct_cyclic"])),
        heap=Vaddr(int(found["ct_heap"])),
        used=found["ct_heap_num"],
        room=found["ct_heap_max"],
        short=Hex(found["ct_short_id"]),
        long=Hex(found["ct_long_id"]),
    )


def _time(expiration: int) -> Hex:
    return Hex(expiration & (1 << 64) - 1)


TABLE_HEAD = (
    f"{'TABLE':<16} SEQ T SUSP {'CYCLIC':<16} {'HEAP':<16} {'USED':>6} {'ROOM':>6} {'SHORT-ID':<16} {'LONG-ID':<16}"
)
LIST_HEAD = f"{'LIST':<16} SEQ T {{time}} COUNT FLAGS"
CALLOUT_HEAD = f"{{place}}{'FUNCTION':<24} {'ARGUMENT':<16} {'ID':<16} {{time}}"
VERBOSE_HEAD = f"{'CALLOUT':<16} SEQ T XHAL "


def callout_lines(letters: Set[str], rows: Iterable[Any], show: Show) -> Iterator[str]:
    """A line a row, with a head wherever rows of another kind begin.

    Letters: A for addresses only, v for more of a callout, D for times from now. Any is a row of any of the three.
    """
    kind: type | None = None
    for row in rows:
        if "A" in letters:
            yield f"{row.addr:x}"
            continue
        if type(row) is not kind:
            kind = type(row)
            yield _head(kind, letters)
        yield _line(row, letters, show)


def _head(kind: type, letters: Set[str]) -> str:
    time = f"{'FROM NOW':>20}" if "D" in letters else f"{'TIME':>16}"
    place = VERBOSE_HEAD if "v" in letters else ""
    head = {TableRow: TABLE_HEAD, ListRow: LIST_HEAD, CalloutRow: CALLOUT_HEAD}[kind]
    return head.format(time=time, place=place).rstrip()


def _line(row: Any, letters: Set[str], show: Show) -> str:
    if isinstance(row, TableRow):
        return (
            f"{row.addr:016x} {row.seqid:>3} {_letter(row.type)} {row.suspended:>4} {row.cyclic:016x} {row.heap:016x} "
            f"{row.used:>6} {row.room:>6} {row.short:016x} {row.long:016x}"
        )
    if "D" in letters:
        time = f"{UNKNOWN if row.left is None else format(row.left, '+d'):>20}"
    else:
        time = f"{UNKNOWN if row.time is None else format(row.time, 'x'):>16}"
    if isinstance(row, ListRow):
        names = ",".join(row.flags) or UNKNOWN
        return f"{row.addr:016x} {row.seqid:>3} {_letter(row.type)} {time} {row.count:>5} {names}"
    marks = _marks((row.executing, row.hrestime, row.absolute, row.long), "XHAL")
    place = f"{row.addr:016x} {row.seqid:>3} {_letter(row.type)} {marks} " if "v" in letters else ""
    return f"{place}{show.symbol(row.function):<24} {row.argument:016x} {row.id:016x} {time}"


@dataclass(frozen=True)
class IdentityRow:
    """What the id of a callout says.

    id: the extended id
    table: the callout_table_t that it belongs to
    seqid: the sequence number of the table's cpu
    type: realtime or normal
    executing: whether it says that its callout is being executed
    long: whether it is a long-term id
    freed: whether it says that its callout was freed
    generation: how often the counter began anew
    counter: the number among the ids of its table
    """

    id: Hex
    table: Vaddr
    seqid: int
    type: str
    executing: bool
    long: bool
    freed: bool
    generation: Hex
    counter: Hex


def identity_lines(rows: Iterable[IdentityRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ID':<16} {'TABLE':<16} SEQ T XLF {'GENERATION':>10} {'COUNTER':>8}"
        marks = _marks((row.executing, row.long, row.freed), "XLF")
        place = f"{row.table:016x} {row.seqid:>3} {_letter(row.type)}"
        yield f"{row.id:016x} {place} {marks} {row.generation:>10x} {row.counter:>8x}"


def _marks(states: Iterable[bool], letters: str) -> str:
    return "".join(letter if state else UNKNOWN for state, letter in zip(states, letters, strict=True))


def _letter(kind: str) -> str:
    return kind[0].upper()
