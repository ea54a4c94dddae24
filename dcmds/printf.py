"""Members in a format of one's own: ::printf."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show, dcmd
from vmdebug.display_values import bits_of, human, read_bits
from vmdebug.errors import Abort, DebuggerError, ReadFailed
from vmdebug.lang.numbers import digits_of, signed
from vmdebug.lang.values import date, signed_octal
from vmdebug.members import follow, read_pointer
from vmdebug.types.model import Array, Enum, Integer, Pointer, Type
from vmdebug.types.paths import Place
from vmdebug.types.plans import span
from vmdebug.types.typed import Objects, decode_text
from vmdebug.types.words import need_type

CONVERSION = re.compile(r"%(?P<flags>[-0]*)(?P<width>\d+|\?)?(?P<letter>.)", re.DOTALL)
MAX_WIDTH = 1024
MAX_STRING = 1023
POINTERS, SIGNED, UNSIGNED = "aAp", "dqR", "uorxXHY"
LETTERS = f"{POINTERS}{SIGNED}{UNSIGNED}sIN"
WORD_BITS = 64


@dataclass(frozen=True)
class Formatted:
    """What a format makes of one object.

    text: the format with the members' values
    values: the values themselves, numbers and strings
    """

    text: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Conversion:
    """One `%` of a format."""

    letter: str
    width: int
    left: bool
    zero: bool

    def fill(self, text: str) -> str:
        """The text in its field."""
        if self.left:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if self.zero else " ")


Part = str | Conversion


def format_lines(rows: Iterable[Formatted], _: Show) -> Iterator[str]:
    """The texts one after another, as the format's own newlines divide them."""
    pending = ""
    for row in rows:
        *whole, pending = (pending + row.text).split("\n")
        yield from whole
    if pending:
        yield pending


@dcmd("printf", address="required", synopsis="format type member ...", text=format_lines, row=Formatted, raw=False)
def printf(call: Call) -> Iterator[Formatted]:
    """print formatted output

    Prints members of the object at the address in a format like that of C. Conversions: %a symbol, %p hex (pointers);
    %d %q %R signed in decimal, octal, the current radix; %u %o %r %x %X unsigned, %H as a size; %s a string or the name
    of an enum's value; %I %N addresses of the network; %Y a time; %% itself. Between % and the letter may stand `-`
    (left), `0` (zeros) and a width, `?` for that of an address. The member `.` is the address itself.

    Example:
        fffffffffbc4b7f0::printf "%-6d %p\\n" cpu_t cpu_id .
    """
    if not call.args or not isinstance(call.args[0], str):
        raise Abort("expected a format string")
    parts = list(each_part(call.args[0], 2 * call.session.word))
    found, _, members = need_type(call.guest.types, call.args[1:])
    wanted = sum(isinstance(part, Conversion) for part in parts)
    if not members:
        raise call.usage("at least one member must be specified")
    if len(members) != wanted:
        problem = "missing" if len(members) > wanted else "extra"
        raise Abort(f"{problem} format specifiers (found {wanted}, expected {len(members)})")
    yield from _rows(call, parts, found, members)


def _rows(call: Call, parts: Sequence[Part], found: Type, members: Sequence[str | int]) -> Iterator[Formatted]:
    """One row; in a pipe one for each line, since each is an expression."""
    text, values, rest = "", [], iter(members)
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        value, shown = _converted(call, part, found, next(rest))
        values.append(value)
        text += part.fill(shown)
    for line in text.splitlines() if call.piped else [text]:
        yield Formatted(line, values)


def each_part(form: str, pointer_width: int) -> Iterator[Part]:
    """The pieces of a format; Abort names the first character that is wrong."""
    at = 0
    for match in CONVERSION.finditer(form):
        yield form[at : match.start()]
        at = match.end()
        if match["letter"] == "%" and match[0] == "%%":
            yield "%"
            continue
        if match["letter"] not in LETTERS:
            raise Abort(f"illegal format string at or near '{match['letter']}' (position {at})")
        width = pointer_width if match["width"] == "?" else min(int(match["width"] or 0), MAX_WIDTH)
        yield Conversion(match["letter"], width, "-" in match["flags"], "0" in match["flags"])
    yield form[at:]


