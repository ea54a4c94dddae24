"""Linux processes and threads: ::ps ::pgrep ::ptree ::task ::pid2task, the walkers task and thread."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.namespaces import pid_numbers
from vmdebug.guests.linux.tasks import Task, each_process, each_task

GUESTS = ("linux",)
HEAD = "S PID    PPID   TGID   UID    CPU FLAGS      ADDR             "
HEAD_SPACES = f"{'PIDNS':<10} {'PIDS':<12} "


@dataclass(frozen=True)
class TaskRow:
    """A process or a thread.

    addr: its task_struct
    pid: its own number
    ppid: the number of its parent process
    tgid: the number of its process
    uid: the real user
    state: the letter that ps shows
    cpu: the processor it runs or last ran on
    flags: task_struct.flags
    comm: its name
    command: with -f, its command line, null where it has none or the pages are not in the image
    pids: with -n, its number in each pid namespace, the outermost first, null where it has given them back
    pidns: with -n, the inode of its own pid namespace, as /proc/PID/ns/pid shows it
    """

    addr: Vaddr
    pid: int
    ppid: int
    tgid: int
    uid: int
    state: str
    cpu: int
    flags: Hex
    comm: str
    command: str | None
    pids: Sequence[int] | None
    pidns: int | None
    _spaces: bool


def task_lines(rows: Iterable[TaskRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{HEAD}{HEAD_SPACES if row._spaces else ''}NAME"
        name = row.command or (f"[{row.comm}]" if row.command is not None else row.comm)
        yield (
            f"{row.state} {row.pid:<6} {row.ppid:<6} {row.tgid:<6} {row.uid:<6} {row.cpu:<3} "
            f"0x{row.flags:08x} {row.addr:016x} {spaces_of(row) if row._spaces else ''}{name}"
        )


def spaces_of(row: TaskRow) -> str:
    numbers = "-" if row.pids is None else "/".join(map(str, row.pids))
    return f"{'-' if row.pidns is None else row.pidns:<10} {numbers:<12} "


def row_of(task: Task, full: bool = False, spaces: bool = False) -> TaskRow:
    """A task as a row, in full with its command line, on demand with its pid namespaces."""
    numbers = pid_numbers(task) if spaces else None
    return TaskRow(
        addr=Vaddr(task.address),
        pid=task.pid,
        ppid=task.ppid,
        tgid=task.tgid,
        uid=task.uid,
        state=task.state,
        cpu=task.cpu,
        flags=Hex(task.flags),
        comm=task.comm,
        command=task.command if full else None,
        pids=numbers.numbers if numbers else None,
        pidns=numbers.inode if numbers else None,
        _spaces=spaces,
    )


def each_row(call: Call, tasks: Iterable[Task], full: bool = False, spaces: bool = False) -> Iterator[TaskRow]:
    """The rows of tasks; one that cannot be read, or a list that breaks off, is reported, not silent."""
    try:
        for task in tasks:
            try:
                yield row_of(task, full, spaces)
            except (DebuggerError, ImageError) as err:
                call.warn(f"failed to read the task at {task.address:x}: {err}")
    except (DebuggerError, ImageError) as err:
        call.warn(f"the list of tasks ends here: {err}")


@dcmd(
    "ps",
    address="optional",
    flags=(
        Flag("f", "show command lines, out of the processes' own memory"),
        Flag("n", "show the numbers in every pid namespace that it is in"),
        Flag("t", "show every thread"),
    ),
    text=task_lines,
    row=TaskRow,
    guests=GUESTS,
)
def ps(call: Call) -> Iterator[TaskRow]:
    """list processes (and associated threads)

    The processes in the order of the kernel's list, the first idle task before them; with an address that one. State
    letters are those of ps: R S D T t X Z P, and I for an idle kernel thread.

    Reads: struct task_struct (tasks, pid, tgid, real_parent, real_cred, __state, exit_state, flags, comm), struct cred
    (uid); with -f struct mm_struct (pgd, arg_start, arg_end) and the process' own memory; with -n struct pid (level,
    numbers), struct upid (nr, ns), struct pid_namespace (ns).

    Examples:
        ::ps -f
        ::ps -n | ::group pidns
    """
    kernel, full, spaces = linux(call.guest), "f" in call.flags, "n" in call.flags
    if call.address is not None:
        first = Task(kernel, call.address)
        yield from each_row(call, first.each_thread() if "t" in call.flags else [first], full, spaces)
        return
    yield from each_row(call, each_task(kernel) if "t" in call.flags else each_process(kernel), full, spaces)


@dcmd(
    "pgrep",
    flags=(
        Flag("f", "match the command line"),
        Flag("x", "match the whole name"),
        Flag("n", "only the newest"),
        Flag("o", "only the oldest"),
    ),
    synopsis="[-fx] [-n | -o] pattern",
    text=task_lines,
    row=TaskRow,
    guests=GUESTS,
)
def pgrep(call: Call) -> Iterator[TaskRow]:
    """pattern match against all processes

    Those whose name matches the regular expression.

    Reads: struct task_struct (tasks, pid, tgid, real_parent, real_cred, __state, exit_state, flags, comm), struct cred
    (uid); with -f struct mm_struct (pgd, arg_start, arg_end) and the process' own memory.

    Example:
        ::pgrep worker
    """
    if len(call.args) != 1 or ("n" in call.flags and "o" in call.flags):
        raise call.usage()
    try:
        pattern = re.compile(str(call.args[0]))
    except re.error as err:
        raise DebuggerError(f"{call.args[0]}: not a regular expression: {err}") from err
    match, full = pattern.fullmatch if "x" in call.flags else pattern.search, "f" in call.flags
    rows = each_row(call, each_process(linux(call.guest)), full)
    found = (row for row in rows if match(row.command or row.comm if full else row.comm))
    if "n" in call.flags:
        yield from list(found)[-1:]
    else:
        yield from islice(found, 1 if "o" in call.flags else None)


@dataclass(frozen=True)
class Branch:
    """A process in the tree of processes.

    addr: its task_struct
    pid: its number
    depth: how many ancestors it has in the tree
    comm: its name
    """

    addr: Vaddr
    pid: int
    depth: int
    comm: str


def branch_lines(rows: Iterable[Branch], _: Show) -> Iterator[str]:
    return (f"{'':{5 * row.depth}}{row.addr:016x}  {row.pid:<6} {row.comm}" for row in rows)


@dcmd("ptree", address="optional", text=branch_lines, row=Branch, guests=GUESTS)
def ptree(call: Call) -> Iterator[Branch]:
    """print process tree

    Every process under its parent; with an address its ancestors, itself and its descendants.

    Reads: struct task_struct (tasks, pid, tgid, real_parent, real_cred, __state, exit_state, flags, comm), struct cred
    (uid).

    Example:
        ::ptree
    """
    kernel = linux(call.guest)
    children: dict[int, list[TaskRow]] = {}
    rows = list(each_row(call, each_process(kernel)))
    known = {row.pid for row in rows}
    for row in rows:
        children.setdefault(row.ppid if row.ppid in known and row.ppid != row.pid else -1, []).append(row)
    if call.address is None:
        yield from _below(children, [(row, 0) for row in children.get(-1, [])])
        return
    chosen = row_of(Task(kernel, call.address))
    above = list(_above({row.pid: row for row in rows}, chosen))
    for depth, row in enumerate(reversed(above)):
        yield Branch(row.addr, row.pid, depth, row.comm)
    yield from _below(children, [(chosen, len(above))])


def _above(by_pid: dict[int, TaskRow], row: TaskRow) -> Iterator[TaskRow]:
    """The ancestors, the nearest first."""
    seen = {row.pid}
    while row.ppid in by_pid and row.ppid not in seen:
        row = by_pid[row.ppid]
        seen.add(row.pid)
        yield row


def _below(children: dict[int, list[TaskRow]], roots: list[tuple[TaskRow, int]]) -> Iterator[Branch]:
    """The trees under some processes, each process once."""
    pending, seen = list(reversed(roots)), set()
    while pending:
        row, depth = pending.pop()
        if row.addr in seen:
            continue
        seen.add(row.addr)
        yield Branch(row.addr, row.pid, depth, row.comm)
        pending.extend((child, depth + 1) for child in reversed(children.get(row.pid, [])))


@dcmd("task", address="required", text=task_lines, row=TaskRow, guests=GUESTS)
def task(call: Call) -> Iterator[TaskRow]:
    """describe a task

    Reads: struct task_struct (tasks, pid, tgid, real_parent, real_cred, __state, exit_state, flags, comm), struct cred
    (uid), struct mm_struct (pgd, arg_start, arg_end) and the process' own memory.

    Example:
        ::walk task | ::task
    """
    for address in call.addresses:
        yield row_of(Task(linux(call.guest), address), full=True)


@dataclass(frozen=True)
class TaskAddress:
    """The task of a number.

    addr: its task_struct
    pid: the number
    """

    addr: Vaddr
    pid: int


@dcmd("pid2task", address="required", text=Text("{addr:x}"), row=TaskAddress, guests=GUESTS)
def pid2task(call: Call) -> Iterator[TaskAddress]:
    """convert PID to task_struct address

    The number is read in the current radix: write 0t for decimal.

    Reads: struct task_struct (tasks, pid, tgid, real_parent, real_cred, __state, exit_state, flags, comm), struct cred
    (uid); struct task_struct (signal, thread_node), struct signal_struct (thread_head).

    Example:
        1::pid2task | ::ps
    """
    for pid in call.addresses:
        yield TaskAddress(Vaddr(find_task(linux(call.guest), pid).address), pid)


def find_task(kernel: Linux, pid: int) -> Task:
    """The thread of that number; DebuggerError if there is none."""
    for each in each_task(kernel):
        if each.pid == pid:
            return each
    raise DebuggerError(f"PID 0t{pid} not found")


@walker("task", guests=GUESTS)
def walk_task(call: Call) -> Iterator[int]:
    """walk list of processes"""
    for each in each_process(linux(call.guest)):
        yield each.address


@walker("proc", guests=GUESTS)
def walk_proc(call: Call) -> Iterator[int]:
    """walk list of processes"""
    return walk_task(call)


@walker("thread", start="optional", guests=GUESTS)
def walk_thread(call: Call) -> Iterator[int]:
    """walk all threads, or those of one process"""
    kernel = linux(call.guest)
    threads = each_task(kernel) if call.address is None else Task(kernel, call.address).each_thread()
    for each in threads:
        yield each.address
