"""Event channels: the kernel's own tables of channels, irqs and handlers.

Specified in: i86xpv/sys/evtchn_impl.h, i86pc/sys/avintr.h, Xen's public/event_channel.h and public/xen.h.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.devices import find_instance
from vmdebug.guests.memory import MAX_TABLE
from vmdebug.symbols.table import Symbol
from vmdebug.types.typed import Items, Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

TYPES = {0: "unset", 1: "pirq", 3: "ipi", 4: "evtchn", 5: "device"}
VIRQ, POKE_LEVEL = 2, 11
VIRQS = {0: "virq:timer", 1: "virq:debug", 2: "virq:console", 3: "virq:dom exc", 6: "virq:debugger", 16: "virq:mca"}
NO_IRQ = -1
BOUND_CPUS = "evtchn_cpus"
SHARED_INFO = "HYPERVISOR_shared_info"
WORD_BITS = 64


class NoSuchChannel(DebuggerError):
    def __init__(self, channel: int) -> None:
        super().__init__(f"Invalid event channel {channel:x}.")


class TableUnreadable(DebuggerError):
    def __init__(self, name: str, err: ReadFailed) -> None:
        super().__init__(f"failed to read {name}: {err.reason}")


class TableMissing(DebuggerError):
    def __init__(self, name: str) -> None:
        verb = "lookup" if name == BOUND_CPUS else "read"
        super().__init__(f"failed to {verb} {name}: unknown symbol name")


@dataclass(frozen=True)
class Channel:
    """An event channel. `irq` and `level` are None for one that no irq is bound to; `masked` and `pending` are None
    where the shared-info page is not in the image. `levels` are the lowest and the highest of its handlers."""

    number: int
    type: str
    irq: int | None
    level: int | None
    cpu: int | None
    masked: bool | None
    pending: bool | None
    handler: Vaddr | None
    driver: str | None
    levels: tuple[int, int] | None = None


class EventChannels:
    """The tables, each read once."""

    def __init__(self, guest: "Illumos") -> None:
        self.guest = guest

    def each(self) -> Iterator[Channel]:
        """Every channel that an irq is bound to."""
        return (self._channel(number, irq) for number, irq in enumerate(self._irqs) if irq != NO_IRQ)

    def channel(self, number: int) -> Channel:
        """One channel, bound or not."""
        if not 0 <= number < len(self._irqs):
            raise NoSuchChannel(number)
        return self._channel(number, self._irqs[number])

    @cached_property
    def shared_irqs(self) -> bool:
        """Whether the kernel lets handlers of several levels share an irq, as with the old interrupt controllers.

        A kernel that has room for that but does not use it is told by its table of apics.
        """
        symbol = self.guest.symbols.find("xen_uppc_irq_shared_table")
        if symbol is None:
            return False
        return any(self._table(symbol.name)) or not self.guest.symbols.find("apic_irq_table")

    def need_shared(self) -> None:
        """Raises TableUnreadable where the page shared with the hypervisor is not in the image."""
        with reading(SHARED_INFO):
            self._read_shared()

    def _channel(self, number: int, irq: int) -> Channel:
        masked, pending = self._bits(number)
        info = self._elements("irq_info", "irq_info_t")
        if not 0 <= irq < len(info):
            return Channel(number, "unassigned", None, None, self._cpu(number), masked, pending, None, None)
        with reading("irq_info"):
            kind, level = info[irq]["ii_type"], info[irq]["ii_u2.ipl"]
        level = level or max(self._bound("ipi_info", irq), 0)
        name = VIRQS.get(self._bound("virq_info", irq), "virq:?") if kind == VIRQ else TYPES.get(kind, "?")
        vector = self._vector(irq)
        handler = self._handler(vector) if vector else self._poke(level)
        driver = self._driver(vector) if vector else None
        levels = self._levels(irq)
        return Channel(number, name, irq, level, self._cpu(number), masked, pending, handler, driver, levels)

    @cached_property
    def _irqs(self) -> list[int]:
        """The irq of each channel, -1 for none."""
        data = self._table("evtchn_to_irq")
        return [irq for (irq,) in struct.iter_unpack("<h", data[: len(data) & ~1])]

    def _bound(self, name: str, irq: int) -> int:
        """The first entry of a table of multiplexed channels that an irq is bound to, -1 for none."""
        with reading(name):
            return next((at for at, each in enumerate(self._elements(name, "mec_info_t")) if each["mi_irq"] == irq), -1)

    def _elements(self, name: str, kind: str) -> Items:
        """A table of structures, as long as its symbol says."""
        symbol, objects = self._symbol(name), self.guest.objects
        return objects.array(kind, symbol.value, min(symbol.size, MAX_TABLE) // max(objects.sizeof(kind), 1))

    def _table(self, name: str) -> bytes:
        symbol = self._symbol(name)
        with reading(name):
            return self.guest.target.read(symbol.value, min(symbol.size, MAX_TABLE))

    def _symbol(self, name: str) -> Symbol:
        found = self.guest.symbols.find(name)
        if found is None:
            raise TableMissing(name)
        return found

    def _cpu(self, number: int) -> int | None:
        """The lowest cpu that a channel is bound to, -1 for none; channel 0 belongs to no cpu."""
        if number == 0:
            return None
        size = len(self._bound_cpus) // max(len(self._irqs), 1)
        cpus = int.from_bytes(self._bound_cpus[number * size : (number + 1) * size], "little")
        return (cpus & -cpus).bit_length() - 1

    @cached_property
    def _bound_cpus(self) -> bytes:
        """A set of cpus for each channel."""
        return self._table(BOUND_CPUS)

    def _bits(self, number: int) -> tuple[bool | None, bool | None]:
        """Whether a channel is masked, and whether it is pending."""
        if self._shared is None:
            return None, None
        word, bit = divmod(number, WORD_BITS)
        masked, pending = self._shared
        return bool(masked[word] >> bit & 1), bool(pending[word] >> bit & 1)

    @cached_property
    def _shared(self) -> tuple[Sequence[int], Sequence[int]] | None:
        """The masks of the page shared with the hypervisor; None where the image does not have that page."""
        try:
            return self._read_shared()
        except ReadFailed:
            return None

    def _read_shared(self) -> tuple[Sequence[int], Sequence[int]]:
        self._symbol(SHARED_INFO)
        shared = self.guest.objects.at("shared_info_t", self.guest.variable(SHARED_INFO))
        return list(shared["evtchn_mask"]), list(shared["evtchn_pending"])

    def _levels(self, irq: int) -> tuple[int, int] | None:
        """The lowest and the highest level of an irq's handlers."""
        heads = self._elements("autovect", "struct av_head")
        with reading("autovect"):
            return (heads[irq]["avh_lo_pri"], heads[irq]["avh_hi_pri"]) if irq < len(heads) else None

    def _vector(self, irq: int) -> Typed | None:
        """The first handler of an irq."""
        heads = self._elements("autovect", "struct av_head")
        with reading("autovect"):
            first = heads[irq]["avh_link"] if irq < len(heads) else 0
            return self.guest.objects.at("struct autovec", first) if first else None

    def _handler(self, vector: Typed) -> Vaddr:
        """The function that an interrupt calls; behind the network layer's common one, the driver's own."""
        with reading("autovect"):
            handler, common = vector["av_vector"], self.guest.symbols.find("gld_intr")
            if common and common.value == handler:
                handler = self.guest.objects.at("gld_mac_info_t", vector["av_intarg1"])["gldm_intr"]
        return Vaddr(int(handler))

    def _poke(self, level: int) -> Vaddr | None:
        poke = self.guest.symbols.find("poke_cpu") if level == POKE_LEVEL else None
        return Vaddr(poke.value) if poke else None

    def _driver(self, vector: Typed) -> str | None:
        """The driver and the instance of a handler's device."""
        try:
            return find_instance(self.guest, int(vector["av_dip"]))
        except DebuggerError:
            return None


@contextmanager
def reading(name: str) -> Iterator[None]:
    """A failed read in here is the failure of a table."""
    try:
        yield
    except ReadFailed as err:
        raise TableUnreadable(name, err) from err
