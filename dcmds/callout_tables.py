"""The tables of illumos' callouts: ::callouttable ::calloutid; walkers of tables, lists and callouts."""

from collections.abc import Iterator
from functools import partial

from formats.frames import Vaddr
from vmdebug.callouts import (
    KINDS,
    CalloutRow,
    IdentityRow,
    TableRow,
    callout_lines,
    callout_row,
    identity_lines,
    table_row,
)
from vmdebug.dcmd import Call, Flag, Hex, dcmd, walker
from vmdebug.guests.illumos.callouts import TYPES, Callouts, CalloutTable, find_now
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)


def _tables(call: Call) -> Iterator[CalloutTable]:
    callouts = Callouts(illumos(call.guest))
    return callouts.each() if call.address is None else iter([callouts.at(call.address)])


@walker("callout_table", guests=GUESTS)
def walk_callout_table(call: Call) -> Iterator[int]:
    """walk the callout tables of all cpus that were ever online"""
    return (table.address for table in _tables(call))


@walker("callout_list", start="optional", guests=GUESTS)
def walk_callout_list(call: Call) -> Iterator[int]:
    """walk the lists of a callout table, or of all, the first to expire first"""
    return (listed.address for table in _tables(call) for listed in table.lists(call.warn))


@walker("callouts_bytime", start="optional", guests=GUESTS)
def walk_callouts_bytime(call: Call) -> Iterator[int]:
    """walk the callouts of a table, or of all, by its lists, the first to expire first"""
    return (found.address for table in _tables(call) for found in table.callouts_by_time(call.warn))


@walker("callouts_byid", start="optional", guests=GUESTS)
def walk_callouts_byid(call: Call) -> Iterator[int]:
    """walk the callouts of a table, or of all, by its hash of ids"""
    return (found.address for table in _tables(call) for found in table.callouts_by_id(call.warn))


@dcmd("callouttable", address="optional", text=partial(callout_lines, frozenset()), row=TableRow, guests=GUESTS)
def callouttable(call: Call) -> Iterator[TableRow]:
    """display callout tables

    The tables of all cpus, for each one of realtime and one of normal callouts, or the one at the address.

    Reads: callout_table, max_ncpus, callout_table_t.

    Example:
        ::callouttable
    """
    return (table_row(table) for table in _tables(call))


@dcmd(
    "calloutid",
    address="optional",
    synopsis="[-dv] [xid]",
    flags=(
        Flag("d", "take the id apart, and look for no callout"),
        Flag("v", "where the callout is, its cpu, its type and its marks"),
    ),
    text=partial(callout_lines, frozenset()),
    row=CalloutRow,
    guests=GUESTS,
)
def calloutid(call: Call) -> Iterator[CalloutRow | IdentityRow]:
    """display a callout by its id

    The id stands before the command or behind it; the callout is found whether or not it is being executed by now.
    With -d what the id itself says: its table, the sequence number of the table's cpu, R for realtime or N for normal,
    the marks X (executed), L (long-term) and F (freed), the generation and the counter.

    Reads: callout_table, callout_table_bits, max_ncpus, callout_table_t (ct_idhash), callout_t.

    Example:
        40000006::calloutid
        ::calloutid -d c0000001
    """
    ids = [call.number(word) for word in call.args] + [each for each in (call.address,) if each is not None]
    if len(ids) != 1:
        raise call.usage("one id is wanted, before the command or behind it")
    callouts = Callouts(illumos(call.guest))
    if "d" in call.flags:
        call.text = identity_lines
        yield _identity_row(callouts, ids[0])
    else:
        call.text = partial(callout_lines, frozenset(call.flags))
        yield callout_row(*callouts.find(ids[0], call.warn), find_now(illumos(call.guest)))


def _identity_row(callouts: Callouts, identity: int) -> IdentityRow:
    found = callouts.split(identity)
    number = (found.table - callouts.base) // callouts.size
    return IdentityRow(
        id=Hex(identity),
        table=Vaddr(found.table),
        seqid=number // TYPES,
        type=KINDS[number % TYPES],
        executing=found.executing,
        long=found.long,
        freed=found.freed,
        generation=Hex(found.generation),
        counter=Hex(found.counter),
    )