def _converted(call: Call, part: Conversion, found: Type, member: str | int) -> tuple[Any, str]:
    """A member's value, and its text by a conversion."""
    if not isinstance(member, str):
        raise Abort("expected only type member arguments")
    address = call.address or 0
    if member == ".":
        if part.letter not in POINTERS + SIGNED + UNSIGNED:
            raise Abort("expected integer or pointer format specifier for '.'")
        return address, _number(call, part.letter, signed(address) if part.letter in SIGNED else address)
    place = follow(call, Place(found, address), member, partial(read_pointer, call.target.read))
    convert = KINDS[part.letter]
    try:
        return convert(call, part.letter, place)
    except ReadFailed as err:
        call.warn(f"failed to read {span(place)} bytes at {err.address:x}: {err.reason}")
        raise DebuggerError(f"failed to print member '{member}'") from err


def _integer(call: Call, letter: str, place: Place) -> tuple[int, str]:
    base = place.type.resolve()
    if not isinstance(base, Integer | Enum):
        raise Abort("expected integer type")
    value = read_bits(call.target.read(place.address, span(place)), place, base)
    if letter in UNSIGNED.replace("Y", ""):
        value &= (1 << bits_of(place, base)) - 1
    return value, _number(call, letter, value)


def _pointer(call: Call, letter: str, place: Place) -> tuple[int, str]:
    if not isinstance(place.type.resolve(), Pointer):
        raise Abort("expected pointer type")
    value = int.from_bytes(call.target.read(place.address, place.type.size), "little")
    return value, _number(call, letter, value)


def _network(call: Call, _: str, place: Place) -> tuple[str, str]:
    """An address of the network: a 32-bit integer."""
    base = place.type.resolve()
    if not isinstance(base, Integer) or base.bits != 32:
        raise Abort("expected 32-bit integer type")
    text = ".".join(map(str, call.target.read(place.address, 4)))
    return text, text


def _network6(call: Call, _: str, place: Place) -> tuple[str, str]:
    if place.type.complete() is not call.guest.types.find("in6_addr_t").complete():
        raise Abort("requires argument of type in6_addr_t")
    from ipaddress import IPv6Address

    text = str(IPv6Address(call.target.read(place.address, 16)))
    return text, text


def _string(call: Call, _: str, place: Place) -> tuple[str, str]:
    """The characters of an array or behind a pointer, or the name of an enum's value."""
    base = place.type.resolve()
    match base:
        case Pointer():
            address = int.from_bytes(call.target.read(place.address, base.size), "little")
            text = decode_text(Objects(call.guest.types, call.target.read).read_string(address, MAX_STRING))
        case Array():
            if base.element.size != 1:
                call.warn("string format specifier requires an array of characters")
            text = decode_text(call.target.read(place.address, min(base.size, MAX_STRING)))
        case Enum():
            value = read_bits(call.target.read(place.address, span(place)), place, base)
            text = base.by_value.get(value, f"<{value}>")
        case _:
            raise Abort("expected pointer or array type")
    return text, text


KINDS: Mapping[str, Callable[[Call, str, Place], tuple[Any, str]]] = {
    **dict.fromkeys(SIGNED + UNSIGNED, _integer),
    **dict.fromkeys(POINTERS, _pointer),
    "I": _network,
    "N": _network6,
    "s": _string,
}


def _number(call: Call, letter: str, value: int) -> str:
    """The text of a number by a letter."""
    show = call.session.show
    match letter:
        case "a":
            return show.symbol(value)
        case "A":
            return show.symbol_or_empty(value)
        case "r" | "R":
            return show.number(value)
        case "q":
            return signed_octal(value)
        case "d" | "u":
            return str(value)
        case "H":
            return human(value)
        case "Y":
            return date(value)
        case _:
            shown = digits_of(value, 8 if letter == "o" else 16)
            return shown.upper() if letter == "X" else shown
