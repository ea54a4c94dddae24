"""What an address belongs to: ::whatis."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import Abort, DebuggerError
from vmdebug.guests.whatis import Belonging, Record, sources_of

HOMES = {"illumos": "genunix"}  # the module whose debugger module knows what an address is


@dataclass(frozen=True)
class WhatisRow:
    """What is known of an address.

    address: the address
    base: where the object begins that holds it, null where it has no beginning of its own
    symbol: the name and offset around an address in a module
    what: the object
    source: which knowledge this comes from, null for an address that nothing knows
    record: the lines of what an allocator keeps of the object
    """

    address: Vaddr
    base: Vaddr | None
    symbol: str | None
    what: str
    source: str | None
    record: Sequence[str]
    _place: str


def whatis_lines(rows: Iterable[WhatisRow], _: Show) -> Iterator[str]:
    """A line an object, above what is recorded of it."""
    for row in rows:
        yield f"{row.address:x} is {row._place}{row.what}{':' if row.record else ''}"
        yield from row.record


@dcmd(
    "whatis",
    address="required",
    flags=(
        Flag("a", "all that is known, not only the first"),
        Flag("b", "only where an allocator's record is, if it tells who asked for the object"),
        Flag("i", "the addresses are numbers that arenas of identifiers give out"),
        Flag("k", "keep the order of the addresses"),
        Flag("q", "only where an allocator's record is, not what it holds"),
        Flag("v", "tell which source is searched"),
    ),
    text=whatis_lines,
    row=WhatisRow,
    whole=True,
)
def whatis(call: Call) -> Iterator[WhatisRow]:
    """given an address, return information

    Asks, in this order, the modules (text, data, symbol tables), threads and their stacks, the structures of cpus and
    of pages, the caches of the kernel's allocator, its arenas, what else is registered for the guest, and last the
    mappings of the kernel. Of arenas those come first that take their memory from another. What an allocator recorded
    of an object follows it. Many addresses are reported in the order of what knows them.

    Reads: of illumos struct modctl (mod_mp), kthread_t (t_stk, t_stkbase), cpu_t (cpu_next), struct memseg (pages,
    epages), kmem_cache_t (cache_cpu, cache_full, cache_hash_table), kmem_slab_t (slab_base, slab_head), vmem_t
    (vm_cflags, vm_seg0), vmem_seg_t, the segments of kas; of Linux struct module (list), struct task_struct (stack,
    thread.sp), the per-CPU areas, struct page (flags), the slabs and the vmalloc areas.

    Example:
        fffffffffbc4b7f0::whatis
    """
    if call.piped and not call.kept:
        raise Abort("whatis: cannot be output into a pipe")
    rows = list(_each_row(call, list(dict.fromkeys(call.addresses))))
    if "k" in call.flags:
        rows.sort(key=lambda row: call.addresses.index(row.address))
    yield from rows


def _each_row(call: Call, addresses: list[int]) -> Iterator[WhatisRow]:
    """What the sources know, then the addresses that none knows."""
    known: set[int] = set()
    for each in sources_of(call.guest, identifiers="i" in call.flags):
        wanted = [address for address in addresses if "a" in call.flags or address not in known]
        if not wanted:
            break
        if "v" in call.flags:
            call.warn(f"Searching {HOMES.get(call.guest.kind, call.guest.kind)}`{each.name}...")
        try:
            for found in each.find(call.guest, wanted):
                if "a" in call.flags or found.address not in known:
                    known.add(found.address)
                    yield _row(call, found, each.name)
        except DebuggerError as err:
            call.warn(f"whatis: {each.name}: {err}")
    for address in addresses:
        if address not in known:
            yield WhatisRow(Vaddr(address), None, None, "unknown", None, (), "")


def _row(call: Call, found: Belonging, source: str) -> WhatisRow:
    symbol = call.session.show.symbol_or_empty(found.address) if found.named else ""
    offset = 0 if found.base is None else found.address - found.base
    place = f"{found.base:x}+{offset:x}, " if offset else ""
    base = None if found.base is None else Vaddr(found.base)
    place += f"{symbol}, " if symbol else ""
    record = () if call.flags.keys() & {"b", "q"} else _record(call, found)
    told = found.record if found.record and not record and _named(call, found.record) else None
    text = f"{told.name} {found.text}" if told else found.text
    return WhatisRow(Vaddr(found.address), base, symbol or None, text, source, record, place)


def _named(call: Call, record: Record) -> bool:
    """Whether the place of a record is told where its lines are not."""
    return record.audited or "b" not in call.flags


def _record(call: Call, found: Belonging) -> Sequence[str]:
    """The lines of a record; none where it cannot be read."""
    try:
        return list(found.record.lines(call.session.show.symbol)) if found.record else ()
    except DebuggerError as err:
        call.warn(f"whatis: {err}")
        return ()
