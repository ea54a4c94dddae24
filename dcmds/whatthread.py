"""Whose stack has an address on it: ::whatthread of illumos."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.findstack import MAX_STACK, WORD
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.threads import LOADED, each_record, find_activity


@dataclass(frozen=True)
class Holder:
    """A word of a stack.

    address: where it is
    activity: whether that is in use, where this is not sure
    """

    address: Vaddr
    activity: str


@dataclass(frozen=True)
class WhatthreadRow:
    """A thread whose stack holds an address.

    thread: the thread
    places: the words that hold it
    """

    thread: Vaddr
    places: Sequence[Holder]
    _verbose: bool


def holder_lines(rows: Iterable[WhatthreadRow], show: Show) -> Iterator[str]:
    """A line a thread; with -v a line for each word of its stack."""
    for row in rows:
        if not row._verbose:
            yield show.number(row.thread, prefix=True)
            continue
        for place in row.places:
            yield f"{place.address:x} in thread {row.thread:x}'s stack{place.activity}"


@dcmd(
    "whatthread",
    address="required",
    flags=(Flag("v", "each word that holds the address, and whether it is in use"),),
    text=holder_lines,
    row=WhatthreadRow,
    guests=("illumos",),
)
def whatthread(call: Call) -> Iterator[WhatthreadRow]:
    """print threads whose stack contains a given address

    Searches the aligned words of every thread's stack for the address itself. With -v a word that lies below the
    thread's stack pointer is said to do so. Threads that are swapped out, and stacks of no stack's size, are told.

    Reads: kthread_t from allthreads (t_stk, t_stkbase, t_schedflag, t_state, t_pcb), each thread's stack.

    Example:
        fffffffec13b7ad0::whatthread -v
    """
    guest = illumos(call.guest)
    for wanted in call.addresses:
        pattern = wanted.to_bytes(WORD, "little")
        for record in each_record(guest, None, call.warn):
            thread, base, size = int(record), int(record["t_stkbase"]), int(record["t_stk"]) - int(record["t_stkbase"])
            if not record["t_schedflag"] & LOADED:
                call.warn(f"thread {thread:x}'s stack swapped out")
            if not 0 < size <= MAX_STACK:
                call.warn(f"thread {thread:x}'s stack is of {size} bytes")
                continue
            try:
                data = call.target.read(base, size)
            except ReadFailed as err:
                call.warn(f"couldn't read thread {thread:x}'s stack: {err}")
                continue
            places = [base + at for at in _each_place(data, pattern) if (base + at) % WORD == 0]
            if places:
                found = [Holder(Vaddr(place), find_activity(guest, record, place)) for place in places]
                yield WhatthreadRow(Vaddr(thread), found, "v" in call.flags)


def _each_place(data: bytes, pattern: bytes) -> Iterator[int]:
    at = data.find(pattern)
    while at >= 0:
        yield at
        at = data.find(pattern, at + 1)
