"""How a kernel died, or what it complained of: from its own variables, and from the words in its log.

`panic_cpu` is the processor that went into panic(), or into a crash kernel after an oops; -1 while there is none.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.log import Message, each_message
from vmdebug.guests.linux.tasks import Task, current_task

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

NO_CPU = -1
TAINTS = "PFSRMBUDAWCIOELKXTNJ"  # by bit
PANIC = re.compile(r"^Kernel panic - not syncing: (?P<reason>.*)")
OOPSES = (
    *("BUG: unable to handle ", "BUG: kernel NULL pointer ", "Oops: ", "kernel BUG at ", "general protection fault"),
    *("invalid opcode: ", "stack guard page was hit", "double fault: ", "divide error: ", "int3: "),
)
BARKS = (
    *("(watchdog: )?BUG: soft lockup", "((NMI )?[Ww]atchdog: ?)?(Watchdog )?detected hard LOCKUP"),
    *("(rcu: )?INFO: rcu_.*stall", "INFO: task .* blocked for more than "),
)
TROUBLE = {kind: re.compile("|".join(words)) for kind, words in (("oops", OOPSES), ("watchdog", BARKS))}
WHO = re.compile(r"^CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<comm>.*?) (?:Not tainted|Tainted: )")
WHO_WITHIN = 24  # messages: the registers and the code may come before, the line of the task does not come later
KEPT = 64


@dataclass(frozen=True)
class Complaint:
    """What the log says of a panic, an oops or a watchdog. Who it was is None where the log does not say."""

    kind: str
    reason: str
    time: int
    cpu: int | None = None
    pid: int | None = None
    comm: str = ""


@dataclass(frozen=True)
class Death:
    """The state of a kernel as to panics. Numbers are None where the kernel has no such variable."""

    panic_cpu: int | None
    crashing_cpu: int | None
    oopses: int | None
    tainted: int | None
    complaints: Sequence[Complaint]
    problem: str = ""

    @property
    def cpu(self) -> int | None:
        """The processor that ended it all; None if there was no panic."""
        known = (self.panic_cpu, self.crashing_cpu)
        return next((cpu for cpu in known if cpu is not None and cpu != NO_CPU), None)

    @property
    def panicked(self) -> bool:
        return self.cpu is not None

    @property
    def cause(self) -> Complaint | None:
        """What it died of: the panic's own words, without those the oops before; of a live kernel nothing."""
        if not self.panicked:
            return None
        panics = [each for each in self.complaints if each.kind == "panic"]
        return panics[-1] if panics else next(reversed(self.complaints), None)


def read_death(linux: "Linux") -> Death:
    """What a kernel tells of its own end; a log that cannot be read whole leaves its words out, and says why."""
    complaints, problem = list[Complaint](), ""
    try:
        complaints = complaints_in(each_message(linux))
    except (DebuggerError, ImageError) as err:
        problem = str(err)
    return Death(
        panic_cpu=_number(linux, "panic_cpu", 4, signed=True),
        crashing_cpu=_number(linux, "crashing_cpu", 4, signed=True),
        oopses=_number(linux, "die_counter", 4),
        tainted=_number(linux, "tainted_mask", linux.word),
        complaints=complaints,
        problem=problem,
    )


def complaints_in(messages: Iterable[Message]) -> list[Complaint]:
    """The panics, oopses and watchdogs' barks in a log, the last ones if there are many."""
    found: list[Complaint] = []
    left = 0
    for message in messages:
        for line in message.text.split("\n"):
            started = _complaint(line, message.time)
            if started:
                found, left = [*found[-KEPT + 1 :], started], WHO_WITHIN
            elif left and (who := WHO.match(line)):
                found[-1] = _told(found[-1], who)
                left = 0
        left = max(left - 1, 0)
    return found


def task_of(linux: "Linux", death: Death) -> Task | None:
    """The thread that ran on the processor that panicked; None if there was no panic."""
    return None if death.cpu is None or death.cpu not in linux.per_cpu.cpus else current_task(linux, death.cpu)


def taint_letters(mask: int) -> str:
    """A taint mask as the kernel's own messages write it."""
    return "".join(letter for bit, letter in enumerate(TAINTS) if mask >> bit & 1)


def _complaint(line: str, time: int) -> Complaint | None:
    panic = PANIC.match(line)
    if panic:
        return Complaint("panic", panic["reason"], time)
    found = (kind for kind, pattern in TROUBLE.items() if pattern.match(line))
    return next((Complaint(kind, line, time) for kind in found), None)


def _told(complaint: Complaint, who: re.Match[str]) -> Complaint:
    return Complaint(complaint.kind, complaint.reason, complaint.time, int(who["cpu"]), int(who["pid"]), who["comm"])


def _number(linux: "Linux", name: str, size: int, signed: bool = False) -> int | None:
    symbol = linux.names.find(name)
    if symbol is None:
        return None
    try:
        return int.from_bytes(linux.space.read(symbol.value, size), "little", signed=signed)
    except (DebuggerError, ImageError):
        return None
