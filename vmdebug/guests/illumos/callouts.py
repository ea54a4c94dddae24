"""Callouts: functions that the kernel calls once, each at its time.

There are two tables for each cpu, one of realtime and one of normal callouts, in an array by the cpus' sequence
numbers. Callouts that expire together hang in a list; the lists hang in a hash by their time, or in the table's queue
or, while they are run, among its expired ones; the callouts themselves hang in a hash by their ids, too.
Specified in: sys/callo.h of illumos, as kernels since 2009 have it.
"""

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.cpus import find_lbolt
from vmdebug.guests.memory import each_link
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

Warn = Callable[[str], None]

TYPES = 2  # of tables for each cpu
REALTIME, NORMAL = 0, 1
BUCKETS = 512  # CALLOUT_BUCKETS
BUCKET = struct.Struct("<QQ")  # callout_hash_t: head, tail
FREED, EXECUTING, LONG, HIGH = 1 << 63, 1 << 62, 1 << 31, 1 << 30
IDENTITY = (1 << 62) - 1  # CALLOUT_ID_MASK
ABSOLUTE, HRESTIME = 0x2, 0x4
FLAGS = {0x1: "FREE", 0x2: "ABSOLUTE", 0x4: "HRESTIME", 0x8: "NANO", 0x10: "HEAPED", 0x20: "QUEUED"}
MAX_TABLES = 1 << 12
MAX_CHAIN = 1 << 18
MAX_FAILURES = 16  # chains of a table that cannot be followed before all of it is given up
CLOCKS = ("panic_hrtime", "hres_last_tick")


class OldCallouts(DebuggerError):
    def __init__(self) -> None:
        super().__init__(
            "callout_table_t has no ct_clhash: the kernel keeps its callouts as those before 2009 do, and they "
            "cannot be shown"
        )


class NoSuchTable(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x} is none of the callout tables")
        self.address = address


class NoSuchCallout(DebuggerError):
    def __init__(self, identity: int, table: int) -> None:
        super().__init__(f"no callout of table {table:x} has the id {identity:x}")
        self.identity = identity


class BrokenTable(DebuggerError):
    def __init__(self, table: int, reason: str) -> None:
        super().__init__(f"callout table {table:x}: {reason}")
        self.table = table


class NoClock(DebuggerError):
    def __init__(self) -> None:
        super().__init__(f"failed to read the time since boot: none of {', '.join(CLOCKS)}, lbolt is there")


@dataclass(frozen=True)
class Identity:
    """An extended id taken apart: whose it is, its counter and generation, and its marks."""

    table: int
    counter: int
    generation: int
    long: bool
    executing: bool
    freed: bool


@dataclass(frozen=True)
class CalloutList:
    """A callout_list_t: when its callouts expire, in nanoseconds since boot, and its flags."""

    address: int
    expiration: int
    flags: int
    first: int


@dataclass(frozen=True)
class Callout:
    """A callout_t and the list that it hangs in, None where that cannot be read."""

    address: int
    identity: int
    function: int
    argument: int
    listed: CalloutList | None


class Callouts:
    """The kernel's callout tables."""

    def __init__(self, guest: "Illumos") -> None:
        self.guest = guest
        self.base = guest.variable("callout_table")
        if "ct_clhash" not in guest.objects.at("callout_table_t", self.base):
            raise OldCallouts
        self.size = guest.objects.sizeof("callout_table_t")
        self.count = max(0, min(guest.variable("max_ncpus", signed=True) * TYPES, MAX_TABLES))

    def each(self) -> Iterator["CalloutTable"]:
        """The tables that were set up: those of every cpu that was ever online."""
        for number in range(self.count):
            table = CalloutTable(self.guest, self.base + number * self.size, number)
            if table.record["ct_clhash"]:
                yield table

    def at(self, address: int) -> "CalloutTable":
        """The table at an address."""
        number, rest = divmod(address - self.base, self.size)
        if rest or not 0 <= number < self.count:
            raise NoSuchTable(address)
        return CalloutTable(self.guest, address, number)

    def split(self, identity: int) -> Identity:
        """What an id says of its callout."""
        bits = self._bits
        return Identity(
            table=self.base + (identity & (1 << bits) - 1) * self.size,
            counter=(identity & HIGH - 1) >> bits,
            generation=(identity & IDENTITY) >> 32,
            long=bool(identity & LONG),
            executing=bool(identity & EXECUTING),
            freed=bool(identity & FREED),
        )

    def find(self, identity: int, warn: Warn) -> tuple["CalloutTable", Callout]:
        """The callout of an id, whatever its marks say, and its table."""
        table = self.at(self.split(identity).table)
        for callout in table.callouts_by_id(warn, bucket=(identity & IDENTITY) >> self._bits & BUCKETS - 1):
            if callout.identity & IDENTITY == identity & IDENTITY:
                return table, callout
        raise NoSuchCallout(identity, table.address)

    @property
    def _bits(self) -> int:
        return self.guest.variable("callout_table_bits") & 0x1F  # of the 30 that an id has for tables and counter


