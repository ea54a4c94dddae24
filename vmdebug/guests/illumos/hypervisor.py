"""The hypervisor that panicked below an illumos dom0: its names and types are those of the module xpv.

The kernel's xpv_panic_info points to a struct panic_info, whose first member pi_version is an int; the pointer is null
where the hypervisor did not panic. Nothing else of it is needed: what follows is read by the hypervisor's own types.
Specified in: i86xpv/os/xpv_panic of illumos.
"""

from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import read_word
from vmdebug.guests.xen.domains import Hypervisor
from vmdebug.symbols.table import SymbolTable

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MODULE = "xpv"
VERSIONS = range(1, 4)  # of pi_version, all that there were
INT = 4


class NoHypervisorPanic(DebuggerError):
    def __init__(self, found: str) -> None:
        super().__init__(f"the dump is not of a hypervisor's panic: {found}")


class UnknownPanicFormat(DebuggerError):
    def __init__(self, version: int) -> None:
        super().__init__(f"unrecognized hypervisor panic format: version {version}")


def find_hypervisor(guest: "Illumos") -> Hypervisor:
    """The hypervisor, as far as the dump knows it; NoHypervisorPanic where it did not panic."""
    symbol = guest.symbols.find("xpv_panic_info")
    if symbol is None:
        raise NoHypervisorPanic("the kernel has no xpv_panic_info")
    try:
        info = read_word(guest.target.read, symbol.value)
        version = read_word(guest.target.read, info, INT) if info else 0
    except ReadFailed as err:
        raise NoHypervisorPanic(f"failed to read xpv_panic_info: {err}") from err
    if not info:
        raise NoHypervisorPanic("xpv_panic_info is null")
    if version not in VERSIONS:
        raise UnknownPanicFormat(version)
    part = guest.symbols.module(MODULE)
    if part is None:
        return Hypervisor(guest.symbols, guest.objects)
    return Hypervisor(SymbolTable(main=part), guest.objects, f"{MODULE}`")
