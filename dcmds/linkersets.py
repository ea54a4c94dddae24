"""Tables that the linker gathered in illumos: the walkers linkersets and linkerset."""

from collections.abc import Iterator

from vmdebug.dcmd import Call, walker
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.linkersets import each_in_set, each_set

GUESTS = ("illumos",)


@walker("linkersets", guests=GUESTS)
def walk_linkersets(call: Call) -> Iterator[int]:
    """walk the linker sets of the kernel: where each begins"""
    return (symbol.value for symbol in each_set(illumos(call.guest)))


@walker("linkerset", start="required", guests=GUESTS)
def walk_linkerset(call: Call) -> Iterator[int]:
    """walk what is in the linker set that begins at the address"""
    return each_in_set(illumos(call.guest), call.address or 0)
