"""Page tables of a paravirtualised guest, rewritten for programs that know no machine frames.

Xen's dumps keep a PV guest's tables as they are: entries hold machine frames. In a converted file entries hold pfns,
as in Xen's own save files. The tables below the known roots (each vcpu's, and the kernel's own by VMCOREINFO) are
walked. Those of processes that no vcpu was running are found by Xen's own rule: a guest may map a page table only
read-only. A page that is mapped read-only and nowhere writable, and whose present entries all name the guest's own
frames, is taken for a table.
Specified in: xen/arch/x86/mm.c (page types), xen/include/public/arch-x86/xen-x86_64.h (the hypervisor's slots).
"""

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

from formats.errors import MfnUnknown, PageMissing
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Gfn, Pfn
from formats.image import Image
from vmdebug.paging import FRAME, LARGE, PRESENT, WRITABLE, Mode

MOST_TABLES = 1 << 20  # 4 GiB of them
HYPERVISOR_SLOTS = range(256, 272)  # of a 64-bit root


class Tables:
    """Which pages are page tables, by pfn; `roots` gives each vcpu's cr3 in the new terms."""

    def __init__(self, image: Image, mode: Mode, more_roots: Iterable[Gfn] = ()) -> None:
        self.image = image
        self.mode = mode
        self._layout = struct.Struct(f"<{PAGE_SIZE // mode.entry.size}{'Q' if mode.entry.size == 8 else 'I'}")
        self._levels: dict[int, int] = {}
        for gfn in [*_roots_of(image), *more_roots]:
            self._collect(gfn, mode.levels)
        self.walked = len(self._levels)
        self.pfns = sorted(self._levels.keys() | set(self._each_readonly_table()))
        self.roots = dict(self._each_cr3())

    def patched(self, pfn: int, chunk: bytes) -> bytes:
        """The pages from `pfn` on, with the tables among them rewritten."""
        at = bisect_left(self.pfns, pfn)
        end = bisect_left(self.pfns, pfn + len(chunk) // PAGE_SIZE)
        if at == end:
            return chunk
        out = bytearray(chunk)
        for table in self.pfns[at:end]:
            start = table - pfn << PAGE_SHIFT
            out[start : start + PAGE_SIZE] = self._rewritten(chunk[start : start + PAGE_SIZE])
        return bytes(out)

    def _collect(self, gfn: Gfn, level: int) -> None:
        """The table in a frame and those below it, down to the ones that map pages."""
        pfn = self._pfn(gfn)
        if pfn is None or pfn in self._levels or len(self._levels) >= MOST_TABLES:
            return
        entries = self._entries(pfn)
        self._levels[pfn] = level
        if level == 1:
            return
        for entry in entries:
            if entry & PRESENT and not (entry & LARGE and level in self.mode.large):
                self._collect(_gfn(entry), level - 1)

    def _each_readonly_table(self) -> Iterator[int]:
        for mfn in self._readonly_frames():
            page = self._pfn(Gfn(mfn))
            if page is not None and page not in self._levels and self._is_table(self._entries(page)):
                yield page

    def _readonly_frames(self) -> Sequence[int]:
        """The frames that the walked tables map, none of them writable anywhere."""
        import numpy as np

        readonly, writable = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for pfn in [pfn for pfn, level in self._levels.items() if level == 1]:
            entries = np.array(self._entries(pfn), dtype=np.uint64)
            entries = entries[entries & np.uint64(PRESENT) != 0]
            frames, may_write = (
                (entries & np.uint64(FRAME)) >> np.uint64(PAGE_SHIFT),
                entries & np.uint64(WRITABLE) != 0,
            )
            readonly.append(frames[~may_write])
            writable.append(frames[may_write])
        found: list[int] = np.setdiff1d(np.concatenate(readonly), np.concatenate(writable)).tolist()
        return found

    def _is_table(self, entries: Sequence[int]) -> bool:
        """True if something is mapped, and all of it, the hypervisor's slots apart, to the guest's frames."""
        mapped = False
        for slot in compress(range(len(entries)), entries):
            entry = entries[slot]
            if entry & PRESENT and slot not in HYPERVISOR_SLOTS:
                mapped = True
                if (entry & LARGE and not self.mode.large) or self._pfn(_gfn(entry)) is None:
                    return False
        return mapped

    def _rewritten(self, page: bytes) -> bytes:
        entries = self._layout.unpack(page)
        return self._layout.pack(*(self._entry(entry) if entry & PRESENT else entry for entry in entries))

    def _entry(self, entry: int) -> int:
        """Zero for a frame that is not the guest's: there is nothing behind it in the file."""
        pfn = self._pfn(_gfn(entry))
        return 0 if pfn is None else entry & ~FRAME | pfn << PAGE_SHIFT

    def _entries(self, pfn: Pfn | int) -> tuple[int, ...]:
        try:
            buffer, start = self.image.locate(Pfn(pfn))
        except PageMissing:
            return ()
        return self._layout.unpack_from(buffer, start)

    def _pfn(self, gfn: Gfn) -> Pfn | None:
        try:
            return self.image.pfn_of(gfn)
        except MfnUnknown:
            return None

    def _each_cr3(self) -> Iterator[tuple[int, int]]:
        for vcpu in self.image.vcpus:
            pfn = self._pfn(Gfn((vcpu.root or 0) >> PAGE_SHIFT))
            if vcpu.root is not None and pfn is not None:
                yield vcpu.id, pfn << PAGE_SHIFT


def _roots_of(image: Image) -> Iterator[Gfn]:
    for vcpu in image.vcpus:
        for root in (vcpu.root, vcpu.user_root):
            if root is not None:
                yield Gfn(root >> PAGE_SHIFT)


def _gfn(entry: int) -> Gfn:
    return Gfn((entry & FRAME) >> PAGE_SHIFT)
