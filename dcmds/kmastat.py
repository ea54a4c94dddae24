"""What illumos' allocators count: ::kmastat."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Literal

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.kmem_usage import Share, Usage, by_arena, read_usage
from vmdebug.guests.illumos.memory import Arena, each_arena, each_cache, read_arena

GUESTS = ("illumos",)
Columns = Sequence[tuple[str, str, int]]  # two words of the head, and the width
NAME = 25
CACHES: Columns = (
    ("cache", "name", NAME),
    ("buf", "size", 6),
    ("buf", "in use", 6),
    ("buf", "total", 6),
    ("memory", "in use", 11),
    ("alloc", "succeed", 9),
    ("alloc", "fail", 5),
)
ARENAS: Columns = (
    ("vmem", "name", NAME),
    ("memory", "in use", 10),
    ("memory", "total", 11),
    ("memory", "import", 10),
    ("alloc", "succeed", 9),
    ("alloc", "fail", 5),
)
STEP = 4  # columns that a level of arenas takes
UNITS = {"k": 10, "m": 20, "g": 30}


@dataclass(frozen=True)
class UsageRow:
    """A cache, what all caches of an arena take together, or an arena. What does not apply is null.

    addr: the kmem_cache_t, or the vmem_t
    kind: cache, total or arena
    name: what the cache or the arena is called
    depth: how many arenas an arena takes its memory through
    buf_size: the bytes of a buffer
    buf_inuse: how many buffers are given out
    buf_total: how many buffers there are
    memory: bytes of the slabs, or what an arena gave out
    memory_total: bytes that an arena has
    memory_import: bytes that it has from the one above it
    succeed: how often it gave out
    fail: how often it could not
    """

    addr: Vaddr
    kind: Literal["cache", "total", "arena"]
    name: str
    depth: int
    buf_size: int | None
    buf_inuse: int | None
    buf_total: int | None
    memory: int
    memory_total: int | None
    memory_import: int | None
    succeed: int
    fail: int


def usage_lines(rows: Iterable[UsageRow], _: Show, unit: str = "") -> Iterator[str]:
    """A table of caches, which ends in the arenas' totals, and one of arenas; sizes in a unit, bytes without one."""

    def size(value: int | None) -> str:
        return f"{(value or 0) >> UNITS.get(unit, 0)}{unit.upper() or 'B'}"

    for kind, group in groupby(rows, key=lambda row: row.kind):
        columns = ARENAS if kind == "arena" else CACHES
        if kind != "total":
            yield from ("".join(_cells(columns, [each[place] for each in columns])) for place in (0, 1))
            yield _dashes(columns)
        for row in group:
            yield "".join(
                _cells(columns, _values(row, size(row.memory), size(row.memory_total), size(row.memory_import)))
            )
        yield _dashes(columns)
        if kind == "total":
            yield ""


def _values(row: UsageRow, memory: str, total: str, imported: str) -> Sequence[object]:
    counts = (row.succeed, row.fail)
    if row.kind == "cache":
        return (row.name, row.buf_size, row.buf_inuse, row.buf_total, memory, *counts)
    if row.kind == "total":
        return (f"Total [{row.name}]", "", "", "", memory, *counts)
    return (f"{'':{STEP * row.depth}}{row.name}", memory, total, imported, *counts)


def _cells(columns: Columns, values: Sequence[object]) -> Iterator[str]:
    for place, ((_, _, width), value) in enumerate(zip(columns, values, strict=True)):
        yield f" {value!s:>{width}}" if place else f"{value!s:<{width}}"


def _dashes(columns: Columns) -> str:
    return " ".join("-" * width for _, _, width in columns)


@dcmd(
    "kmastat",
    flags=(Flag("k", "sizes in KiB"), Flag("m", "sizes in MiB"), Flag("g", "sizes in GiB")),
    text=usage_lines,
    row=UsageRow,
    guests=GUESTS,
)
def kmastat(call: Call) -> Iterator[UsageRow]:
    """kernel memory allocator stats

    Of each cache its buffers, the memory of its slabs, and how often it gave out; a full magazine that a cpu took from
    the depot counts once more, as in mdb. Then what the caches of each arena take together, and all arenas,
    each below the one that its memory comes from. Sizes are in bytes, or in the unit of the option.

    Reads: kmem_cache_t (cache_arena, cache_buftotal, cache_slab_alloc, cache_full, cache_cpu), kmem_slab_t
    (slab_refcnt, slab_chunks), vmem_t (vm_source, vm_kstat).

    Example:
        ::kmastat -k
    """
    units = [unit for unit in UNITS if unit in call.flags]
    if len(units) > 1:
        raise call.usage("only one of -k, -m and -g may be specified")
    call.text = partial(usage_lines, unit="".join(units))
    guest, caches = illumos(call.guest), list[Usage]()
    for address in each_cache(guest):
        try:
            caches.append(read_usage(guest, address))
        except DebuggerError as err:
            call.warn(f"failed to read the cache at {address:x}: {err}")
            continue
        yield _cache_row(caches[-1])
    yield from _arena_rows(guest, by_arena(caches))


def _arena_rows(guest: Illumos, shares: dict[int, Share]) -> Iterator[UsageRow]:
    """The totals of those arenas that caches took something from, then all arenas."""
    arenas = [read_arena(guest, address, depth) for address, depth in each_arena(guest)]
    for arena in arenas:
        share = shares.get(arena.address)
        if share and share.allocations:
            yield _total_row(arena, share)
    yield from map(_arena_row, arenas)


def _cache_row(cache: Usage) -> UsageRow:
    return UsageRow(
        addr=Vaddr(cache.address),
        kind="cache",
        name=cache.name,
        depth=0,
        buf_size=cache.size,
        buf_inuse=cache.used,
        buf_total=cache.buffers,
        memory=cache.memory,
        memory_total=None,
        memory_import=None,
        succeed=cache.allocations,
        fail=cache.failures,
    )


def _total_row(arena: Arena, share: Share) -> UsageRow:
    counts = (share.allocations, share.failures)
    return UsageRow(Vaddr(arena.address), "total", arena.name, 0, None, None, None, share.memory, None, None, *counts)


def _arena_row(arena: Arena) -> UsageRow:
    return UsageRow(
        addr=Vaddr(arena.address),
        kind="arena",
        name=arena.name,
        depth=arena.depth,
        buf_size=None,
        buf_inuse=None,
        buf_total=None,
        memory=arena.used,
        memory_total=arena.total,
        memory_import=arena.imported,
        succeed=arena.allocations,
        fail=arena.failures,
    )
