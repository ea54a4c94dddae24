"""What the kernel was told and what it loaded: /etc/system, scheduling classes, zones, projects.

Specified in: sys/sysconf.h, sys/modctl.h, sys/class.h, sys/zone.h, sys/project.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.memory import MAX_TABLE, each_link
from vmdebug.types.lists import each_listed
from vmdebug.types.typed import Ptr, Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_LINES = 1 << 14
MAX_PROJECTS = 1 << 20
COMMANDS = {  # sys_type
    **dict(enumerate(("exclude", "include", "forceload", "rootdev", "rootfs", "swapdev", "swapfs", "moddir"))),
    **dict.fromkeys((8, 10, 11), "set"),
}
OPERATORS = {1: "=", 2: "&", 3: "|"}  # sys_op


@dataclass(frozen=True)
class Setting:
    """A line of /etc/system. `value` is None where the command has a name only."""

    address: int
    command: str
    module: str
    name: str
    operator: str
    value: int | None


@dataclass(frozen=True)
class SchedulingClass:
    """A slot of the table of scheduling classes: where it lies, its name, its functions."""

    address: int
    name: str
    init: int
    functions: int


def each_setting(guest: "Illumos") -> Iterator[Setting]:
    """The lines of /etc/system that the kernel obeys, in order."""
    follow = guest.follow("struct sysparam", "sys_next")
    for address in each_link(follow, guest.variable("sysparam_hd"), MAX_LINES):
        found = guest.objects.at("struct sysparam", address)
        command = COMMANDS.get(found["sys_type"], "unknown")
        is_set = command == "set"
        yield Setting(
            address=address,
            command=command,
            module=_text(found["sys_modnam"]),
            name=_text(found["sys_ptr"]),
            operator=OPERATORS.get(found["sys_op"], "?") if is_set else "",
            value=found["sys_info"] if is_set else None,
        )


def each_class(guest: "Illumos") -> Iterator[SchedulingClass]:
    """Every slot of the table of scheduling classes, those without a class too."""
    symbol, size = guest.symbol("sclass"), guest.objects.sizeof("sclass_t")
    for place in range(min(symbol.size, MAX_TABLE) // size):
        address = symbol.value + place * size
        found = guest.objects.at("sclass_t", address)
        name, init, functions = (found[member] for member in ("cl_name", "cl_init", "cl_funcs"))
        yield SchedulingClass(address, _text(name), int(init), int(functions))


def each_zone(guest: "Illumos") -> Iterator[int]:
    """Every active zone."""
    return each_listed(guest.objects, guest.symbol("zone_active").value)


def each_project(guest: "Illumos", start: int | None = None) -> Iterator[int]:
    """Every active project, from project 0 or another one; they are in a ring."""
    first = guest.variable("proj0p") if start is None else start
    return each_link(guest.follow("kproject_t", "kpj_next"), first, MAX_PROJECTS)


def zone_name(zone: Typed, member: str) -> str:
    """A text that a zone points to."""
    return _text(zone[member])


def _text(pointer: Ptr) -> str:
    """The characters behind a pointer; nothing for NULL, `?` where they cannot be read."""
    if not pointer:
        return ""
    try:
        return pointer.string()
    except DebuggerError:
        return "?"
