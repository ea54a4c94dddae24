"""Areas of the kernel's own virtual memory that were mapped piece by piece: vmalloc, ioremap, stacks, modules.

They hang on the lists of `vmap_nodes` (6.9 and later), before that on `vmap_area_list`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.types.typed import Typed

MAX_AREAS = 1 << 20
MAX_NODES = 1 << 12


@dataclass(frozen=True)
class VmallocArea:
    """An area. `end` is behind the guard page that follows most; `caller` asked for it, 0 if nobody recorded who."""

    address: int
    start: int
    end: int
    caller: int
    pages: int
    physical: int


def each_vmalloc(linux: "Linux") -> Iterator[VmallocArea]:
    """Every area that is in use."""
    for head in _heads(linux):
        for address in linux.each_listed(head, "struct vmap_area", "list", MAX_AREAS):
            yield _read(linux, linux.objects.at("struct vmap_area", address))


def _heads(linux: "Linux") -> Iterator[int]:
    names = linux.names
    if names.find("vmap_nodes"):
        count = int.from_bytes(linux.space.read(linux.address("nr_vmap_nodes"), 4), "little")
        start, size = linux.read_word("vmap_nodes"), linux.objects.sizeof("struct vmap_node")
        offset = linux.objects.offsetof("struct vmap_node", "busy.head")
        yield from (start + number * size + offset for number in range(min(count, MAX_NODES)))
    elif names.find("vmap_area_list"):
        yield linux.address("vmap_area_list")
    else:
        raise DebuggerError("the kernel has neither vmap_nodes nor vmap_area_list: its vmalloc areas cannot be found")


def _read(linux: "Linux", area: "Typed") -> VmallocArea:
    start, end = int(area["va_start"]), int(area["va_end"])
    held = getattr(area, "vm", None)
    if not held:
        return VmallocArea(area.address_, start, end, 0, 0, 0)
    return VmallocArea(area.address_, start, end, int(held["caller"]), int(held["nr_pages"]), int(held["phys_addr"]))
