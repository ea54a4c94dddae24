"""Linux kernel stacks: ::findstack ::stacks ::cpustack ::threadlist."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.stacks import Call as StackCall
from vmdebug.guests.linux.stacks import NoStack
from vmdebug.guests.linux.tasks import Task, each_task

GUESTS = ("linux",)


@dataclass(frozen=True)
class StackFrame:
    """A call on a stack.

    pc: where the function continues
    sp: the stack pointer there
    symbol: pc as a name and an offset
    how: start, call, or trap (an interrupt or exception came in between)
    reliable: whether unwind data led here
    reason: why the stack cannot be followed further, null where it can
    """

    pc: Vaddr
    sp: Vaddr
    symbol: str
    how: str
    reliable: bool
    reason: str | None


@dataclass(frozen=True)
class ThreadStack:
    """The stack of a thread.

    addr: its task_struct
    pid: its number
    comm: its name
    state: the letter that ps shows
    sp: where its stack begins
    frames: the calls, the innermost first
    """

    addr: Vaddr
    pid: int
    comm: str
    state: str
    sp: Vaddr | None
    frames: Sequence[StackFrame]
    _full: bool


def frame_line(frame: StackFrame, full: bool) -> str:
    place = f"{frame.sp:016x} " if full else ""
    return f"{place}{frame.symbol}()" + (f" [{frame.reason}]" if frame.reason else "")


def cpu_lines(rows: Iterable[StackFrame], _: Show) -> Iterator[str]:
    return (frame_line(row, full=False) for row in rows)


def thread_lines(rows: Iterable[ThreadStack], _: Show) -> Iterator[str]:
    for row in rows:
        place = f"{row.sp:x}" if row.sp is not None else "none"
        yield f"stack pointer for thread {row.addr:x} ({row.comm}, pid {row.pid}): {place}"
        first, *rest = [frame_line(frame, row._full) for frame in row.frames] or [""]
        if first:
            yield f"[ {first} ]"
        yield from (f"  {line}" for line in rest)


@dcmd(
    "cpustack",
    address="optional",
    flags=(Flag("c", "the cpu's number, in the current radix", "number", "cpuid"),),
    text=cpu_lines,
    row=StackFrame,
    guests=GUESTS,
)
def cpustack(call: Call) -> Iterator[StackFrame]:
    """print the stack of a cpu as the hypervisor saved it

    From the saved registers on, through interrupts and across stacks, by the kernel's own unwind data. A cpu that
    was in user mode has nothing on its kernel stack.

    Example:
        ::cpustack -c 0
    """
    number = call.flags.get("c")
    if number is None and call.address is not None:
        number = call.guest.cpu_id(call.address)
    vcpu = call.target.vcpu(number or 0)
    for frame in linux(call.guest).stacks.of_vcpu(vcpu):
        yield shown(call, frame)


@dcmd(
    "findstack",
    address="required",
    flags=(Flag("v", "with the stack pointer of each call"),),
    text=thread_lines,
    row=ThreadStack,
    guests=GUESTS,
)
def findstack(call: Call) -> Iterator[ThreadStack]:
    """find kernel thread stack

    The calls of a thread: from where it sleeps, or from its cpu's registers if it runs.

    Example:
        1::pid2task | ::findstack -v
    """
    kernel = linux(call.guest)
    for address in call.addresses:
        yield stack_of(call, kernel, Task(kernel, address), "v" in call.flags)


def stack_of(call: Call, kernel: Linux, task: Task, full: bool = False) -> ThreadStack:
    """A thread's stack as a row; NoStack for one that has none."""
    frames = [shown(call, frame) for frame in kernel.stacks.of_task(task)]
    sp = frames[0].sp if frames else None
    return ThreadStack(Vaddr(task.address), task.pid, task.comm, task.state, sp, frames, full)


def shown(call: Call, frame: StackCall) -> StackFrame:
    """A call with its name: that of the function that it is in, also where the call was its last instruction."""
    symbol = call.session.show.symbol(frame.pc)
    found = call.guest.symbols.nearest(frame.inside)
    if found and found[0].value + found[0].size == frame.pc:
        symbol = f"{found[0].name}+0x{frame.pc - found[0].value:x}"
    return StackFrame(Vaddr(frame.pc), Vaddr(frame.sp), symbol, frame.how, frame.reliable, frame.reason or None)


