"""Tasks of illumos, groups of processes: ::task, the walker task."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Text, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.tasks import each_member, each_task, read_task

GUESTS = ("illumos",)


@walker("task", start="required", guests=GUESTS)
def walk_task(call: Call) -> Iterator[int]:
    """walk the processes of a task"""
    return each_member(illumos(call.guest), call.address or 0)


@dataclass(frozen=True)
class TaskRow:
    """A task: processes that belong to one project.

    addr: its task_t
    id: its number
    project: the number of its project
    zone: the number of its zone
    count: how many hold it
    flags: its flags: 1 for one that no process may leave for a new task
    """

    addr: Vaddr
    id: int
    project: int
    zone: int
    count: int
    flags: Hex


TASK = Text(
    "{addr:016x} {id:>6} {project:>6} {zone:>6} {count:>6} 0x{flags:08x}",
    head=f"{'ADDR':>16} {'TASKID':>6} {'PROJID':>6} {'ZONEID':>6} {'REFCNT':>6} {'FLAGS':>10}",
)


@dcmd("task", address="optional", text=TASK, row=TaskRow, guests=GUESTS)
def task(call: Call) -> Iterator[TaskRow]:
    """display kernel task(s)

    Every task, or the one at the address.

    Reads: mod_hash_t and struct mod_hash_entry of task_hash; task_t, kpj_id of kproject_t, zone_id of zone_t.

    Example:
        ::task
    """
    guest = illumos(call.guest)
    for address in each_task(guest) if call.address is None else call.addresses:
        try:
            found = read_task(guest, address)
        except ReadFailed as err:
            call.warn(f"failed to read the task at {address:x}: {err}")
            continue
        yield TaskRow(Vaddr(address), found.id, found.project, found.zone, found.holds, Hex(found.flags))
