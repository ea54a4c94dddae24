"""Linux kernel stacks: ::findstack ::cpustack ::threadlist."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.stacks import NoStack
from vmdebug.guests.linux.tasks import Task, each_task
from vmdebug.linux_calls import SCAN, StackFrame, frame_line, shown, until_broken

GUESTS = ("linux",)


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


def cpu_lines(rows: Iterable[StackFrame], _: Show) -> Iterator[str]:
    return map(frame_line, rows)


def thread_lines(rows: Iterable[ThreadStack], _: Show) -> Iterator[str]:
    for row in rows:
        place = f"{row.sp:x}" if row.sp is not None else "none"
        yield f"stack pointer for thread {row.addr:x} ({row.comm}, pid {row.pid}): {place}"
        first, *rest = map(frame_line, row.frames) if row.frames else [""]
        if first:
            yield f"[ {first} ]"
        yield from (f"  {line}" for line in rest)


FULL = Flag("v", "with the stack pointer of each call")


@dcmd(
    "cpustack",
    address="optional",
    flags=(FULL, SCAN, Flag("c", "the cpu's number, in the current radix", "number", "cpuid")),
    text=cpu_lines,
    row=StackFrame,
    guests=GUESTS,
)
def cpustack(call: Call) -> Iterator[StackFrame]:
    """print the stack of a cpu as the hypervisor saved it

    From the saved registers on, through interrupts and across stacks, by the kernel's own unwind data. A cpu that
    was in user mode has nothing on its kernel stack. ::help findstack says what a question mark means.

    Reads: the saved registers, struct task_struct (stack, thread.sp, on_cpu, ret_stack), struct inactive_task_frame
    (ret_addr, bp), the tables of ORC, per-CPU current_task.

    Example:
        ::cpustack -c 0
    """
    number = call.flags.get("c")
    if number is None and call.address is not None:
        number = call.guest.cpu_id(call.address)
    vcpu = call.target.vcpu(number or 0)
    kernel = linux(call.guest)
    for frame in kernel.stacks.of_vcpu(vcpu, "s" in call.flags):
        yield shown(call, kernel, frame)


@dcmd(
    "findstack",
    address="required",
    flags=(FULL, SCAN),
    text=thread_lines,
    row=ThreadStack,
    guests=GUESTS,
)
def findstack(call: Call) -> Iterator[ThreadStack]:
    """find kernel thread stack

    The calls of a thread: from where it sleeps, or from its cpu's registers if it runs. The kernel's ORC unwind data
    leads from one to the next, frame pointers where there is none. Functions that the compiler made part of others are
    not shown.

    A call marked ? is a guess: a word of the stack that is the address right behind a call instruction. What finished
    calls left on the stack looks the same. Guesses are shown with -s, and without it where nothing leads on from the
    last call that was found.

    Reads: struct task_struct (stack, thread.sp, on_cpu, ret_stack), struct inactive_task_frame (ret_addr, bp), the
    tables of ORC.

    Example:
        1::pid2task | ::findstack -v
    """
    kernel = linux(call.guest)
    for address in call.addresses:
        yield stack_of(call, kernel, Task(kernel, address))


def stack_of(call: Call, kernel: Linux, task: Task) -> ThreadStack:
    """A thread's stack as a row; NoStack for one that has none."""
    frames = [shown(call, kernel, frame) for frame in kernel.stacks.of_task(task, "s" in call.flags)]
    return ThreadStack(Vaddr(task.address), task.pid, task.comm, task.state, frames[0].sp if frames else None, frames)


@dcmd(
    "threadlist",
    address="optional",
    flags=(Flag("v", "with each thread's stack"), SCAN),
    text=thread_lines,
    row=ThreadStack,
    guests=GUESTS,
)
def threadlist(call: Call) -> Iterator[ThreadStack]:
    """display threads and associated C stack traces

    Every thread, or the one at the address, and where its stack begins; with -v its calls, as by ::findstack.

    Reads: struct task_struct (tasks, signal, thread_node, stack, thread.sp, on_cpu, ret_stack), struct signal_struct
    (thread_head), struct inactive_task_frame (ret_addr, bp), the tables of ORC.

    Example:
        ::threadlist -v
    """
    kernel = linux(call.guest)
    if "s" in call.flags and "v" not in call.flags:
        raise call.usage("-s is of use with -v only")
    tasks = each_task(kernel) if call.address is None else [Task(kernel, call.address)]
    for task in until_broken(call, tasks):
        try:
            yield _listed(call, kernel, task)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the thread at {task.address:x}: {err}")


def _listed(call: Call, kernel: Linux, task: Task) -> ThreadStack:
    """A thread with its stack, or with where that begins; one that has none is shown as well."""
    try:
        if "v" in call.flags:
            return stack_of(call, kernel, task)
        sp = Vaddr(kernel.stacks.start(task).sp)
    except NoStack:
        sp = None
    return ThreadStack(Vaddr(task.address), task.pid, task.comm, task.state, sp, ())
