"""A stack walked from one call to the next, whatever it is that says where the next one lies."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed

MAX_FRAMES = 200
START, CALL, TRAP = "start", "call", "trap"
REGISTERS, ORC, POINTER, SCAN = "registers", "orc", "frame pointer", "scan"


class UnwindError(DebuggerError):
    """There is no way on from a call."""


@dataclass
class State:
    """Where an unwind stands. `exact` means that `ip` is an instruction, not a return address."""

    ip: int
    sp: int
    bp: int
    exact: bool
    registers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """The caller's state. `how` led there, through a call or a trap; its address lies on the stack at `at`."""

    state: State
    kind: str
    how: str
    at: int


@dataclass(frozen=True)
class Call:
    """One call of a stack: where it continues, and its stack pointer.

    `kind` says how it was left: start (the innermost), call, or trap (an interrupt or exception came in between).
    `how` says what led to it: registers, orc, frame pointer, or scan, which is a guess. `at` is where on the stack its
    address lies, 0 where it came out of registers. `reason` says why nothing leads further, where the stack goes on.
    """

    pc: int
    sp: int
    kind: str
    how: str
    at: int = 0
    reason: str = ""

    @property
    def inside(self) -> int:
        """An address inside the call: a call that never returns is the last of its function."""
        return self.pc - 1 if self.kind == CALL else self.pc


def walk(state: State, step: Callable[[State], Step | None]) -> Iterator[Call]:
    """The calls from a state on, the innermost first; `step` gives each one's caller, None at the end of the stack.

    At most MAX_FRAMES, and never twice the same: where it stops before the end, the last call says why.
    """
    kind, how, at = START, REGISTERS, 0
    seen = set[tuple[int, int]]()
    for _ in range(MAX_FRAMES):
        if (state.ip, state.sp) in seen:
            yield Call(state.ip, state.sp, kind, how, at, "the stack leads back to itself")
            return
        seen.add((state.ip, state.sp))
        try:
            following = step(state)
        except (ReadFailed, UnwindError) as err:
            yield Call(state.ip, state.sp, kind, how, at, str(err))
            return
        yield Call(state.ip, state.sp, kind, how, at)
        if following is None:
            return
        state, kind, how, at = following.state, following.kind, following.how, following.at
    yield Call(state.ip, state.sp, kind, how, at, f"more than {MAX_FRAMES} frames")
