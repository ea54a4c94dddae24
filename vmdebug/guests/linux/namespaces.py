"""A thread's numbers in the pid namespaces that it lives in, and what names these namespaces.

A thread has a number in its own namespace and in each one around that: struct pid holds them all, the outermost first.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.linux.tasks import Task

MAX_LEVEL = 32  # MAX_PID_NS_LEVEL
INODES = ("ns.inum", "proc_inum")  # the latter before 3.19


class DeepNamespaces(DebuggerError):
    def __init__(self, pid: int, level: int) -> None:
        super().__init__(f"struct pid at {pid:x} lies {level} namespaces deep, more than there can be")


@dataclass(frozen=True)
class PidNumbers:
    """`numbers` from the outermost namespace to the innermost, which /proc/PID/ns/pid shows as `inode`."""

    numbers: Sequence[int]
    inode: int


def pid_numbers(task: "Task") -> PidNumbers | None:
    """The thread's numbers; None for one that has given them back."""
    struct, objects = task.struct, task.linux.objects
    pid: Typed = struct["thread_pid"] if "thread_pid" in struct else struct["pids"][0]["pid"]
    if not pid:
        return None
    level, at = int(pid["level"]), int(pid)
    if not 0 <= level <= MAX_LEVEL:
        raise DeepNamespaces(at, level)
    each = objects.array("struct upid", at + objects.offsetof("struct pid", "numbers"), level + 1)
    namespace = each[level]["ns"]
    inode = next((int(namespace[path]) for path in INODES if path in namespace.deref()), 0)
    return PidNumbers([int(one["nr"]) for one in each], inode)
