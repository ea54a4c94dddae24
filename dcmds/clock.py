"""The time of an illumos kernel: ::time."""

from collections.abc import Iterable, Iterator

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd
from vmdebug.guests.illumos.clock import read_ticks, read_time
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.lang.values import date


@dataclass(frozen=True)
class TimeRow:
    """A point in time.

    value: seconds since 1970, with -l clock ticks since boot
    unit: seconds or ticks
    """

    value: int
    unit: str
    _options: frozenset[str]


def time_lines(rows: Iterable[TimeRow], _: Show) -> Iterator[str]:
    """A date; a number where options ask for one, and for ticks."""
    for row in rows:
        if "x" in row._options:
            yield f"0x{row.value:x}"
        elif "d" in row._options or row.unit == "ticks":
            yield f"{row.value}"
        else:
            yield date(row.value)


@dcmd(
    "time",
    flags=(
        Flag("d", "in decimal"),
        Flag("l", "the clock ticks since boot"),
        Flag("x", "in hexadecimal"),
    ),
    text=time_lines,
    row=TimeRow,
    guests=("illumos",),
)
def time(call: Call) -> Iterator[TimeRow]:
    """display system time

    When the kernel panicked, else the time of day that its clock last noted.

    Reads: panic_hrestime, hrestime; with -l panic_lbolt64, lbolt64, lbolt.

    Example:
        ::time -l
    """
    guest, options = illumos(call.guest), frozenset(call.flags)
    if "l" in options:
        yield TimeRow(read_ticks(guest), "ticks", options)
    else:
        yield TimeRow(read_time(guest), "seconds", options)
