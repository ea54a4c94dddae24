"""The kernel's own type data: CTF that each module keeps in memory, genunix's the base of all others."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from formats.image import Fact
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.modules import Layout, Module, differing
from vmdebug.guests.memory import MAX_TABLE, Read
from vmdebug.symbols.elf import ElfPart, each_entry
from vmdebug.types.ctf import CtfModule, CtfTypes
from vmdebug.types.errors import CtfError
from vmdebug.types.source import EmptyTypes, TypeSource

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

PARENT = "genunix"


def find_types(guest: "Illumos") -> TypeSource:
    """The types of all modules, genunix's first: all others build on it."""
    if guest.symbols.find("ctf_arena") is None:
        return EmptyTypes("the kernel keeps no type data: it has no symbol ctf_arena")
    pairs = zip(guest.found, guest.parts, strict=True)
    ordered = sorted(pairs, key=lambda pair: pair[0].name != PARENT)
    if not any(module.types.size for module in guest.found):
        return EmptyTypes("no module of the kernel has type data")
    return CtfTypes([_source(guest.target.read, module, part) for module, part in ordered])


def _source(read: Read, module: Module, part: ElfPart) -> CtfModule:
    return CtfModule(
        module.name,
        partial(_read, read, module),
        strings=lambda: part.tables.strings,
        symbols=lambda: each_entry(part.tables),
    )


def _read(read: Read, module: Module) -> bytes:
    """A module's CTF as it lies in memory, nothing where it has none."""
    if not module.types.size:
        return b""
    if module.types.size > MAX_TABLE:
        raise CtfError(module.name, f"its size is said to be {module.types.size:#x} bytes")
    try:
        return read(module.types.base, module.types.size)
    except ReadFailed as err:
        raise CtfError(module.name, str(err)) from err


def each_fact(guest: "Illumos") -> Iterator[Fact]:
    """What the type data is, and whether it agrees with the offsets by which the module list was read."""
    if guest.types.why:
        yield Fact("types", "none", guest.types.why)
        return
    count = sum(module.types.size > 0 for module in guest.found)
    yield Fact("types", f"{count} modules", f"CTF in memory; {PARENT}'s is the parent of the others")
    try:
        wrong = differing(Layout(), guest.objects.offsetof)
        yield Fact("module layout", "; ".join(wrong) or "as known", f"compared with {PARENT}'s types")
    except DebuggerError as err:
        yield Fact("module layout", "not verified", str(err))
    for problem in guest.types.problems if isinstance(guest.types, CtfTypes) else ():
        yield Fact("warning", problem, "types")
