"""Kernel stacks: where each begins, and how it is unwound.

A running processor begins at its saved registers, a sleeping thread at the frame that the scheduler left on its stack.
ORC leads from there where the kernel has it, frame pointers where it has not.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from formats.image import Vcpu
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.tasks import Task, current_task
from vmdebug.unwind.frames import each_frame
from vmdebug.unwind.orc import ENTRY, MAX_ENTRIES, OrcTable, State, each_orc_frame, find_layout

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

HEADER_SIZE = 20  # of the hash that names the layout


class NoStack(DebuggerError):
    def __init__(self, task: Task, reason: str) -> None:
        super().__init__(f"thread {task.address:x} ({task.comm}, pid {task.pid}) has no stack to show: {reason}")
        self.task = task
        self.reason = reason


@dataclass(frozen=True)
class Call:
    """One frame of a kernel stack. `reliable` says whether unwind data led here, not a guess."""

    pc: int
    sp: int
    how: str
    reliable: bool
    reason: str = ""

    @property
    def inside(self) -> int:
        """An address inside the call: a call that never returns is the last of its function."""
        return self.pc - 1 if self.how == "call" else self.pc


class Stacks:
    """The unwinder of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self._modules: dict[int, OrcTable | None] = {}

    @cached_property
    def table(self) -> OrcTable | None:
        """The kernel's own unwind table; None if it was built without one."""
        names, read = self._linux.names, self._linux.space.read
        marks = [
            names.find(f"__{edge}_{table}") for table in ("orc_unwind_ip", "orc_unwind") for edge in ("start", "stop")
        ]
        if not all(marks):
            return None
        places, places_end, entries, entries_end = (mark.value for mark in marks if mark)
        count = (places_end - places) // 4
        if not 0 < count <= MAX_ENTRIES or entries_end - entries < count * ENTRY.size:
            return None
        header = names.find("__start_orc_header")
        known = read(header.value, HEADER_SIZE) if header else b""
        data = read(entries, count * ENTRY.size)
        return OrcTable(places, read(places, 4 * count), data, find_layout(known, data))

    def of_task(self, task: Task) -> Iterator[Call]:
        """The frames of a thread, innermost first; NoStack for one that has none."""
        if not task.stack:
            raise NoStack(task, "it has ended")
        vcpu = self.running_on(task)
        if vcpu is not None and not vcpu.registers.get("rip", 0) >> 63:
            raise NoStack(task, "it runs its program")
        if vcpu is not None:
            return self.of_vcpu(vcpu)
        return self._unwind(self._sleeping(task))

    def of_vcpu(self, vcpu: Vcpu) -> Iterator[Call]:
        """The frames of a processor from its saved registers on."""
        return self.from_registers(vcpu.registers)

    def from_registers(self, registers: Mapping[str, int]) -> Iterator[Call]:
        """The frames from an instruction on."""
        return self._unwind(State(registers["rip"], registers["rsp"], registers["rbp"], True, registers))

    def running_on(self, task: Task) -> Vcpu | None:
        """The vcpu that runs the thread at this moment."""
        if not task.on_cpu:
            return None
        found = (vcpu for vcpu in self._linux.target.image.vcpus if vcpu.id in self._linux.per_cpu.cpus)
        return next((vcpu for vcpu in found if current_task(self._linux, vcpu.id).address == task.address), None)

    def pointer(self, task: Task) -> int:
        """The stack pointer that the scheduler saved."""
        return int(task.struct["thread.sp"])

    def _sleeping(self, task: Task) -> State:
        objects = self._linux.objects
        saved = self.pointer(task)
        frame = objects.at("struct inactive_task_frame", saved)
        return State(
            int(frame["ret_addr"]), saved + objects.sizeof("struct inactive_task_frame"), int(frame["bp"]), False
        )

    def _unwind(self, state: State) -> Iterator[Call]:
        read = self._linux.space.read
        if self.table is not None:
            for frame in each_orc_frame(state, self._table_of, read):
                yield Call(frame.pc, frame.sp, frame.how, not frame.reason, frame.reason)
            return
        for number, link in enumerate(each_frame(read, state.bp, state.ip)):
            how = "start" if number == 0 else "call"
            yield Call(link.pc, link.fp, how, not link.reason, link.reason)

    def _table_of(self, pc: int) -> OrcTable | None:
        """The table that covers an address: the module's that holds it, or the kernel's."""
        if self._linux.image.text <= pc < self._linux.names.end:
            return self.table
        module = self._linux.loaded.holding(pc)
        if module is None or self.table is None:
            return None
        if module.address not in self._modules:
            self._modules[module.address] = module.orc(self.table.layout)
        return self._modules[module.address]
