"""One pass over a QEMU migration stream: its configuration, its RAM blocks, and where each page's bytes lie.

"QEVM", version 3, then sections behind a tag byte; the section `ram` comes in parts, and its records are a word each
(offset inside the block, flags in the low 12 bits) with what the flags announce. Devices follow the end of RAM; they
carry no length and are left to the description at the stream's end. All numbers big-endian.
Specified in: migration/savevm.c, savevm.h and ram.c of QEMU, versions 2.4 to 10.0.
"""

from collections.abc import Callable, Sequence
from dataclasses import field

from formats.errors import ImageNotSupported, SourceEnd
from formats.frames import PAGE_SHIFT, PAGE_SIZE
from formats.lazy import dataclass
from formats.options import Progress, silent
from formats.qemu_stream_blocks import MAPPED_RAM, Block, each_block
from formats.qemu_stream_cursor import U64, Cursor
from formats.qemu_stream_log import STRIDE, Kind, Log, Runs
from formats.source import Source

MAGIC = b"QEVM"
VERSION = 3
EOF, START, PART, END, FULL, SUBSECTION, DESCRIPTION, CONFIGURATION, COMMAND, FOOTER = (*range(9), 0x7E)

ZERO, MEM_SIZE, PAGE, EOS, CONTINUE, XBZRLE, HOOK, ZLIB, FLUSH = 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200
FLAGS = PAGE_SIZE - 1
MAX_NAME = 256
MAX_CAPABILITIES = 256
MAX_PACKED = 2 * PAGE_SIZE
ZERO_RECORD = 9  # a word and the byte that fills the page
FEW = 4096  # records that are looked at one by one before numpy is worth its import
PROGRESS_STEP = 1 << 26

SkipDevice = Callable[[int], int | None]  # the start of a device section, the place behind it if that is known


@dataclass
class Scan:
    """What one pass found. `tail` is where the sections behind RAM begin, None if the stream ends before."""

    machine: str = ""
    capabilities: Sequence[str] = ()
    blocks: list[Block] = field(default_factory=list)
    runs: Runs = field(default_factory=lambda: Runs((), (), (), ()))
    tail: int | None = None
    warnings: list[str] = field(default_factory=list)


def scan(source: Source, skip_device: SkipDevice, shift: int = 0, progress: Progress = silent) -> Scan:
    """Walks from the head of the stream to the devices; a cut stream gives what came before the cut."""
    walk = _Walk(source, skip_device, shift, progress)
    try:
        walk.run()
    except SourceEnd:
        where = f"{source.size:#x} bytes, inside its memory"
        walk.found.warnings.append(
            f"truncated: the stream ends after {where}; no registers, and later pages are missing"
        )
    walk.found.runs = walk.log.runs()
    return walk.found


