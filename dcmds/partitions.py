"""What the cpus of illumos are grouped by: ::cpupart ::lgrp; walkers of partitions, latency groups and their cpus."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos import partitions
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.threads import find_command

GUESTS = ("illumos",)
QUEUE_AT = 24  # the column below which the threads stand that wait
HANDLES = {0xBADBAD: "NULL", 0xBABECAFE: "DEFAULT"}  # LGRP_NULL_HANDLE, LGRP_DEFAULT_HANDLE


@walker("cpupart_walk", guests=GUESTS)
def walk_cpupart(call: Call) -> Iterator[int]:
    """walk the set of cpu partitions"""
    return partitions.each_partition(illumos(call.guest))


@walker("cpupart_cpulist", start="required", guests=GUESTS)
def walk_cpupart_cpulist(call: Call) -> Iterator[int]:
    """given a cpupart_t, walk its cpus"""
    return partitions.each_in_partition(illumos(call.guest), call.address or 0)


@walker("lgrptbl", guests=GUESTS)
def walk_lgrptbl(call: Call) -> Iterator[int]:
    """walk the lgroups of the kernel's table"""
    return partitions.each_group(illumos(call.guest))


@walker("lgrp_cpulist", start="required", guests=GUESTS)
def walk_lgrp_cpulist(call: Call) -> Iterator[int]:
    """given an lgrp_t, walk its cpus"""
    return partitions.each_in_group(illumos(call.guest), call.address or 0)


