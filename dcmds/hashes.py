"""Hash tables of illumos: ::modhash ::modent, the walkers modhash and modent."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd, walker
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.hashes import (
    BrokenHash,
    Entry,
    Hash,
    each_entry,
    each_hash,
    read_entry,
    read_hash,
    text_at,
)
from vmdebug.guests.illumos.kernel import Illumos, illumos

GUESTS = ("illumos",)
INSET = " " * 8


@walker("modhash", guests=GUESTS)
def walk_modhash(call: Call) -> Iterator[int]:
    """walk the hash tables that mod_hash_create made"""
    return each_hash(illumos(call.guest))


@walker("modent", start="required", guests=GUESTS)
def walk_modent(call: Call) -> Iterator[int]:
    """walk the entries of a mod_hash_t"""
    return (each.address for each in each_entry(illumos(call.guest), call.address or 0))


@dataclass(frozen=True)
class EntryRow:
    """An entry of a hash table.

    addr: its mod_hash_entry
    chain: the chain that it is in, null where that was not looked for
    key: its key
    value: its value
    text: the key as a text, null where keys are none
    """

    addr: Vaddr
    chain: int | None
    key: Vaddr
    value: Vaddr
    text: str | None


@dataclass(frozen=True)
class HashRow:
    """A hash table.

    addr: its mod_hash_t
    chains: how many chains it has
    elems: how many entries, as it says itself
    maxlen: the entries of the longest chain, null where they cannot be read, as the next
    maxidx: which chain that is, the first of several
    name: what it is called
    lengths: with -c how many entries each chain has that has any, by the chain's number
    entries: with -e, -k and -v the entries that were asked for
    """

    addr: Vaddr
    chains: int
    elems: int
    maxlen: int | None
    maxidx: int | None
    name: str
    lengths: dict[int, int] | None
    entries: Sequence[EntryRow] | None


def hash_lines(rows: Iterable[HashRow], _: Show) -> Iterator[str]:
    """A line a table, with what was asked for of its chains below it."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':<16} {'CHAINS':>6} {'ELEMS':>6} {'MAXLEN':>6} {'MAXIDX':>6} NAME"
        longest, index = ("?" if each is None else each for each in (row.maxlen, row.maxidx))
        yield f"{row.addr:016x} {row.chains:>6} {row.elems:>6} {longest:>6} {index:>6} {row.name}"
        if row.lengths is not None:
            yield f"{INSET}{'CHAIN':>6} {'LENGTH':>6}"
            yield from (f"{INSET}{chain:>6} {length:>6}" for chain, length in row.lengths.items())
        if row.entries is not None:
            yield f"{INSET}{'CHAIN':>6} {'ADDR':<16} {'VAL':<16} KEY"
            for each in row.entries:
                yield f"{INSET}{each.chain:>6} {each.addr:016x} {each.value:016x} {_key(each)}"


def _key(row: EntryRow) -> str:
    return f"{row.key:016x}" if row.text is None else row.text


@dcmd(
    "modhash",
    address="optional",
    synopsis="[-ce] [-k key] [-v value] [chain]",
    flags=(
        Flag("c", "how long each chain is"),
        Flag("e", "the entries"),
        Flag("k", "only entries with this key: a text where keys are texts, else a number", "text", "key"),
        Flag("v", "only entries with this value", "text", "value"),
    ),
    text=hash_lines,
    row=HashRow,
    guests=GUESTS,
)
def modhash(call: Call) -> Iterator[HashRow]:
    """list hash tables, the lengths of their chains, their entries

    Every hash table that mod_hash_create made, or the one at the address, with the length and the number of its longest
    chain. With the number of a chain only that chain is looked at. With -k or -v tables without such an entry are left
    out.

    Reads: mh_head, mod_hash_t (mh_name, mh_nchains, mh_hashalg, mh_stat, mh_entries, mh_next), struct mod_hash_entry.

    Example:
        ::modhash -k global
    """
    if len(call.args) > 1 or (call.args and call.address is None):
        raise call.usage("the number of a chain needs a table" if call.args else "")
    guest = illumos(call.guest)
    only = call.number(call.args[0]) if call.args else None
    value = call.number(call.flags["v"]) if "v" in call.flags else None
    chosen = {"k", "v"} & set(call.flags)
    for address in each_hash(guest) if call.address is None else call.addresses:
        table = read_hash(guest, address)
        entries: list[Entry] | None = None
        try:
            entries = list(each_entry(guest, address, only))
        except (BrokenHash, ReadFailed) as err:
            call.warn(f"failed to read the entries of {table.name}: {err}")
        wanted = [each for each in _rows(guest, table, entries or ()) if _is_wanted(call, each, value)]
        if wanted or not chosen:
            yield _row(table, entries, "c" in call.flags, wanted if chosen or "e" in call.flags else None)


def _rows(guest: Illumos, table: Hash, entries: Iterable[Entry]) -> Iterator[EntryRow]:
    for each in entries:
        text = text_at(guest, each.key) if table.by_text else None
        yield EntryRow(Vaddr(each.address), each.chain, Vaddr(each.key), Vaddr(each.value), text)


def _is_wanted(call: Call, row: EntryRow, value: int | None) -> bool:
    """Whether an entry has the key and the value that were asked for. A key that is no number is a text's only."""
    if value is not None and row.value != value:
        return False
    if "k" not in call.flags:
        return True
    if row.text is not None:
        return bool(row.text == call.flags["k"])
    try:
        return row.key == call.number(call.flags["k"])
    except DebuggerError:
        return False


def _row(table: Hash, entries: Sequence[Entry] | None, full: bool, shown: Sequence[EntryRow] | None) -> HashRow:
    lengths = Counter(each.chain for each in entries or ())
    index, longest = max(lengths.items(), key=lambda each: each[1], default=(0, 0))
    return HashRow(
        addr=Vaddr(table.address),
        chains=table.chains,
        elems=table.elements,
        maxlen=None if entries is None else longest,
        maxidx=None if entries is None else index,
        name=table.name,
        lengths=dict(lengths) if full else None,
        entries=shown,
    )


@dataclass(frozen=True)
class WordRow:
    """The key or the value of an entry of a hash table.

    word: it
    """

    word: Vaddr


ENTRY = Text("{addr:016x} {value:016x} {key:016x}", head=f"{'ADDR':<16} {'VAL':<16} KEY")
WORD = Text("{word:x}")


@dcmd(
    "modent",
    address="required",
    synopsis="[-k | -v]",
    flags=(Flag("k", "only the key"), Flag("v", "only the value")),
    text=ENTRY,
    row=EntryRow,
    guests=GUESTS,
)
def modent(call: Call) -> Iterator[EntryRow | WordRow]:
    """show an entry of a hash table

    Its value and its key; with -k or -v only one of them, which goes down a pipe.

    Reads: struct mod_hash_entry (mhe_key, mhe_val).

    Example:
        *task_hash::walk modent | ::modent -v | ::print task_t tk_tkid
    """
    if {"k", "v"} <= set(call.flags):
        raise call.usage("-k and -v exclude each other")
    call.text = WORD if call.flags else ENTRY
    for address in call.addresses:
        found = read_entry(illumos(call.guest), address)
        if call.flags:
            yield WordRow(Vaddr(found.key if "k" in call.flags else found.value))
        else:
            yield EntryRow(Vaddr(address), None, Vaddr(found.key), Vaddr(found.value), None)
