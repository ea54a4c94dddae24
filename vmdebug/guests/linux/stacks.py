"""Kernel stacks: where each begins, and how it is unwound.

A running processor begins at its saved registers, a sleeping thread at the frame that the scheduler left on its stack.
ORC leads from there where the kernel has it for the code, frame pointers where it has not. Where both fail, the rest of
the stack is scanned for return addresses.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from formats.image import Vcpu
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.orctables import OrcTables
from vmdebug.guests.linux.regions import Regions
from vmdebug.guests.linux.tasks import Task, current_task
from vmdebug.guests.linux.text import Text
from vmdebug.guests.linux.traced import HANDLER, taken_addresses
from vmdebug.unwind.orc import NoData, orc_step
from vmdebug.unwind.pointers import pointer_step
from vmdebug.unwind.scan import each_scanned
from vmdebug.unwind.walk import REGISTERS, SCAN, START, Call, State, Step, UnwindError, walk

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

FRAME = "struct inactive_task_frame"


class NoStack(DebuggerError):
    def __init__(self, task: Task, reason: str) -> None:
        super().__init__(f"thread {task.address:x} ({task.comm}, pid {task.pid}) has no stack to show: {reason}")
        self.task = task
        self.reason = reason


class NoRegisters(DebuggerError):
    def __init__(self, vcpu: Vcpu) -> None:
        super().__init__(f"vcpu {vcpu.id} has no stack to show: the image does not hold its rip and rsp")
        self.vcpu = vcpu


class Stacks:
    """The unwinder of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self.orc = OrcTables(linux)
        self.text = Text(linux)
        self.regions = Regions(linux)

    def of_task(self, task: Task, scan: bool = False) -> Iterator[Call]:
        """The calls of a thread, innermost first; NoStack for one that has none.

        With `scan` all that may be one is among them, as a guess.
        """
        if scan and task.stack and self._runs_unseen(task):
            return iter(self._scanned(task.stack + 1, taken_addresses(self._linux, task)))
        return self._unwind(self.start(task), task, scan)

    def of_vcpu(self, vcpu: Vcpu, scan: bool = False) -> Iterator[Call]:
        """The calls of a processor from its saved registers on: none where it was in user mode."""
        state = _registered(vcpu)
        if not self._in_kernel(state):
            return iter(())
        return self._unwind(state, self._current(vcpu), scan)

    def from_registers(self, registers: Mapping[str, int]) -> Iterator[Call]:
        """The calls from an instruction on."""
        return self._unwind(_state(registers), None)

    def start(self, task: Task) -> State:
        """Where a thread's stack begins: in its processor's registers if it runs, else where it sleeps."""
        if not task.stack:
            raise NoStack(task, "it has ended")
        if self._runs_unseen(task):
            raise NoStack(task, "it runs, and the image does not hold its processor's registers")
        vcpu = self.running_on(task)
        state = _registered(vcpu) if vcpu else self._sleeping(task)
        if vcpu and not self._in_kernel(state):
            raise NoStack(task, "it runs its program")
        return state

    def running_on(self, task: Task) -> Vcpu | None:
        """The vcpu that runs the thread at this moment."""
        if not task.on_cpu:
            return None
        found = (vcpu for vcpu in self._linux.target.image.vcpus if vcpu.id in self._linux.per_cpu.cpus)
        return next((vcpu for vcpu in found if current_task(self._linux, vcpu.id).address == task.address), None)

    def scanned(self, task: Task) -> Sequence[Call]:
        """All that may be a call between where a thread's stack begins and its end."""
        return self._scanned(self.start(task).sp, taken_addresses(self._linux, task))

    def reliable(self, call: Call) -> bool:
        """True if registers or unwinding led to the call, and to an instruction."""
        return call.how == REGISTERS or (call.how != SCAN and (not call.pc or self.text.holds(call.pc)))

    def _current(self, vcpu: Vcpu) -> Task | None:
        """The thread that a vcpu runs, if that can be read."""
        with suppress(DebuggerError):
            return current_task(self._linux, vcpu.id) if vcpu.id in self._linux.per_cpu.cpus else None
        return None

    def _runs_unseen(self, task: Task) -> bool:
        """True if a processor runs the thread whose registers are not in the image: what the thread saved is stale."""
        if not task.on_cpu or self.running_on(task):
            return False
        return any(current_task(self._linux, cpu).address == task.address for cpu in self._linux.per_cpu.cpus)

    def _sleeping(self, task: Task) -> State:
        """What the scheduler saved: the end of its frame is the stack pointer that the thread goes on with."""
        objects = self._linux.objects
        saved = int(task.struct["thread.sp"])
        frame = objects.at(FRAME, saved)
        return State(int(frame["ret_addr"]), saved + objects.sizeof(FRAME), int(frame["bp"]), False)

    def _unwind(self, state: State, task: Task | None, scan: bool = False) -> Iterator[Call]:
        taken = taken_addresses(self._linux, task) if task else {}
        calls: list[Call] = []
        for call in walk(state, lambda at: self._step(at, taken)):
            calls.append(call)
            if not scan:
                yield call
        if scan:
            yield from merged(calls, self._scanned(state.sp, taken))
        elif calls[-1].reason:
            yield from self._scanned(calls[-1].sp, taken)

    def _step(self, state: State, taken: Mapping[int, int]) -> Step | None:
        """One call further, by ORC or the frame pointer, where ORC does not know the code."""
        read = self._linux.space.read
        if not self._in_kernel(state):
            raise UnwindError("not an address of the kernel")
        try:
            found = orc_step(state, self.orc.find, read)
        except NoData as err:
            found = self._pointed(state, err)
        if found and found.at in taken and found.state.ip == self._handler:
            found.state.ip = taken[found.at]
        return found

    def _pointed(self, state: State, missing: NoData) -> Step | None:
        """One call further by the frame pointer; UnwindError tells why neither leads on."""
        read, region = self._linux.space.read, self.regions.around(state.sp)
        why = missing if self.orc.kernel else self.orc.problem
        try:
            return pointer_step(state, region, self._follows, read, self._linux.word, self._linux.image.half)
        except UnwindError as err:
            raise UnwindError(f"{why}; {err}") from err

    def _follows(self, ip: int) -> bool:
        """True if a frame may hold that return address."""
        return ip == self._handler or self.text.returns(ip) or self.text.was_freed(ip)

    def _scanned(self, sp: int, taken: Mapping[int, int]) -> Sequence[Call]:
        """What may be a call from a stack pointer up to the end of the stack, and of the one that it came from."""

        def restored(word: int, at: int) -> int:
            return taken.get(at, word) if word == self._handler else word

        return [
            call
            for start, data in self.regions.each_above(sp)
            for call in each_scanned(data, start, restored, self.text.returns, self._linux.word)
        ]

    def _in_kernel(self, state: State) -> bool:
        """True but for an address of a program; a call through a null pointer is the kernel's."""
        half = self._linux.image.half
        return state.ip >= half or (state.ip == 0 and state.sp >= half)

    @property
    def _handler(self) -> int | None:
        symbol = self._linux.names.find(HANDLER)
        return symbol.value if symbol else None


def merged(calls: Sequence[Call], scanned: Sequence[Call]) -> Iterator[Call]:
    """The calls that unwinding found, in their order, with what else lies between their places on the stack."""
    places = {call.at for call in scanned}
    known = {call.at for call in calls}
    rest = iter(scanned)
    for call in calls:
        if call.kind != START and call.at in places:
            between = iter(lambda: next(rest, None), None)
            for other in between:
                if other.at == call.at:
                    break
                if other.at not in known:
                    yield other
        yield call
    yield from (other for other in rest if other.at not in known)


def _registered(vcpu: Vcpu) -> State:
    if not {"rip", "rsp"} <= vcpu.registers.keys():
        raise NoRegisters(vcpu)
    return _state(vcpu.registers)


def _state(registers: Mapping[str, int]) -> State:
    return State(registers["rip"], registers.get("rsp", 0), registers.get("rbp", 0), True, registers)
