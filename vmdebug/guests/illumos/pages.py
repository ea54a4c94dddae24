"""The structures of pages, and what memory is used for by them.

The kernel keeps a page_t for each frame of a memseg, in a row. A page belongs to a vnode: the kernel's own (kvp, in
later kernels the first of the array kvps, whose second is of ZFS' file data and third of virtual machines), swapfs'
for anonymous memory, or a file's. Specified in: vm/page.h, sys/vnode.h, sys/kmem.h (kvps_index), sys/balloon_impl.h.
"""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.memory import each_memseg
from vmdebug.guests.memory import each_link, read_sparse, read_word

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

WORD = 8
CHUNK = 4096  # page structures that are read in one go
FREE, BOOT = 0x80, 0x08  # of p_state
PROGRAM, SWAPFS = 0x1000, 0x2_0000  # VVMEXEC and VISSWAPFS of v_flag
KERNEL, ZFS, MACHINES = "Kernel", "ZFS File Data", "VMM Memory"
BOOT_PAGES, ANON, EXEC, CACHE = "Boot pages", "Anon", "Exec and libs", "Page cache"
CACHELIST, FREELIST, BALLOON = "Free (cachelist)", "Free (freelist)", "Balloon"
ALWAYS = (KERNEL, ANON, EXEC, CACHE, CACHELIST)
ORDER = (KERNEL, BOOT_PAGES, ZFS, MACHINES, ANON, EXEC, CACHE, CACHELIST)


class NoSuchPage(DebuggerError):
    def __init__(self, pfn: int) -> None:
        super().__init__(f"no page structure for pfn {pfn:x}: it is in none of the kernel's memsegs")
        self.pfn = pfn


class OddPages(DebuggerError):
    def __init__(self, kind: str) -> None:
        super().__init__(f"page_t has no p_vnode with a p_state behind it, as its type {kind} says")


@dataclass(frozen=True)
class Stretch:
    """Page structures in a row: the address of the first, the frame that it describes, how many."""

    address: int
    base: int
    count: int


