"""Threads and processes of illumos: ::threadlist ::findstack, the walkers thread, ctxop, proc and deathrow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.calls import ALL, FrameRow, each_frame_row, frame_line
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos import threads
from vmdebug.guests.illumos.findstack import find_stack
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.lang.flags import each_word
from vmdebug.lang.pipeline import OK, Reported
from vmdebug.session import Session
from vmdebug.types.typed import Typed

GUESTS = ("illumos",)


@walker("thread", start="optional", guests=GUESTS)
def each_thread(call: Call) -> Iterator[int]:
    """list of threads, all or those of a process"""
    yield from threads.each_thread(illumos(call.guest), call.address)


@walker("ctxop", start="required", guests=GUESTS)
def each_context(call: Call) -> Iterator[int]:
    """walk the context operations of a thread"""
    return threads.each_context(illumos(call.guest), call.address or 0)


@walker("proc", start="optional", guests=GUESTS)
def each_process(call: Call) -> Iterator[int]:
    """list of processes, all or those below one"""
    yield from threads.each_process(illumos(call.guest), call.address)


@walker("deathrow", guests=GUESTS)
def walk_deathrow(call: Call) -> Iterator[int]:
    """walk threads on both lwp_ and thread_deathrow"""
    for row in threads.DEATHROWS:
        yield from threads.each_dead(illumos(call.guest), row)


@walker("thread_deathrow", guests=GUESTS)
def walk_thread_deathrow(call: Call) -> Iterator[int]:
    """walk threads on thread_deathrow"""
    return threads.each_dead(illumos(call.guest), "thread_deathrow")


@walker("lwp_deathrow", guests=GUESTS)
def walk_lwp_deathrow(call: Call) -> Iterator[int]:
    """walk lwp_deathrow"""
    return threads.each_dead(illumos(call.guest), "lwp_deathrow")


@dataclass(frozen=True)
class StackRow:
    """The stack of a thread.

    thread: its kthread_t
    sp: where the stack begins, null where nothing is conclusive
    pc: where the thread goes on, null where that is not known
    symbol: pc as a name and an offset
    free: whether the thread is free
    frames: the calls, the innermost first
    possible: where nothing is conclusive, the frames from which steps lead upward, and how many
    output: with a command, the lines that it printed; then there are no frames
    """

    thread: Vaddr
    sp: Vaddr | None
    pc: Vaddr | None
    symbol: str | None
    free: bool
    frames: Sequence[FrameRow]
    possible: Sequence["Possible"]
    output: Sequence[str] = ()


@dataclass(frozen=True)
class Possible:
    """A word of a stack that may be a frame.

    fp: its address
    levels: how many steps lead upward from it
    """

    fp: Vaddr
    levels: int


def stack_lines(rows: Iterable[StackRow], show: Show) -> Iterator[str]:
    """Where each stack begins, then its calls with their frame pointers."""
    for row in rows:
        yield from _stack(row, show, full=True)


def _stack(row: StackRow, show: Show, full: bool) -> Iterator[str]:
    if row.sp is None:
        yield f"Possible stack pointers for thread {row.thread:x}:"
        yield from (f"  {each.fp:x} ({each.levels})" for each in row.possible)
        return
    free = " (TS_FREE)" if row.free else ""
    yield f"stack pointer for thread {row.thread:x}{free}: {row.sp:x}"
    if row.pc is not None:
        yield f"[ {row.sp:016x} {row.symbol}() ]"
    yield from (f"  {frame_line(frame, show, full)}" for frame in row.frames)
    yield from (f"  {line}" for line in row.output)


@dcmd(
    "findstack",
    address="required",
    synopsis="[-v] ['command']",
    flags=(Flag("v", "with the arguments of each call"),),
    text=stack_lines,
    row=StackRow,
    guests=GUESTS,
)
def findstack(call: Call) -> Iterator[StackRow]:
    """find kernel thread stack

    Where the stack of a thread that does not run begins, and its calls with their frame pointers. Where the saved stack
    pointer leads nowhere, every word of the stack is tried as a frame. A command takes the place of the calls: it runs
    with dot set to where the stack begins.

    Reads: kthread_t (t_state, t_schedflag, t_stk, t_stkbase, t_pcb), the stack.

    Examples:
        ffffff0001593c80::findstack -v
        ffffff0001593c80::findstack '<.$c'
    """
    words = list(each_word(call.args))
    if len(words) > 1:
        raise call.usage()
    for address in call.addresses:
        row = stack_of(call, illumos(call.guest), address, ALL if "v" in call.flags else 0)
        yield from _commanded(call, row, words[0]) if words and row.sp is not None else [row]


def _commanded(call: Call, row: StackRow, command: str) -> Iterator[StackRow]:
    """The stack with what a command prints of it; one that fails ends the pipeline."""
    session = cast(Session, call.session)
    output = session.run_held(command, row.sp or 0)
    status = session.status
    call.leave_dot(session.dot, session.increment)
    yield replace(row, frames=[], output=output)
    if status != OK:
        raise Reported("failed to evaluate command")


def stack_of(call: Call, guest: Illumos, address: int, count: int) -> StackRow:
    """The stack of a thread as a row, with at most `count` arguments each call."""
    found = find_stack(guest, address)
    calls = call.guest.frames({"rbp": found.sp}, arguments=count > 0) if found.sp is not None else ()
    frames = list(each_frame_row(call, calls, count))
    pc = Vaddr(found.pc) if found.pc else None
    return StackRow(
        thread=Vaddr(address),
        sp=None if found.sp is None else Vaddr(found.sp),
        pc=pc,
        symbol=None if pc is None else call.session.show.symbol(pc),
        free=found.free,
        frames=frames,
        possible=[Possible(Vaddr(fp), levels) for fp, levels in found.possible],
    )


@dataclass(frozen=True)
class ListedThread:
    """A thread in a list.

    addr: its kthread_t
    proc: its process
    lwp: its lwp, 0 for a thread of the kernel
    what: its name, its task queue, its function, or its process and number
    cls: with -v, the number of its scheduling class
    pri: with -v, its priority
    wchan: with -v, what it waits for
    doing: with -v, where it goes on, and its task queue, function or command
    stack: with -v, its stack, null where there is none
    """

    addr: Vaddr
    proc: Vaddr
    lwp: Vaddr
    what: str
    cls: int | None = None
    pri: int | None = None
    wchan: Vaddr | None = None
    doing: str | None = None
    stack: StackRow | None = None


def short_lines(rows: Iterable[ListedThread], _: Show) -> Iterator[str]:
    """A line a thread."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':>16} {'PROC':>16} {'LWP':>16} CMD/LWPID"
        yield f"{row.addr:016x} {row.proc:>16x} {row.lwp:>16x} {row.what}"


