"""The interrupt descriptor table, and the interrupts that the kernel makes by itself.

Specified in: sys/segments.h, sys/avintr.h, sys/ddi_intr_impl.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.devices import find_instance
from vmdebug.guests.memory import each_link

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

GATES = 256
KINDS = {5: "tsk", 14: "int", 15: "trp"}  # SDT_SYSTASKGT, SDT_SYSIGT, SDT_SYSTGT
MAX_HANDLERS = 1 << 12


@dataclass(frozen=True)
class Gate:
    """A gate of the table: what it calls, by which selector, who may, and on which of the interrupt stacks."""

    address: int
    handler: int
    selector: int
    dpl: int
    present: bool
    kind: str
    stack: int


@dataclass(frozen=True)
class SoftInterrupt:
    """A handler of an interrupt that software raises.

    `pending` is None where its handle cannot be read, `driver` (and instance) where it has no device.
    """

    address: int
    pending: int | None
    level: int
    arguments: tuple[int, int]
    handler: int
    driver: str | None


def read_gate(guest: "Illumos", address: int) -> Gate:
    found = guest.objects.at("gate_desc_t", address)
    parts = (("sgd_looffset", 0), ("sgd_hioffset", 16), ("sgd_hi64offset", 32))
    handler = sum(int(found[name]) << shift for name, shift in parts)
    kind = found["sgd_type"]
    return Gate(
        address=address,
        handler=handler,
        selector=found["sgd_selector"],
        dpl=found["sgd_dpl"],
        present=bool(found["sgd_p"]),
        kind=KINDS.get(kind, f"{kind}"),
        stack=found["sgd_ist"],
    )


def each_gate(guest: "Illumos", table: int | None) -> Iterator[Gate]:
    """The gates of a table, of the kernel's own (idt0) if none is given."""
    start = guest.symbol("idt0").value if table is None else table
    size = guest.objects.sizeof("gate_desc_t")
    return (read_gate(guest, start + number * size) for number in range(GATES))


def each_soft_interrupt(guest: "Illumos") -> Iterator[SoftInterrupt]:
    """The handlers of each level, the lowest first."""
    symbol, size = guest.symbol("softvect"), guest.objects.sizeof("struct av_head")
    follow = guest.follow("struct autovec", "av_link")
    for level in range(min(symbol.size // size, MAX_HANDLERS)):
        first = guest.objects.at("struct av_head", symbol.value + level * size)["avh_link"]
        for address in each_link(follow, int(first), MAX_HANDLERS):
            found = guest.objects.at("struct autovec", address)
            yield SoftInterrupt(
                address=address,
                pending=_pending(guest, int(found["av_intr_id"])),
                level=found["av_prilevel"],
                arguments=(int(found["av_intarg1"]), int(found["av_intarg2"])),
                handler=int(found["av_vector"]),
                driver=find_instance(guest, int(found["av_dip"])),
            )


def _pending(guest: "Illumos", handle: int) -> int | None:
    """Whether an interrupt was raised and not served yet, by the handle of its handler."""
    try:
        return int(guest.objects.at("ddi_softint_hdl_impl_t", handle)["ih_pending"])
    except DebuggerError:
        return None
