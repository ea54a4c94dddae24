"""Processes of illumos: ::ps ::pgrep ::pflags."""

import re
from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.processes import PIDFLAG, PROC_FLAG, PROCESS_FLAG, Process, flag_names
from vmdebug.guests.illumos.threads import STATES, NoFirstProcess, each_process, each_thread
from vmdebug.guests.memory import CannotWalk

GUESTS = ("illumos",)
MORE = (  # head, option, key, width
    ("TASK", "T", "task", 5),
    ("PROJ", "P", "project", 5),
    ("ZONE", "z", "zone", 5),
    ("SERVICE", "s", "service", 40),
)


@dataclass(frozen=True)
class OwnThread:
    """A thread of a process.

    addr: its kthread_t
    state: its state by the kernel's name
    lwp: its lwp, 0 for a thread of the kernel
    id: its number in the process
    """

    addr: Vaddr
    state: str
    lwp: Vaddr
    id: int


@dataclass(frozen=True)
class ProcessRow:
    """A process.

    addr: its proc_t
    state: S sleeping, R runnable, Z zombie, I being made, O running, T stopped, W waiting
    pid: its number
    ppid: the number of its parent
    pgid: the number of its process group
    sid: the number of its session
    uid: the user of its credentials
    flags: p_flag
    comm: its name
    args: its command line
    task: with -T, the number of its task; null where it cannot be read, as the next two
    project: with -P, the number of its project
    zone: with -z, the number of its zone
    service: with -s, the service whose contract it is in, empty for none; null where it cannot be read
    threads: with -t or -l, its threads
    """

    addr: Vaddr
    state: str
    pid: int
    ppid: int
    pgid: int
    sid: int
    uid: int
    flags: Hex
    comm: str
    args: str
    task: int | None
    project: int | None
    zone: int | None
    service: str | None
    threads: Sequence[OwnThread]
    _options: frozenset[str]


def process_lines(rows: Iterable[ProcessRow], show: Show) -> Iterator[str]:
    """A line a process, below it its threads where they are wanted."""
    for number, row in enumerate(rows):
        more = [(head, key, width) for head, option, key, width in MORE if option in row._options]
        if number == 0:
            extra = "".join(f"{head:<{width}} " for head, _, width in more)
            yield f"S PID    PPID   PGID   SID    {extra}UID    FLAGS      ADDR             NAME"
        extra = "".join(f"{_or_mark(getattr(row, key)):<{width}} " for _, key, width in more)
        name = row.args if "f" in row._options else row.comm
        yield (
            f"{row.state} {row.pid:<6} {row.ppid:<6} {row.pgid:<6} {row.sid:<6} {extra}"
            f"{row.uid:<6} 0x{row.flags:08x} {row.addr:016x} {name}"
        )
        for thread in row.threads:
            if "t" in row._options:
                yield f"        T  {show.symbol(thread.addr)} <{thread.state}>"
            if "l" in row._options:
                yield f"        L  {show.symbol(thread.lwp)} ID: {thread.id}"


def _or_mark(value: int | str | None) -> int | str:
    return "?" if value is None else "-" if value == "" else value


OPTIONS = (
    Flag("f", "the command line instead of the name"),
    Flag("l", "with the lwps of each"),
    Flag("t", "with the threads of each"),
    Flag("z", "with the zone"),
    Flag("T", "with the task"),
    Flag("P", "with the project"),
    Flag("s", "with the service whose contract it is in"),
)


@dcmd("ps", address="optional", flags=OPTIONS, text=process_lines, row=ProcessRow, guests=GUESTS)
def ps(call: Call) -> Iterator[ProcessRow]:
    """list processes (and associated threads)

    Every process in the order of the tree that begins at p0, each before its children, or the one at the address.

    Reads: proc_t from p0 along p_child and p_sibling, struct pid, sess_t, cred_t; kthread_t, task_t, zone_t;
    conp_svc_fmri of cont_process_t, refstr_t.

    Example:
        ::ps -f
    """
    guest = illumos(call.guest)
    yield from _each_row(call, guest, each_process(guest) if call.address is None else [call.address])


def _each_row(call: Call, guest: Illumos, addresses: Iterable[int]) -> Iterator[ProcessRow]:
    """The rows of processes; one that cannot be read is reported, and so is where the tree breaks off."""
    try:
        for address in addresses:
            try:
                yield _row(call, guest, Process(guest, address))
            except ReadFailed as err:
                call.warn(f"failed to read the process at {address:x}: {err}")
    except NoFirstProcess as err:
        raise CannotWalk("'proc'", err) from err
    except ReadFailed as err:
        call.warn(f"the tree of processes ends here: {err}")


