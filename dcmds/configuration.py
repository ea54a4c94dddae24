"""How an illumos system was set up: ::system ::showrev ::class ::zone ::project, the walkers zone and projects."""

import re
from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.guests.illumos.configuration import each_class, each_project, each_setting, each_zone, zone_name
from vmdebug.guests.illumos.kernel import UTSNAME, Illumos, illumos

GUESTS = ("illumos",)
PATCH = re.compile(r"\b\d{6}-\d{2}\b")  # the number of a patch, and its revision
ZONE_STATES = {
    **dict(enumerate(("uninitialized", "initialized", "ready", "booting", "running"))),
    **dict(enumerate(("shutting_down", "empty", "down", "dying", "dead"), 5)),
}


@dataclass(frozen=True)
class SettingRow:
    """A line of /etc/system.

    addr: the kernel's record of it
    command: its first word
    module: the module of a variable, empty for one of the kernel
    name: the variable, module or directory
    operator: = to set, & and | to change a variable; empty for other commands
    value: the number, null for other commands
    """

    addr: Vaddr
    command: str
    module: str
    name: str
    operator: str
    value: Hex | None


def setting_lines(rows: Iterable[SettingRow], _: Show) -> Iterator[str]:
    for row in rows:
        if row.value is None:
            yield f'{row.command} "{row.name}"'
        else:
            module = f"{row.module}:" if row.module else ""
            yield f"{row.command} {module}{row.name}{row.operator}0x{row.value:x} [0t{row.value}]"


@dcmd("system", text=setting_lines, row=SettingRow, guests=GUESTS)
def system(call: Call) -> Iterator[SettingRow]:
    """print contents of /etc/system file

    As the kernel read it when it started.

    Reads: struct sysparam from sysparam_hd along sys_next.

    Example:
        ::system
    """
    for each in each_setting(illumos(call.guest)):
        value = None if each.value is None else Hex(each.value)
        yield SettingRow(Vaddr(each.address), each.command, each.module, each.name, each.operator, value)


@dataclass(frozen=True)
class RevisionRow:
    """A fact of the system, or a module.

    name: which
    value: as the kernel holds it; of a module how it describes itself
    module: the modctl of a module, null for a fact of the system
    """

    name: str
    value: str
    module: Vaddr | None = None


def revision_lines(rows: Iterable[RevisionRow], _: Show) -> Iterator[str]:
    """The facts, then a table of modules."""
    first = True
    for row in rows:
        if row.module is None:
            yield f"{row.name}: {row.value}"
            continue
        if first:
            yield f"{'OBJECT':<28} VERSION"
        first = False
        yield f"{row.name:<28} {row.value}"


@dcmd(
    "showrev",
    flags=(Flag("p", "the modules that came with a patch"), Flag("v", "all modules")),
    text=revision_lines,
    row=RevisionRow,
    guests=GUESTS,
)
def showrev(call: Call) -> Iterator[RevisionRow]:
    """print version information

    The node's name, the release, the kernel's architecture and that of its applications, its version, the platform.
    With -v also every module with what it says of itself, with -p only those that name a patch, such as 118833-36.

    Reads: utsname, architecture, platform; with -p and -v struct modctl (mod_linkage), struct modlinkage.

    Example:
        ::showrev -v
    """
    guest = illumos(call.guest)
    names = dict.fromkeys(UTSNAME, "unknown") | dict(guest.identity)
    version = " ".join(names[name] for name in ("sysname", "release", "machine", "version"))
    yield RevisionRow("Hostname", names["nodename"])
    yield RevisionRow("Release", names["release"])
    yield RevisionRow("Kernel architecture", names["machine"])
    yield RevisionRow("Application architecture", guest.text("architecture") or "unknown")
    yield RevisionRow("Kernel version", version)
    yield RevisionRow("Platform", guest.text("platform") or "unknown")
    if call.flags:
        yield from _module_revisions(guest, only_patched="v" not in call.flags)


