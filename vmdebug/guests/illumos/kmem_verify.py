"""Whether the buffers of a cache are as the slab allocator left them.

Behind each buffer of a cache whose flags have KMF_REDZONE or KMF_DEADBEEF lies a kmem_buftag_t: a pattern that nobody
else writes to, and the address of the bufctl, twice, which tells whether the buffer is given out. With KMF_DEADBEEF a
free buffer is filled with another pattern. Of a buffer that kmem_alloc gave out the first pattern ends in the size
that was asked for; a byte follows the last byte of that. Specified in: sys/kmem_impl.h of illumos.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.kmem import HASH, BrokenCache, Cache

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

DEADBEEF, REDZONE, LITE = 0x2, 0x4, 0x100  # KMF_DEADBEEF, KMF_REDZONE, KMF_LITE
FREE_PATTERN = struct.pack("<Q", 0xDEADBEEF_DEADBEEF)
REDZONE_PATTERN = 0xFEEDFACE_FEEDFACE
REDZONE_BYTE = 0xBB
ALLOCATED, FREED = 0xA110C8ED, 0xF4EEF4EE  # KMEM_BUFTAG_ALLOC, KMEM_BUFTAG_FREE
SIZE_FACTOR = 251  # a size is kept as 251 times itself and one
TAG = struct.Struct("<QQQ")  # kmem_buftag_t: bt_redzone, bt_bufctl, bt_bxstat
WORD = 8
MAX_BUFFER = 1 << 24  # no cache has larger ones


class NotVerifiable(DebuggerError):
    def __init__(self, cache: int, name: str) -> None:
        super().__init__(f"cache {cache:x} ({name}) has no redzones (neither KMF_REDZONE nor KMF_DEADBEEF is set)")
        self.cache = cache


@dataclass(frozen=True)
class Damage:
    """A buffer that was written to where it should not: whether it is given out, and what was overwritten."""

    buffer: int
    given: bool
    what: str


@dataclass(frozen=True)
class Finding:
    """What was found out about a cache: its damaged buffers, and how many cannot be read."""

    name: str
    damages: Sequence[Damage]
    unread: int


def is_verifiable(cache: Cache) -> bool:
    """True if there is something behind its buffers that can be checked."""
    return bool(cache.record["cache_flags"] & (DEADBEEF | REDZONE))


def verify(guest: "Illumos", cache: Cache) -> Finding:
    """All buffers of a cache. NotVerifiable where there is nothing to check."""
    if not is_verifiable(cache):
        raise NotVerifiable(cache.address, cache.name)
    checks, found, unread = Checks(cache), [], 0
    for buffer, given in _each_buffer(cache):
        try:
            data = guest.target.read(buffer, checks.size)
        except ReadFailed:
            unread += 1
            continue
        what = checks.taken(data) if given else checks.free(data, buffer)
        if what:
            found.append(Damage(buffer, given, what))
    return Finding(cache.name, found, unread)


def _each_buffer(cache: Cache) -> Iterator[tuple[int, bool]]:
    """The buffers that are given out, then the others."""
    yield from ((buffer, True) for buffer in cache.allocated())
    yield from ((buffer, False) for buffer in cache.free())


class Checks:
    """What the buffers of a cache are to look like. Each check answers what was overwritten, None if nothing was."""

    def __init__(self, cache: Cache) -> None:
        record = cache.record
        self.flags: int = record["cache_flags"]
        self.filled: int = record["cache_verify"]
        self.tag: int = record["cache_buftag"]
        self.size = self.tag + TAG.size
        room = min(record["cache_chunksize"], MAX_BUFFER)
        if self.filled > self.tag or self.size > room:
            raise BrokenCache(
                cache.address, f"{self.filled:#x} bytes and a tag behind {self.tag:#x} do not fit into {room:#x}"
            )

    def taken(self, data: bytes) -> str | None:
        """A buffer that is given out: the redzone, or the size in it and the byte behind the last, then the tag."""
        redzone, bufctl, state = TAG.unpack_from(data, self.tag)
        if redzone != REDZONE_PATTERN:
            asked, rest = divmod(redzone >> 32, SIZE_FACTOR)
            if rest != 1 or asked >= len(data):
                return "redzone size"
            if data[asked] != REDZONE_BYTE:
                return f"redzone behind {asked} bytes"
        return None if bufctl ^ ALLOCATED == state else "buftag"

    def free(self, data: bytes, buffer: int) -> str | None:
        """A buffer that is free: the pattern that fills it, the redzone, the tag.

        Caches with KMF_LITE keep the first word of the buffer in the place of the redzone.
        """
        if self.flags & DEADBEEF and (place := _differs(data[: self.filled // WORD * WORD])) is not None:
            return f"contents at {buffer + place:x}"
        redzone, bufctl, state = TAG.unpack_from(data, self.tag)
        if self.flags & (HASH | LITE) == HASH and redzone != REDZONE_PATTERN:
            return "redzone"
        return None if bufctl ^ FREED == state else "buftag"


def _differs(data: bytes) -> int | None:
    """The first word that is not the pattern of free buffers."""
    if data == FREE_PATTERN * (len(data) // WORD):
        return None
    return next(place for place in range(0, len(data), WORD) if data[place : place + WORD] != FREE_PATTERN)
