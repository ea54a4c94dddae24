"""Reads by virtual address: the dumped page tables, with a cache of translated pages.

Tables and pages are found through the image, so that entries may hold mfns (Xen PV) or pfns. Both caches are bounded:
the oldest entry makes room.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Gfn, Mfn, Paddr, Pfn, Vaddr
from formats.image import Image
from formats.source import Buffer
from vmdebug import paging
from vmdebug.errors import DebuggerError, NotInDump, NotOfDomain, ReadFailed
from vmdebug.paging import Mode, Span, Step

if TYPE_CHECKING:
    from vmdebug.mapped import MappedRange

CACHED_PAGES = 1 << 14  # 64 MiB of guest memory
CACHED_TABLES = 1 << 12
LEAF_SHIFT = 21  # one table of 8-byte entries maps 2 MiB
MANY = 1 << 16  # bytes from which on it is worth asking whether they lie in a large page


class Mapping(NamedTuple):
    """What a virtual address is mapped to. `gfn` is the frame in the page-table entry, `pfn` the guest's own number."""

    vaddr: Vaddr
    paddr: Paddr
    pfn: Pfn
    gfn: Gfn
    size: int
    steps: tuple[Step, ...]


class AddressSpace:
    """One set of page tables over an image."""

    def __init__(self, image: Image, mode: Mode, root: int) -> None:
        self.image = image
        self.mode = mode
        self.root = root
        self._pages: dict[int, tuple[Buffer, int]] = {}
        self._tables: dict[int, tuple[Buffer, int]] = {}
        self._leaves: dict[int, int] = {}

    def read(self, vaddr: int, size: int) -> bytes:
        """Exactly `size` bytes at `vaddr`; ReadFailed, with the address, at the first that cannot be read."""
        offset = vaddr & PAGE_MASK
        if offset + size > PAGE_SIZE:
            return self._read_pages(vaddr, size)
        try:
            buffer, start = self._pages[vaddr >> PAGE_SHIFT]
        except KeyError:
            buffer, start = self._page(vaddr)
        start += offset
        return buffer[start : start + size]

    def translate(self, vaddr: Vaddr) -> Mapping:
        """The whole walk of one address, entry by entry; ReadFailed says where it stops."""
        walk = paging.walk(self.mode, self.root, vaddr, self._table)
        gfn = Gfn(walk.address >> PAGE_SHIFT)
        try:
            pfn = self.image.pfn_of(gfn)
        except MfnUnknown as err:
            raise NotOfDomain(vaddr, err.mfn) from err
        paddr = Paddr((pfn << PAGE_SHIFT) | (vaddr & PAGE_MASK))
        return Mapping(vaddr, paddr, pfn, gfn, walk.size, walk.steps)

    def each_span(self, start: int, end: int) -> Iterator[Span]:
        """The mapped runs between two addresses, rising, with their rights."""
        return paging.each_span(self.mode, self.root, start, end, self._table)

    def each_mapped(self, missing: Callable[[ReadFailed], None]) -> "Iterator[MappedRange]":
        """All that is mapped, rising, by the rights of each page's own entry; a table that cannot be read is told."""
        from vmdebug.mapped import each_mapped

        return each_mapped(self.mode, self.root, self._table, missing)

    def each_readable(self, vaddr: int, size: int) -> Iterator[tuple[int, bytes]]:
        """The parts of a range that can be read, a page at most at a time; what cannot be is left out."""
        end = vaddr + size
        while vaddr < end:
            chunk = min(PAGE_SIZE - (vaddr & PAGE_MASK), end - vaddr)
            with suppress(ReadFailed):
                yield vaddr, self.read(vaddr, chunk)
            vaddr += chunk

    def _read_pages(self, vaddr: int, size: int) -> bytes:
        parts = []
        end = vaddr + size
        while vaddr < end:
            part = self._read_large(vaddr, end) if end - vaddr > MANY else b""
            if not part:
                part = self.read(vaddr, min(PAGE_SIZE - (vaddr & PAGE_MASK), end - vaddr))
            parts.append(part)
            vaddr += len(part)
        return b"".join(parts)

    def _read_large(self, vaddr: int, end: int) -> bytes:
        """What one large page holds from an address on, in one piece; nothing where it is not one run of the image."""
        mapping = self.translate(Vaddr(vaddr))
        if mapping.size == PAGE_SIZE:
            return b""
        size = min(mapping.size - vaddr % mapping.size, end - vaddr)
        pages = ((vaddr + size - 1) >> PAGE_SHIFT) - (vaddr >> PAGE_SHIFT) + 1
        try:
            if any(self.image.pfn_of(Gfn(mapping.gfn + at)) != mapping.pfn + at for at in range(1, pages)):
                return b""
            return self.image.read(mapping.paddr, size)
        except (MfnUnknown, PageMissing):
            return b""

    def _page(self, vaddr: int) -> tuple[Buffer, int]:
        gfn = self._frame(Vaddr(vaddr))
        try:
            found = self.image.locate_gfn(gfn)
        except (MfnUnknown, PageMissing) as err:
            raise _missing(vaddr, err) from err
        if len(self._pages) >= CACHED_PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[vaddr >> PAGE_SHIFT] = found
        return found

    def _frame(self, vaddr: Vaddr) -> Gfn:
        """The frame behind the address, by the last table of its neighbourhood where that is known."""
        leaf = self._leaves.get(vaddr >> LEAF_SHIFT)
        if leaf is not None and self.mode.entry is paging.ENTRY8:
            buffer, start = self._table(leaf)
            (entry,) = paging.ENTRY8.unpack_from(buffer, start + (vaddr >> 9 & 0xFF8))
            if entry & paging.PRESENT:
                return Gfn((entry & paging.FRAME) >> PAGE_SHIFT)
        walk = paging.walk(self.mode, self.root, vaddr, self._table)
        last = walk.steps[-1]
        if last.level == 1:
            if len(self._leaves) >= CACHED_TABLES:
                self._leaves.clear()
            self._leaves[vaddr >> LEAF_SHIFT] = last.entry_at & ~PAGE_MASK
        return Gfn(walk.address >> PAGE_SHIFT)

    def _table(self, address: int) -> tuple[Buffer, int]:
        """Where the page table at an address of the tables' own space lies."""
        found = self._tables.get(address)
        if found is None:
            try:
                buffer, start = self.image.locate_gfn(Gfn(address >> PAGE_SHIFT))
            except (MfnUnknown, PageMissing) as err:
                raise _missing(address, err, "page table: ") from err
            found = buffer, start + (address & PAGE_MASK)
            if len(self._tables) >= CACHED_TABLES:
                del self._tables[next(iter(self._tables))]
            self._tables[address] = found
        return found


class FlatSpace(AddressSpace):
    """The address space of a vcpu with paging off: addresses are guest-physical."""

    def __init__(self, image: Image) -> None:
        super().__init__(image, paging.MODES["2-level"], 0)

    def translate(self, vaddr: Vaddr) -> Mapping:
        pfn = Pfn(vaddr >> PAGE_SHIFT)
        return Mapping(vaddr, Paddr(vaddr), pfn, Gfn(pfn), PAGE_SIZE, ())

    def _frame(self, vaddr: Vaddr) -> Gfn:
        return Gfn(vaddr >> PAGE_SHIFT)


def _missing(address: int, err: MfnUnknown | PageMissing, what: str = "") -> DebuggerError:
    if isinstance(err, MfnUnknown):
        return NotOfDomain(address, Mfn(err.mfn))
    return NotInDump(address, f"{what}pfn {err.pfn:#x}: {err.reason}")
