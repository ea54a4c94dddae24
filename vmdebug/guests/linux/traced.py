"""Return addresses that the function-graph tracer took off the stack and keeps in the thread.

It leaves the address of return_to_handler and remembers the word's place beside what was there. Its entries were an
array, and are of several sizes since 6.11; in both an entry is a struct ftrace_ret_stack, found by that place.
Specified in: kernel/trace/fgraph.c of Linux (ftrace_graph_ret_addr).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.tasks import Task

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

HANDLER = "return_to_handler"
ENTRY = "struct ftrace_ret_stack"
MAX_BYTES = 1 << 14  # of one thread's entries: 50 of 48 bytes, or a page


def taken_addresses(linux: "Linux", task: Task) -> Mapping[int, int]:
    """For each place on a thread's stack whose word was replaced, what had been there."""
    struct = task.struct
    if "ret_stack" not in struct or not int(struct["ret_stack"]):
        return {}
    try:
        return _taken(linux, int(struct["ret_stack"]), _used(linux, task))
    except DebuggerError:  # then return_to_handler is what the stack shows
        return {}


def _used(linux: "Linux", task: Task) -> int:
    """How many bytes of entries a thread has in use: the index is of the last entry, or counts words."""
    last = int(task.struct["curr_ret_stack"])
    array = task.struct["ret_stack"].type_.spelled == ENTRY
    return (last + 1) * linux.objects.sizeof(ENTRY) if array else linux.word * last


def _taken(linux: "Linux", start: int, size: int) -> Mapping[int, int]:
    """Every word in the place of `retp`, with the one in the place of `ret` before it."""
    if not 0 < size <= MAX_BYTES:
        return {}
    word = linux.word
    behind = (linux.objects.offsetof(ENTRY, "retp") - linux.objects.offsetof(ENTRY, "ret")) // word
    words = memoryview(linux.space.read(start, size & -word)).cast("Q" if word == 8 else "I")
    return {words[number]: words[number - behind] for number in range(behind, len(words))}
