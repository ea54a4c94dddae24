"""What types memory is of: ::typegraph ::whattype ::istype ::notype ::findlocks ::findfalse of illumos."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.locks import read_mutex
from vmdebug.guests.illumos.typegraph import CONJECTURED, FRAGMENT, KNOWN, VARIABLE, Finding, build, graph_of
from vmdebug.types.model import Aggregate, Array, Type
from vmdebug.types.paths import covering

GUESTS = ("illumos",)
WORDS = {KNOWN: "known", CONJECTURED: "conjectured", FRAGMENT: "fragment"}
INDENT = " " * 4
LINE = 64  # bytes of a cache line of x86: what different cpus change in one of these they take from each other


@dataclass(frozen=True)
class PassRow:
    """How far the search for types had come.

    step: initial, before the first pass, then 1 and 2
    nodes: variables and buffers
    unmarked: those of which nothing is known
    known: those whose type is known
    conjectured: those that have a type or several that may be wrong
    fragments: those of which something is known of a part only
    conflicts: those conjectured to which pointers of several types lead
    """

    step: str
    nodes: int
    unmarked: int
    known: int
    conjectured: int
    fragments: int
    conflicts: int


def pass_lines(rows: Iterable[PassRow], _: Show) -> Iterator[str]:
    """A block of lines a pass, and an empty one behind it."""
    for row in rows:
        shares = (
            ("unmarked", row.unmarked),
            ("known", row.known),
            ("conjectured", row.conjectured),
            ("conjectured fragments", row.fragments),
            ("known or conjectured", row.known + row.conjectured + row.fragments),
        )
        yield _told("pass", row.step)
        yield _told("nodes", row.nodes)
        for label, count in shares:
            yield _told(label, f"{count:<8} ({100 * count / max(row.nodes, 1):.1f}%)")
        yield _told("conflicts", row.conflicts)
        yield "typegraph:"


def _told(label: str, what: object) -> str:
    return f"typegraph: {label:>24} => {what}"


@dcmd("typegraph", text=pass_lines, row=PassRow, guests=GUESTS)
def typegraph(call: Call) -> Iterator[PassRow]:
    """build type graph

    Finds out of what types the kernel's buffers are, for ::whattype, ::findlocks and ::findfalse, which ask what was
    found here last. The nodes of the graph are the variables of the kernel whose types are known, and all buffers that
    the allocators gave out; the edges are the words of one that point into another.

    What is known at first are the types of the variables, and of the buffers of caches that are for one type
    (thread_cache and others). Pass 1 goes along the pointers of what is known: where a pointer to a structure leads to
    the beginning of a buffer that has room for one but not for two of them, and no pointer says otherwise, the buffer
    is of that type. Pass 2 takes buffers that have room for more as arrays of that type, and goes on along their
    pointers; that is conjecture, and all that follows from it. A buffer to whose beginning pointers of several types
    lead may be any of them (a conflict), unless one of the types begins with all others. A buffer that pointers lead
    into, but not to its beginning, has conjectured fragments. Pointers to void say nothing.

    Reads: the kernel's type data, its variables, all that ::findleaks reads of the allocators.

    Example:
        ::typegraph
    """
    for each in build(illumos(call.guest), call.warn).passes:
        yield PassRow(
            step=each.name,
            nodes=each.nodes,
            unmarked=each.unmarked,
            known=each.known,
            conjectured=each.conjectured,
            fragments=each.fragments,
            conflicts=each.conflicts,
        )


@dataclass(frozen=True)
class Inner:
    """A part of a node.

    offset: how far from its beginning
    type: what pointers say that it is
    """

    offset: int
    type: str


@dataclass(frozen=True)
class Pointing:
    """A word that points into a node.

    address: where it is
    offset: how far from the beginning of the node it leads
    type: the type of what holds it, null where that is not known
    member: which part of that it is, null where the type is not known
    """

    address: Vaddr
    offset: int
    type: str | None
    member: str | None


@dataclass(frozen=True)
class WhattypeRow:
    """What type an address is of.

    address: the address
    base: where the variable or buffer begins that holds it
    size: the bytes of that
    state: known, conjectured, fragment or unknown
    types: the type; where it is conjectured perhaps several
    count: how many of a single type it has room for
    member: the member of that type at the address, empty where the address is the beginning
    fragments: what is known of parts of it
    owner: the cache or arena that it comes from, or variable
    references: with -v the words that point into it, else empty
    """

    address: Vaddr
    base: Vaddr
    size: int
    state: str
    types: Sequence[str]
    count: int
    member: str
    fragments: Sequence[Inner]
    owner: str
    references: Sequence[Pointing]
    _given: bool
    _verbose: bool


def whattype_lines(rows: Iterable[WhattypeRow], show: Show) -> Iterator[str]:
    """A line an address; more where several types are possible, and with -v where the knowledge comes from."""
    for row in rows:
        member = f" ({row.member})" if row.member else ""
        place = f"{row.address:x} is {row.base:x}+{row.address - row.base:x}, "
        if row.state == "known":
            yield f"{place}{row.types[0]}{member}"
        elif len(row.types) == 1:
            array = f" [{row.count}]" if row.count > 1 else ""
            yield f"{place}possibly {row.types[0]}{array}{member}"
        elif row.types:
            yield f"{place}possibly one of the following:"
            yield from (f"{INDENT}{name}" for name in row.types)
        elif row.fragments:
            yield f"{place}unknown, but with parts in it:"
        else:
            yield f"{place}unknown type"
        if row._verbose or (row.fragments and not row.types):
            yield from (f"{INDENT}{row.base + each.offset:x}: {each.type}" for each in row.fragments)
        if row._verbose:
            yield from _reasons(row, show)


def _reasons(row: WhattypeRow, show: Show) -> Iterator[str]:
    """Why the type is what it is, and the words that point into the buffer."""
    why = "by the pointers to it" if row.state != "unknown" else "no typed pointer leads to it"
    name = show.symbol(row.base) if row.owner == VARIABLE else row.owner
    yield f"{INDENT}{row.size:#x} bytes of {name}; {row.state}: {'given' if row._given else why}"
    for each in row.references:
        member = f" ({each.member})" if each.member else ""
        holder = show.symbol_or_empty(each.address) or (f"{each.type}{member}" if each.type else "unknown type")
        yield f"{INDENT}{each.address:x} points to +{each.offset:x}, in {holder}"


@dcmd(
    "whattype",
    address="required",
    flags=(Flag("v", "where the knowledge comes from, and every pointer into the buffer"),),
    text=whattype_lines,
    row=WhattypeRow,
    guests=GUESTS,
)
def whattype(call: Call) -> Iterator[WhattypeRow]:
    """determine type of memory object

    What ::typegraph found of the variable or buffer that the address lies in: its type, and the member at the address.
    `possibly` says that this is conjecture: the buffer has room for several of the type, which then is taken for an
    array ([n]); or the pointer that says so lies in such a buffer; or pointers of several types lead here.

    Reads: what ::typegraph found.

    Example:
        ::typegraph; *streams_taskq::whattype
    """
    graph = graph_of(illumos(call.guest))
    for address in call.addresses:
        found = graph.find(address)
        pointing = [
            Pointing(Vaddr(each.base + each.offset), each.value - found.base, *_holder(each.type, each.offset))
            for each in (graph.references(address) if "v" in call.flags else ())
        ]
        yield WhattypeRow(
            address=Vaddr(address),
            base=Vaddr(found.base),
            size=found.size,
            state=WORDS.get(found.state, "unknown"),
            types=[each.spelled for each in found.types],
            count=found.size // found.step if found.step else 0,
            member=_member_at(found, address),
            fragments=[Inner(at, each.spelled) for at, each in found.fragments],
            owner=found.owner,
            references=pointing,
            _given=found.given,
            _verbose="v" in call.flags,
        )


def _member_at(found: Finding, address: int) -> str:
    """The member at an address, empty at the beginning of a value of the type, and where that is not known."""
    offset = (address - found.base) % found.step if found.step else 0
    return _path(found.types[0], offset) if offset else ""


def _holder(type_: Type | None, offset: int) -> tuple[str | None, str | None]:
    return (None, None) if type_ is None else (type_.spelled, _path(type_, offset % max(type_.size, 1)))


def _path(type_: Type, offset: int) -> str:
    """The member of a type that covers an offset, with how far from its beginning, where it does not begin there.

    Empty at the beginning of what has no members.
    """
    if not isinstance(type_.complete(), Aggregate | Array):
        return f"+{offset:x}" if offset else ""
    try:
        path, place = covering(type_, offset)
    except DebuggerError:  # a hole between members
        return f"+{offset:x}"
    return path + (f"+{offset - place.address:x}" if offset != place.address else "")


@dcmd("istype", address="required", synopsis="type", guests=GUESTS)
def istype(call: Call) -> None:
    """specify type of memory object

    Says of which type the variable or buffer is that the address lies in, and draws the conclusions from its pointers.
    What was concluded before stays.

    Reads: what ::typegraph found, the kernel's type data.

    Example:
        ::typegraph; fffffffec8005000::istype taskq_ent_t
    """
    if not call.args:
        raise call.usage()
    guest = illumos(call.guest)
    type_ = guest.types.find(" ".join(map(str, call.args)))
    for address in call.addresses:
        graph_of(guest).istype(address, type_)


@dcmd("notype", address="required", guests=GUESTS)
def notype(call: Call) -> None:
    """delete type of memory object

    Takes away what is known of the variable or buffer that the address lies in; no pointer gives it a type again, until
    ::istype or ::typegraph does. What was concluded from its type stays.

    Reads: what ::typegraph found.

    Example:
        ::typegraph; fffffffec8005000::notype
    """
    for address in call.addresses:
        graph_of(illumos(call.guest)).notype(address)


@dataclass(frozen=True)
class LockRow:
    """A mutex that a thread holds.

    addr: the mutex
    type: the type of what it lies in
    member: which member of that it is, empty where the mutex is all of it
    owner: the thread
    """

    addr: Vaddr
    type: str
    member: str
    owner: Vaddr


def lock_lines(rows: Iterable[LockRow], _: Show) -> Iterator[str]:
    for row in rows:
        yield f"found {row.addr:x} of type {row.type}{f' ({row.member})' if row.member else ''}, owned by {row.owner:x}"


@dcmd("findlocks", address="required", text=lock_lines, row=LockRow, guests=GUESTS)
def findlocks(call: Call) -> Iterator[LockRow]:
    """find locks held by specified thread

    Looks at every mutex in the variables and buffers whose types ::typegraph found, those that are conjectured too:
    which of them the thread at the address holds. Spin mutexes do not say who holds them.

    Reads: what ::typegraph found, mutex_impl_t.

    Example:
        ::typegraph; ffffff00010bfc80::findlocks
    """
    guest = illumos(call.guest)
    for found in graph_of(guest).each_lock(guest, call.addresses):
        owner = read_mutex(guest, found.address).owner
        member = "" if found.type.spelled == "struct mutex" else _path(found.type, found.offset)
        yield LockRow(Vaddr(found.address), found.type.spelled, member, Vaddr(owner))


@dataclass(frozen=True)
class FalseRow:
    """An array whose elements different cpus may take from each other.

    addr: the array
    symbol: the variable that it is, empty for a buffer
    type: of one element
    size: the bytes of one element
    total: the bytes of all
    mutexes: where the mutexes of an element lie
    """

    addr: Vaddr
    symbol: str
    type: str
    size: int
    total: int
    mutexes: Sequence[int]
    _verbose: bool


def false_lines(rows: Iterable[FalseRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':>16} {'SYMBOL':<28} {'TYPE':<24} {'SZ':>4} {'TOTSIZE':>8}"
        yield f"{row.addr:16x} {row.symbol or '-':<28} {row.type:<24} {row.size:>4} {row.total:>8}"
        if row._verbose:
            places = ", ".join(f"+{at:x}" for at in row.mutexes)
            yield f"{INDENT}{LINE // row.size} elements share a line of {LINE} bytes, each with a mutex at {places}"


@dcmd(
    "findfalse",
    flags=(Flag("v", "how many elements share a cache line, and where their mutexes are"),),
    text=false_lines,
    row=FalseRow,
    guests=GUESTS,
)
def findfalse(call: Call) -> Iterator[FalseRow]:
    """find potentially falsely shared structures

    Arrays of structures that have a mutex and are smaller than a cache line of 64 bytes: cpus that hold different
    mutexes of these wait for each other's cache lines. Variables, and buffers that ::typegraph takes for arrays.

    Reads: what ::typegraph found.

    Example:
        ::typegraph; ::findfalse -v
    """
    for node in graph_of(illumos(call.guest)).each_array():
        if node.mutexes and node.many > 1 and node.size < LINE:
            yield FalseRow(
                addr=Vaddr(node.base),
                symbol=call.session.show.symbol_or_empty(node.base),
                type=node.type.spelled,
                size=node.size,
                total=node.size * node.many,
                mutexes=node.mutexes,
                _verbose="v" in call.flags,
            )
