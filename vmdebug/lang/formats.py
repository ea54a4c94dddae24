"""The format commands `/ \\ ? @ =`: a format list over memory, or over a value.

run() yields what was found as Datum rows and, for a printed page, Layout between them: newlines, labels, literal text.
A number in a list repeats the letter behind it; for `r t n + - ^ s` it is the letter's amount.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Dcmd, Hex, Show, Sitting
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.lang import values
from vmdebug.lang.escapes import escape_bytes
from vmdebug.lang.letters import Letter, find_letter, width_of
from vmdebug.lang.numbers import MASK
from vmdebug.lang.output import Page
from vmdebug.lang.tree import Quoted
from vmdebug.render import Trusted, safe

if TYPE_CHECKING:
    from vmdebug.disasm import Instruction

MARGIN = 16
DEFAULT: Sequence["int | str | Quoted"] = ("X", "^", Quoted("= "), "i")
LISTINGS = (["a", "i"], ["i", "a"])
MAX_LAYOUT = 4096  # blanks or newlines that one letter may ask for
MAX_STRING = 1 << 20
CHUNK = 4096
PHYSICAL = frozenset("\\@")

Item = int | str | Quoted  # what is left of a format list once $[ ] is computed


class UnreadableData(DebuggerError):
    """Memory that a format command cannot read; the reason is the read's own."""

    def __init__(self, err: ReadFailed) -> None:
        super().__init__(f"failed to read data from target: {err.reason.partition(' (')[0]}")
        self.address = err.address


class BadFormat(DebuggerError):
    """A format list that cannot be."""


@dataclass(frozen=True)
class Datum:
    """What a format letter showed.

    value: the number, or the text of a string or an instruction
    address: where it lies, null for `=`
    letter: the format letter
    text: the value as the letter shows it
    """

    value: Hex | str
    address: Vaddr | None
    letter: str
    text: str


@dataclass(frozen=True)
class Layout:
    """What only the printed page needs. `kind` is label, text, newline or tab."""

    kind: str
    text: str = ""
    amount: int = 1


def format_lines(rows: Iterable[Datum | Layout], show: Show) -> Iterator[str]:
    """The page: fields in columns, wrapped, 16 columns in. Only `s` and `c` print bytes of memory as they are."""
    page = Page(show.width, MARGIN if show.width else 0)
    for row in rows:
        if isinstance(row, Datum):
            _put_datum(page, row)
        else:
            _put_layout(page, row)
        yield from map(Trusted, page.take())
    page.finish()
    yield from map(Trusted, page.take())


def _put_datum(page: Page, datum: Datum) -> None:
    letter = find_letter(datum.letter, "=")
    if letter is None or letter.what in ("bits", "code"):
        for line in datum.text.split("\n"):
            page.raw("\t".join(map(safe, line.split("\t"))))
            page.newline()
    elif letter.what == "text":
        page.raw(datum.text)
    else:
        page.field(safe(datum.text), width_of(letter, datum.text))


def _put_layout(page: Page, layout: Layout) -> None:
    match layout.kind:
        case "label":
            page.label(safe(layout.text).ljust(MARGIN), MARGIN)
        case "name":
            page.label(safe(layout.text), 1)
            page.newline()
        case "newline":
            for _ in range(min(layout.amount, MAX_LAYOUT)):
                page.newline()
        case "tab":
            page.tab(min(layout.amount, MAX_LAYOUT))
        case _:
            page.raw(layout.text)


def format_dcmd(verb: str, items: Sequence[Item]) -> Dcmd:
    """A verb and its format list as a dcmd."""
    if not items and verb == "=":
        raise BadFormat("expected one or more format characters following '='")
    chosen = tuple(items or DEFAULT)

    def run(call: Call) -> Iterator[Datum | Layout]:
        found = FormatRun(verb, chosen, call).each()
        if call.piped or call.session.rows_only:
            return (row for row in found if isinstance(row, Datum))
        return found

    return Dcmd(verb, run, "optional", "", format_lines, (), Datum, "format data", "", "mdb")


class FormatHost(Sitting, Protocol):
    """What format commands need of their session."""

    @property
    def plain_labels(self) -> bool:
        """Addresses are labelled in hex, not by symbols."""
        ...

    def symbol_at(self, address: int) -> str:
        """The symbol that begins exactly at an address, or nothing."""
        ...

    def remember(self, value: int) -> None:
        """Keep the most recent value that was shown."""
        ...

    def instruction(self, address: int, read: Callable[[int, int], bytes]) -> "Instruction":
        """The instruction at an address."""
        ...


