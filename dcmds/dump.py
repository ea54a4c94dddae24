"""Memory in hex and characters: ::dump."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from formats.frames import PAGE_SIZE, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.errors import Abort, ReadFailed, UsageError

PARAGRAPH = 16
MAX_GROUP, MAX_PARAGRAPHS = 0x100, 0x10
MAX_LENGTH = 1 << 40
REPEATED = "*"
CHUNK = 1 << 16  # bytes read at once: a multiple of every line's length

Byte = int | None  # None: not shown


@dataclass(frozen=True)
class DumpLine:
    """One line of memory.

    addr: its address
    hex: its bytes in hex, as they lie
    text: the printable ones, a point for each other
    """

    addr: Vaddr
    hex: str
    text: str
    _line: str
    _head: str


def dump_lines(rows: Iterable[DumpLine], _: Show) -> Iterator[str]:
    """The head once, then each line; with -s all repetitions of a line become one `*`."""
    before = ""
    for number, row in enumerate(rows):
        if number == 0 and row._head:
            yield row._head
        if row._line != REPEATED or before != REPEATED:
            yield row._line
        before = row._line


@dataclass(frozen=True)
class Layout:
    """How the lines of one dump look."""

    width: int  # bytes a line
    group: int
    swap: bool  # -e: groups as little-endian numbers
    characters: bool
    head: bool
    digits: int

    def head_line(self, first: int, marked: int | None) -> str:
        """The columns' last digits; the one that was asked for is marked."""
        cells = [rf"{(first + at) & 0xF:>2x}" if at != marked else r"\/" for at in range(self.width)]
        names = "".join("v" if at == marked else f"{(first + at) & 0xF:x}" for at in range(self.width))
        text = f"  {names}" if self.characters else ""
        return f"{'':{self.digits}}  {self._groups(cells)}{text}"

    def line(self, shown: int, data: Sequence[Byte]) -> str:
        cells = ["  " if byte is None else f"{byte:02x}" for byte in data]
        if self.swap:
            cells = [cell for at in range(0, len(cells), self.group) for cell in reversed(cells[at : at + self.group])]
        text = f"  {characters(data)}" if self.characters else ""
        return f"{shown:0{self.digits}x}: {self._groups(cells)}{text}"

    def _groups(self, cells: Sequence[str]) -> str:
        parts = []
        for at in range(0, len(cells), self.group):
            wide = self.group == 1 and at and at % 8 == 0
            parts.append(("  " if wide else " ") + "".join(cells[at : at + self.group]))
        return "".join(parts)


def characters(data: Sequence[Byte]) -> str:
    """Printable bytes as they are, others as a dot, those not shown as a blank."""
    return "".join(" " if b is None else chr(b) if 0x20 <= b < 0x7F else "." for b in data)


@dcmd(
    "dump",
    address="optional",
    flags=(
        Flag("e", "groups as little-endian numbers; no head, characters or alignment"),
        Flag("q", "no characters"),
        Flag("r", "number the lines from 0"),
        Flag("s", "show repeated lines as one *"),
        Flag("t", "only the bytes asked for"),
        Flag("u", "begin at the address itself"),
        Flag("v", "full addresses"),
        Flag("f", "read from the object file (here the same as virtual memory)"),
        Flag("p", "read physical memory"),
        Flag("g", "bytes in a group, a power of two", "number", "bytes"),
        Flag("l", "how many bytes", "number", "bytes"),
        Flag("w", "16-byte paragraphs in a line", "number", "paragraphs"),
    ),
    text=dump_lines,
    row=DumpLine,
    repeats=True,
)
def dump(call: Call) -> Iterator[DumpLine]:
    """dump memory from specified address

    Lines of 16 bytes in groups of four, with the characters beside them, from the line that holds the address; one
    line, or as many as the repeat count or -l (in bytes) asks for. Numbers are in the current radix.

    Example:
        fffffffffbc4b7f0::dump -l 20
    """
    start = call.address if call.address is not None else call.session.dot
    if call.count is not None and call.count > 1 and "l" in call.flags:
        raise UsageError
    length = int(call.flags.get("l", call.count or 1))
    if not 0 < length <= MAX_LENGTH:
        raise UsageError
    layout = _layout(call, start, length)
    unaligned = "u" in call.flags or "e" in call.flags
    first = start if unaligned else start - start % layout.width
    end = -(-(start + length - first) // layout.width) * layout.width + first
    wanted = range(start, start + length) if "t" in call.flags else range(first, end)
    marked = None if unaligned or "r" in call.flags else start - first
    base = start if "r" in call.flags else 0
    head = layout.head_line(0 if "r" in call.flags else first, marked) if layout.head else ""
    reader = call.target.read_physical if "p" in call.flags else call.target.read
    repeated = None
    for addr, data in _each_line(reader, first, end, wanted, layout.width):
        call.leave_dot(start + length)
        line = layout.line(addr - (first if base else 0), data)
        if "s" in call.flags and data == repeated:
            line = REPEATED
        repeated = data
        known = bytes(b for b in data if b is not None)
        yield DumpLine(Vaddr(addr), known.hex(), characters(data), line, head)


def _layout(call: Call, start: int, length: int) -> Layout:
    paragraphs, group = int(call.flags.get("w", 1)), int(call.flags.get("g", 4))
    if not 0 < paragraphs <= MAX_PARAGRAPHS or not 0 < group <= MAX_GROUP:
        raise UsageError
    width = paragraphs * PARAGRAPH
    if group & (group - 1) or width % group:
        group = 4
    swap = "e" in call.flags
    last = length if "r" in call.flags else start + length - 1
    digits = 16 if "v" in call.flags and "r" not in call.flags else len(f"{last:x}")
    return Layout(width, group, swap, not swap and "q" not in call.flags, not swap, digits)


def _each_line(
    reader: Callable[[int, int], bytes], first: int, end: int, wanted: range, width: int
) -> Iterator[tuple[int, list[Byte]]]:
    """Each line's bytes; what cannot be read ends the dump, after the readable part of its line."""
    held, held_at = b"", first
    for addr in range(first, end, width):
        if addr + width > held_at + len(held):
            held, held_at = _read_some(reader, addr, min(CHUNK, end - addr), width), addr
        part = held[addr - held_at : addr - held_at + width]
        if len(part) == width:
            yield addr, [b if addr + at in wanted else None for at, b in enumerate(part)]
            continue
        data, failed = _read_around(reader, addr, width)
        if any(byte is not None for byte in data):
            yield addr, data
        raise Abort(f"failed to read data at 0x{failed:x}: no mapping for address")


def _read_some(reader: Callable[[int, int], bytes], addr: int, size: int, width: int) -> bytes:
    """Up to `size` bytes: all of them, or what is left of the page, or one line; nothing if not even that is there."""
    for length in (size, max(PAGE_SIZE - addr % PAGE_SIZE, width), width):
        try:
            return reader(addr, min(length, size))
        except ReadFailed:
            continue
    return b""


def _read_around(reader: Callable[[int, int], bytes], addr: int, width: int) -> tuple[list[Byte], int]:
    """A line whose memory is not all there: each byte that is, and the first address that is not."""
    data: list[Byte] = []
    failed = None
    for at in range(addr, addr + width):
        try:
            data.append(reader(at, 1)[0])
        except ReadFailed:
            data.append(None)
            failed = at if failed is None else failed
    return data, addr if failed is None else failed
