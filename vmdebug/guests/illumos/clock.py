"""The kernel's time of day: when it panicked, else the last that its clock noted.

Specified in: sys/time.h, os/clock.c, os/panic.c of illumos.
"""

from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.cpus import find_lbolt

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

CLOCKS = ("panic_hrestime", "hrestime")


class NoTime(DebuggerError):
    """The kernel's clock is not in the image."""


def read_time(guest: "Illumos") -> int:
    """Seconds since 1970; NoTime if the kernel has no clock, or it was not set."""
    for name in CLOCKS:
        symbol = guest.symbols.find(name)
        seconds = guest.objects.at("timestruc_t", symbol.value)["tv_sec"] if symbol else 0
        if seconds:
            return int(seconds)
    raise NoTime(f"failed to read the time: none of {', '.join(CLOCKS)} holds one")


def read_ticks(guest: "Illumos") -> int:
    """Clock ticks since boot; NoTime if they are not known."""
    ticks = find_lbolt(guest)
    if ticks is None:
        raise NoTime("failed to read lbolt: the kernel's count of clock ticks is not in the image")
    return ticks