class FormatRun:
    """One pass of a format list from one address."""

    def __init__(self, verb: str, items: Sequence[Item], call: Call) -> None:
        self._verb = verb
        self._items = items
        self._call = call
        self._host = cast(FormatHost, call.session)
        self._start = call.session.dot
        self._address = self._start
        self._increment = 0
        self._physical = verb in PHYSICAL
        self._word = call.target.word if verb != "=" else call.session.word

    def each(self) -> Iterator[Datum | Layout]:
        """What the list finds, in its order; dot's increment is what it passed over."""
        try:
            if self._call.first and self._verb != "=":
                yield from self._head()
            count: int | None = None
            for item in self._items:
                if isinstance(item, int):
                    count = item
                    continue
                if isinstance(item, Quoted):
                    yield Layout("text", item.text)
                else:
                    yield from self._letter(item, count)
                count = None
        finally:
            passed = (self._address - self._start) & MASK if self._verb != "=" else 0
            self._call.leave_dot(self._start, passed)

    def _head(self) -> Iterator[Layout]:
        """The symbol's name on a line where the address is exactly one, then the address; not where code is listed."""
        listing = list(self._items[:2]) in LISTINGS
        if not self._physical and not listing:
            name = self._host.symbol_at(self._address)
            if name:
                yield Layout("name", f"{name}:")
        if not (listing and self._items[0] == "a"):
            yield Layout("label", self._label())

    def _label(self) -> str:
        if self._physical or self._host.plain_labels:
            return f"0x{self._address:x}:"
        return f"{self._host.show.symbol(self._address)}:"

    def _letter(self, char: str, count: int | None) -> Iterator[Datum | Layout]:
        letter = find_letter(char, self._verb)
        if letter is None:
            raise BadFormat(f"invalid format character -- '{char}'")
        if letter.what == "layout":
            yield from self._layout(char, 1 if count is None else count)
        elif char == "C":
            yield from self._characters(letter, 1 if count is None else count)
        else:
            show = SHOWING[letter.what]
            for number in range(1 if count is None else count):
                if number and char in "sS":
                    yield Layout("text", "\\0")
                yield show(self, letter)

    def _layout(self, char: str, amount: int) -> Iterator[Layout]:
        match char:
            case "+":
                self._address = (self._address + amount) & MASK
            case "-":
                self._address = (self._address - amount) & MASK
            case "^":
                self._address = (self._address - self._increment * amount) & MASK
            case "a":
                yield Layout("label", self._label().ljust(MARGIN))
            case "r":
                yield Layout("text", " " * min(amount, MAX_LAYOUT))
            case "n" | "N":
                yield Layout("newline", amount=amount)
            case _:
                yield Layout("tab", amount=amount)

    def _value(self, letter: Letter) -> Datum:
        size = letter.bytes(self._word)
        value = int.from_bytes(self._read(size), "little")
        if letter.show:
            text = letter.show(value, self._host.show)
        else:
            text = "\n".join(values.picture(value))
        found = self._datum(letter, Hex(value), text, size)
        self._host.remember(value)
        return found

    def _text(self, letter: Letter) -> Datum:
        if letter.letter == "c":
            data = self._read(1)
            self._host.remember(data[0])
            return self._datum(letter, Hex(data[0]), self._raw(data), 1)
        data = self._string()
        text = escape_bytes(data) if letter.letter == "S" else self._raw(data)
        return self._datum(letter, text, text, len(data) + 1)

    def _characters(self, letter: Letter, count: int) -> Iterator[Datum]:
        """`C`: so many bytes, escaped."""
        while count > 0:
            size = min(count, CHUNK if self._verb != "=" else 1)
            text = escape_bytes(self._read(size))
            yield self._datum(letter, text, text, size)
            count -= size

    def _code(self, letter: Letter) -> Datum:
        found = self._host.instruction(self._address, self._read_at)
        text = found.text
        if letter.letter == "I":
            word = int.from_bytes(self._read_at(self._address, 4), "little")
            text = f"{self._address:x} {word:x}: {text}"
        return self._datum(letter, found.text, text, found.size)

    def _datum(self, letter: Letter, value: Hex | str, text: str, size: int) -> Datum:
        address = None if self._verb == "=" else Vaddr(self._address)
        if address is not None:
            self._increment = size
            self._address = (self._address + size) & MASK
        return Datum(value, address, letter.letter, text)

    def _raw(self, data: bytes) -> str:
        """Bytes as they are, as far as the page may show them."""
        if self._host.show.terminal:
            return escape_bytes(data) if not data.isascii() or not data.decode("ascii").isprintable() else data.decode()
        return data.decode("utf-8", "backslashreplace")

    def _string(self) -> bytes:
        """The bytes up to the next NUL."""
        parts: list[bytes] = []
        at, total = self._address, 0
        while total < MAX_STRING:
            chunk = self._chunk(at)
            end = chunk.find(b"\0")
            if end >= 0:
                return b"".join([*parts, chunk[:end]])
            parts.append(chunk)
            at, total = at + len(chunk), total + len(chunk)
        return b"".join(parts)

    def _chunk(self, address: int) -> bytes:
        """What can be read at once: the rest of the page, or a byte where memory ends inside it."""
        try:
            return self._read_at(address, CHUNK - address % CHUNK)
        except UnreadableData:
            return self._read_at(address, 1)

    def _read(self, size: int) -> bytes:
        return self._read_at(self._address, size)

    def _read_at(self, address: int, size: int) -> bytes:
        if self._verb == "=":
            return self._start.to_bytes(8, "little")[:size]
        try:
            if self._physical:
                return self._call.target.read_physical(address, size)
            return self._call.target.read(address, size)
        except ReadFailed as err:
            raise UnreadableData(err) from err


SHOWING: Mapping[str, Callable[[FormatRun, Letter], Datum]] = {
    "value": FormatRun._value,
    "write": FormatRun._value,
    "bits": FormatRun._value,
    "text": FormatRun._text,
    "code": FormatRun._code,
}
