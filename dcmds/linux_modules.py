"""Loaded modules of a Linux kernel: ::modinfo ::objects, the walker module."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Hex, Text, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.kernel import linux
from vmdebug.guests.linux.modules import Module

GUESTS = ("linux",)


@dataclass(frozen=True)
class ModuleRow:
    """A loaded module.

    addr: its struct module
    loadaddr: where its text begins
    size: bytes of its memory
    users: how often it is in use
    state: live, coming, going or unformed
    name: its name
    """

    addr: Vaddr
    loadaddr: Vaddr
    size: Hex
    users: int
    state: str
    name: str


@dcmd(
    "modinfo",
    address="optional",
    text=Text(
        "{addr:016x} {loadaddr:016x} {size:>8x} {users:>4} {state:<8} {name}",
        head=f"{'MODULE':<16} {'LOADADDR':<16} {'SIZE':>8} {'USED':>4} {'STATE':<8} NAME",
    ),
    row=ModuleRow,
    guests=GUESTS,
)
def modinfo(call: Call) -> Iterator[ModuleRow]:
    """print module information

    Every loaded module, the newest first, or the one whose struct module is at the address.

    Reads: struct module (list, name, state, refcnt, mem or in older kernels core_layout), struct module_memory (base,
    size), from modules.

    Example:
        ::modinfo
    """
    loaded = linux(call.guest).loaded
    for module in loaded.all if call.address is None else [Module(linux(call.guest), call.address)]:
        try:
            yield ModuleRow(
                addr=Vaddr(module.address),
                loadaddr=Vaddr(module.base),
                size=Hex(module.size),
                users=module.users,
                state=module.state,
                name=module.name,
            )
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the module at {module.address:x}: {err}")
    if loaded.problem:
        call.warn(f"the list of modules ends here: {loaded.problem}")


@dataclass(frozen=True)
class ObjectRow:
    """A load object: the kernel's image, or a module's memory.

    base: its first address
    limit: the first address behind it
    size: bytes
    name: its name
    """

    base: Vaddr
    limit: Vaddr
    size: Hex
    name: str


@dcmd(
    "objects",
    text=Text("{base:>16x} {limit:>16x} {size:>16x} {name}", head=f"{'BASE':>16} {'LIMIT':>16} {'SIZE':>16} NAME"),
    row=ObjectRow,
    guests=GUESTS,
)
def objects(call: Call) -> Iterator[ObjectRow]:
    """print load objects information

    Reads: struct module (list, name, mem or in older kernels core_layout), struct module_memory (base, size), from
    modules.

    Example:
        ::objects
    """
    kernel = linux(call.guest)
    start, end = kernel.image.text, kernel.names.end
    yield ObjectRow(Vaddr(start), Vaddr(end), Hex(end - start), "vmlinux")
    for module in kernel.loaded.all:
        for area in module.areas:
            yield ObjectRow(Vaddr(area.start), Vaddr(area.start + area.size), Hex(area.size), module.name)


@walker("module", guests=GUESTS)
def walk_module(call: Call) -> Iterator[int]:
    """walk list of loaded modules"""
    for module in linux(call.guest).loaded.all:
        yield module.address
