"""The kernel's modules: ::modinfo ::modctl ::objects, and the walker of modctls."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.modules import Module

BITS = (("mod_busy", "b"), ("mod_want", "w"), ("mod_prim", "p"), ("mod_loaded", "l"), ("mod_installed", "i"))


@walker("modctl", guests=("illumos",))
def each_modctl(call: Call) -> Iterator[int]:
    """list of modctl structures"""
    yield from illumos(call.guest).modctls(call.warn)


@dataclass(frozen=True)
class ModuleInfo:
    """A loaded module.

    modctl: its modctl
    id: its number
    loadaddr: where its text begins
    size: bytes of its text and data
    rev: revision of its linkage, null where that cannot be read
    name: its name
    info: how it describes itself, null where that cannot be read
    """

    modctl: Vaddr
    id: int
    loadaddr: Vaddr
    size: Hex
    rev: int | None
    name: str
    info: str | None


@dcmd(
    "modinfo",
    address="optional",
    text=Text(
        "{id:>3} {loadaddr:>16x} {size:>8x} {rev:>3} {name} ({info})",
        head=f"{'ID':>3} {'LOADADDR':>16} {'SIZE':>8} {'REV':>3} MODULE NAME",
        missing="?",
    ),
    row=ModuleInfo,
    guests=("illumos",),
)
def modinfo(call: Call) -> Iterator[ModuleInfo]:
    """print module information

    Every loaded module in load order, or the one whose modctl is at the address.

    Reads: struct modctl (mod_next, mod_id, mod_mp, mod_linkage, mod_modname, mod_filename), struct module (text,
    text_size), struct modlinkage (ml_rev, ml_linkage).

    Example:
        ::modinfo
    """
    guest = illumos(call.guest)
    found = guest.found if call.address is None else [guest.module_at(call.address)]
    for module in found:
        rev, info = guest.linkage(module)
        size = Hex(module.text.size + module.data.size)
        yield ModuleInfo(Vaddr(module.modctl), module.id, Vaddr(module.text.base), size, rev, module.name, info)


@dataclass(frozen=True)
class ModctlRow:
    """A modctl.

    modctl: its address
    module: its struct module, 0 for a module that is not loaded
    bits: b busy, w wanted, p primary, l loaded, i installed
    flags: mod_loadflags
    ref: references to it
    file: the file that it comes from
    """

    modctl: Vaddr
    module: Vaddr
    bits: str
    flags: Hex
    ref: int
    file: str


@dcmd(
    "modctl",
    address="optional",
    text=Text(
        "{modctl:>16x} {module:>16x} {bits:>6} 0x{flags:02x} {ref:>3} {file}",
        head=f"{'MODCTL':>16} {'MODULE':>16} {'BITS':>6} {'FLAGS':>4} {'REF':>3} FILE",
    ),
    row=ModctlRow,
    guests=("illumos",),
)
def modctl(call: Call) -> Iterator[ModctlRow]:
    """print modctl summary

    Every modctl, those of modules that are not loaded too, or the one at the address.

    Reads: struct modctl (mod_next, mod_mp, mod_filename, mod_busy, mod_want, mod_prim, mod_loaded, mod_installed,
    mod_loadflags, mod_ref).

    Example:
        ::modctl
    """
    guest = illumos(call.guest)
    for address in guest.modctls(call.warn) if call.address is None else [call.address]:
        try:
            record = guest.objects.at("struct modctl", address)
            bits = "".join(letter for name, letter in BITS if record[name])
            file = record["mod_filename"].string() if record["mod_filename"] else ""
            flags, ref = Hex(record["mod_loadflags"]), record["mod_ref"]
        except ReadFailed as err:
            call.warn(f"failed to read modctl at {address:x}: {err}")
            continue
        yield ModctlRow(Vaddr(address), Vaddr(int(record["mod_mp"])), bits, flags, ref, file)


@dataclass(frozen=True)
class ObjectRow:
    """The text of a load object of the kernel.

    base: its first address
    limit: the first address behind it
    size: its bytes
    name: the module's name
    version: how the module describes itself, null where that cannot be read
    """

    base: Vaddr
    limit: Vaddr
    size: Hex
    name: str
    version: str | None
    _full: bool


def object_lines(rows: Iterable[ObjectRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            name = f"{'NAME':<28} VERSION" if row._full else "NAME"
            yield f"{'BASE':>16} {'LIMIT':>16} {'SIZE':>16} {name}"
        name = f"{row.name:<28} {row.version or 'Unknown'}" if row._full else row.name
        yield f"{row.base:>16x} {row.limit:>16x} {row.size:>16x} {name}"


@dcmd(
    "objects",
    flags=(Flag("v", "how each module describes itself"),),
    text=object_lines,
    row=ObjectRow,
    guests=("illumos",),
)
def objects(call: Call) -> Iterator[ObjectRow]:
    """print load objects information

    The text of every loaded module in load order.

    Reads: struct modctl (mod_next, mod_mp, mod_modname, mod_filename), struct module (text, text_size, data, data_size,
    bss, bss_size).

    Example:
        ::objects
    """
    guest = illumos(call.guest)
    for module in guest.found:
        version = guest.linkage(module)[1] if "v" in call.flags else None
        yield _object(module, version or None, "v" in call.flags)


def _object(module: Module, version: str | None, full: bool) -> ObjectRow:
    text = module.text
    return ObjectRow(Vaddr(text.base), Vaddr(text.base + text.size), Hex(text.size), module.name, version, full)