class _Walk:
    def __init__(self, source: Source, skip_device: SkipDevice, shift: int, progress: Progress) -> None:
        self.cursor = Cursor(source)
        self.found = Scan()
        self.log = Log()
        self.skip_device = skip_device
        self.shift = shift
        self.progress = progress
        self.block: Block | None = None
        self.by_name: dict[str, Block] = {}
        self.ram: int | None = None  # the id of the section
        self.flushed = False

    def run(self) -> None:
        cursor = self.cursor
        cursor.skip(len(MAGIC))
        version = cursor.u32()
        if version != VERSION:
            raise ImageNotSupported(f"{cursor.source.name}: QEMU stream of version {version}, known is {VERSION}")
        while self.found.tail is None:
            at = cursor.at
            if not self._section(cursor.u8(), at):
                raise cursor.damaged("no section begins where one is due", at)

    def _section(self, tag: int, at: int) -> bool:
        if tag == CONFIGURATION:
            self._configuration()
        elif tag == START:
            self._start(at)
        elif tag in (PART, END):
            self._part(tag, at)
        elif tag == COMMAND:
            self.cursor.skip(2)
            self.cursor.skip(self.cursor.u16())
        elif tag in (FULL, EOF):
            self._device(at)
        else:
            return False
        return True

    def _configuration(self) -> None:
        cursor = self.cursor
        size = cursor.u32()
        if size > MAX_NAME:
            raise cursor.damaged(f"machine type of {size} characters")
        self.found.machine = cursor.text(size)
        while cursor.u8() == SUBSECTION:
            at = cursor.at
            name = cursor.name()
            cursor.skip(4)  # its version
            self._subsection(name, at)
        cursor.at -= 1

    def _subsection(self, name: str, at: int) -> None:
        cursor = self.cursor
        if name == "configuration/target-page-bits":
            bits = cursor.u32()
            if bits != PAGE_SHIFT:
                raise ImageNotSupported(f"{cursor.source.name}: QEMU stream with pages of 2^{bits} bytes, not 2^12")
        elif name == "configuration/capabilities":
            count = cursor.u32()
            if count > MAX_CAPABILITIES:
                raise cursor.damaged(f"{count} capabilities", at)
            self.found.capabilities = [cursor.name() for _ in range(count)]
        elif name == "configuration/uuid":
            cursor.skip(16)
        else:
            raise cursor.damaged(f"unknown part {name!r} of the configuration", at)

    def _start(self, at: int) -> None:
        cursor = self.cursor
        number, name = cursor.u32(), cursor.name()
        _, version = cursor.u32(), cursor.u32()
        if name != "ram":
            raise ImageNotSupported(
                f"{cursor.source.name}: the stream has a section {name!r} that comes in parts like memory does, at"
                f" offset {at:#x}; only 'ram' is known"
            )
        if version != 4:
            raise ImageNotSupported(f"{cursor.source.name}: section 'ram' of version {version}, known is 4")
        self.ram = number
        self._records()
        self._footer(number)

    def _part(self, tag: int, at: int) -> None:
        number = self.cursor.u32()
        if number != self.ram:
            raise self.cursor.damaged(f"part of a section {number} that was never begun", at)
        self._records()
        self._footer(number)
        if tag == END:
            self._end_of_ram()

    def _footer(self, number: int) -> None:
        """Every section has one, but for machine types of before 2.4."""
        cursor = self.cursor
        if cursor.u8() != FOOTER:
            cursor.at -= 1
            return
        said = cursor.u32()
        if said != number:
            raise cursor.damaged(f"section {number} ends with the mark of section {said}", cursor.at - 5)

    def _device(self, at: int) -> None:
        """A device before the end of RAM is passed over with the help of the description."""
        end = self.skip_device(at) if self.ram is None else None
        if end is None:
            raise self.cursor.damaged("a device, or the end of the stream, stands where memory is due", at)
        self.cursor.at = end

    def _end_of_ram(self) -> None:
        self.found.tail = self.cursor.at
        if self.flushed and MAPPED_RAM not in self.found.capabilities and not len(self.log.first):
            raise ImageNotSupported(
                f"{self.cursor.source.name}: the stream's memory travelled over other channels (multifd) and is not in"
                " this file; save with the capability mapped-ram, or without multifd"
            )

    # The records of one part of RAM.

    def _records(self) -> None:
        cursor = self.cursor
        reported = cursor.at
        while True:
            if cursor.at - reported > PROGRESS_STEP:
                reported = cursor.at
                self.progress("indexing the stream's pages", cursor.at, cursor.source.size)
            at = cursor.at
            word = cursor.u64()
            flags, address = word & FLAGS, word & ~FLAGS
            if flags == EOS:
                return
            if flags == MEM_SIZE:
                self._mem_size(address, at)
            elif flags == FLUSH:
                self.flushed = True
            else:
                self._page(flags, address, at)

    def _mem_size(self, total: int, at: int) -> None:
        if self.found.blocks:
            raise self.cursor.damaged("a second list of RAM blocks", at)
        for block in each_block(self.cursor, total, self.found.capabilities, self.shift):
            self.found.blocks.append(block)
            self.by_name[block.name] = block

    def _page(self, flags: int, address: int, at: int) -> None:
        kind = flags & ~CONTINUE
        if kind not in (PAGE, ZERO, XBZRLE, ZLIB):
            raise self.cursor.damaged(f"memory record of unknown kind {flags:#x}", at)
        block = self._block(flags, at)
        if address >= block.length:
            raise self.cursor.damaged(
                f"page at {address:#x} of RAM block {block.name}, which has {block.length:#x}", at
            )
        page = block.first + (address >> PAGE_SHIFT)
        if kind == PAGE:
            self._data(block, page)
        elif kind == ZERO:
            self._fill(block, page)
        else:
            self._packed(kind, page, at)

    def _block(self, flags: int, at: int) -> Block:
        """The block that the record names; one without a name goes on with the last, also over the ends of sections."""
        if not flags & CONTINUE:
            name = self.cursor.name()
            self.block = self.by_name.get(name)
            if self.block is None:
                raise self.cursor.damaged(f"page of a RAM block {name!r} that is not in the list", at)
        if self.block is None:
            raise self.cursor.damaged("page that goes on with a RAM block, but none was named before", at)
        return self.block

    def _data(self, block: Block, page: int) -> None:
        """This page's bytes, and at once the records after it that are the next pages of the block."""
        start = self.cursor.at
        self.cursor.skip(PAGE_SIZE)
        count = 1 + self._following(block, page + 1, PAGE, STRIDE)
        self.log.add(page, count, start, Kind.DATA)

    def _fill(self, block: Block, page: int) -> None:
        """A page of one byte, nearly always zero, and at once the zero pages after it."""
        byte = self.cursor.u8()
        count = 1 if byte else 1 + self._following(block, page + 1, ZERO, ZERO_RECORD)
        self.log.add(page, count, byte, Kind.FILL)

    def _following(self, block: Block, page: int, flag: int, size: int) -> int:
        """How many records of this kind and size follow for the pages from this one of the block on."""
        if self.cursor.source.size - self.cursor.at < size:
            return 0
        view, start = self.cursor.window(size)
        limit = block.first + (block.length >> PAGE_SHIFT) - page
        room = min((len(view) - start) // size, limit)
        word = (page - block.first << PAGE_SHIFT) | flag | CONTINUE
        count = count_records(view, start, min(room, FEW), word, size)
        if count == FEW:
            count += count_many(view, start + FEW * size, room - FEW, word + FEW * PAGE_SIZE, size)
        self.cursor.at += count * size
        return count

    def _packed(self, kind: int, page: int, at: int) -> None:
        cursor = self.cursor
        place = cursor.at
        if kind == XBZRLE:
            encoding, size = cursor.u8(), cursor.u16()
            if encoding != 1:
                raise cursor.damaged(f"XBZRLE record of encoding {encoding}", at)
            place += 1
        else:
            size = cursor.u32()
        if size > MAX_PACKED:
            raise cursor.damaged(f"compressed page of {size} bytes", at)
        cursor.skip(size)
        self.log.add(page, 1, place, Kind.XBZRLE if kind == XBZRLE else Kind.ZLIB)


def count_records(view: memoryview, at: int, room: int, word: int, size: int) -> int:
    """How many records from `at` on are of consecutive pages, the first with this word; zero pages filled with zero."""
    unpack, end, start = U64.unpack_from, at + room * size, at
    if size == ZERO_RECORD:
        while at < end and unpack(view, at)[0] == word and not view[at + 8]:
            at += ZERO_RECORD
            word += PAGE_SIZE
    else:
        while at < end and unpack(view, at)[0] == word:
            at += size
            word += PAGE_SIZE
    return (at - start) // size


def count_many(view: memoryview, at: int, room: int, word: int, size: int) -> int:
    """The same for many records, by numpy."""
    import numpy as np

    if room <= 0:
        return 0
    words = np.ndarray((room,), ">u8", view, at, (size,))
    good = words == np.arange(word, word + room * PAGE_SIZE, PAGE_SIZE, dtype=np.uint64)
    if size == ZERO_RECORD:
        good &= np.ndarray((room,), np.uint8, view, at + 8, (size,)) == 0
    return room if good.all() else int(good.argmin())
