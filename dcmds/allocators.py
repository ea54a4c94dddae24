"""The memory allocators of illumos: ::kmem_cache ::vmem, the walkers kmem_cache and vmem."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.memory import each_arena, each_cache, read_arena

GUESTS = ("illumos",)
NAME, STEP = 22, 2  # columns of an arena's name, and those that a level takes


@walker("kmem_cache", guests=GUESTS)
def walk_kmem_cache(call: Call) -> Iterator[int]:
    """walk the caches of the kernel's allocator"""
    return each_cache(illumos(call.guest))


@walker("vmem", guests=GUESTS)
def walk_vmem(call: Call) -> Iterator[int]:
    """walk vmem structures in pre-fix, depth-first order"""
    return (arena for arena, _ in each_arena(illumos(call.guest)))


@dataclass(frozen=True)
class CacheRow:
    """A cache of the kernel's allocator.

    addr: its kmem_cache_t
    name: what it is called
    flags: how it works: what it audits, checks and leaves out
    cflags: how its creator wanted it
    bufsize: the bytes of a buffer
    buftotal: how many buffers it has
    """

    addr: Vaddr
    name: str
    flags: Hex
    cflags: Hex
    bufsize: int
    buftotal: int


CACHE = Text(
    "{addr:<16x} {name:<25} {flags:04x} {cflags:06x} {bufsize:>8} {buftotal:>8}",
    head=f"{'ADDR':<16} {'NAME':<25} {'FLAG':>4} {'CFLAG':>6} {'BUFSIZE':>8} {'BUFTOTL':>8}",
)


@dcmd(
    "kmem_cache",
    address="optional",
    flags=(Flag("n", "only caches whose name holds this", "text", "name"),),
    text=CACHE,
    row=CacheRow,
    guests=GUESTS,
)
def kmem_cache(call: Call) -> Iterator[CacheRow]:
    """print kernel memory caches

    Every cache, or the one at the address.

    Reads: kmem_cache_t from kmem_caches, in older kernels from kmem_null_cache.

    Example:
        ::kmem_cache -n alloc
    """
    guest = illumos(call.guest)
    for address in each_cache(guest) if call.address is None else [call.address]:
        found = guest.objects.at("kmem_cache_t", address)
        name = found["cache_name"].string()
        if call.flags.get("n", "") in name:
            flags, created = Hex(found["cache_flags"]), Hex(found["cache_cflags"])
            yield CacheRow(Vaddr(address), name, flags, created, found["cache_bufsize"], found["cache_buftotal"])


@dataclass(frozen=True)
class ArenaRow:
    """An arena of the allocator of address ranges.

    addr: its vmem_t
    depth: how many arenas its memory comes through
    name: what it is called
    inuse: bytes that are given out
    total: bytes that it has
    succeed: how often it gave out
    fail: how often it could not
    """

    addr: Vaddr
    depth: int
    name: str
    inuse: int
    total: int
    succeed: int
    fail: int


def arena_lines(rows: Iterable[ArenaRow], _: Show) -> Iterator[str]:
    """A line an arena, below the one that its memory comes from."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':<16} {'NAME':<{NAME}} {'INUSE':>10} {'TOTAL':>12} {'SUCCEED':>9} {'FAIL':>5}"
        name = f"{'':{STEP * row.depth}}{row.name}"
        yield f"{row.addr:016x} {name:<{NAME}} {row.inuse:>10} {row.total:>12} {row.succeed:>9} {row.fail:>5}"


@dcmd("vmem", address="optional", text=arena_lines, row=ArenaRow, guests=GUESTS)
def vmem(call: Call) -> Iterator[ArenaRow]:
    """print a vmem_t

    Every arena below the one that its memory comes from, or the one at the address.

    Reads: vmem_t from vmem_list along vm_next, vm_source, vm_kstat.

    Example:
        ::vmem
    """
    guest = illumos(call.guest)
    for address, depth in each_arena(guest) if call.address is None else [(call.address, 0)]:
        found = read_arena(guest, address, depth)
        yield ArenaRow(
            addr=Vaddr(address),
            depth=depth,
            name=found.name,
            inuse=found.used,
            total=found.total,
            succeed=found.allocations,
            fail=found.failures,
        )
