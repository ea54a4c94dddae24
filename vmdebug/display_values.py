"""Single values as ::print shows them: numbers, characters, dates, enums, floating point.

Numbers are in hex unless asked otherwise, with a prefix where they are more than one digit; bit-fields of signed types
in decimal; times as dates; addresses of the network with dots.
"""

from collections.abc import Sequence
from typing import Any

from formats.lazy import dataclass
from vmdebug.lang.escapes import escape_bytes
from vmdebug.lang.numbers import show_number
from vmdebug.lang.values import date
from vmdebug.types.model import Enum, Float, Integer, Type
from vmdebug.types.paths import Place

DATES = ("time_t",)
NETWORK = ("ipaddr_t", "in_addr_t")
DIGITS, LONG_DIGITS = 7, 16  # behind the point of a float; of a long double
UNKNOWN = "???"
HUMAN_WIDTH = 5


def is_character(type_: Type) -> bool:
    """True for the type that C calls char: signed, whose values are characters."""
    return isinstance(type_, Integer) and type_.char and type_.signed and type_.bits == 8


def printable(data: bytes) -> bool:
    """True if all bytes are printable ASCII."""
    return all(0x20 <= byte < 0x7F for byte in data)


def read_bits(data: bytes, place: Place, base: Integer | Enum) -> int:
    """The number that a value's bytes hold: all of them, or the bits of a bit-field."""
    bits, shift = bits_of(place, base), place.bit
    if place.bits is None and isinstance(base, Integer):
        shift = base.shift
    value = int.from_bytes(data, "little") >> shift & ((1 << bits) - 1)
    negative = base.signed and bits > 0 and value >> (bits - 1)
    return value - (1 << bits) if negative else value


def bits_of(place: Place, base: Integer | Enum) -> int:
    """How many bits a value has."""
    if place.bits is not None:
        return place.bits
    return base.bits if isinstance(base, Integer) else 8 * base.size


@dataclass(frozen=True)
class Numbers:
    """Numbers in hex or decimal as asked for, or in the radix that fits."""

    hexadecimal: bool = False
    decimal: bool = False

    def integer(self, value: int, place: Place, base: Integer) -> tuple[str, Any]:
        """The text and the JSON of an integer."""
        bits = bits_of(place, base)
        if bits % 8 or place.bits is not None or bits not in (8, 16, 32, 64):
            return self._bit_field(value, bits, base), value
        if is_character(base):
            return f"'{character(value & 0xFF)}'", value
        special = None if self.hexadecimal or self.decimal else _special(value, place)
        return special or self._plain(value, bits, self.decimal), value

    def enum(self, value: int, base: Enum) -> str:
        """`1 (NAME)`; of flags `0x3 (PREFIX_{A|B})`."""
        if base.flags:
            flags = value & ((1 << 8 * base.size) - 1)
            return f"{_hex(flags, 8 * base.size)} ({flag_names(flags, base.values)})"
        number = _hex(value, 8 * base.size) if self.hexadecimal else _decimal(value)
        return f"{number} ({base.by_value.get(value, UNKNOWN)})"

    def real(self, data: bytes, base: Float) -> tuple[str, Any]:
        """A floating-point number with its sign and exponent."""
        from vmdebug.types.plans import decode_float

        value = decode_float(base, data)
        if isinstance(value, complex):
            return f"{value.real:+.{DIGITS}e}{value.imag:+.{DIGITS}e}i", [value.real, value.imag]
        digits = LONG_DIGITS if base.size > 8 else DIGITS
        return f"{value:+.{digits}e}", value if value - value == 0 else str(value)

    def _bit_field(self, value: int, bits: int, base: Integer) -> str:
        decimal = self.decimal or base.signed
        return self._plain(value, bits, decimal and not self.hexadecimal)

    def _plain(self, value: int, bits: int, decimal: bool) -> str:
        return _decimal(value) if decimal else _hex(value, bits)


def character(byte: int) -> str:
    """A character as C writes it, without quotes."""
    return escape_bytes(bytes([byte])) if byte else "\\0"


def flag_names(value: int, values: Sequence[tuple[str, int]]) -> str:
    """The names of the bits that are set, behind the prefix that all names share; what has no name in hex."""
    named: dict[int, str] = {}
    for name, bit in values:
        named.setdefault(bit, name)
    if value in named:
        return named[value]
    found = [bit for bit in named if bit and value & bit]
    rest = value & ~sum(found)
    names = shared_prefix([named[bit] for bit in found], [name for name, _ in values])
    return "|".join([*([names] if found else []), *([f"{rest:#x}"] if rest or not found else [])])


def shared_prefix(names: Sequence[str], every: Sequence[str]) -> str:
    """Names joined with `|`, their prefix written once: `PREFIX_{A|B}`."""
    prefix = common_prefix(every)
    if len(names) < 2 or not prefix:
        return "|".join(names)
    return f"{prefix}{{{'|'.join(name[len(prefix) :] for name in names)}}}"


def common_prefix(names: Sequence[str]) -> str:
    """What all names begin with; shorter than the shortest, so that something is left of each."""
    if not names:
        return ""
    first, last = min(names), max(names)
    same = next((at for at, char in enumerate(first) if last[at : at + 1] != char), len(first))
    return first[: same - 1] if same and first[:same] in names else first[:same]


def human(value: int) -> str:
    """A size with its unit, in three digits: `1.50K`; whole ones without a point."""
    index = max(0, (value.bit_length() - 1) // 10)
    unit = " KMGTPE"[index].strip()
    if value % (1 << 10 * index) == 0:
        return f"{value >> 10 * index}{unit}"
    shown = (f"{value / (1 << 10 * index):.{digits}f}{unit}" for digits in (2, 1, 0))
    return next((text for text in shown if len(text) <= HUMAN_WIDTH), "")


def _special(value: int, place: Place) -> str | None:
    """The text of a type whose numbers mean something."""
    if place.type.name in DATES and value:
        return date(value)
    if place.type.name in NETWORK:
        return ".".join(str(value >> shift & 0xFF) for shift in (0, 8, 16, 24))
    return None


def _decimal(value: int) -> str:
    """With its prefix where it has more than one digit; a negative one always has it."""
    return f"-0t{-value}" if value < 0 else show_number(value, 10, prefix=True)


def _hex(value: int, bits: int) -> str:
    value &= (1 << bits) - 1
    return f"{value:#x}" if value else "0"
