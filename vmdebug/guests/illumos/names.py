"""Names of vnodes: the directory name lookup cache, and the paths that follow from it.

Each entry says which vnode a name in a directory refers to; entries hang in rings, one for each bucket of a hash table.
Specified in: sys/dnlc.h, sys/vnode.h, sys/vfs.h of illumos.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import BrokenList, read_sparse

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_BUCKETS = 1 << 20
MAX_NAMES = 1 << 22
MAX_DEPTH = 1 << 10  # directories above a file
VROOT = 0x01  # v_flag: the root of what is mounted


class BrokenNames(DebuggerError):
    """The cache cannot be read to its end."""


@dataclass(frozen=True)
class CachedName:
    """An ncache_t: the vnode that it names, the directory that the name is in, the name."""

    address: int
    vnode: int
    directory: int
    name: str


def each_cached_name(guest: "Illumos", warn: Callable[[str], None]) -> Iterator[CachedName]:
    """Every entry of the cache; a chain that is broken is told to `warn`, and the others go on."""
    cache = _Cache(guest)
    for bucket, first in cache.buckets(warn):
        try:
            yield from cache.chain(bucket, first)
        except ReadFailed as err:
            warn(f"failed to read the chain of names at {bucket:x}: {err}")


class _Cache:
    """The hash table of names. There may be very many: an entry's members are taken from its bytes, not one by one."""

    def __init__(self, guest: "Illumos") -> None:
        self.read = guest.target.read
        self.guest = guest
        self.next, self.vnode, self.directory, self.length, self.name = (
            guest.objects.offsetof("ncache_t", member) for member in ("hash_next", "vp", "dp", "namlen", "name")
        )
        self.seen = set[int]()

    def buckets(self, warn: Callable[[str], None]) -> Iterator[tuple[int, int]]:
        """Where each bucket is that has entries, with the first of them."""
        guest, size = self.guest, self.guest.objects.sizeof("nc_hash_t")
        count = guest.variable("nc_hashsz", signed=True)
        if not 0 <= count <= MAX_BUCKETS:
            raise BrokenNames(f"the cache of names says that it has {count} buckets")
        table, link = guest.variable("nc_hash"), guest.objects.offsetof("nc_hash_t", "hash_next")
        data, missing = read_sparse(self.read, table, size * count, "nc_hash")
        if missing:
            warn(f"nc_hash at {table:x}: {missing} of {size * count} bytes are missing")
        for place in range(0, size * count, size):
            first = _word(data, place + link)
            if first not in (0, table + place):
                yield table + place, first

    def chain(self, bucket: int, entry: int) -> Iterator[CachedName]:
        """The entries of a ring that ends at its bucket."""
        while entry and entry != bucket:
            if entry in self.seen:
                raise BrokenList(entry, f"{entry:x} is in it, or in another, before")
            if len(self.seen) >= MAX_NAMES:
                raise BrokenNames(f"the cache holds more than {MAX_NAMES} names")
            self.seen.add(entry)
            data = self.read(entry, self.name)
            text = self.read(entry + self.name, data[self.length]).decode("utf-8", "backslashreplace")
            yield CachedName(entry, _word(data, self.vnode), _word(data, self.directory), text)
            entry = _word(data, self.next)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


class Paths:
    """Paths by the cache, which is read when the first is asked for."""

    def __init__(self, guest: "Illumos", warn: Callable[[str], None]) -> None:
        self.guest = guest
        self.warn = warn

    @cached_property
    def above(self) -> dict[int, tuple[int, str]]:
        """Of each vnode the directory that it is in, and its name there."""
        found: dict[int, tuple[int, str]] = {}
        absent = self.guest.symbols.find("negative_cache_vnode")  # what names refer to that no file has
        for each in each_cached_name(self.guest, self.warn):
            if each.name not in (".", "..") and not (absent and each.vnode == absent.value):
                found.setdefault(each.vnode, (each.directory, each.name))
        return found

    def find(self, vnode: int) -> str | None:
        """The path of a vnode; it begins with `??` where a directory is not in the cache. None: the vnode is not."""
        root, parts, seen = self.guest.find_variable("rootdir"), list[str](), set[int]()
        while vnode not in seen and len(seen) < MAX_DEPTH:
            if vnode == root:
                return "/" + "/".join(reversed(parts))
            seen.add(vnode)
            covered = self._covered(vnode)
            if covered is not None:
                vnode = covered
            elif vnode in self.above:
                vnode, name = self.above[vnode]
                parts.append(name)
        return "/".join(["??", *reversed(parts)]) if parts else None

    def _covered(self, vnode: int) -> int | None:
        """The vnode on which is mounted what this one is the root of."""
        try:
            found = self.guest.objects.at("vnode_t", vnode)
            mounted = found["v_flag"] & VROOT and found["v_vfsp"] and found["v_vfsp"]["vfs_vnodecovered"]
            return int(mounted) or None
        except DebuggerError:
            return None