@dataclass(frozen=True)
class StackGroup:
    """Threads with the same stack.

    addr: the first thread's task_struct
    state: the letter that ps shows
    count: how many threads
    pids: their numbers
    stack: the calls, by name and offset
    """

    addr: Vaddr
    state: str
    count: int
    pids: Sequence[int]
    stack: Sequence[str]


def group_lines(rows: Iterable[StackGroup], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'THREAD':<16} {'STATE':<8} {'PID':<16} {'COUNT':>8}"
        yield f"{row.addr:016x} {row.state:<8} {row.pids[0]:<16} {row.count:>8}"
        yield from (f"{'':16} {line}" for line in row.stack)
        yield ""


@dcmd(
    "stacks",
    address="optional",
    flags=(
        Flag("c", "only stacks with that function", "text", "func"),
        Flag("C", "only stacks without that function", "text", "func"),
        Flag("m", "only stacks with a function of that module", "text", "mod"),
        Flag("s", "only threads in that state", "text", "state"),
        Flag("S", "only threads not in that state", "text", "state"),
    ),
    text=group_lines,
    row=StackGroup,
    guests=GUESTS,
    whole=True,
)
def stacks(call: Call) -> Iterator[StackGroup]:
    """print unique kernel thread stacks

    Threads with the same calls and the same state are one group, the largest first. Addresses that come through a
    pipe limit it to those threads.

    Example:
        ::stacks -c do_wait
    """
    kernel = linux(call.guest)
    tasks = [Task(kernel, address) for address in call.addresses] if call.addresses else each_task(kernel)
    groups: dict[tuple[str, tuple[str, ...]], list[Task]] = {}
    for task in _until_broken(call, tasks):
        try:
            names = tuple(frame_line(shown(call, frame), full=False)[:-2] for frame in kernel.stacks.of_task(task))
            state = task.state
        except NoStack as err:
            names, state = (f"<{err.reason}>",), task.state
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the thread at {task.address:x}: {err}")
            continue
        if _wanted(call, kernel, names, state):
            groups.setdefault((state, names), []).append(task)
    for (state, names), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        yield StackGroup(Vaddr(members[0].address), state, len(members), [task.pid for task in members], names)


def _until_broken(call: Call, tasks: Iterable[Task]) -> Iterator[Task]:
    """The tasks as far as their list leads; where it breaks off is told."""
    try:
        yield from tasks
    except (DebuggerError, ImageError) as err:
        call.warn(f"the list of tasks ends here: {err}")


def _wanted(call: Call, kernel: Linux, names: Sequence[str], state: str) -> bool:
    flags = call.flags
    functions = {name.partition("+")[0].rpartition("`")[2] for name in names}
    if flags.get("s", state).upper() != state.upper() or flags.get("S", "").upper() == state.upper():
        return False
    if flags.get("C") in functions or flags.get("c", next(iter(functions), "")) not in functions | {""}:
        return False
    modules = {name.partition("`")[0] for name in names if "`" in name}
    return "m" not in flags or flags["m"] in modules


@dcmd(
    "threadlist",
    address="optional",
    flags=(Flag("v", "with each thread's stack"),),
    text=thread_lines,
    row=ThreadStack,
    guests=GUESTS,
)
def threadlist(call: Call) -> Iterator[ThreadStack]:
    """display threads and associated C stack traces

    Every thread, or the one at the address; with -v its calls.

    Example:
        ::threadlist -v
    """
    kernel = linux(call.guest)
    tasks = each_task(kernel) if call.address is None else [Task(kernel, call.address)]
    for task in _until_broken(call, tasks):
        try:
            if "v" in call.flags:
                yield stack_of(call, kernel, task)
                continue
            sp = Vaddr(kernel.stacks.pointer(task)) if task.stack else None
            yield ThreadStack(Vaddr(task.address), task.pid, task.comm, task.state, sp, (), False)
        except NoStack:
            yield ThreadStack(Vaddr(task.address), task.pid, task.comm, task.state, None, (), False)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the thread at {task.address:x}: {err}")