def long_lines(rows: Iterable[ListedThread], show: Show) -> Iterator[str]:
    """A line a thread, below it what it does, its stack, and an empty line."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':>16} {'PROC':>16} {'LWP':>16} CLS PRI {'WCHAN':>16}"
        yield f"{row.addr:016x} {row.proc:>16x} {row.lwp:>16x} {row.cls:>3} {row.pri:>3} {row.wchan or 0:>16x}"
        yield f"  {row.doing}"
        if row.stack is not None:
            yield from (f"  {line}" for line in _stack(row.stack, show, full=False))
        yield ""


@dcmd(
    "threadlist",
    address="optional",
    synopsis="[-t] [-v [count]]",
    flags=(Flag("t", "without threads of task queues"), Flag("v", "with the stack of each, at most count arguments")),
    text=short_lines,
    row=ListedThread,
    guests=GUESTS,
)
def threadlist(call: Call) -> Iterator[ListedThread]:
    """display threads and associated C stack traces

    Every thread that is not free, or the one at the address: its process, its lwp, and what it is; with -v also where
    it goes on, and its stack.

    Reads: kthread_t (t_next, t_state, t_procp, t_lwp, t_tid, t_taskq, t_startpc, t_pri, t_cid, t_wchan), taskq_t
    (tq_name), proc_t (p_user); with -v the stack, as ::findstack.

    Example:
        ::threadlist -v
    """
    full = "v" in call.flags
    if len(call.args) > full:
        raise call.usage()
    count = call.number(call.args[0]) if call.args else 0
    call.text = long_lines if full else short_lines
    guest = illumos(call.guest)
    for record in threads.each_record(guest, call.address, call.warn):
        if record["t_state"] == threads.FREE or ("t" in call.flags and record["t_taskq"]):
            continue
        row = ListedThread(
            Vaddr(int(record)),
            Vaddr(int(record["t_procp"])),
            Vaddr(int(record["t_lwp"])),
            _describe(call, guest, record),
        )
        yield _in_full(call, guest, record, row, count) if full else row


def _in_full(call: Call, guest: Illumos, record: Typed, row: ListedThread, count: int) -> ListedThread:
    """The row with what the thread does and its stack; one without a stack is reported."""
    try:
        stack = stack_of(call, guest, row.addr, count)
    except DebuggerError as err:
        call.warn(str(err))
        stack = None
    pc = record["t_pcb.val[0]"] & (1 << 64) - 1
    wchan = Vaddr(int(record["t_wchan"]))
    doing = f"PC: {call.session.show.symbol(pc)}    {_doing(call, guest, record)}"
    return replace(row, cls=record["t_cid"], pri=record["t_pri"], wchan=wchan, doing=doing, stack=stack)


def _describe(call: Call, guest: Illumos, record: Typed) -> str:
    name = threads.find_thread_name(record)
    if record["t_tid"]:
        return f"{threads.find_command(record)}/{record['t_tid']}" + (f" [{name}]" if name else "")
    if name:
        return name
    queue = threads.find_taskq_name(guest, record)
    return f"tq:{queue}" if queue else f"{call.session.show.symbol(record['t_startpc'])}()"


def _doing(call: Call, guest: Illumos, record: Typed) -> str:
    if record["t_tid"]:
        return f"CMD: {threads.find_arguments(record)}"
    queue = threads.find_taskq_name(guest, record)
    return f"TASKQ: {queue}" if queue else f"THREAD: {call.session.show.symbol(record['t_startpc'])}()"
