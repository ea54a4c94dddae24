"""kdump-compressed files, of makedumpfile and of QEMU's dump-guest-memory, whole or in the pieces of a split set.

Headers, two bitmaps (which pfns are RAM, which are stored), one descriptor for each stored page, then the pages, each
compressed by itself. What is RAM and not stored was excluded; if the dump level says that only zero pages were, it is
zero. The phys_base in the header is not used: QEMU writes a wrong one.
Specified in: IMPLEMENTATION of makedumpfile; dump/dump.c of QEMU.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from formats import core_notes
from formats.bitmap import Bitmap, count_difference, last_set
from formats.errors import ImageDamaged, PageAbsent, PageExcluded, PageMissing
from formats.extents import ZERO_PAGE
from formats.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Paddr, Pfn
from formats.image import About, Image, Note, PageState, Run, Vcpu
from formats.kdump_about import each_fact, find_bits, read_notes
from formats.kdump_header import NEWEST, read_header
from formats.kdump_pages import COMPRESSED, DESCRIPTOR, Pages, check_table
from formats.kdump_runs import each_run
from formats.options import DEFAULTS, Options
from formats.pagecache import PageCache
from formats.source import Buffer, Source

NAME = "kdump"
DESCRIPTION = "kdump-compressed dump (makedumpfile, QEMU)"
HEADS = (b"KDUMP   ", b"DISKDUMP")

ONLY_ZERO = 1  # the dump level
MAX_CHECKED = 1 << 26  # pages: up to here all bits are counted at open, to see whether the file was cut off
FEW = 4  # blocks: reads of fewer go through the cache
ROW = 64  # blocks decompressed together by a longer read: what the processor keeps at hand
AHEAD = 32  # blocks decompressed together when pages are asked for in order
NOT_GIVEN = "page is in a piece of the split dump that was not given"


class KdumpImage(Image):
    """Pages by their bits and descriptors, in one file or several."""

    cache: PageCache

    def __init__(
        self, pieces: Sequence[Pages], about: About, vcpus: Sequence[Vcpu], notes: Sequence[Note], cache: PageCache
    ) -> None:
        super().__init__(pieces[0].source, about, vcpus, notes)
        self.cache = cache
        self.pieces = pieces
        self.header = pieces[0].header
        self.ram = Bitmap(self.source, self.header.bitmap_at, self.header.max_mapnr)
        self._shift = pieces[0].shift
        self._starts = [piece.header.start for piece in pieces]
        self._stored = pieces[0].stored
        self._expected = -1  # the block after the one that was decompressed last
        self._excluded_is_zero = self.header.dump_level == ONLY_ZERO and not self.header.incomplete

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        block = pfn >> self._shift
        inside = (pfn - (block << self._shift)) << PAGE_SHIFT
        found = self.cache.find(block)
        if found is not None:
            return found, inside
        piece = self._piece(block, pfn)
        if piece is None:
            return ZERO_PAGE, 0
        offset, size, flags = piece.descriptor(block)
        if not flags & COMPRESSED and size == self.header.block_size and 0 < offset <= self.source.size - size:
            return piece.source.page(offset + inside)
        if block == self._expected:
            return self._read_ahead(piece, block), inside
        self._expected = block + 1
        found = piece.read(block, offset, size, flags)
        self.cache.keep(block, found)
        return found, inside

    def read(self, paddr: Paddr, size: int) -> bytes:
        offset = paddr & PAGE_MASK
        if offset + size <= PAGE_SIZE:
            buffer, start = self.locate(Pfn(paddr >> PAGE_SHIFT))
            return buffer[start + offset : start + offset + size]
        step = PAGE_SHIFT + self._shift
        first, end = paddr >> step, ((paddr + size - 1) >> step) + 1
        if end - first <= FEW:
            return super().read(paddr, size)
        parts: list[bytes] = []
        for start in range(first, end, ROW):
            parts += self._row(start, min(ROW, end - start))
        last = (paddr + size) - ((end - 1) << step)
        parts[-1] = parts[-1][:last]
        parts[0] = parts[0][paddr - (first << step) :]
        return b"".join(parts)

    def state(self, pfn: Pfn) -> PageState:
        try:
            piece = self._piece(pfn >> self._shift, pfn)
        except PageExcluded:
            return PageState.EXCLUDED
        except PageMissing:
            return PageState.ABSENT
        if piece is None:
            return PageState.ZERO
        descriptor = piece.descriptor(pfn >> self._shift)
        if not descriptor[0]:
            return PageState.EXCLUDED
        return PageState.ZERO if piece.is_zero(descriptor) else PageState.PRESENT

    def runs(self) -> Iterator[Run]:
        return each_run(self.pieces, self.ram, self._excluded_is_zero)

    def tally(self) -> Mapping[PageState, int]:
        if len(self.pieces) > 1 or self.header.split or self.header.incomplete:
            return super().tally()
        stored, zero = self._stored.count(), self.pieces[0].count_zero()
        excluded = count_difference(self.ram, self._stored) if self.header.has_two_bitmaps else 0
        counts = {PageState.PRESENT: stored - zero, PageState.ZERO: zero}
        kind = PageState.ZERO if self._excluded_is_zero else PageState.EXCLUDED
        counts[kind] = counts.get(kind, 0) + excluded
        return {state: count << self._shift for state, count in counts.items() if count}

    @property
    def end(self) -> Pfn:
        return Pfn((max(last_set(self.ram), last_set(self._stored)) + 1) << self._shift)

    def _piece(self, block: int, pfn: Pfn) -> Pages | None:
        """The piece that stores a block; None for one that is zero because zero pages were left out."""
        if not 0 <= block < self.header.max_mapnr:
            raise PageAbsent(pfn)
        if self._stored.test(block):
            piece = self._piece_at(block)
            if not piece.header.start <= block < piece.header.end:
                raise PageMissing(pfn, NOT_GIVEN)
            return piece
        if not self.header.has_two_bitmaps or not self.ram.test(block):
            raise PageAbsent(pfn)
        if self._excluded_is_zero:
            return None
        raise PageExcluded(pfn)

    def _piece_at(self, block: int) -> Pages:
        return self.pieces[max(bisect_right(self._starts, block) - 1, 0)]

    def _read_ahead(self, piece: Pages, block: int) -> bytes:
        """A block after the one that was read last, and those behind it."""
        count = min(AHEAD, piece.header.end - block)
        while not self._stored.all_set(block, count):
            count //= 2
        blocks = self._read_row(piece, block, count)
        for number, found in enumerate(blocks, block):
            self.cache.keep(number, found)
        self._expected = block + len(blocks)
        return blocks[0]

    def _read_row(self, piece: Pages, block: int, count: int) -> list[bytes]:
        """Blocks in a row; only the first if another cannot be read: who asks for that one is told why."""
        try:
            return piece.read_row(block, count)
        except PageMissing:
            return piece.read_row(block, 1)

    def _row(self, first: int, count: int) -> list[bytes]:
        """Blocks in order, past the cache where all are stored in one piece."""
        piece = self._piece_at(first)
        inside = piece.header.start <= first and first + count <= piece.header.end
        if inside and self._stored.all_set(first, count):
            return piece.read_row(first, count)
        step = PAGE_SHIFT + self._shift
        return [super(KdumpImage, self).read(Paddr(block << step), 1 << step) for block in range(first, first + count)]


def probe(source: Source) -> bool:
    """True if the file begins with one of the two signatures."""
    return source.peek(0, 8) in HEADS


def open_image(source: Source, options: Options = DEFAULTS) -> Image:
    """Reads the headers and the notes; bitmaps and descriptors are left where they are."""
    return open_set([source], options)


def open_set(sources: Sequence[Source], options: Options = DEFAULTS) -> Image:
    """One image out of the pieces of a split dump, in any order; a piece that is missing leaves its pages missing."""
    pieces = [Pages(source, read_header(source)) for source in sources]
    pieces.sort(key=lambda piece: piece.header.start)
    warnings: list[str] = []
    _check_set(pieces, warnings)
    for piece in pieces:
        check_table(piece)
        _check_end(piece, warnings)
    header = pieces[0].header
    notes = read_notes(pieces[0].source, header, warnings)
    bits = find_bits(header, notes)
    vcpus = core_notes.read_vcpus(notes, bits, warnings)
    about = About(
        format=NAME,
        description=f"{DESCRIPTION}, {len(pieces)} of a split set" if header.split else DESCRIPTION,
        bits=bits,
        paging=core_notes.find_paging(vcpus, notes, bits),
        facts=list(each_fact(pieces, notes)),
        warnings=warnings,
    )
    return KdumpImage(pieces, about, vcpus, notes, PageCache(options.page_cache))


def _check_set(pieces: Sequence[Pages], warnings: list[str]) -> None:
    """The pieces must be of one dump and must not overlap; gaps between them are a warning."""
    first = pieces[0]
    said = (first.header.max_mapnr, first.header.block_size, first.header.bitmap_blocks, first.header.uts)
    reached = 0
    for piece in pieces:
        header = piece.header
        if (header.max_mapnr, header.block_size, header.bitmap_blocks, header.uts) != said:
            raise ImageDamaged(f"{piece.source.name} and {first.source.name} are not pieces of one dump")
        if header.start < reached:
            raise ImageDamaged(f"{piece.source.name}: pfns from {header.start:#x} are in another piece of the set, too")
        if header.start > reached:
            warnings.append(f"split dump: the piece with pfns {reached:#x}-{header.start:#x} was not given")
        reached = header.end
    if reached < first.header.max_mapnr:
        warnings.append(f"split dump: the piece with pfns {reached:#x}-{first.header.max_mapnr:#x} was not given")


def _check_end(piece: Pages, warnings: list[str]) -> None:
    """Adds a warning if the file is cut off, incomplete or of a newer version."""
    header = piece.header
    if header.version > NEWEST:
        warnings.append(f"header version {header.version} is newer than {NEWEST}: read as if it were that")
    if header.incomplete:
        warnings.append("the dumping program ran out of space: some pages were not written")
    if header.max_mapnr > MAX_CHECKED:
        return
    table_end = header.descriptors_at + DESCRIPTOR.size * piece.described()
    end = max([table_end, *(offset + size for offset, size, _ in piece.last_descriptors())])
    if end > piece.source.size:
        where = f"it has {piece.source.size:#x} bytes, pages lie up to {end:#x}"
        warnings.append(f"{piece.source.name}: truncated: {where}")
