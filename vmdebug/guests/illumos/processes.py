"""Processes: what identifies each, finding one by its pid or its address space.

Specified in: sys/proc.h, sys/user.h, sys/session.h, sys/task.h,
sys/contract/process_impl.h, os/pid.c of illumos.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.files import find_shared_text
from vmdebug.guests.illumos.threads import each_process
from vmdebug.guests.memory import each_link
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

STATES = {1: "S", 2: "R", 3: "Z", 4: "I", 5: "O", 6: "T", 7: "W"}
MAX_CHAIN = 1 << 20
# The names of bits, from bit 0; `-` for one that has none.
PROCESS_FLAG = (
    "SSYS SEXITING SITBUSY SFORKING SWATCHOK - - - SKILLED SSCONT SZONETOP SEXTKILLED - SUGID SEXECED - "
    "SJCTL SNOWAIT SVFORK SVFWAIT SEXITLWPS SHOLDFORK - SHOLDFORK1 SCOREDUMP SMSACCT SLWPWRAP SAUTOLPG "
    "SNOCD SHOLDWATCH SMSFORK SDOCORE"
)  # p_flag
PIDFLAG = "CLDPEND CLDCONT CLDNOSIGCHLD CLDWAITPID"  # p_pidflag
PROC_FLAG = (
    "P_PR_TRACE P_PR_PTRACE P_PR_FORK P_PR_LOCK P_PR_ASYNC P_PR_EXEC P_PR_BPTADJ P_PR_RUNLCL P_PR_KILLCL"  # p_proc_flag
)


def flag_names(value: int, names: str) -> Sequence[str]:
    """The names of the bits that are set, the lowest first, and in hex what has no name."""
    named = {bit: name for bit, name in enumerate(names.split()) if name != "-"}
    rest = value & ~sum(1 << bit for bit in named)
    return [name for bit, name in named.items() if value >> bit & 1] + ([f"0x{rest:x}"] if rest else [])


class NoSuchPid(DebuggerError):
    def __init__(self, pid: int) -> None:
        super().__init__(f"PID 0t{pid} not found")
        self.pid = pid


class NoSuchSpace(DebuggerError):
    def __init__(self, space: int) -> None:
        super().__init__(f"no process uses the address space at {space:x}")
        self.space = space


class Process:
    """A proc_t. Each property reads what it names."""

    def __init__(self, guest: "Illumos", address: int) -> None:
        self.guest = guest
        self.address = address
        self.record: Typed = guest.objects.at("proc_t", address)

    @property
    def state(self) -> str:
        """The letter of ps, `?` for a state that it does not know."""
        return STATES.get(self.record["p_stat"], "?")

    @property
    def pid(self) -> int:
        return int(self.record["p_pidp"]["pid_id"])

    @property
    def ppid(self) -> int:
        return int(self.record["p_ppid"])

    @property
    def pgid(self) -> int:
        return int(self.record["p_pgidp"]["pid_id"])

    @property
    def sid(self) -> int:
        return int(self.record["p_sessp"]["s_sidp"]["pid_id"])

    @property
    def uid(self) -> int:
        return int(self.record["p_cred"]["cr_uid"])

    @property
    def flags(self) -> int:
        return int(self.record["p_flag"])

    @property
    def command(self) -> str:
        return str(self.record["p_user.u_comm"].string())

    @property
    def arguments(self) -> str:
        return str(self.record["p_user.u_psargs"].string())

    @property
    def started(self) -> tuple[int, int]:
        """When it began: seconds since 1970, and nanoseconds."""
        return int(self.record["p_user.u_start.tv_sec"]), int(self.record["p_user.u_start.tv_nsec"])

    @property
    def task(self) -> int | None:
        return self._number("p_task", "tk_tkid")

    @property
    def project(self) -> int | None:
        return self._number("p_task", "tk_proj", "kpj_id")

    @property
    def zone(self) -> int | None:
        return self._number("p_zone", "zone_id")

    @property
    def service(self) -> str | None:
        """The name of the service whose contract it is in; empty without a contract, None where it cannot be read."""
        try:
            contract = self.record["p_ct_process"]
            return find_shared_text(self.guest, int(contract["conp_svc_fmri"])) if contract else ""
        except DebuggerError:
            return None

    def _number(self, *path: str) -> int | None:
        """A number behind pointers; None where one of them leads nowhere."""
        value: Any = self.record  # what a member holds is known from the image only
        try:
            for name in path:
                value = value[name]
        except DebuggerError:
            return None
        return int(value)


def find_pid(guest: "Illumos", pid: int) -> int:
    """The process of a number, by the kernel's hash of pids; NoSuchPid if there is none.

    The hash holds struct pids; each names the slot of its process in procdir.
    """
    objects = guest.objects
    size = guest.variable("pid_hashsz")
    first = objects.pointer("uintptr_t", guest.variable("pidhash"))[pid & (size - 1)]
    for address in each_link(guest.follow("struct pid", "pid_link"), first, MAX_CHAIN):
        found = objects.at("struct pid", address)
        if found["pid_id"] == pid:
            slots = objects.pointer("uintptr_t", guest.variable("procdir"))
            return int(slots[found["pid_prslot"]])
    raise NoSuchPid(pid)


def find_owner(guest: "Illumos", space: int) -> int:
    """The first process in the tree that uses an address space; NoSuchSpace if none does."""
    for address in each_process(guest) if space else ():
        try:
            if guest.objects.at("proc_t", address)["p_as"] == space:
                return address
        except ReadFailed:
            continue
    raise NoSuchSpace(space)


def each_ancestor(guest: "Illumos", process: int) -> Iterator[int]:
    """The parent of a process, its parent, and so on; a circle ends at its first process."""
    seen = {process}
    follow = guest.follow("proc_t", "p_parent")
    while (process := follow(process)) and process not in seen:
        seen.add(process)
        yield process


def each_branch(guest: "Illumos", top: int, depth: int = 0) -> Iterator[tuple[int, int]]:
    """A process and all below it, each with its depth: a process before its children, these before its siblings."""
    depths = {top: depth}
    follow = guest.follow("proc_t", "p_parent")
    for address in each_process(guest, top):
        if address not in depths:
            depths[address] = depths.get(follow(address), depth) + 1
        yield address, depths[address]
