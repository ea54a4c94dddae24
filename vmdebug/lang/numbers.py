"""Numbers as text: reading them in a radix, and showing them in one.

A number without a prefix is read in the current radix; `_` may stand between digits. Shown with a prefix, small ones
have none: 8 is `8` and 10 is `0xa` (12.2).
"""

import struct
from collections.abc import Mapping

from vmdebug.errors import LanguageError
from vmdebug.lang.escapes import unescape

MASK = (1 << 64) - 1
SIGN = 1 << 63
BASES: Mapping[str, int] = {"0i": 2, "0o": 8, "0t": 10, "0x": 16}
PREFIXES: Mapping[int, str] = {2: "0i", 8: "0o", 10: "0t", 16: "0x"}
DIGITS = "0123456789abcdef"


def read_number(text: str, radix: int) -> int:
    """The value of a number token; LanguageError where a digit or the size is too big."""
    base = BASES.get(text[:2].lower())
    if base == 10 and "." in text:
        return double_bits(float(text[2:].replace("_", "")))
    digits = (text if base is None else text[2:]).replace("_", "").lstrip("0") or "0"
    base = base or radix
    try:
        value = int(digits, base) if len(digits) <= 64 else MASK + 1
    except ValueError:
        wrong = next(digit for digit in digits.lower() if DIGITS.find(digit) not in range(base))
        raise LanguageError(f"digit '{wrong}' is invalid in current base", text) from None
    if value > MASK:
        raise LanguageError("specified value exceeds maximum immediate value", text)
    return value


def read_character(text: str) -> int:
    """The value of a char constant with its quotes: its bytes, the first the most significant."""
    data = unescape(text[1:-1])
    raw = data.encode("latin-1") if all(char <= "\xff" for char in data) else data.encode()
    if len(raw) > 8:
        raise LanguageError("character literal may not exceed 8 bytes", text)
    return int.from_bytes(raw, "big")


def double_bits(value: float) -> int:
    """The 64-bit pattern of a double."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def signed(value: int, bits: int = 64) -> int:
    """A value of that many bits as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def show_number(value: int, radix: int, prefix: bool = False) -> str:
    """The digits of a number in a radix from 2 to 16; with its prefix where it has more than one digit."""
    if value < 0:
        return "-" + show_number(-value, radix, prefix)
    mark = PREFIXES.get(radix, "") if prefix and value > (radix - 1 if radix < 10 else 9) else ""
    return mark + digits_of(value, radix)


def digits_of(value: int, radix: int) -> str:
    """The digits alone."""
    match radix:
        case 16:
            return f"{value:x}"
        case 10:
            return str(value)
        case 8:
            return f"{value:o}"
        case 2:
            return f"{value:b}"
    digits = []
    while True:
        value, digit = divmod(value, radix)
        digits.append(DIGITS[digit])
        if not value:
            return "".join(reversed(digits))