@walker("lgrp_parents", start="required", guests=GUESTS)
def walk_lgrp_parents(call: Call) -> Iterator[int]:
    """given an lgrp_t, walk it and those above it up to the root"""
    return partitions.each_above(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class WaitingThread:
    """A thread that waits to run.

    thread: its kthread_t
    priority: its priority
    proc: the command of its process
    """

    thread: Vaddr
    priority: int
    proc: str


@dataclass(frozen=True)
class PartitionRow:
    """A partition of the cpus.

    addr: its cpupart_t
    id: its number
    nrun: how many threads wait for any of its cpus
    count: how many cpus it has
    cpus: their numbers
    queue: with -v, the threads that wait, the highest priority first
    """

    addr: Vaddr
    id: int
    nrun: int
    count: int
    cpus: Sequence[int]
    queue: Sequence[WaitingThread] | None


def partition_lines(rows: Iterable[PartitionRow], _: Show) -> Iterator[str]:
    """A line a partition, below it the threads that wait."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f" ID {'ADDR':>16} NRUN #CPU CPUS"
        yield f"{row.id:>3} {row.addr:016x} {row.nrun:>4} {row.count:>4} {_ranges(row.cpus)}".rstrip()
        if row.queue:
            yield f"{'':{QUEUE_AT}}|"
            yield f"{'':{QUEUE_AT}}+-->  PRI THREAD           PROC"
        for each in row.queue or ():
            yield f"{'':{QUEUE_AT}}      {each.priority:>3} {each.thread:016x} {each.proc}"


def _ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers as `0-3,5`; a dash for none."""
    found = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        values = [value for _, value in run]
        found.append(f"{values[0]}-{values[-1]}" if len(values) > 1 else f"{values[0]}")
    return ",".join(found) or "-"


@dcmd(
    "cpupart",
    address="optional",
    flags=(Flag("v", "with the threads that wait for any of its cpus"),),
    text=partition_lines,
    row=PartitionRow,
    guests=GUESTS,
)
def cpupart(call: Call) -> Iterator[PartitionRow]:
    """print cpu partition info

    Every partition of the cpus (the default one and each processor set), or the one at the address: its number, how
    many threads wait in its own queue, and its cpus.

    Reads: cpupart_t from cp_list_head along cp_next, its cp_kp_queue (disp_t), cpu_t along cpu_next_part.

    Example:
        ::cpupart -v
    """
    guest = illumos(call.guest)
    for address in partitions.each_partition(guest) if call.address is None else call.addresses:
        try:
            found = partitions.read_partition(guest, address)
        except ReadFailed as err:
            call.warn(f"failed to read the partition at {address:x}: {err}")
            continue
        queue = list(_queue(call, guest, address)) if "v" in call.flags else None
        yield PartitionRow(Vaddr(address), found.id, found.runnable, found.count, found.cpus, queue)


def _queue(call: Call, guest: Illumos, partition: int) -> Iterator[WaitingThread]:
    """The threads that wait for any cpu of a partition; where the queue breaks off is reported."""
    try:
        for priority, thread in partitions.each_waiting(guest, partition):
            yield WaitingThread(Vaddr(thread), priority, find_command(guest.objects.pointer("kthread_t", thread)))
    except ReadFailed as err:
        call.warn(f"failed to read the queue of the partition at {partition:x}: {err}")


@dataclass(frozen=True)
class PartitionLoad:
    """What of a latency group's load is of one partition.

    partition: its cpupart_t
    id: its number
    load: its load average: 65516 for each thread that always runs
    cpus: the numbers of the cpus that are in both
    """

    partition: Vaddr
    id: int
    load: int
    cpus: Sequence[int]


@dataclass(frozen=True)
class GroupRow:
    """A latency group: cpus to which the same memory is near.

    addr: its lgrp_t
    id: its number
    parent: the group that it is a part of, 0 for the root
    handle: the number by which the platform knows it
    count: how many cpus it has
    cpus: their numbers
    loads: with -p or -P, the partitions that have cpus in it
    """

    addr: Vaddr
    id: int
    parent: Vaddr
    handle: Hex
    count: int
    cpus: Sequence[int]
    loads: Sequence[PartitionLoad]
    _options: frozenset[str]


def group_lines(rows: Iterable[GroupRow], _: Show) -> Iterator[str]:
    """A line a group; with -p a line for each partition that has cpus in it; with -q the address alone."""
    for number, row in enumerate(rows):
        if "q" in row._options:
            yield f"{row.addr:016x}"
        elif row._options & {"p", "P"}:
            yield from _load_lines(row, head=number == 0)
        else:
            if number == 0:
                yield f"{'LGRPID':>9} {'ADDR':>16} {'PARENT':>16} {'PLATHAND':>16} {'#CPU':>9} {'CPUS':>9}"
            handle = HANDLES.get(row.handle, f"{row.handle:x}")
            place = f"{row.id:>9} {row.addr:016x} {row.parent:>16x} {handle:>16}"
            yield f"{place} {row.count:>9} {_ranges(row.cpus):>9}"


def _load_lines(row: GroupRow, head: bool) -> Iterator[str]:
    full = "P" in row._options
    if head:
        partition = f"{'PSRSET':>16} " if full else ""
        yield f"{'LGRPID':>9} {'PSRSETID':>9} {partition}{'LOAD':>9} {'#CPU':>9} {'CPUS':>9}"
    for each in row.loads:
        partition = f"{each.partition:016x} " if full else ""
        yield f"{row.id:>9} {each.id:>9} {partition}{each.load:>9} {len(each.cpus):>9} {_ranges(each.cpus):>9}"


@dcmd(
    "lgrp",
    address="optional",
    flags=(
        Flag("q", "only its address"),
        Flag("p", "the load of each partition that has cpus in it"),
        Flag("P", "the same, with the address of the partition"),
    ),
    text=group_lines,
    row=GroupRow,
    guests=GUESTS,
)
def lgrp(call: Call) -> Iterator[GroupRow]:
    """display an lgroup

    Every latency group that exists, or the one at the address: its number, its parent, the number by which the platform
    knows it, and its cpus.

    Reads: lgrp_table, lgrp_t, cpu_t along cpu_next_lgrp; with -p and -P cpupart_t, its cp_lgrploads (lpl_t).

    Example:
        ::lgrp -p
    """
    guest, options = illumos(call.guest), frozenset(call.flags)
    for address in partitions.each_group(guest) if call.address is None else call.addresses:
        try:
            found = partitions.read_group(guest, address)
            loads = list(partitions.each_load(guest, found)) if options & {"p", "P"} else []
        except ReadFailed as err:
            call.warn(f"failed to read the lgroup at {address:x}: {err}")
            continue
        yield GroupRow(
            addr=Vaddr(address),
            id=found.id,
            parent=Vaddr(found.parent),
            handle=Hex(found.handle),
            count=found.count,
            cpus=found.cpus,
            loads=[PartitionLoad(Vaddr(each.partition), each.id, each.load, each.cpus) for each in loads],
            _options=options,
        )
