"""Whether buffers of illumos' slab allocator were overwritten: ::kmem_verify."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.kmem import Cache
from vmdebug.guests.illumos.kmem_verify import is_verifiable, verify
from vmdebug.guests.illumos.memory import each_cache

GUESTS = ("illumos",)
NAME = 31


class NothingToVerify(DebuggerError):
    def __init__(self) -> None:
        super().__init__("no cache has redzones (neither KMF_REDZONE nor KMF_DEADBEEF is set for any)")


@dataclass(frozen=True)
class DamageRow:
    """A buffer that was overwritten.

    buffer: the buffer
    state: allocated or free
    what: what was overwritten
    """

    buffer: Vaddr
    state: str
    what: str


@dataclass(frozen=True)
class VerifiedRow:
    """A cache that was verified.

    addr: its kmem_cache_t
    name: what it is called
    corrupt: how many of its buffers were overwritten
    buffers: those buffers
    """

    addr: Vaddr
    name: str
    corrupt: int
    buffers: Sequence[DamageRow]


def table_lines(rows: Iterable[VerifiedRow], _: Show) -> Iterator[str]:
    """A line a cache."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'Cache Name':<{NAME}} {'Addr':<16} Cache Integrity"
        found = f"{row.corrupt} corrupt buffer{'s' * (row.corrupt != 1)}" if row.corrupt else "clean"
        yield f"{row.name:<{NAME}} {row.addr:016x} {found}"


def cache_lines(rows: Iterable[VerifiedRow], _: Show) -> Iterator[str]:
    """Each corrupt buffer."""
    for row in rows:
        yield f"Summary for cache '{row.name}'"
        yield from (f"  buffer {each.buffer:x} ({each.state}): {each.what} overwritten" for each in row.buffers)
        if not row.buffers:
            yield "  clean"


@dcmd("kmem_verify", address="optional", text=table_lines, row=VerifiedRow, guests=GUESTS)
def kmem_verify(call: Call) -> Iterator[VerifiedRow]:
    """check integrity of kmem-managed memory

    Of each cache whose flags have KMF_REDZONE or KMF_DEADBEEF: how many buffers were written to where they should not.
    Given the address of a cache, which buffers those are: one that is given out behind its end, a free one anywhere.

    Reads: kmem_cache_t (cache_flags, cache_verify, cache_buftag), kmem_slab_t, all buffers with their kmem_buftag_t.

    Example:
        ::kmem_verify
    """
    guest = illumos(call.guest)
    if call.address is not None:
        call.text = cache_lines
        yield _verified(call, guest, Cache(guest, call.address))
        return
    caches = [cache for address in each_cache(guest) if is_verifiable(cache := Cache(guest, address))]
    if not caches:
        raise NothingToVerify
    for cache in caches:
        try:
            yield _verified(call, guest, cache)
        except DebuggerError as err:
            call.warn(f"failed to verify {cache.name}: {err}")


def _verified(call: Call, guest: Illumos, cache: Cache) -> VerifiedRow:
    found = verify(guest, cache)
    if found.unread:
        call.warn(f"{found.unread} buffers of {found.name} cannot be read")
    buffers = [
        DamageRow(Vaddr(each.buffer), "allocated" if each.given else "free", each.what) for each in found.damages
    ]
    return VerifiedRow(Vaddr(cache.address), found.name, len(buffers), buffers)