def each_stretch(guest: "Illumos") -> Iterator[Stretch]:
    """The page structures of each memseg, all together no more than the image has frames."""
    left, size = int(guest.target.image.end), guest.objects.sizeof("page_t")
    for memseg in each_memseg(guest):
        found = guest.objects.at("struct memseg", memseg)
        first, base = int(found["pages"]), found["pages_base"]
        count = min((int(found["epages"]) - first) // size, found["pages_end"] - base, left)
        if count > 0:
            left -= count
            yield Stretch(first, base, count)


def each_page(guest: "Illumos") -> Iterator[int]:
    """Every page_t, by the memsegs."""
    size = guest.objects.sizeof("page_t")
    for stretch in each_stretch(guest):
        yield from range(stretch.address, stretch.address + size * stretch.count, size)


def each_hashed(guest: "Illumos") -> Iterator[int]:
    """Every page_t that has a name, by the kernel's hash of them."""
    follow, table = guest.follow("page_t", "p_hash"), guest.variable("page_hash")
    limit = int(guest.target.image.end)
    for bucket in range(min(guest.variable("page_hashsz"), limit)):
        for page in each_link(follow, read_word(guest.target.read, table + WORD * bucket), limit):
            limit -= 1
            yield page


def each_of_vnode(guest: "Illumos", vnode: int) -> Iterator[int]:
    """The pages of a vnode, along the ring that begins at its v_pages."""
    first = int(guest.objects.at("vnode_t", vnode)["v_pages"])
    return each_link(guest.follow("page_t", "p_vpnext"), first, int(guest.target.image.end))


def find_page(guest: "Illumos", pfn: int) -> int:
    """The page_t of a frame; NoSuchPage where no memseg has it."""
    for stretch in each_stretch(guest):
        if 0 <= pfn - stretch.base < stretch.count:
            return stretch.address + guest.objects.sizeof("page_t") * (pfn - stretch.base)
    raise NoSuchPage(pfn)


def find_named(guest: "Illumos", names: Set[tuple[int, int]]) -> Set[tuple[int, int]]:
    """Those of some names of pages, vnode and offset, that a page structure has; what of these is missing has none."""
    import numpy

    if not names:
        return set()
    offsets = [guest.objects.offsetof("page_t", name) for name in ("p_vnode", "p_offset")]
    size = guest.objects.sizeof("page_t")
    layout = numpy.dtype({"names": ["v", "o"], "formats": ["<u8", "<u8"], "offsets": offsets, "itemsize": size})
    vnodes = numpy.array(sorted({vnode for vnode, _ in names}), dtype="<u8")
    found: set[tuple[int, int]] = set()
    for stretch in each_stretch(guest):
        for at in range(0, stretch.count, CHUNK):
            length = size * min(CHUNK, stretch.count - at)
            data, _ = read_sparse(guest.target.read, stretch.address + size * at, length, "page structures")
            pages = numpy.frombuffer(data, layout)
            pages = pages[numpy.isin(pages["v"], vnodes)]
            found |= names & set(zip(pages["v"].tolist(), pages["o"].tolist(), strict=True))
    return found


@dataclass(frozen=True)
class Summary:
    """What memory is used for: pages by use; those that the kernel may use, all; what could not be read.

    `bytes_missing` are of page structures, `unknown` are pages of a vnode that is not in the image.
    """

    uses: Mapping[str, int]
    physical: int
    total: int
    bytes_missing: int
    unknown: int


def summarise(guest: "Illumos") -> Summary:
    """Count every page by its use, as mdb does: what belongs to none is on the freelist or with the balloon."""
    counts, missing = _tally(guest)
    uses = dict.fromkeys(ALWAYS, 0)
    own, unused, unknown = _own_vnodes(guest), guest.symbols.find("unused_pages_vp"), 0
    for (vnode, state), pages in counts.items():
        if not state & BOOT and (not vnode or (unused and vnode == unused.value)):
            continue
        use = BOOT_PAGES if state & BOOT else own.get(vnode) or _use(guest, vnode, state)
        if use is None:
            unknown += pages
        else:
            uses[use] = uses.get(use, 0) + pages
    physical = guest.variable("physmem")
    free = max(physical - sum(uses.values()) - unknown, 0)
    balloon = _balloon(guest)
    found = {use: uses[use] for use in ORDER if use in uses} | {FREELIST: max(free - (balloon or 0), 0)}
    if balloon is not None:
        found[BALLOON] = balloon
    return Summary(found, physical, guest.variable("total_pages"), missing, unknown)


def _tally(guest: "Illumos") -> tuple[Counter[tuple[int, int]], int]:
    """How many pages have each vnode and state, and how many bytes of the structures could not be read."""
    names, size = _names(guest), guest.objects.sizeof("page_t")
    counts: Counter[tuple[int, int]] = Counter()
    missing = 0
    for stretch in each_stretch(guest):
        for at in range(0, stretch.count, CHUNK):
            length = size * min(CHUNK, stretch.count - at)
            data, lost = read_sparse(guest.target.read, stretch.address + size * at, length, "page structures")
            missing += lost
            counts.update(names.iter_unpack(data))
    return counts, missing


def _names(guest: "Illumos") -> struct.Struct:
    """The vnode and the state of a page_t, all else left out."""
    vnode, state = (guest.objects.offsetof("page_t", name) for name in ("p_vnode", "p_state"))
    size = guest.objects.sizeof("page_t")
    if not 0 <= vnode <= state - WORD < size - WORD:
        raise OddPages(f"of {size} bytes")
    return struct.Struct(f"<{vnode}xQ{state - vnode - WORD}xB{size - state - 1}x")


def _own_vnodes(guest: "Illumos") -> Mapping[int, str]:
    """The vnodes of the kernel itself, and what the pages of each are for."""
    array = guest.symbols.find("kvps")
    if array is not None:
        size = guest.objects.sizeof("vnode_t")
        return {array.value + size * number: use for number, use in enumerate((KERNEL, ZFS, MACHINES))}
    found = ((guest.symbols.find(name), use) for name, use in (("kvp", KERNEL), ("zvp", KERNEL)))
    return {symbol.value: use for symbol, use in found if symbol is not None}


def _use(guest: "Illumos", vnode: int, state: int) -> str | None:
    """What the pages of another vnode are for; None where the vnode cannot be read."""
    if state & FREE:
        return CACHELIST
    try:
        flags = guest.objects.at("vnode_t", vnode)["v_flag"]
    except DebuggerError:
        return None
    return ANON if flags & SWAPFS else EXEC if flags & PROGRAM else CACHE


def _balloon(guest: "Illumos") -> int | None:
    """How many pages the hypervisor holds; None where the kernel keeps no such number."""
    found = guest.symbols.find("bln_stats")
    return None if found is None else int(guest.objects.at("bln_stats_t", found.value)["bln_hv_pages"])


def megabytes(pages: int) -> int:
    return pages << PAGE_SHIFT >> 20
