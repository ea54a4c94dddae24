"""What a thread of illumos is doing: ::thread."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.guests.illumos import threads
from vmdebug.guests.illumos.cpus import find_lbolt
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.types.typed import Typed

SIGNALS = 8  # bytes of a set of signals that are shown


@dataclass(frozen=True)
class ThreadRow:
    """A thread.

    addr: its kthread_t
    state: what it does
    flag: t_flag
    proc_flag: t_proc_flag
    sched_flag: t_schedflag
    pri: its priority
    epri: the priority that it inherited
    pil: the level of the interrupt that it serves
    intr: the thread that it pins, null for one that serves no interrupt
    proc: its process
    lwp: its lwp, 0 for a thread of the kernel
    cred: its credentials
    wchan: what it waits for
    turnstile: its turnstile
    prioinv: the first turnstile that it inherits a priority from
    sobj_ops: the operations of the object that it sleeps on
    sigqueue: the signals that wait with more than their number, null where the kernel does not say
    pending: the set of signals that wait
    held: the set of signals that it blocks
    disp_time: the tick at which it was last given a processor
    bound: the processor that it is bound to, -1 for none
    preempt: how often it forbade to be preempted
    since: ticks since it was given a processor, null where the kernel's clock is not known
    """

    addr: Vaddr
    state: str
    flag: Hex
    proc_flag: Hex
    sched_flag: Hex
    pri: int
    epri: int
    pil: int
    intr: Vaddr | None
    proc: Vaddr
    lwp: Vaddr
    cred: Vaddr
    wchan: Vaddr
    turnstile: Vaddr
    prioinv: Vaddr
    sobj_ops: Vaddr
    sigqueue: Vaddr | None
    pending: Hex
    held: Hex
    disp_time: Hex
    bound: int
    preempt: int
    since: int | None
    _options: frozenset[str]


def _state(row: ThreadRow, _: Show) -> str:
    pinned = "n/a" if row.intr is None else f"{row.intr:x}"
    flags = f"{row.flag:>3x} {row.proc_flag:>4x} {row.sched_flag:>4x}"
    return f"{row.state:<8} {flags} {row.pri:>5} {row.epri:>5} {row.pil:>3} {pinned:>16}"


def _process(row: ThreadRow, _: Show) -> str:
    return f"{row.proc:>16x} {row.lwp:>16x} {row.cred:>16x}"


def _blocked(row: ThreadRow, show: Show) -> str:
    return f"{row.wchan:>16x} {row.turnstile:>16x} {row.prioinv:>16x} {show.symbol(row.sobj_ops):>11}"


def _signals(row: ThreadRow, _: Show) -> str:
    return f"{row.sigqueue or 0:>16x} {row.pending:>16x} {row.held:>16x}"


def _dispatched(row: ThreadRow, _: Show) -> str:
    since = "-" if row.since is None else f"t-{row.since}"
    return f"{row.disp_time:>16x} {row.bound:>5} {row.preempt:>2} {since:<6}"


# What each option adds: its head, and a row's values.
SETS: Mapping[str, tuple[str, Callable[[ThreadRow, Show], str]]] = {
    "i": ("STATE    FLG PFLG SFLG   PRI  EPRI PIL             INTR", _state),
    "p": (f"{'PROC':>16} {'LWP':>16} {'CRED':>16}", _process),
    "b": (f"{'WCHAN':>16} {'TS':>16} {'PITS':>16} {'SOBJ OPS':>11}", _blocked),
    "s": (f"{'SIGQUEUE':>16} {'SIG PEND':>16} {'SIG HELD':>16}", _signals),
    "d": (f"{'DISPTIME':>16} {'BOUND':>5} PR SWITCH", _dispatched),
}


def thread_lines(rows: Iterable[ThreadRow], show: Show) -> Iterator[str]:
    """A line a thread, for several sets of values a line each; one for all with -m."""
    for number, row in enumerate(rows):
        letters = [letter for letter in SETS if letter in row._options] or ["i"]
        merge = "m" in row._options
        if number == 0:
            yield from _placed(f"{'ADDR':<16}", [SETS[letter][0] for letter in letters], merge)
        yield from _placed(f"{row.addr:016x}", [SETS[letter][1](row, show) for letter in letters], merge)


def _placed(first: str, parts: list[str], merge: bool) -> Iterator[str]:
    """The parts behind an address: on its line, or each on its own."""
    if merge:
        yield " ".join([first, *parts])
        return
    for place, part in enumerate(parts):
        yield f"{first if place == 0 else '':16} {part}"


@dcmd(
    "thread",
    address="optional",
    flags=(
        Flag("b", "what it waits for"),
        Flag("d", "when it was dispatched"),
        Flag("f", "without free threads"),
        Flag("i", "its state, flags, priorities and interrupt"),
        Flag("m", "all that is wanted on one line"),
        Flag("p", "its process"),
        Flag("s", "its signals"),
    ),
    text=thread_lines,
    row=ThreadRow,
    guests=("illumos",),
)
def thread(call: Call) -> Iterator[ThreadRow]:
    """display a summarized kthread_t

    Every thread, or the one at the address: its state, its flags, its priorities, the interrupt level and the thread
    that an interrupt pins; or what the options ask for, on a line each.

    Reads: kthread_t, from allthreads along t_next.

    Example:
        ::walk thread | ::thread
    """
    guest, options = illumos(call.guest), frozenset(call.flags)
    now = find_lbolt(guest)
    for record in threads.each_record(guest, call.address, call.warn):
        if "f" not in options or record["t_state"] != threads.FREE:
            yield _row(record, now, options)


def _row(record: Typed, now: int | None, options: frozenset[str]) -> ThreadRow:
    def pointer(name: str) -> Vaddr:
        return Vaddr(int(record[name]))

    return ThreadRow(
        addr=Vaddr(int(record)),
        state=threads.STATES.get(record["t_state"], f"inval/{record['t_state']:02x}"),
        flag=Hex(record["t_flag"]),
        proc_flag=Hex(record["t_proc_flag"]),
        sched_flag=Hex(record["t_schedflag"]),
        pri=record["t_pri"],
        epri=record["t_epri"],
        pil=record["t_pil"],
        intr=pointer("t_intr") if record["t_intr"] else None,
        proc=pointer("t_procp"),
        lwp=pointer("t_lwp"),
        cred=pointer("t_cred"),
        wchan=pointer("t_wchan"),
        turnstile=pointer("t_ts"),
        prioinv=pointer("t_prioinv"),
        sobj_ops=pointer("t_sobj_ops"),
        sigqueue=pointer("t_sigqueue") if "t_sigqueue" in record else None,
        pending=_signal_set(record, "t_sig"),
        held=_signal_set(record, "t_hold"),
        disp_time=Hex(record["t_disp_time"]),
        bound=record["t_bind_cpu"],
        preempt=record["t_preempt"],
        since=None if now is None else now - record["t_disp_time"],
        _options=options,
    )


def _signal_set(record: Typed, name: str) -> Hex:
    """A set of signals as a number: an array of words, or a structure that holds one."""
    found = record[name]
    data = found.bytes_() if isinstance(found, Typed) else found.bytes()
    return Hex(int.from_bytes(data[:SIGNALS], "little"))
