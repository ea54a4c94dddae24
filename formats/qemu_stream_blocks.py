"""RAM blocks of a QEMU migration stream: the list at the head of the section `ram`, and mapped-ram's header of each.

A block is a piece of memory of the machine under a name, not yet at a guest-physical address. The list repeats name
(behind its length in a byte) and used length (u64) until the lengths sum up to the total of the word before it; some
capabilities add words to each entry. All numbers big-endian.
Specified in: migration/ram.c of QEMU, ram_save_setup and parse_ramblocks.
"""

from collections.abc import Collection, Iterator

from formats.errors import ImageNotSupported, SourceEnd
from formats.frames import PAGE_SHIFT, PAGE_SIZE
from formats.lazy import dataclass
from formats.qemu_stream_cursor import Cursor

MAX_BLOCKS = 4096
MAX_LENGTH = 1 << 52  # the most that x86 page tables can name
MAPPED_RAM = "mapped-ram"
IGNORE_SHARED = "x-ignore-shared"
MAPPED_VERSION = 1


@dataclass(frozen=True)
class Mapped:
    """Where a mapped-ram stream has a block's bitmap and pages: offsets in the file, not in the stream."""

    bitmap: int
    pages: int


@dataclass(frozen=True)
class Block:
    """`length` bytes called `name`; `first` is its first page among the pages of all blocks, counted in file order."""

    name: str
    length: int
    first: int
    mapped: Mapped | None = None

    @property
    def count(self) -> int:
        return -(-self.length >> PAGE_SHIFT)


def each_block(cursor: Cursor, total: int, capabilities: Collection[str], shift: int) -> Iterator[Block]:
    """The list that follows; `shift` is what file offsets in it exceed offsets in the stream by."""
    names: set[str] = set()
    left, first = total, 0
    while left:
        at = cursor.at
        name = cursor.name()
        length = cursor.u64()
        if not name or not name.isprintable() or name in names:
            raise cursor.damaged(f"RAM block of name {name!r}", at)
        if not 0 < length <= min(left, MAX_LENGTH):
            raise cursor.damaged(f"RAM block {name} of {length:#x} bytes, where {left:#x} are left of all RAM", at)
        if len(names) == MAX_BLOCKS:
            raise cursor.damaged(f"more than {MAX_BLOCKS} RAM blocks", at)
        _skip_extras(cursor, capabilities)
        mapped = _read_mapped(cursor, name, length, shift) if MAPPED_RAM in capabilities else None
        block = Block(name, length, first, mapped)
        yield block
        names.add(name)
        left -= length
        first += block.count


def bitmap_size(length: int) -> int:
    """The bytes of a block's bitmap: words of 64 bits, the last one whole."""
    return (length + (PAGE_SIZE * 64 - 1)) // (PAGE_SIZE * 64) * 8


def _skip_extras(cursor: Cursor, capabilities: Collection[str]) -> None:
    """Passes over the guest-physical address of x-ignore-shared, or the page size that post-copy adds unannounced.

    A page size cannot be mistaken for what stands there without it: the next name begins with its length, so that a
    number of it has bits above 56, and the next word of pages is smaller than a page.
    """
    if IGNORE_SHARED in capabilities:
        cursor.skip(8)
    elif MAPPED_RAM not in capabilities:
        number = cursor.u64()
        if not (PAGE_SIZE <= number < 1 << 56 and number.bit_count() == 1):
            cursor.at -= 8


def _read_mapped(cursor: Cursor, name: str, length: int, shift: int) -> Mapped:
    at = cursor.at
    version, page_size, bitmap, pages = cursor.u32(), cursor.u64(), cursor.u64() - shift, cursor.u64() - shift
    if version != MAPPED_VERSION or page_size != PAGE_SIZE:
        raise ImageNotSupported(
            f"{cursor.source.name}: mapped-ram header of RAM block {name}: version {version}, pages of {page_size}"
            f" bytes; known is version {MAPPED_VERSION} with pages of {PAGE_SIZE}"
        )
    bitmap_end = bitmap + bitmap_size(length)
    if not cursor.at <= bitmap < bitmap_end <= pages:
        raise cursor.damaged(f"mapped-ram offsets of RAM block {name} are out of order: {bitmap:#x}, {pages:#x}", at)
    if bitmap_end > cursor.source.size:
        raise SourceEnd(cursor.source.name, bitmap, bitmap_end - bitmap, cursor.source.size)
    cursor.at = pages + length  # may lie past the end of a cut file: the next read says so
    return Mapped(bitmap, pages)
