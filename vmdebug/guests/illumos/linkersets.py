"""Linker sets: tables of pointers that the linker gathers from all files of a module, between two symbols.

Specified in: sys/linker_set.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError
from vmdebug.symbols.table import Symbol

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

START, STOP = "__start_set_", "__stop_set_"
POINTER = 8  # bytes
MAX_SIZE = 1 << 20  # bytes of a set


class NoSuchSet(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"no linker set begins at {address:x}")
        self.address = address


class BadSet(DebuggerError):
    def __init__(self, name: str, found: str) -> None:
        super().__init__(f"linker set {name}: {found}")


def each_set(guest: "Illumos") -> Iterator[Symbol]:
    """The symbol at which each linker set begins, those of the kernel before those of modules alone."""
    seen: set[int] = set()
    names = [None, *(part.name for part in guest.symbols.modules)]
    for symbol in (each for name in names for each in guest.symbols.each(name)):
        if symbol.name.startswith(START) and symbol.value not in seen:
            seen.add(symbol.value)
            yield symbol


def each_in_set(guest: "Illumos", address: int) -> Iterator[int]:
    """What the pointers of the linker set point to that begins at an address."""
    start = next((symbol for symbol in each_set(guest) if symbol.value == address), None)
    if start is None:
        raise NoSuchSet(address)
    name = start.name.removeprefix(START)
    stop = guest.symbols.find(STOP + name, start.module or None) or guest.symbols.find(STOP + name)
    if stop is None:
        raise BadSet(name, f"there is no symbol {STOP}{name}")
    size = stop.value - address
    if not 0 <= size <= MAX_SIZE:
        raise BadSet(name, f"it begins at {address:x} and ends at {stop.value:x}")
    yield from guest.objects.array("uintptr_t", address, size // POINTER)
