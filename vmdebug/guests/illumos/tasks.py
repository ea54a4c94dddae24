"""Tasks: groups of processes that belong to one project, and the processes in each.

The kernel finds tasks by a hash of their numbers, a mod_hash_t whose values they are; the processes of a task are in a
ring. Specified in: sys/task.h, sys/proc.h, sys/modhash_impl.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.guests.illumos.hashes import each_entry
from vmdebug.guests.illumos.threads import MAX_PROCESSES
from vmdebug.guests.memory import each_link

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos


@dataclass(frozen=True)
class Task:
    """A task_t: its number, those of its project and its zone, how many hold it, its flags."""

    address: int
    id: int
    project: int
    zone: int
    holds: int
    flags: int


def each_task(guest: "Illumos") -> Iterator[int]:
    """Every task_t in the kernel's hash of them, chain by chain."""
    return (entry.value for entry in each_entry(guest, guest.variable("task_hash")))


def each_member(guest: "Illumos", task: int) -> Iterator[int]:
    """The proc_t of every process in a task."""
    first = int(guest.objects.at("task_t", task)["tk_memb_list"])
    return each_link(guest.follow("proc_t", "p_tasknext"), first, MAX_PROCESSES)


def read_task(guest: "Illumos", address: int) -> Task:
    """A task_t, with the numbers of its project and its zone."""
    found = guest.objects.at("task_t", address)
    return Task(
        address=address,
        id=found["tk_tkid"],
        project=found["tk_proj"]["kpj_id"],
        zone=found["tk_zone"]["zone_id"],
        holds=found["tk_hold_count"],
        flags=found["tk_flags"],
    )
