"""Processes and threads: which there are, and what each says of itself.

Leaders hang on init_task.tasks; the threads of a process on its signal structure. A running processor's idle thread is
on no list. Members are taken as this kernel's types have them: `__state` was `state`, `thread_node` replaces
`thread_group`, ids and credentials stay.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.states import letter_of
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

MAX_TASKS = 1 << 22
MAX_COMMAND = 4096


class Task:
    """One thread. Its struct task_struct is read when it is asked something."""

    def __init__(self, linux: "Linux", address: int) -> None:
        self.linux = linux
        self.address = address
        self.struct: Typed = linux.objects.at("struct task_struct", address)

    @property
    def pid(self) -> int:
        """The thread's own number."""
        return int(self.struct["pid"])

    @property
    def tgid(self) -> int:
        """The process' number."""
        return int(self.struct["tgid"])

    @property
    def comm(self) -> str:
        return str(self.struct["comm"].string())

    @property
    def uid(self) -> int:
        return int(self.struct["real_cred"]["uid.val"])

    @property
    def flags(self) -> int:
        return int(self.struct["flags"])

    @property
    def parent(self) -> "Task | None":
        address = int(self.struct["real_parent"])
        return Task(self.linux, address) if address else None

    @property
    def ppid(self) -> int:
        """The number of the parent process, 0 for those that have none."""
        return int(self.struct["real_parent"]["tgid"]) if self.struct["real_parent"] else 0

    @property
    def mm(self) -> int:
        """Its address space, 0 for a kernel thread."""
        return int(self.struct["mm"])

    @property
    def stack(self) -> int:
        """The lowest address of its kernel stack, 0 if that was given back."""
        return int(self.struct["stack"])

    @property
    def cpu(self) -> int:
        """The processor it runs or last ran on."""
        for path in ("thread_info.cpu", "cpu"):
            if path in self.struct:
                return int(self.struct[path])
        if not self.stack or not self.linux.types.knows("struct thread_info"):
            return 0
        below = self.linux.objects.at("struct thread_info", self.stack)  # before 4.9 it lay at the end of the stack
        return int(below["cpu"]) if "cpu" in below else 0

    @property
    def on_cpu(self) -> bool:
        """True if it runs at this moment."""
        return bool(self.struct["on_cpu"]) if "on_cpu" in self.struct else False

    @property
    def state(self) -> str:
        """The letter that ps shows: R S D T t X Z P, I for an idle kernel thread."""
        struct = self.struct
        state = int(struct["__state" if "__state" in struct else "state"])
        return letter_of(self.linux.state_letters, state, int(struct["exit_state"]))

    @cached_property
    def command(self) -> str:
        """The command line out of its own memory; "" for a kernel thread, or where the pages are not there."""
        if not self.mm:
            return ""
        mm = self.struct["mm"]
        start, end = int(mm["arg_start"]), int(mm["arg_end"])
        if not 0 < end - start <= MAX_COMMAND:
            end = start + min(max(end - start, 0), MAX_COMMAND)
        try:
            space = self.linux.space_at(int(mm["pgd"]))
            data = space.read(start, end - start)
        except (DebuggerError, ImageError):
            return ""
        return data.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "backslashreplace")

    def each_thread(self) -> Iterator["Task"]:
        """The threads of its process, the leader first; ends with a DebuggerError where the list is broken."""
        signal = self.struct["signal"]
        if "thread_head" in signal.deref():
            head = int(signal) + self.linux.objects.offsetof("struct signal_struct", "thread_head")
            for address in self.linux.each_listed(head, "struct task_struct", "thread_node", MAX_TASKS):
                yield Task(self.linux, address)
            return
        yield self
        head = self.address + self.linux.objects.offsetof("struct task_struct", "thread_group")
        for address in self.linux.each_listed(head, "struct task_struct", "thread_group", MAX_TASKS):
            yield Task(self.linux, address)


def each_process(linux: "Linux") -> Iterator[Task]:
    """The leaders of all processes, by rising age: the first idle task, then as the kernel lists them."""
    yield Task(linux, linux.address("init_task"))
    head = linux.address("init_task") + linux.objects.offsetof("struct task_struct", "tasks")
    for address in linux.each_listed(head, "struct task_struct", "tasks", MAX_TASKS):
        yield Task(linux, address)


def each_task(linux: "Linux") -> Iterator[Task]:
    """Every thread: the idle tasks of the processors, then each process' threads."""
    idle = {task.address for cpu in linux.per_cpu.cpus if (task := idle_task(linux, cpu))}
    yield from (Task(linux, address) for address in sorted(idle))
    for process in each_process(linux):
        if process.address not in idle:
            yield from process.each_thread()


def current_task(linux: "Linux", cpu: int) -> Task:
    """What a processor runs."""
    if linux.names.find("pcpu_hot"):
        at = linux.per_cpu.address("pcpu_hot", cpu)
        return Task(linux, int(linux.objects.at("struct pcpu_hot", at)["current_task"]))
    at = linux.per_cpu.address("current_task", cpu)
    return Task(linux, linux.read_word(at))


def idle_task(linux: "Linux", cpu: int) -> Task | None:
    """The thread that a processor runs when there is nothing to do."""
    if linux.names.find("runqueues") is None:
        return None
    queue = linux.objects.at("struct rq", linux.per_cpu.address("runqueues", cpu))
    address = int(queue["idle"])
    return Task(linux, address) if address else None
