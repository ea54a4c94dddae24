"""Locks of illumos: ::mutex ::rwlock ::turnstile."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.locks import NotAdaptive, each_waiter, read_mutex, read_rwlock

GUESTS = ("illumos",)


@dataclass(frozen=True)
class MutexRow:
    """A mutex.

    addr: where it lies
    type: adapt for one that lets its thread sleep, spin for one that blocks interrupts
    held: whether somebody holds it
    owner: the thread that holds an adaptive one, null otherwise
    minspl: the least interrupt level while a spin mutex is held, null for others
    oldspl: the level before it was taken, null for others
    waiters: whether threads wait for an adaptive one, null for others
    """

    addr: Vaddr
    type: str
    held: bool
    owner: Vaddr | None
    minspl: int | None
    oldspl: int | None
    waiters: bool | None


def mutex_lines(rows: Iterable[MutexRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':>16} {'TYPE':>5} {'HELD':>16} {'MINSPL':>6} {'OLDSPL':>6} {'WAITERS':>7}"
        held = f"{row.owner:x}" if row.owner else _yes(row.held)
        levels = " ".join(f"{'-' if level is None else level:>6}" for level in (row.minspl, row.oldspl))
        waiters = "-" if row.waiters is None else _yes(row.waiters)
        yield f"{row.addr:016x} {row.type:>5} {held:>16} {levels} {waiters:>7}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


@dcmd(
    "mutex",
    address="required",
    flags=(Flag("f", "also of what is no mutex"),),
    text=mutex_lines,
    row=MutexRow,
    guests=GUESTS,
)
def mutex(call: Call) -> Iterator[MutexRow]:
    """dump out an adaptive or spin mutex

    Reads: mutex_impl_t.

    Example:
        fffffffec13b7ad0::mutex
    """
    for address in call.addresses:
        found = read_mutex(illumos(call.guest), address)
        if not found.valid and "f" not in call.flags:
            raise NotAdaptive(call.session.show.symbol(address))
        yield MutexRow(
            addr=Vaddr(address),
            type="spin" if found.spin else "adapt",
            held=found.held,
            owner=Vaddr(found.owner) if found.owner else None,
            minspl=found.minspl if found.spin else None,
            oldspl=found.oldspl if found.spin else None,
            waiters=None if found.spin else found.waiters,
        )


@dataclass(frozen=True)
class Waiter:
    """A thread that waits for a readers-writer lock.

    thread: its kthread_t
    wants: W to write, R to read
    """

    thread: Vaddr
    wants: str


@dataclass(frozen=True)
class RwlockRow:
    """A readers-writer lock.

    addr: where it lies
    owner: the thread that writes, null if none does
    readers: how many read
    write_locked: whether a thread writes
    write_wanted: whether a thread waits to write
    has_waiters: whether threads wait
    waiters: those threads
    """

    addr: Vaddr
    owner: Vaddr | None
    readers: int
    write_locked: bool
    write_wanted: bool
    has_waiters: bool
    waiters: Sequence[Waiter]


BITS = ("WRITE_LOCKED ------+", "WRITE_WANTED -------+", "HAS_WAITERS --------+")
BITS_AT = 36  # the column of the first bit
WAITERS_AT = 40


def rwlock_lines(rows: Iterable[RwlockRow], _: Show) -> Iterator[str]:
    """The lock, then from each bit that is set a line to its name; the waiters stand beside, a line each."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':>16} {'OWNER/COUNT':>16} FLAGS {'WAITERS':>16}"
        holder = f"{row.owner:x}" if row.owner else f"READERS={row.readers}" if row.readers else "-"
        bits = (row.write_locked, row.write_wanted, row.has_waiters)
        lines = [f"{row.addr:>16x} {holder:>16}  B{''.join(str(int(bit)) for bit in bits)}", *_legend(bits)]
        waiters = [f"{each.thread:>16x} ({each.wants})" for each in row.waiters]
        lines += [""] * (len(waiters) - len(lines))
        for line, waiter in zip(lines, [*waiters, *[""] * (len(lines) - len(waiters))], strict=True):
            yield f"{line:<{WAITERS_AT}}{waiter}".rstrip()


def _legend(bits: Sequence[bool]) -> Iterator[str]:
    """The bars below the bits that are set, and their names."""
    if any(bits):
        yield " " * BITS_AT + "".join("|" if bit else " " for bit in bits)
    for place, name in enumerate(BITS):
        if bits[place]:
            rest = "".join("|" if bit else " " for bit in bits[place + 1 :])
            yield f"{name:>{BITS_AT + place + 1}}{rest}"


@dcmd("rwlock", address="required", text=rwlock_lines, row=RwlockRow, guests=GUESTS)
def rwlock(call: Call) -> Iterator[RwlockRow]:
    """dump out a readers/writer lock

    Who writes, or how many read; the lock's bits; and the threads that wait for it, with W or R for what they want.

    Reads: rwlock_impl_t; t_wchan and t_ts of kthread_t, the queues of their turnstile_t.

    Example:
        kas::print -a struct as a_lock | ::rwlock
    """
    guest = illumos(call.guest)
    for address in call.addresses:
        found = read_rwlock(guest, address)
        waiters = each_waiter(guest, address) if found.waited_for else ()
        yield RwlockRow(
            addr=Vaddr(address),
            owner=Vaddr(found.owner) if found.owner else None,
            readers=found.readers,
            write_locked=found.locked,
            write_wanted=found.wanted,
            has_waiters=found.waited_for,
            waiters=[Waiter(Vaddr(thread), wants) for thread, wants in waiters],
        )


@dataclass(frozen=True)
class TurnstileRow:
    """A turnstile: the threads that sleep on one object.

    addr: its turnstile_t
    sobj: the object
    waiters: how many they are
    epri: the highest of their priorities
    inheritor: the thread that inherits it
    prioinv: the next turnstile that the same thread inherits from
    """

    addr: Vaddr
    sobj: Vaddr
    waiters: int
    epri: int
    inheritor: Vaddr
    prioinv: Vaddr


TURNSTILE = Text(
    "{addr:016x} {sobj:>16x} {waiters:>5} {epri:>4} {inheritor:>16x} {prioinv:>16x}",
    head=f"{'ADDR':>16} {'SOBJ':>16} {'WTRS':>5} {'EPRI':>4} {'ITOR':>16} {'PRIOINV':>16}",
)


@dcmd("turnstile", address="required", text=TURNSTILE, row=TurnstileRow, guests=GUESTS)
def turnstile(call: Call) -> Iterator[TurnstileRow]:
    """display a turnstile

    Reads: turnstile_t.

    Example:
        fffffffec33a64d8::turnstile
    """
    for address in call.addresses:
        found = illumos(call.guest).objects.at("turnstile_t", address)
        yield TurnstileRow(
            addr=Vaddr(address),
            sobj=Vaddr(int(found["ts_sobj"])),
            waiters=found["ts_waiters"],
            epri=found["ts_epri"],
            inheritor=Vaddr(int(found["ts_inheritor"])),
            prioinv=Vaddr(int(found["ts_prioinv"])),
        )
