"""Threads and processes: walking them, and what they are called.

Specified in: sys/thread.h, sys/ctxop.h, sys/proc.h, sys/user.h, sys/taskq_impl.h of illumos.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import each_link
from vmdebug.types.typed import Ptr, Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_THREADS = MAX_PROCESSES = 1 << 18
MAX_CONTEXTS = 1 << 12
STATES = {0: "free", 1: "sleep", 2: "run", 4: "onproc", 8: "zomb", 16: "stopped", 32: "wait"}
FREE, ONPROC = 0, 4
DEATHROWS = ("thread_deathrow", "lwp_deathrow")  # of the kernel's own threads, and of lwps
INTERRUPT_THREAD = 0x0001  # T_INTR_THREAD
LOADED = 0x0001  # TS_LOAD
PANIC_STACK = 8192  # PANICSTKSIZE


class NoFirstProcess(DebuggerError):
    def __init__(self) -> None:
        super().__init__("failed to read 'practive': unknown symbol name (there is no p0)")


def each_thread(guest: "Illumos", process: int | None = None) -> Iterator[int]:
    """Every kthread_t; only a process' own if one is given."""
    if process is None:
        return each_link(guest.follow("kthread_t", "t_next"), guest.variable("allthreads"), MAX_THREADS)
    return each_link(guest.follow("kthread_t", "t_forw"), guest.objects.at("proc_t", process)["p_tlist"], MAX_THREADS)


def each_context(guest: "Illumos", thread: int) -> Iterator[int]:
    """The struct ctxop of a thread: what is called when it is switched away from and to; since 2023 in a ring."""
    first = int(guest.objects.at("kthread_t", thread)["t_ctx"])
    return each_link(guest.follow("struct ctxop", "next"), first, MAX_CONTEXTS)


def each_dead(guest: "Illumos", row: str) -> Iterator[int]:
    """The threads that ended and wait to be freed, by the name of one of the kernel's two rows of them."""
    return each_link(guest.follow("kthread_t", "t_forw"), guest.variable(row), MAX_THREADS)


def each_record(guest: "Illumos", address: int | None, warn: Callable[[str], None]) -> Iterator[Typed]:
    """The thread at the address, or all; one that cannot be read is reported."""
    for thread in [address] if address is not None else each_thread(guest):
        record: Typed = guest.objects.at("kthread_t", thread)
        try:
            record["t_state"]
        except ReadFailed as err:
            warn(f"failed to read thread at {thread:x}: {err}")
            continue
        yield record


def each_process(guest: "Illumos", first: int | None = None) -> Iterator[int]:
    """Every proc_t below the first process, or the given one: each before its children, these before its siblings.

    Where a process cannot be read, its error comes after all that could be found.
    """
    child, sibling = guest.follow("proc_t", "p_child"), guest.follow("proc_t", "p_sibling")
    root = _first_process(guest) if first is None else first
    pending, failed = [root], None
    seen: set[int] = set()
    while pending and len(seen) < MAX_PROCESSES:
        process = pending.pop()
        if not process or process in seen:
            continue
        yield process
        seen.add(process)
        for link in (sibling, child) if process != root else (child,):
            try:
                pending.append(link(process))
            except ReadFailed as err:
                failed = err
    if failed:
        raise failed


def _first_process(guest: "Illumos") -> int:
    found = guest.symbols.find("p0")
    if found is None:
        raise NoFirstProcess
    return found.value


def find_command(thread: Typed | Ptr) -> str:
    """The command of a thread's process, `?` where it cannot be read."""
    try:
        return str(thread["t_procp"]["p_user.u_comm"].string())
    except ReadFailed:
        return "?"


def find_arguments(thread: Typed | Ptr) -> str:
    """The command line of a thread's process, `?` where it cannot be read."""
    try:
        return str(thread["t_procp"]["p_user.u_psargs"].string())
    except ReadFailed:
        return "?"


def find_thread_name(thread: Typed) -> str:
    """The name that was given to a thread; kernels before 2018 know none."""
    if "t_name" not in thread or not thread["t_name"]:
        return ""
    try:
        return str(thread["t_name"].string())
    except DebuggerError:
        return "?"


def find_taskq_name(guest: "Illumos", thread: Typed) -> str:
    """The name of the task queue that a thread works for."""
    if not thread["t_taskq"]:
        return ""
    try:
        return str(guest.objects.at("taskq_t", thread["t_taskq"])["tq_name"].string())
    except DebuggerError:
        return ""


def find_activity(guest: "Illumos", thread: Typed, address: int) -> str:
    """Whether a word of a thread's stack is in use, where that is not sure."""
    if thread["t_state"] == FREE:
        return " (inactive interrupt thread)"
    stack_pointer = thread["t_pcb.val[1]"] & (1 << 64) - 1
    panicking = guest.symbols.find("panic_stack")
    if address >= stack_pointer or (panicking and 0 <= stack_pointer - panicking.value < PANIC_STACK):
        return ""
    return " (possibly below sp)" if thread["t_state"] == ONPROC else " (below sp)"
