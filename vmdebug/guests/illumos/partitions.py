"""What cpus are grouped by: partitions (processor sets), and latency groups, which share memory that is near.

Specified in: sys/cpupart.h, sys/lgrp.h, sys/cpuvar.h of illumos.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.guests.illumos.cpus import MAX_CPUS, each_queued
from vmdebug.guests.memory import MAX_TABLE, each_link

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_PARTITIONS = 1 << 16
MAX_LEVELS = 1 << 8
NONE = -1  # LGRP_NONE
POINTER = 8  # bytes


@dataclass(frozen=True)
class Partition:
    """A cpupart_t: its number, how many threads wait for any of its cpus, how many it has, and their numbers."""

    address: int
    id: int
    runnable: int
    count: int
    cpus: Sequence[int]


@dataclass(frozen=True)
class Load:
    """How much of a latency group's load is of one partition: that, its number, the load, the cpus that are in both."""

    partition: int
    id: int
    load: int
    cpus: Sequence[int]


@dataclass(frozen=True)
class LatencyGroup:
    """An lgrp_t: its number, its parent, by what number the platform knows it, its cpus."""

    address: int
    id: int
    parent: int
    handle: int
    count: int
    cpus: Sequence[int]


def each_partition(guest: "Illumos") -> Iterator[int]:
    """Every cpupart_t, the default one first."""
    return each_link(guest.follow("cpupart_t", "cp_next"), guest.variable("cp_list_head"), MAX_PARTITIONS)


def each_in_partition(guest: "Illumos", partition: int) -> Iterator[int]:
    """The cpu_t of each cpu in a partition."""
    first = int(guest.objects.at("cpupart_t", partition)["cp_cpulist"])
    return each_link(guest.follow("cpu_t", "cpu_next_part"), first, MAX_CPUS)


def read_partition(guest: "Illumos", address: int) -> Partition:
    found = guest.objects.at("cpupart_t", address)
    cpus = [guest.objects.at("cpu_t", cpu)["cpu_id"] for cpu in each_in_partition(guest, address)]
    return Partition(address, found["cp_id"], found["cp_kp_queue.disp_nrunnable"], found["cp_ncpus"], sorted(cpus))


def each_waiting(guest: "Illumos", partition: int) -> Iterator[tuple[int, int]]:
    """Each thread that waits for any cpu of a partition, after its priority; the highest first."""
    return each_queued(guest, guest.objects.at("cpupart_t", partition)["cp_kp_queue"])


def each_group(guest: "Illumos") -> Iterator[int]:
    """Every lgrp_t that exists, by the kernel's table of them."""
    symbol = guest.symbol("lgrp_table")
    for address in guest.objects.array("uintptr_t", symbol.value, min(symbol.size, MAX_TABLE) // POINTER):
        if address and guest.objects.at("lgrp_t", address)["lgrp_id"] != NONE:
            yield address


def each_in_group(guest: "Illumos", group: int) -> Iterator[int]:
    """The cpu_t of each cpu in a latency group."""
    first = int(guest.objects.at("lgrp_t", group)["lgrp_cpu"])
    return each_link(guest.follow("cpu_t", "cpu_next_lgrp"), first, MAX_CPUS)


def each_above(guest: "Illumos", group: int) -> Iterator[int]:
    """A latency group, its parent, and so on up to the root."""
    return each_link(guest.follow("lgrp_t", "lgrp_parent"), group, MAX_LEVELS)


def read_group(guest: "Illumos", address: int) -> LatencyGroup:
    found = guest.objects.at("lgrp_t", address)
    cpus = [guest.objects.at("cpu_t", cpu)["cpu_id"] for cpu in each_in_group(guest, address)]
    return LatencyGroup(
        address=address,
        id=found["lgrp_id"],
        parent=int(found["lgrp_parent"]),
        handle=found["lgrp_plathand"],
        count=found["lgrp_cpucnt"],
        cpus=sorted(cpus),
    )


def each_load(guest: "Illumos", group: LatencyGroup) -> Iterator[Load]:
    """The load of each partition that has cpus in a latency group."""
    for address in each_partition(guest):
        partition = guest.objects.at("cpupart_t", address)
        if not 0 <= group.id < partition["cp_nlgrploads"]:
            continue
        found = partition["cp_lgrploads"][group.id]
        if found["lpl_ncpu"]:
            shared = set(group.cpus) & set(read_partition(guest, address).cpus)
            yield Load(address, partition["cp_id"], found["lpl_loadavg"], sorted(shared))
