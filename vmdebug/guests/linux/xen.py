"""The guest's side of Xen: event channels as a Linux kernel binds them, and their pending and masked bits.

Bindings are in the kernel's irq_info list. The bits are in shared_info (two levels) or, with the FIFO interface, in the
guest's own pages, a word a port. shared_info belongs to the hypervisor: a domain dump holds it beside the pages.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.linux.lists import each_listed
from vmdebug.types.model import Aggregate

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

TYPES = ("unbound", "pirq", "virq", "ipi", "evtchn")
VIRQS = {
    0: "timer", 1: "debug", 2: "console", 3: "dom exc", 4: "tbuf", 6: "debugger", 7: "xenoprof", 8: "con ring",
    9: "pcpu state", 10: "mem event", 11: "argo", 12: "enomem", 13: "xenpmu", 16: "mca",
}  # fmt: skip
IPIS = ("reschedule", "call function", "call function single", "spin unlock", "irq work", "nmi")
MAX_CHANNELS = 131_072
FIFO_PENDING, FIFO_MASKED = 1 << 31, 1 << 30
WORDS_PER_PAGE = 1024
PENDING_AT, MASK_AT, LEVELS_END = 2048, 2560, 4096  # of shared_info, 64-bit layout
LEVELS_CHANNELS = 4096


class NotOnXen(DebuggerError):
    def __init__(self) -> None:
        super().__init__("the guest has no event channels: it does not run on Xen, or its kernel was built without")


@dataclass(frozen=True)
class Channel:
    """A bound event channel. Bits are None where the memory that holds them is not in the image."""

    port: int
    info: int
    irq: int
    type: str
    cpu: int
    detail: str
    pending: bool | None
    masked: bool | None


class EventChannels:
    """The event channels of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        if linux.names.find("xen_irq_list_head") is None:
            raise NotOnXen

    @cached_property
    def interface(self) -> str:
        """Which of the two interfaces the kernel uses: `2-level` or `fifo`."""
        names = self._linux.names
        operations, fifo = names.find("evtchn_ops"), names.find("evtchn_ops_fifo")
        if operations is None or fifo is None:
            return "2-level"
        used = self._linux.read_word(operations.value)
        return "fifo" if used == fifo.value else "2-level"

    def each(self) -> Iterator[Channel]:
        """Every bound channel, by the kernel's own list of interrupts."""
        kind = self._info_type
        objects = self._linux.objects
        offset = kind.find("list").offset // 8
        head = self._linux.address("xen_irq_list_head")
        for address in each_listed(self._linux.space.read, head, offset, MAX_CHANNELS, self._linux.word):
            info = objects.at(kind, address)
            port = int(info["evtchn"])
            if port:
                yield self._channel(address, info, port)

    @cached_property
    def _info_type(self) -> Aggregate:
        """Xen's struct irq_info: other subsystems have one of that name too."""
        found = next(iter(self._linux.alternatives("irq_info", "evtchn")), None)
        if not isinstance(found, Aggregate):
            raise DebuggerError("the kernel's types have no struct irq_info of Xen's")
        return found

    def _channel(self, address: int, info: "Typed", port: int) -> Channel:
        number = int(info["type"])
        kind = TYPES[number] if 0 <= number < len(TYPES) else "?"
        pending, masked = self._bits(port)
        return Channel(
            port, address, int(info["irq"]), kind, int(info["cpu"]), self._detail(info, kind), pending, masked
        )

    def _detail(self, info: "Typed", kind: str) -> str:
        if kind == "virq":
            number = int(info["u.virq"])
            return VIRQS.get(number, str(number))
        if kind == "ipi":
            number = int(info["u.ipi"])
            return IPIS[number] if 0 <= number < len(IPIS) else str(number)
        return ""

    def _bits(self, port: int) -> tuple[bool | None, bool | None]:
        try:
            return self._fifo_bits(port) if self.interface == "fifo" else self._level_bits(port)
        except (DebuggerError, IndexError):
            return None, None

    def _fifo_bits(self, port: int) -> tuple[bool, bool]:
        linux = self._linux
        page = linux.read_word(linux.address("event_array") + linux.word * (port // WORDS_PER_PAGE))
        word = int.from_bytes(linux.space.read(page + 4 * (port % WORDS_PER_PAGE), 4), "little")
        return bool(word & FIFO_PENDING), bool(word & FIFO_MASKED)

    def _level_bits(self, port: int) -> tuple[bool, bool]:
        if port >= LEVELS_CHANNELS:
            raise DebuggerError(f"port {port} has no bits: two levels have {LEVELS_CHANNELS}")
        byte, bit = PENDING_AT + port // 8, 1 << port % 8
        shared = self._shared_info
        return bool(shared[byte] & bit), bool(shared[byte + MASK_AT - PENDING_AT] & bit)

    @cached_property
    def _shared_info(self) -> bytes:
        """The page: out of the dump's own section, or where the guest mapped it."""
        stored: bytes = getattr(self._linux.target.image, "shared_info", b"")
        if len(stored) >= LEVELS_END:
            return stored
        try:
            return self._linux.space.read(self._linux.read_word("HYPERVISOR_shared_info"), LEVELS_END)
        except ReadFailed as err:
            raise DebuggerError(f"shared_info is not in the image: {err}") from err
