"""Domain dumps of Xen before 3.1 (`xm dump-core` up to 3.0.4): a small header and three plain arrays.

Six u32: magic, nr_vcpus, nr_pages, ctxt_offset, index_offset, pages_offset; then nr_vcpus contexts, nr_pages frame
numbers of the tools' word size (not aligned), and nr_pages pages from a page boundary on.
Specified in: tools/libxc/xc_core.c of Xen 3.0.4. Two writers share the layout. Solaris stores page i for pfn i, with
all-ones in the index where there is none. Others store the pages in the order of the hypervisor's list, so that the
file holds no pfns at all: then page i is called pfn i here, and a warning says so.
"""

import struct
from collections.abc import Iterator

from formats import xen_vcpu
from formats.errors import ImageDamaged, MfnUnknown, PageAbsent
from formats.frames import PAGE_SHIFT, Gfn, Mfn, Pfn
from formats.image import NO_FRAME, About, Fact, Image, PageState, Run, Vcpu
from formats.p2m import Column, each_run
from formats.source import Buffer, Source

NAME = "xen-304"
DESCRIPTION = "Xen domain dump before 3.1 (xm dump-core of 3.0.x)"
HEADS = (b"\xed\xeb\x0f\xf0", b"\xee\xeb\x0f\xf0")

MAGIC_PV, MAGIC_HVM = 0xF00FEBED, 0xF00FEBEE
HEADER = struct.Struct("<6I")
NO_FRAME32 = 0xFFFF_FFFF
MAX_VCPUS = 8192


class Xen304Image(Image):
    """Pages by their place in the file, which is their pfn, and the machine frame of each."""

    def __init__(self, source: Source, about: About, vcpus: list[Vcpu], start: int, mfns: Column) -> None:
        super().__init__(source, about, vcpus)
        self._start = start
        self._mfns = mfns
        self._no_frame = NO_FRAME if about.bits == 64 else NO_FRAME32

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        if not 0 <= pfn < len(self._mfns) or self._mfns.values[pfn] == self._no_frame:
            raise PageAbsent(pfn)
        return self.source.page(self._start + (pfn << PAGE_SHIFT))

    def runs(self) -> Iterator[Run]:
        import numpy as np

        present = np.flatnonzero(np.asarray(self._mfns.values) != self._no_frame)
        yield from each_run(present, PageState.PRESENT)

    def pfn_of(self, gfn: Gfn) -> Pfn:
        if self.about.translated:
            return Pfn(gfn)
        slot = None if gfn == self._no_frame else self._mfns.find(gfn)
        if slot is None:
            raise MfnUnknown(Mfn(gfn))
        return Pfn(slot)

    def mfn_of(self, pfn: Pfn) -> Mfn | None:
        self.locate(pfn)
        return None if self.about.translated else Mfn(self._mfns.values[pfn])


def probe(source: Source) -> bool:
    """True if the file begins with one of the two magic numbers."""
    return int.from_bytes(source.peek(0, 4), "little") in (MAGIC_PV, MAGIC_HVM)


def open_image(source: Source) -> Image:
    """Reads the header and the vcpus; ImageDamaged where the offsets contradict each other or the file."""
    if source.size < HEADER.size:
        raise ImageDamaged(f"{source.name}: invalid dump file: it ends inside its header")
    magic, nr_vcpus, nr_pages, ctxt_at, index_at, pages_at = HEADER.unpack(source.read(0, HEADER.size))
    hvm = magic == MAGIC_HVM
    if not HEADER.size <= ctxt_at <= index_at <= pages_at <= source.size:
        order = f"contexts {ctxt_at:#x}, index {index_at:#x}, pages {pages_at:#x}, end {source.size:#x}"
        raise ImageDamaged(f"{source.name}: invalid dump file: its parts are not in order: {order}")
    bits = _bits(source, nr_vcpus, index_at - ctxt_at)
    word = bits // 8
    if nr_pages * word > pages_at - index_at:
        raise ImageDamaged(f"{source.name}: invalid dump file: no room for {nr_pages} frame numbers at {index_at:#x}")
    size = xen_vcpu.SIZE64 if bits == 64 else xen_vcpu.SIZE32
    contexts = source.read(ctxt_at, nr_vcpus * size)
    vcpus = [
        xen_vcpu.read_vcpu(contexts[number * size : (number + 1) * size], number, bits, hvm)
        for number in range(nr_vcpus)
    ]
    count = min(nr_pages, (source.size - pages_at) >> PAGE_SHIFT)
    mfns = Column(source.view(index_at, count * word).cast("Q" if bits == 64 else "I"))
    about = About(
        format=NAME,
        description=f"{DESCRIPTION}, {'fully virtualised' if hvm else 'paravirtualised'}",
        bits=bits,
        translated=hvm,
        paging=None if hvm else ("4-level" if bits == 64 else "PAE"),
        domain=True,
        facts=[Fact("slots", str(nr_pages), "header")],
        warnings=_warnings(hvm, count, nr_pages),
    )
    return Xen304Image(source, about, vcpus, pages_at, mfns)


def _bits(source: Source, nr_vcpus: int, room: int) -> int:
    if not 0 < nr_vcpus <= MAX_VCPUS:
        raise ImageDamaged(f"{source.name}: invalid dump file: {nr_vcpus} vcpus")
    each, rest = divmod(room, nr_vcpus)
    if rest or each not in (xen_vcpu.SIZE64, xen_vcpu.SIZE32):
        raise ImageDamaged(f"{source.name}: cannot read VCPU contexts: {room} bytes for {nr_vcpus} vcpus")
    return 64 if each == xen_vcpu.SIZE64 else 32


def _warnings(hvm: bool, count: int, nr_pages: int) -> list[str]:
    said = []
    if count < nr_pages:
        said.append(f"truncated: {count} of {nr_pages} pages are in the file")
    if hvm:
        said.append("a fully virtualised guest of Xen 3.0.4: its pages need not be the ones that the index names")
    return said
