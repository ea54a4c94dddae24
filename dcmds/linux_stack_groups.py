"""Threads of Linux by their stacks: ::stacks."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.stacks import NoStack
from vmdebug.guests.linux.tasks import Task, each_task
from vmdebug.linux_calls import StackFrame, call_text, shown, until_broken

GUESTS = ("linux",)
LETTERS = "RSDTtXZPIxKW?"
WORDS = {"SLEEP": "S", "RUN": "R", "ONPROC": "R", "ZOMB": "Z", "STOPPED": "T"}  # mdb's own names for them
HEAD = f"{'THREAD':<16} {'STATE':<8} {'PID':<16} {'COUNT':>8}"


@dataclass(frozen=True)
class Stack:
    """What the options are asked about: a thread, its state, its calls, or why it has none."""

    task: Task
    state: str
    frames: Sequence[StackFrame]
    failure: str

    @property
    def lines(self) -> tuple[str, ...]:
        return (f"<{self.failure}>",) if self.failure else tuple(map(call_text, self.frames))


Test = Callable[[Stack], bool]


@dataclass(frozen=True)
class Member:
    """A thread of a group.

    addr: its task_struct
    pid: its number
    comm: its name
    """

    addr: Vaddr
    pid: int
    comm: str


@dataclass(frozen=True)
class StackGroup:
    """Threads with the same state and the same stack.

    addr: the first thread's task_struct
    state: the letter that ps shows
    count: how many threads
    pids: their numbers
    threads: each of them
    stack: the calls, by name and offset, or in angle brackets why there are none
    """

    addr: Vaddr
    state: str
    count: int
    pids: Sequence[int]
    threads: Sequence[Member]
    stack: Sequence[str]
    _every: bool


def group_lines(rows: Iterable[StackGroup], _: Show) -> Iterator[str]:
    """A line a group, below it its calls and an empty line; with -a a line a thread, and the head for each group."""
    for number, row in enumerate(rows):
        if number == 0 or row._every:
            yield HEAD
        counts = ["-"] * row.count if row._every else [str(row.count)]
        for member, count in zip(row.threads, counts, strict=False):
            yield f"{member.addr:016x} {row.state:<8} {member.pid:<16} {count:>8}"
        yield from (f"{'':16} {line}" for line in row.stack)
        yield ""


@dcmd(
    "stacks",
    address="optional",
    synopsis="[-a] [-c func] [-C func] [-m module] [-M module] [-s state | -S state]",
    flags=(
        Flag("a", "every thread of each group"),
        Flag("c", "only stacks with this function, or this function and offset", "text", "func"),
        Flag("C", "no stacks with this function", "text", "func"),
        Flag("m", "only stacks with a function of this module", "text", "module"),
        Flag("M", "no stacks with a function of this module", "text", "module"),
        Flag("s", "only threads in this state, by its letter", "text", "state"),
        Flag("S", "no threads in this state", "text", "state"),
        Flag("t", "the same as -s", "text", "state"),
        Flag("T", "the same as -S", "text", "state"),
    ),
    text=group_lines,
    row=StackGroup,
    guests=GUESTS,
    whole=True,
)
def stacks(call: Call) -> Iterator[StackGroup]:
    """print unique kernel thread stacks

    Threads with the same calls and the same state are one group, the largest first. With an address the group of that
    thread, behind a pipe only the piped threads; into a pipe goes each thread. States are the letters of ps: R S D T t
    X Z P, I for an idle kernel thread.

    Reads: struct task_struct (tasks, signal, thread_node, stack, thread.sp, on_cpu, ret_stack), struct signal_struct
    (thread_head), struct inactive_task_frame (ret_addr, bp), the tables of ORC; with -m and -M struct module (list).

    Example:
        ::stacks -c do_wait
    """
    kernel = linux(call.guest)
    wanted = list(_tests(call, kernel))
    tasks = [Task(kernel, address) for address in call.addresses] if call.from_pipe else each_task(kernel)
    groups: dict[tuple[str, tuple[str, ...]], list[Task]] = {}
    for stack in _each_stack(call, kernel, until_broken(call, tasks)):
        if all(test(stack) for test in wanted):
            groups.setdefault((stack.state, stack.lines), []).append(stack.task)
    asked = set() if call.from_pipe else set(call.addresses)
    missing = asked - {task.address for members in groups.values() for task in members}
    if missing:
        raise DebuggerError(f"stacks: {min(missing):x} not in thread list, or not what the options ask for")
    for (state, lines), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        if not asked or asked & {task.address for task in members}:
            yield from _rows(call, state, lines, members)


def _rows(call: Call, state: str, lines: Sequence[str], members: Sequence[Task]) -> Iterator[StackGroup]:
    """A group, once; into a pipe once for each thread."""
    threads = [Member(Vaddr(task.address), task.pid, task.comm) for task in members]
    for first in threads if call.piped and not call.kept else threads[:1]:
        pids = [each.pid for each in threads]
        yield StackGroup(first.addr, state, len(threads), pids, threads, lines, "a" in call.flags)


def _each_stack(call: Call, kernel: Linux, tasks: Iterable[Task]) -> Iterator[Stack]:
    """Each thread with its calls; one that cannot be read is told of and left out."""
    for task in tasks:
        try:
            state, failure, frames = task.state, "", list[StackFrame]()
            try:
                frames = [shown(call, kernel, frame) for frame in kernel.stacks.of_task(task)]
            except NoStack as err:
                failure = err.reason
            yield Stack(task, state, frames, failure)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the thread at {task.address:x}: {err}")


# What the options ask of a stack: lower-case letters select, upper-case ones exclude.


def _tests(call: Call, kernel: Linux) -> Iterator[Test]:
    for letter, make in (("c", _function), ("m", _module), ("s", _state), ("t", _state)):
        if letter in call.flags:
            yield make(kernel, call.flags[letter])
        if letter.upper() in call.flags:
            yield _without(make(kernel, call.flags[letter.upper()]))


def _without(test: Test) -> Test:
    return lambda stack: not test(stack)


def _function(kernel: Linux, word: str) -> Test:
    """Whether a function is on the stack; with an offset, whether the stack continues there."""
    name, plus, offset = word.partition("+")
    module, tick, bare = name.rpartition("`")
    symbol = kernel.symbols.find(bare, module if tick else None)
    if symbol is None:
        raise DebuggerError(f"stacks: cannot find function '{name}'")
    if not plus:
        return lambda stack: any(_called(kernel, frame) == symbol.value for frame in stack.frames)
    try:
        exact = symbol.value + int(offset, 16)
    except ValueError as err:
        raise DebuggerError(f"stacks: {word}: the offset is no hexadecimal number") from err
    return lambda stack: any(frame.pc == exact for frame in stack.frames)


def _called(kernel: Linux, frame: StackFrame) -> int | None:
    """Where the function of a call begins."""
    found = kernel.symbols.nearest(frame.pc - 1 if frame.kind == "call" else frame.pc)
    return found[0].value if found else None


def _module(kernel: Linux, word: str) -> Test:
    if kernel.symbols.module(word) is None:
        raise DebuggerError(f"stacks: '{word}' is not a loaded module")

    def test(stack: Stack) -> bool:
        found = (kernel.symbols.nearest(frame.pc) for frame in stack.frames)
        return any(symbol and symbol[0].module == word for symbol in found)

    return test


def _state(_: Linux, word: str) -> Test:
    letter = WORDS.get(word.upper().removeprefix("TS_"), word)
    if len(letter) != 1 or letter not in LETTERS:
        known = ", ".join((*LETTERS[:9], *WORDS))
        raise DebuggerError(f"stacks: {word}: no state of threads; known are {known}")
    return lambda stack: stack.state == letter