class CalloutTable:
    """A callout_table_t. What hangs in it is read when it is asked for."""

    def __init__(self, guest: "Illumos", address: int, number: int) -> None:
        self.guest = guest
        self.address = address
        self.sequence = number // TYPES
        self.record: Typed = guest.objects.at("callout_table_t", address)

    @property
    def type(self) -> int:
        found: int = self.record["ct_type"]
        return found

    def lists(self, warn: Warn) -> list[CalloutList]:
        """The lists of callouts, the first to expire first; what cannot be followed is reported."""
        chains = [*self._heads("ct_clhash"), *self._ends("ct_queue"), *self._ends("ct_expired")]
        found = [self._list(each) for each in self._chains("callout_list_t", "cl_next", chains, warn)]
        return sorted(found, key=lambda each: each.expiration)

    def free_lists(self, warn: Warn) -> list[CalloutList]:
        """The lists that nothing uses."""
        chain = self._chains("callout_list_t", "cl_next", [int(self.record["ct_lfree"])], warn)
        return [self._list(each) for each in chain]

    def callouts(self, listed: CalloutList, warn: Warn) -> Iterator[Callout]:
        """The callouts of a list."""
        for each in self._chains("callout_t", "c_clnext", [listed.first], warn):
            yield self._callout(each, listed)

    def callouts_by_time(self, warn: Warn) -> Iterator[Callout]:
        """The callouts of all lists, the first to expire first."""
        seen: set[int] = set()
        for listed in self.lists(warn):
            for callout in self.callouts(listed, warn):
                if callout.address in seen:
                    raise BrokenTable(self.address, f"callout {callout.address:x} hangs in two lists")
                seen.add(callout.address)
                yield callout

    def callouts_by_id(self, warn: Warn, bucket: int | None = None) -> Iterator[Callout]:
        """The callouts of the hash by ids, or of one of its buckets."""
        heads = self._heads("ct_idhash", bucket)
        return (self._callout(each, None) for each in self._chains("callout_t", "c_idnext", heads, warn))

    def free_callouts(self, warn: Warn) -> Iterator[Callout]:
        """The callouts that nothing uses."""
        chain = self._chains("callout_t", "c_idnext", [int(self.record["ct_free"])], warn)
        return (self._callout(each, None) for each in chain)

    def _heads(self, member: str, bucket: int | None = None) -> list[int]:
        """The first elements of a hash's chains, or of that of one bucket."""
        first, count = (0, BUCKETS) if bucket is None else (bucket, 1)
        place = int(self.record[member]) + first * BUCKET.size
        return [head for head, _ in BUCKET.iter_unpack(self.guest.target.read(place, count * BUCKET.size)) if head]

    def _ends(self, member: str) -> list[int]:
        """The first element of a chain that early kernels do not have."""
        return [int(self.record[member]["ch_head"])] if member in self.record else []

    def _chains(self, kind: str, link: str, heads: list[int], warn: Warn) -> Iterator[Typed]:
        """The elements of chains; one that is in two of them ends the second, as one that cannot be read does."""
        seen: set[int] = set()
        failures = 0
        for head in heads:
            try:
                for address in each_link(self.guest.follow(kind, link), head, MAX_CHAIN):
                    if address in seen:
                        raise BrokenTable(self.address, f"{kind} {address:x} hangs in it twice")
                    seen.add(address)
                    record = self.guest.objects.at(kind, address)
                    record[link]  # reads it
                    yield record
            except (ReadFailed, BrokenTable) as err:
                failures += 1
                if failures >= MAX_FAILURES:
                    raise BrokenTable(self.address, f"{failures} chains cannot be followed: {err}") from err
                warn(f"callout table {self.address:x}: failed to follow {kind} from {head:x}: {err}")

    def _list(self, record: Typed) -> CalloutList:
        first = int(record["cl_callouts"]["ch_head"])
        return CalloutList(int(record), record["cl_expiration"], record["cl_flags"], first)

    def _callout(self, record: Typed, listed: CalloutList | None) -> Callout:
        return Callout(
            address=int(record),
            identity=int(record["c_xid"]) & (1 << 64) - 1,
            function=int(record["c_func"]),
            argument=int(record["c_arg"]),
            listed=listed or self._list_of(int(record["c_list"])),
        )

    def _list_of(self, address: int) -> CalloutList | None:
        try:
            return self._list(self.guest.objects.at("callout_list_t", address)) if address else None
        except ReadFailed:
            return None


def find_now(guest: "Illumos", *, needed: bool = False) -> int | None:
    """Nanoseconds since boot, when the kernel panicked or at its last clock tick.

    None where that is not known, or NoClock if it is needed.
    """
    for name in CLOCKS:
        if now := guest.find_variable(name):
            return now
    ticks, length = find_lbolt(guest), guest.find_variable("nsec_per_tick")
    if ticks and length:
        return ticks * length
    if needed:
        raise NoClock
    return None
