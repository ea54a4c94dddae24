"""Properties of the nodes of the device tree: lists of names with values, one list for each that sets them.

A value is as the flags say: words of four or eight bytes, bytes, or texts that end in NULs; one without bytes is
boolean. Specified in: sys/ddipropdefs.h, sys/ddi_impldefs.h of illumos.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.memory import each_link
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

LISTS = {"System": "devi_sys_prop_ptr", "Driver": "devi_drv_prop_ptr", "Hardware": "devi_hw_prop_ptr"}
UNDEFINED = 0x0040  # DDI_PROP_UNDEF_IT
WIDTHS = {0x0100: ("int", 4), 0x0200: ("string", 1), 0x0400: ("byte", 1), 0x1000: ("int64", 8)}  # DDI_PROP_TYPE_
TYPES = 0x1F00  # DDI_PROP_TYPE_MASK
ANY_DEVICE = ((1 << 64) - 1, (1 << 64) - 2)  # DDI_DEV_T_NONE, DDI_DEV_T_ANY
MAX_PROPERTIES = 1 << 14
MAX_VALUE = 1 << 16  # bytes


@dataclass(frozen=True)
class Property:
    """A ddi_prop_t, and the first one of its list.

    The kind is int, int64, byte, string, boolean, undefined, or any where the kernel does not say. `value` is None
    where it cannot be read; `device` is the dev_t that the property is of, None if it is of the node.
    """

    address: int
    source: str
    first: int
    name: str
    kind: str
    items: int
    value: str | None
    device: int | None


def each_property(guest: "Illumos", node: int, warn: Callable[[str], None]) -> Iterator[Property]:
    """The properties of a dev_info, list by list; a list that is broken is told to `warn`."""
    record = guest.objects.at("struct dev_info", node)
    follow = guest.follow("ddi_prop_t", "prop_next")
    for source, member in LISTS.items():
        first = int(record[member]) if member in record else 0
        try:
            for address in each_link(follow, first, MAX_PROPERTIES):
                yield _read(guest, address, source, first)
        except DebuggerError as err:
            warn(f"failed to read the {source.lower()} properties at {first:x}: {err}")


def _read(guest: "Illumos", address: int, source: str, first: int) -> Property:
    found = guest.objects.at("ddi_prop_t", address)
    try:
        name = found["prop_name"].string()
    except DebuggerError:
        name = "?"
    kind, width = _kind(found)
    items, value = _value(guest, found, kind, width)
    device = None if found["prop_dev"] in ANY_DEVICE else found["prop_dev"]
    return Property(address, source, first, name, kind, items, value, device)


def _kind(found: Typed) -> tuple[str, int]:
    """What a value is, and the bytes of each of its items."""
    if found["prop_flags"] & UNDEFINED:
        return "undefined", 0
    if found["prop_len"] == 0:
        return "boolean", 0
    kind, width = WIDTHS.get(found["prop_flags"] & TYPES, ("any", 1))
    return ("any", 1) if found["prop_len"] % width else (kind, width)


def _value(guest: "Illumos", found: Typed, kind: str, width: int) -> tuple[int, str | None]:
    """How many items a value has, and its text."""
    length = found["prop_len"]
    if not width:
        return 0, ""
    try:
        if not 0 < length <= MAX_VALUE:
            return 0, None
        data = guest.target.read(int(found["prop_val"]), length)
    except DebuggerError:
        return 0, None
    if kind == "string":
        texts = data.removesuffix(b"\0").split(b"\0")
        return len(texts), " + ".join(f"'{each.decode('utf-8', 'backslashreplace')}'" for each in texts)
    numbers = [int.from_bytes(data[at : at + width], "little") for at in range(0, length, width)]
    return len(numbers), ".".join(f"{each:0{2 * width}x}" for each in numbers)
