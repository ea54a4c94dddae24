"""The segments of arenas: which numbers each has, which of them are given out, to whom.

An arena's spans are cut into segments; all are in one ring, in which each span comes before what lies in it. Who
allocated a segment is recorded where the kernel audits its allocators; elsewhere the structure ends before that.
Specified in: sys/vmem_impl.h of illumos.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.guests.memory import each_link
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

ALLOCATED, FREE, SPAN, ROTOR, WALKER = 0x01, 0x02, 0x10, 0x20, 0x40  # VMEM_ALLOC and so on
TYPES = {ALLOCATED: "ALLC", FREE: "FREE", SPAN: "SPAN", ROTOR: "ROTR", WALKER: "WLKR"}
IDENTIFIER = 0x4_0000  # VMC_IDENTIFIER: the arena's numbers are no addresses
MAX_SEGMENTS = 1 << 22
INDENT = " " * 17  # of a stack in a record


@dataclass(frozen=True)
class Segment:
    """A vmem_seg_t: the numbers from `start` up to `end`; `stack` is empty where nobody recorded who asked for them."""

    address: int
    kind: int
    start: int
    end: int
    following: int
    thread: int
    timestamp: int
    stack: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def given(self) -> bool:
        return self.kind == ALLOCATED

    @property
    def free(self) -> bool:
        return self.kind == FREE

    @property
    def type(self) -> str:
        return TYPES.get(self.kind, "????")


class Segments:
    """Reads vmem_seg_t as large as this kernel makes them."""

    def __init__(self, guest: "Illumos") -> None:
        self.guest = guest
        kind = guest.objects.find("vmem_seg_t")
        self._plan = guest.objects.at(kind, 0).plan_
        size = guest.find_variable("vmem_seg_size")
        self._size = kind.size if not size else min(size, kind.size)
        self._recorded = self._size == kind.size
        self._last: Segment | None = None

    def read(self, address: int) -> Segment:
        """The segment at an address."""
        if self._last is None or self._last.address != address:
            self._last = self._read(address)
        return self._last

    def _read(self, address: int) -> Segment:
        data = self.guest.target.read(address, self._size)
        found = Typed(self._plan, self.guest.objects, address, data.ljust(self._plan.type.size, b"\0"))
        stack = found["vs_stack"]
        depth = int(found["vs_depth"])
        recorded = self._recorded and 0 < depth <= len(stack) and found["vs_type"] == ALLOCATED
        return Segment(
            address=address,
            kind=int(found["vs_type"]),
            start=int(found["vs_start"]),
            end=int(found["vs_end"]),
            following=int(found["vs_anext"]),
            thread=int(found["vs_thread"]) if recorded else 0,
            timestamp=int(found["vs_timestamp"]) if recorded else 0,
            stack=tuple(map(int, stack[:depth])) if recorded else (),
        )

    def each(self, arena: int, kind: int | None = None) -> Iterator[Segment]:
        """The segments of an arena, the anchor of the ring first; only those of a kind if one is given."""
        first = arena + self.guest.objects.offsetof("vmem_t", "vm_seg0")
        for address in each_link(lambda at: self.read(at).following, first, MAX_SEGMENTS):
            found = self.read(address)
            if kind is None or found.kind == kind:
                yield found


def each_postfix(arenas: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Arenas and their depths, each before those that take memory from it; here those come first."""
    above: list[tuple[int, int]] = []
    for arena, depth in arenas:
        while above and above[-1][1] >= depth:
            yield above.pop()[0]
        above.append((arena, depth))
    yield from (arena for arena, _ in reversed(above))


def segment_record(found: Segment, symbol: Callable[[int], str], *, head: bool = True) -> Iterator[str]:
    """All that is known of a segment, in lines; `symbol` tells an address by a name."""
    if head:
        yield f"{'ADDR':>16} TYPE {'START':>16} {'END':>16} {'SIZE':>16}"
        yield f"{'':16} {'':4} {'THREAD':>16} {'TIMESTAMP':>16}"
    yield f"{found.address:16x} {found.type} {found.start:16x} {found.end:16x} {found.size:16}"
    if found.stack:
        yield f"{'':16} {'':4} {found.thread:16x} {found.timestamp:16x}"
        yield from (f"{INDENT}{symbol(pc)}" for pc in found.stack)
        yield ""
