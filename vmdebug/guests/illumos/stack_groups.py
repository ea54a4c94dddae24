"""Threads that do the same: with one state, one kind of synchronisation object, and one stack.

Specified in: sys/sobject.h, sys/thread.h of illumos; the order of the groups is that of mdb's ::stacks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from itertools import islice
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.findstack import NoStack, find_stack
from vmdebug.guests.illumos.threads import STATES
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

NONE = "<NONE>"
OBJECTS = {1: "MUTEX", 2: "RWLOCK", 3: "CV", 4: "SEMA", 5: "USER", 6: "USER_PI", 7: "SHUTTLE"}
MAX_DEPTH = 128
NOT_LOADED, CORRUPT, NOT_FOUND = (
    *("<thread not in memory>", "<thread structure stack info corrupt>"),
    "<no consistent stack found>",
)
FAILURES = ("", NOT_LOADED, CORRUPT, NOT_FOUND)


@dataclass(frozen=True)
class Stack:
    """What a thread does. `failure` says why there are no frames; `cut` that there are more."""

    state: str
    object: str
    pcs: Sequence[int]
    failure: str = ""
    cut: bool = False

    @property
    def panicking(self) -> bool:
        return self.state == "PANIC"


@dataclass(frozen=True)
class Group:
    """Threads with the same stack, in the order in which they were found."""

    stack: Stack
    threads: list[int] = field(default_factory=list)


def read_stack(guest: "Illumos", thread: int) -> Stack:
    """What a thread does; ReadFailed if the thread itself is not in the image."""
    record = guest.objects.at("kthread_t", thread)
    number = record["t_state"]
    state = STATES.get(number, f"inval/{number:02x}").upper()
    if thread == guest.find_variable("panic_thread"):
        state = "PANIC"
    kind = _object(record)
    try:
        found = find_stack(guest, thread)
    except NoStack as err:
        return Stack(state, kind, (), CORRUPT if err.loaded else NOT_LOADED)
    if found.sp is None:
        return Stack(state, kind, (), NOT_FOUND)
    frames = guest.frames({"rbp": found.sp}, arguments=False)
    pcs = tuple(frame.pc for frame in islice(frames, MAX_DEPTH + 1) if not frame.reason)
    return Stack(state, kind, pcs[:MAX_DEPTH], cut=len(pcs) > MAX_DEPTH)


def _object(record: Typed) -> str:
    """The kind of object that a thread sleeps on."""
    if not record["t_sobj_ops"]:
        return NONE
    try:
        number = record["t_sobj_ops"]["sobj_type"]
    except ReadFailed:
        return "?"
    return OBJECTS.get(number, NONE if number == 0 else f"{number}")


def gather(guest: "Illumos", threads: Iterable[int], warn: Callable[[str], None]) -> Sequence[Group]:
    """The groups of threads with one stack, in mdb's order."""
    groups: dict[Stack, Group] = {}
    for thread in threads:
        try:
            stack = read_stack(guest, thread)
        except DebuggerError as err:
            warn(f"failed to read thread at {thread:x}: {err}")
            continue
        groups.setdefault(stack, Group(stack)).threads.append(thread)
    return sorted(groups.values(), key=lambda group: _order(guest, group))


def _order(guest: "Illumos", group: Group) -> tuple[object, ...]:
    """Panicking ones last, the larger first, then by state, failure, and the frames' names and addresses."""
    stack = group.stack
    failure = FAILURES.index(stack.failure)
    return (stack.panicking, -len(group.threads), stack.state, failure, list(_places(guest, stack.pcs)), stack.object)


def _places(guest: "Illumos", pcs: Iterable[int]) -> Iterator[tuple[str, int]]:
    for pc in pcs:
        near = guest.symbols.nearest(pc)
        yield near[0].name if near else "", pc
