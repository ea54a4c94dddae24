"""Anonymous memory: the slots of an anon_map, the segments of processes that have one, what of it is in memory.

A small anon_map has its slots in one array. A larger one has an array of chunks, each a page of slots, unless its
header asks for one array nevertheless. A slot is a pointer to a struct anon, whose vnode and offset name its page.
Specified in: vm/anon.h, vm/seg_vn.h of illumos.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from formats.frames import PAGE_SIZE
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.memory import segment
from vmdebug.guests.illumos.pages import find_named
from vmdebug.guests.memory import MAX_TABLE, BrokenList, TableTooLarge, read_word

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos
    from vmdebug.types.typed import Typed

POINTER = 8  # bytes
CHUNK = PAGE_SIZE // POINTER  # slots
BUSY = POINTER - 1  # bits of a slot that are no address
ONE_ARRAY = 0x2  # ANON_ALLOC_FORCE

Name = tuple[int, int]  # of a page: its vnode and its offset in that


@dataclass(frozen=True)
class UserMapping:
    """A segment: its driver's operations; of one of the vnode driver (segvn) the vnode and the anon_map, 0 for none."""

    address: int
    base: int
    size: int
    operations: int
    is_vnode: bool
    vnode: int
    anon_map: int


def read_mapping(guest: "Illumos", address: int) -> UserMapping:
    """A struct seg with what its struct segvn_data says."""
    found = segment(guest, address)
    driver, operations, data = guest.symbols.find("segvn_ops"), int(found["s_ops"]), int(found["s_data"])
    is_vnode = bool(data) and driver is not None and driver.value == operations
    more: Typed | None = guest.objects.at("struct segvn_data", data) if is_vnode else None
    return UserMapping(
        address=address,
        base=int(found["s_base"]),
        size=found["s_size"],
        operations=operations,
        is_vnode=is_vnode,
        vnode=int(more["vp"]) if more else 0,
        anon_map=int(more["amp"]) if more else 0,
    )


def each_anon(guest: "Illumos", anon_map: int) -> Iterator[int]:
    """The struct anon of every slot of an anon_map that has one."""
    header = guest.objects.at("struct anon_map", anon_map)["ahp"]
    count, first = header["size"], int(header["array_chunk"])
    if count <= CHUNK or header["flags"] & ONE_ARRAY:
        yield from _each_pointer(guest, first, count)
        return
    seen: set[int] = set()
    for chunk in _each_pointer(guest, first, -(-count // CHUNK)):
        if chunk in seen:
            raise BrokenList(chunk, f"two chunks of anon_map {anon_map:x} are this one")
        seen.add(chunk)
        yield from _each_pointer(guest, chunk, CHUNK)


def _each_pointer(guest: "Illumos", address: int, count: int) -> Iterator[int]:
    """The pointers of an array that are not NULL."""
    if count > MAX_TABLE // POINTER:
        raise TableTooLarge(f"the slots at {address:x}", count * POINTER)
    for place in range(0, count, CHUNK):
        data = guest.target.read(address + place * POINTER, min(CHUNK, count - place) * POINTER)
        yield from filter(None, (word & ~BUSY for word in memoryview(data).cast("Q")))


def count_resident(guest: "Illumos", anon_maps: Iterable[int]) -> Mapping[int, int | DebuggerError]:
    """How many pages of each anon_map are in memory; the error where its slots cannot be read.

    The pages of all maps are looked for at once: that goes through every page structure of the kernel.
    """
    names: dict[int, list[Name] | DebuggerError] = {}
    for anon_map in anon_maps:
        try:
            names[anon_map] = list(_each_name(guest, anon_map))
        except DebuggerError as err:
            names[anon_map] = err
    wanted = {name for found in names.values() if isinstance(found, list) for name in found}
    present = find_named(guest, wanted)
    return {
        anon_map: found if isinstance(found, DebuggerError) else sum(name in present for name in found)
        for anon_map, found in names.items()
    }


def _each_name(guest: "Illumos", anon_map: int) -> Iterator[Name]:
    """The names of the pages of an anon_map; there may be millions."""
    vnode, offset = (guest.objects.offsetof("struct anon", name) for name in ("an_vp", "an_off"))
    for anon in each_anon(guest, anon_map):
        yield read_word(guest.target.read, anon + vnode), read_word(guest.target.read, anon + offset)