def _module_revisions(guest: Illumos, only_patched: bool) -> Iterator[RevisionRow]:
    """The modules, or those that name a patch; a fact that there are none of these."""
    found = [(module, guest.linkage(module)[1] or "Unknown") for module in guest.found]
    chosen = [each for each in found if PATCH.search(each[1]) or not only_patched]
    if not chosen:
        yield RevisionRow("Patches", f"none of {len(found)} modules names one")
    for module, text in chosen:
        yield RevisionRow(module.name, text, Vaddr(module.modctl))


@dataclass(frozen=True)
class ClassRow:
    """A scheduling class.

    addr: its sclass_t
    slot: its number, the t_cid of its threads
    name: what it is called
    init: the function that set it up
    functions: its table of functions
    """

    addr: Vaddr
    slot: int
    name: str
    init: Vaddr
    functions: Vaddr


CLASS = Text(
    "{slot:>4} {name:<10} {init:<24a} {functions:<24a}",
    head=f"SLOT {'NAME':<10} {'INIT FCN':<24} {'CLASS FCN':<24}",
)


@dcmd("class", text=CLASS, row=ClassRow, guests=GUESTS)
def classes(call: Call) -> Iterator[ClassRow]:
    """print process scheduler classes

    Reads: sclass_t of the table sclass.

    Example:
        ::class
    """
    for slot, each in enumerate(each_class(illumos(call.guest))):
        if each.name:
            yield ClassRow(Vaddr(each.address), slot, each.name, Vaddr(each.init), Vaddr(each.functions))


@walker("zone", guests=GUESTS)
def walk_zone(call: Call) -> Iterator[int]:
    """walk a list of kernel zones"""
    return each_zone(illumos(call.guest))


@dataclass(frozen=True)
class ZoneRow:
    """A zone.

    addr: its zone_t
    id: its number
    status: what it does
    name: what it is called
    path: the root of its file systems
    """

    addr: Vaddr
    id: int
    status: str
    name: str
    path: str


ZONE = Text(
    "{addr:016x} {id:>6} {status:<13} {name:<20} {path}",
    head=f"{'ADDR':>16} {'ID':>6} {'STATUS':<13} {'NAME':<20} PATH",
)


@dcmd("zone", address="optional", text=ZONE, row=ZoneRow, guests=GUESTS)
def zone(call: Call) -> Iterator[ZoneRow]:
    """display kernel zone(s)

    Every active zone, or the one at the address.

    Reads: zone_t from zone_active.

    Example:
        ::zone
    """
    guest = illumos(call.guest)
    for address in each_zone(guest) if call.address is None else [call.address]:
        found = guest.objects.at("zone_t", address)
        number = found["zone_status"]
        status = ZONE_STATES.get(number, f"{number}")
        name, path = zone_name(found, "zone_name"), zone_name(found, "zone_rootpath")
        yield ZoneRow(Vaddr(address), found["zone_id"], status, name, path)


@walker("projects", start="optional", guests=GUESTS)
def walk_projects(call: Call) -> Iterator[int]:
    """walk a list of kernel projects"""
    return each_project(illumos(call.guest), call.address)


@dataclass(frozen=True)
class ProjectRow:
    """A project: what its tasks may use together.

    addr: its kproject_t
    id: its number
    zone: the number of its zone
    count: how many hold it
    """

    addr: Vaddr
    id: int
    zone: int
    count: int


PROJECT = Text(
    "{addr:016x} {id:>6} {zone:>6} {count:>6}",
    head=f"{'ADDR':>16} {'PROJID':>6} {'ZONEID':>6} {'REFCNT':>6}",
)


@dcmd("project", address="optional", text=PROJECT, row=ProjectRow, guests=GUESTS)
def project(call: Call) -> Iterator[ProjectRow]:
    """display kernel project(s)

    Every active project, or the one at the address.

    Reads: kproject_t from proj0p along kpj_next.

    Example:
        ::project
    """
    guest = illumos(call.guest)
    for address in each_project(guest) if call.address is None else [call.address]:
        found = guest.objects.at("kproject_t", address)
        yield ProjectRow(Vaddr(address), found["kpj_id"], found["kpj_zoneid"], found["kpj_count"])
