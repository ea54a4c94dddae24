"""What illumos calls once, each at its time: ::callout."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations

from vmdebug.callouts import CalloutRow, ListRow, TableRow, callout_lines, callout_row, list_row, table_row
from vmdebug.dcmd import Call, Flag, dcmd
from vmdebug.guests.illumos.callout_choice import Choice
from vmdebug.guests.illumos.callouts import (
    ABSOLUTE,
    EXECUTING,
    HRESTIME,
    LONG,
    NORMAL,
    REALTIME,
    Callout,
    CalloutList,
    Callouts,
    CalloutTable,
    find_now,
)
from vmdebug.guests.illumos.kernel import illumos

TIMES = "tab"
OF_CALLOUTS = f"slxhBfpiFD{TIMES}"  # options that say nothing of tables
EXCLUSIVE = ("rn", "sl", "CS", "TLV", "ta", "tb", "iT", "iL", "iV", "FT", "FV")
NEEDS = {"d": TIMES, "k": TIMES, "E": "TLV"}
FLAGS = (
    Flag("r", "only realtime callouts"),
    Flag("n", "only normal callouts"),
    Flag("s", "only callouts with short-term ids"),
    Flag("l", "only callouts with long-term ids"),
    Flag("x", "only callouts that are being executed"),
    Flag("h", "only callouts that follow the time of day (hrestime)"),
    Flag("B", "only callouts of an absolute time"),
    Flag("t", "only callouts that expire at this time, in nanoseconds since boot", "number", "nsec"),
    Flag("a", "only callouts that expire at this time or after it", "number", "nsec"),
    Flag("b", "only callouts that expire at this time or before it", "number", "nsec"),
    Flag("d", "the times of -t, -a and -b count from now"),
    Flag("k", "the times of -t, -a and -b are clock ticks"),
    Flag("D", "show times from now, in nanoseconds, instead of since boot"),
    Flag("C", "only callouts of the cpu whose cpu_t is at this address", "number", "cpu"),
    Flag("S", "only callouts of the cpu of this sequence number", "number", "seqid"),
    Flag("f", "only callouts of this function", "text", "function"),
    Flag("p", "only callouts with this argument", "text", "argument"),
    Flag("T", "the tables"),
    Flag("L", "the lists of callouts that expire together"),
    Flag("E", "with -T, -L or -V: those that are empty, too"),
    Flag("i", "find the callouts by the hash of their ids, not by their lists"),
    Flag("F", "the callouts that are free; with -L the lists that are"),
    Flag("v", "where the callout is, its cpu, its type and its marks"),
    Flag("V", "each table, each of its lists, and the callouts of that"),
    Flag("A", "only addresses"),
)


@dcmd(
    "callout",
    address="optional",
    flags=FLAGS,
    text=partial(callout_lines, frozenset()),
    row=CalloutRow,
    guests=("illumos",),
)
def callout(call: Call) -> Iterator[CalloutRow | ListRow | TableRow]:
    """display callouts

    The callouts of all tables, or of the one at the address: the function that is called, its argument, the id, and
    when that is, in nanoseconds since boot. Those of a table come in the order of their times. With -v stand before
    that the callout's address, the sequence number of its cpu, R for realtime or N for normal, and its marks: X while
    it is executed, H if it follows the time of day, A for an absolute time, L for a long-term id.

    Now, from which -d and -D count, is the time of the panic or of the last clock tick.

    Reads: callout_table, max_ncpus, callout_table_t (ct_clhash, ct_queue, ct_expired, ct_idhash, ct_free, ct_lfree),
    callout_list_t, callout_t, panic_hrtime or hres_last_tick.

    Example:
        ::callout -n
        ::callout -v -f cv_signal
        ::callout -D -d -b 0t1000000000
    """
    _check(call)
    choice, now = _choice(call), find_now(illumos(call.guest), needed=bool({"d", "D"} & set(call.flags)))
    call.text = partial(callout_lines, frozenset(call.flags))
    callouts = Callouts(illumos(call.guest))
    for table in callouts.each() if call.address is None else [callouts.at(call.address)]:
        if choice.table(table):
            yield from _rows(call, table, choice, now)


def _check(call: Call) -> None:
    """Options that contradict each other, or that would do nothing, are refused."""
    given = call.flags
    for first, second in (pair for group in EXCLUSIVE for pair in combinations(group, 2)):
        if first in given and second in given:
            raise call.usage(f"-{first} and -{second} cannot be given together")
    for letter, needed in NEEDS.items():
        if letter in given and not set(needed) & set(given):
            raise call.usage(f"-{letter} needs one of -{', -'.join(needed)}")
    useless = [letter for letter in OF_CALLOUTS if letter in given]
    if "T" in given and useless:
        raise call.usage(f"-{useless[0]} chooses among callouts, and -T shows tables")
    if call.args:
        raise call.usage(f"no word is expected: {call.args[0]}")


def _choice(call: Call) -> Choice:
    flags, guest = call.flags, illumos(call.guest)
    unit = guest.variable("nsec_per_tick") if "k" in flags else 1
    start = find_now(guest, needed=True) or 0 if "d" in flags else 0
    at, after, before = (flags[each] * unit + start if each in flags else None for each in TIMES)
    return Choice(
        kind=REALTIME if "r" in flags else NORMAL if "n" in flags else None,
        sequence=guest.objects.at("cpu_t", flags["C"])["cpu_seqid"] if "C" in flags else flags.get("S"),
        marks=(EXECUTING if "x" in flags else 0) | (LONG if "l" in flags else 0),
        short="s" in flags,
        flags=(HRESTIME if "h" in flags else 0) | (ABSOLUTE if "B" in flags else 0),
        at=at,
        after=after,
        before=before,
        function=call.number(flags["f"]) if "f" in flags else None,
        argument=call.number(flags["p"]) if "p" in flags else None,
    )


def _rows(
    call: Call, table: CalloutTable, choice: Choice, now: int | None
) -> Iterator[CalloutRow | ListRow | TableRow]:
    flags = call.flags
    if not set("TLV") & set(flags):
        yield from (callout_row(table, each, now) for each in _callouts(call, table) if choice.callout(each))
        return
    if "F" in flags:
        yield from (list_row(table, each, 0, now) for each in table.free_lists(call.warn))
        return
    lists = table.lists(call.warn)
    if "L" not in flags and (lists or "E" in flags):
        yield table_row(table)
    if "T" not in flags:
        yield from _list_rows(call, table, filter(choice.listed, lists), choice, now)


def _list_rows(
    call: Call, table: CalloutTable, lists: Iterable[CalloutList], choice: Choice, now: int | None
) -> Iterator[CalloutRow | ListRow]:
    """The lists with callouts that are wanted; with -V each before those."""
    for listed in lists:
        found = list(table.callouts(listed, call.warn))
        shown = [each for each in found if choice.callout(each)]
        if shown or ("E" in call.flags and not found):
            yield list_row(table, listed, len(found), now)
        if "V" in call.flags:
            yield from (callout_row(table, each, now) for each in shown)


def _callouts(call: Call, table: CalloutTable) -> Iterator[Callout]:
    if "F" in call.flags:
        return table.free_callouts(call.warn)
    find: Callable[..., Iterator[Callout]] = table.callouts_by_id if "i" in call.flags else table.callouts_by_time
    return find(call.warn)
