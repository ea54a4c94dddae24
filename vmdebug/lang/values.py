"""How the format letters show a value: floats, dates, octal with its 0, swapped bytes, bit pictures."""

import struct
import time
from collections.abc import Iterator

from vmdebug.lang.numbers import signed

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def octal(value: int) -> str:
    """Octal with a leading 0."""
    sign, digits = ("-", -value) if value < 0 else ("", value)
    return f"{sign}0{digits:o}" if digits else "0"


def signed_octal(value: int) -> str:
    return f"-{-value:o}" if value < 0 else f"{value:o}"


def swapped(value: int, size: int) -> str:
    """The bytes of a value in the opposite order, in hex."""
    return f"{int.from_bytes(value.to_bytes(size, 'little'), 'big'):x}"


def float32(value: int) -> str:
    (number,) = struct.unpack("<f", value.to_bytes(4, "little"))
    return f"{number:+.7e}"


def float64(value: int) -> str:
    (number,) = struct.unpack("<d", value.to_bytes(8, "little"))
    return f"{number:+.16e}"


def date(seconds: int) -> str:
    """A time as `1970 Jan  1 00:00:00`, local; one that the calendar does not hold as its number."""
    try:
        when = time.localtime(seconds)
    except (OverflowError, ValueError, OSError):
        return str(seconds)
    clock = f"{when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}"
    return f"{when.tm_year} {MONTHS[when.tm_mon - 1]} {when.tm_mday:>2} {clock}"


def date32(value: int) -> str:
    return date(signed(value, 32))


def date64(value: int) -> str:
    return date(signed(value))


def picture(value: int) -> Iterator[str]:
    """The bits of a value: its digits, then one line a set bit with its number and mask, the lowest first."""
    digits = f"{value:b}"
    yield digits
    if not value:
        return
    highest = len(digits) - 1
    bits = [bit for bit in range(highest + 1) if value >> bit & 1]
    columns = "".join("|" if digit == "1" else " " for digit in digits)
    yield columns.rstrip()
    for bit in bits:
        gap = " " if bit < 10 <= highest else ""
        mask = f"{1 << bit:0{highest // 4 + 1}x}"
        yield f"{columns[: highest - bit]}+{'-' * (bit + 2)} bit {bit} {gap}mask 0x{mask}"
