"""::dis: instructions of a function, from an address on, or around one."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import cast

from formats.frames import PAGE_SIZE, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.disasm import LONGEST, UNKNOWN, Instruction, each_instruction
from vmdebug.errors import Abort, DebuggerError, ReadFailed, UnknownSymbol
from vmdebug.lang.numbers import MASK
from vmdebug.lang.paint import BOLD, painted, painted_instruction
from vmdebug.render import Trusted, safe
from vmdebug.session import Session

BUILT_IN = True
WINDOW = 10
MAX_FUNCTION = 1 << 20
MAX_BACK = 1 << 16  # how far before an address its function may begin
LABEL, TAB, POINTER = 32, 8, 16


class UnreadableCode(Abort):
    def __init__(self, err: ReadFailed, address: int) -> None:
        super().__init__(f"failed to read instruction at 0x{address:x}: {err.reason.partition(' (')[0]}")


class NoSuchSymbol(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"symbol '{name}' not found")


@dataclass(frozen=True)
class Listed:
    """An instruction.

    address: where it lies
    symbol: the address by name, null where no symbol covers it
    size: its length in bytes
    text: the instruction
    target: where it branches to, null if it does not
    current: true for the instruction that a window is around
    """

    address: Vaddr
    symbol: str | None
    size: int
    text: str
    target: Vaddr | None
    current: bool


def listing_lines(raw: bool, both: bool, rows: Iterable[Listed], show: Show) -> Iterator[str]:
    """The location in 32 columns, by name or with -a in hex, with -b both; then the instruction."""
    for row in rows:
        plain = f"0x{row.address:x}"
        if raw:
            where = plain.ljust(LABEL)
        else:
            where = f"{row.symbol or plain}:".ljust(LABEL)
            where = f"{plain:<{POINTER}}  {where}" if both else where
        where += " " * (-len(where) % TAB)
        line = safe((where + row.text).expandtabs(TAB))
        yield _painted(line, len(where), row.current) if show.colour else line


def _painted(line: str, place: int, current: bool) -> Trusted:
    """A line in colours: the instruction's, and bold before it where a window is around it."""
    where = painted(line[:place], BOLD) if current else line[:place]
    return Trusted(where + painted_instruction(line[place:]))


@dcmd(
    "dis",
    address="optional",
    synopsis="[-abfw] [-n count] [addr]",
    flags=(
        Flag("a", "addresses instead of names"),
        Flag("b", "addresses and names"),
        Flag("f", "read from the object file (here the same as memory)"),
        Flag("w", "the instructions around the address even where a function begins"),
        Flag("n", "how many instructions, on each side of a window", "number", "count"),
    ),
    row=Listed,
)
def dis(call: Call) -> Iterator[Listed]:
    """disassemble near addr

    A whole function where the address is its start; else the address's instruction with ten before and ten behind it.
    Without an address ten more from dot on. AT&T syntax, or Intel's with `-o intel` on the
    command line or `::set -o intel`.

    Example:
        cbe_fire::dis -n 2
    """
    call.text = partial(listing_lines, "a" in call.flags, "b" in call.flags)
    listing = Listing(cast(Session, call.session))
    address = _start(call)
    count = call.flags.get("n")
    if address is None:
        address = call.session.dot
        found = listing.forward(address, (WINDOW if count is None else count) + 1)
    else:
        found = listing.near(address, count, window="w" in call.flags, loop=call.count is not None or call.from_pipe)
    for each in found:
        call.leave_dot((each.address + each.size) & MASK)
        target = None if each.target is None else Vaddr(each.target)
        symbol = call.session.show.symbol_or_empty(each.address) or None
        current = listing.windowed and each.address == address
        yield Listed(Vaddr(each.address), symbol, each.size, each.text, target, current)


def _start(call: Call) -> int | None:
    """The address given before the command or behind it: a symbol, or a number that starts with a digit."""
    if not call.args:
        return call.address
    if len(call.args) > 1:
        raise call.usage()
    word = call.args[0]
    if isinstance(word, int):
        return word
    if word[:1].isdigit():
        return call.number(word)
    try:
        return cast(Session, call.session).symbol(word)
    except UnknownSymbol as err:
        raise NoSuchSymbol(word) from err


class Listing:
    """Instructions in memory, forwards and backwards."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read = session.target.read
        self.windowed = False

    def near(self, address: int, count: int | None, window: bool, loop: bool) -> Iterator[Instruction]:
        """The instructions that ::dis shows for an address."""
        symbol = self._session.symbols.nearest(address, self._session.settings.distance)
        start = symbol is not None and symbol[0].value == address and symbol[0].kind == "FUNC"
        if (start or loop) and not window:
            if symbol is not None and start and symbol[0].size and count is None:
                return self.span(address, min(symbol[0].size, MAX_FUNCTION))
            return self.forward(address, (WINDOW if count is None else count) + 1)
        self.windowed = True
        return self.around(address, WINDOW if count is None else count)

    def forward(self, address: int, count: int) -> Iterator[Instruction]:
        """So many instructions from an address on."""
        for _ in range(count):
            found = self._session.instruction(address, self._code)
            yield found
            address = (address + found.size) & MASK

    def span(self, address: int, size: int) -> Iterator[Instruction]:
        """The instructions that begin within so many bytes."""
        end = address + size
        while address < end:
            found = self._session.instruction(address, self._code)
            yield found
            address += found.size

    def around(self, address: int, count: int) -> Iterator[Instruction]:
        """An instruction with others on both sides."""
        yield from self.backward(address, count)
        yield from self.forward(address, count + 1)

    def backward(self, address: int, count: int) -> list[Instruction]:
        """The instructions before an address: found from the start of the function, or of one that fits."""
        found: list[Instruction] = []
        while len(found) < count and address > 0:
            block = self._block(address, count - len(found))
            if not block:
                break
            found = [*block, *found]
            address = block[0].address
        return found[max(len(found) - count, 0) :]

    def _block(self, end: int, count: int) -> list[Instruction]:
        """Instructions that end exactly at an address, as far as its function reaches."""
        covering = self._session.symbols.nearest(end - 1, self._session.settings.distance)
        if covering is not None and 0 < end - covering[0].value <= MAX_BACK:
            block = self._decoded(covering[0].value, end)
            if block:
                return block
        low = max(end - LONGEST * (count + 1), covering[0].value if covering else 0, 0)
        for start in range(low, end):
            block = self._decoded(start, end)
            if block and not any(each.text == UNKNOWN for each in block):
                return block
        return []

    def _decoded(self, start: int, end: int) -> list[Instruction]:
        """The instructions from one address to another; none if they do not end there."""
        try:
            data = self._read(start, end - start)
        except ReadFailed:
            return []
        session = self._session
        block = list(each_instruction(session.disassembler, data, start, session.names, session.settings.intel))
        return block if block and block[-1].address + block[-1].size == end else []

    def _code(self, address: int, size: int) -> bytes:
        try:
            return self._read(address, size)
        except ReadFailed as err:
            if 0 < -address % PAGE_SIZE < size:  # the instruction may end before the page that is missing
                raise
            raise UnreadableCode(err, address) from err
