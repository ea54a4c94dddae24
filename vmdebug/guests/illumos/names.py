"""Names of vnodes: the directory name lookup cache, and the paths that follow from it.

Each entry says which vnode a name in a directory refers to; entries hang in rings, one for each bucket of a hash table.
Specified in: sys/dnlc.h, sys/vnode.h, sys/vfs.h of illumos.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.types.lists import each_linked
from vmdebug.types.typed import Typed

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
    seen = set[int]()
    for bucket in _buckets(guest):
        try:
            yield from _chain(guest, bucket, seen)
        except DebuggerError as err:
            if len(seen) >= MAX_NAMES:
                raise
            warn(f"failed to read the chain of names at {int(bucket):x}: {err}")


def _buckets(guest: "Illumos") -> Iterator[Typed]:
    count = guest.variable("nc_hashsz", signed=True)
    if not 0 <= count <= MAX_BUCKETS:
        raise BrokenNames(f"the cache of names says that it has {count} buckets")
    first, size = guest.variable("nc_hash"), guest.objects.sizeof("nc_hash_t")
    return (guest.objects.at("nc_hash_t", first + size * number) for number in range(count))


def _chain(guest: "Illumos", bucket: Typed, seen: set[int]) -> Iterator[CachedName]:
    end, first = int(bucket), int(bucket["hash_next"])
    if first in (0, end):
        return
    for address in each_linked(guest.objects, first, guest.objects.offsetof("ncache_t", "hash_next"), end):
        if address in seen:
            raise BrokenNames(f"{address:x} is in another chain too")
        if len(seen) >= MAX_NAMES:
            raise BrokenNames(f"the cache holds more than {MAX_NAMES} names")
        seen.add(address)
        yield read_cached_name(guest, address)


def read_cached_name(guest: "Illumos", address: int) -> CachedName:
    """An entry of the cache; its name has no NUL."""
    found = guest.objects.at("ncache_t", address)
    start = address + guest.objects.offsetof("ncache_t", "name")
    name = guest.target.read(start, found["namlen"]).decode("utf-8", "backslashreplace")
    return CachedName(address, int(found["vp"]), int(found["dp"]), name)


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