def _row(call: Call, guest: Illumos, process: Process) -> ProcessRow:
    options = frozenset(call.flags)
    return ProcessRow(
        addr=Vaddr(process.address),
        state=process.state,
        pid=process.pid,
        ppid=process.ppid,
        pgid=process.pgid,
        sid=process.sid,
        uid=process.uid,
        flags=Hex(process.flags),
        comm=process.command,
        args=process.arguments,
        task=process.task if "T" in options else None,
        project=process.project if "P" in options else None,
        zone=process.zone if "z" in options else None,
        service=process.service if "s" in options else None,
        threads=list(_threads(guest, process.address)) if options & {"t", "l"} else (),
        _options=options,
    )


def _threads(guest: Illumos, process: int) -> Iterator[OwnThread]:
    for address in each_thread(guest, process):
        record = guest.objects.at("kthread_t", address)
        state = STATES.get(record["t_state"])
        named = f"TS_{state.upper()}" if state else f"{record['t_state']:#x}"
        yield OwnThread(Vaddr(address), named, Vaddr(int(record["t_lwp"])), record["t_tid"])


@dcmd(
    "pgrep",
    synopsis="[-x] [-n | -o] pattern",
    flags=(
        Flag("x", "the pattern matches the whole name"),
        Flag("n", "only the newest of them"),
        Flag("o", "only the oldest of them"),
    ),
    text=process_lines,
    row=ProcessRow,
    guests=GUESTS,
)
def pgrep(call: Call) -> Iterator[ProcessRow]:
    """pattern match against all processes

    Those whose name matches the regular expression.

    Reads: as ::ps, and p_user.u_start with -n and -o.

    Example:
        ::pgrep cc1
    """
    if len(call.args) != 1 or {"n", "o"} <= set(call.flags):
        raise call.usage()
    try:
        pattern = re.compile(str(call.args[0]))
    except re.error as err:
        raise DebuggerError(f"{call.args[0]}: not a regular expression: {err}") from err
    guest, match = illumos(call.guest), pattern.fullmatch if "x" in call.flags else pattern.search
    found = (row for row in _each_row(call, guest, each_process(guest)) if match(row.comm))
    if not set(call.flags) & {"n", "o"}:
        yield from found
        return
    rows = sorted(found, key=lambda row: Process(guest, row.addr).started)
    yield from rows[-1:] if "n" in call.flags else rows[:1]


@dataclass(frozen=True)
class Flags:
    """The flags of a process, each by its names.

    addr: its proc_t
    pid: its number
    flag: p_flag
    flag_names: the names of its bits
    pidflag: p_pidflag
    pidflag_names: the names of its bits
    proc_flag: p_proc_flag
    proc_flag_names: the names of its bits
    """

    addr: Vaddr
    pid: int
    flag: Hex
    flag_names: Sequence[str]
    pidflag: Hex
    pidflag_names: Sequence[str]
    proc_flag: Hex
    proc_flag_names: Sequence[str]


def flag_lines(rows: Iterable[Flags], _: Show) -> Iterator[str]:
    """The process, then a line for each member."""
    for row in rows:
        yield f"{row.addr:x} [pid {row.pid}]:"
        yield f"        p_flag:      {row.flag:08x} <{','.join(row.flag_names)}>"
        yield f"        p_pidflag:   {row.pidflag:08x} <{','.join(row.pidflag_names)}>"
        yield f"        p_proc_flag: {row.proc_flag:08x} <{','.join(row.proc_flag_names)}>"


@dcmd("pflags", address="optional", text=flag_lines, row=Flags, guests=GUESTS)
def pflags(call: Call) -> Iterator[Flags]:
    """display various proc_t flags

    Of every process, or the one at the address.

    Reads: p_flag, p_pidflag and p_proc_flag of proc_t, struct pid.

    Example:
        p0::pflags
    """
    guest = illumos(call.guest)
    for address in each_process(guest) if call.address is None else [call.address]:
        process = Process(guest, address)
        flag, pidflag, proc_flag = (process.record[name] for name in ("p_flag", "p_pidflag", "p_proc_flag"))
        yield Flags(
            addr=Vaddr(address),
            pid=process.pid,
            flag=Hex(flag),
            flag_names=flag_names(flag, PROCESS_FLAG),
            pidflag=Hex(pidflag),
            pidflag_names=flag_names(pidflag, PIDFLAG),
            proc_flag=Hex(proc_flag),
            proc_flag_names=flag_names(proc_flag, PROC_FLAG),
        )
