"""Illumos: the kernel's identity, symbols and types, and reading its structures and variables by their names.

What only some questions need is imported by the method that answers them: the kernel's identity needs no types.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from formats.image import Fact
from vmdebug.errors import DebuggerError, NoTarget, ReadFailed
from vmdebug.guests.base import Guest, Status
from vmdebug.guests.illumos.debug_info import DebugInfo
from vmdebug.guests.illumos.dmods import has_debugger_module
from vmdebug.guests.illumos.modules import Area, Layout, Module, Reader, read_linkage
from vmdebug.guests.memory import decode, read_sparse, read_word
from vmdebug.symbols.elf import ElfPart, MergedPart, Tables
from vmdebug.symbols.table import Symbol, SymbolTable
from vmdebug.targets.target import Target
from vmdebug.types.source import TypeSource
from vmdebug.unwind.frames import Frame

if TYPE_CHECKING:
    from vmdebug.guests.illumos.htables import PageTables
    from vmdebug.guests.xen.domains import Hypervisor
    from vmdebug.targets.spaces import AddressSpace
    from vmdebug.types.typed import Objects

UTSNAME = ("sysname", "nodename", "release", "version", "machine")
WORD = 8
NAME_SIZE = 257  # SYS_NMLN
UUID_SIZE = 37  # characters of a UUID and a NUL
BUILD_SIZE = 256


class MissingSymbol(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"failed to read '{name}': unknown symbol name")
        self.name = name


class NoSuchModule(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x} is not the modctl of a loaded module")
        self.address = address


class Illumos:
    """An illumos kernel in an image. Finding it reads its module list; all else is read when it is asked for."""

    kind = "illumos"

    def __init__(self, target: Target, info: DebugInfo, found: Sequence[Module], warnings: list[str]) -> None:
        self.target = target
        self.info = info
        self.found = found
        self.warnings = warnings
        self.kept: dict[str, object] = {}  # what long searches found, for the commands that come after
        self._page_tables: dict[int, PageTables] = {}

    @classmethod
    def find(cls, target: Target, info: DebugInfo) -> "Illumos":
        """The kernel that debug_info names; NotIllumos says why its modules cannot be found."""
        warnings: list[str] = []
        return cls(target, info, Reader(target.read, warnings.append, Layout()).modules(info.modules), warnings)

    @property
    def modules(self) -> Sequence[str]:
        return [module.name for module in self.found]

    def module(self, name: str) -> Module | None:
        """A loaded module by its name."""
        return next((module for module in self.found if module.name == name), None)

    def module_at(self, modctl: int) -> Module:
        """The loaded module whose modctl is at an address."""
        found = next((module for module in self.found if module.modctl == modctl), None)
        if found is None:
            raise NoSuchModule(modctl)
        return found

    def modctls(self, warn: Callable[[str], None]) -> Sequence[int]:
        """Every modctl, those of modules that are not loaded too."""
        return Reader(self.target.read, warn, Layout()).ring(self.info.modules)

    def linkage(self, module: Module) -> tuple[int | None, str | None]:
        """The revision of a module's linkage and how the module describes itself, as far as they can be read."""
        return read_linkage(self.target.read, module.linkage)

    @cached_property
    def symbols(self) -> SymbolTable:
        parts = self.parts
        why = "" if any(module.symbols.size for module in self.found) else "no module of the kernel has a symbol table"
        return SymbolTable(MergedPart("", parts=parts), list(parts), why=why)

    @cached_property
    def parts(self) -> Sequence[ElfPart]:
        """The symbol table of each module."""
        return [ElfPart(module.name, load=partial(self._tables, module)) for module in self.found]

    def _tables(self, module: Module) -> Tables:
        return Tables(self._area(module, module.symbols, "symtab"), self._area(module, module.strings, "strings"))

    def _area(self, module: Module, area: Area, what: str) -> bytes:
        """A module's table; what of it is not in the image is zero, and a warning."""
        data, missing = read_sparse(self.target.read, area.base, area.size, f"{module.name}'s {what}")
        if missing:
            self.warnings.append(f"{module.name}'s {what} at {area.base:x}: {missing} of {area.size} bytes are missing")
        return data

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name, or MissingSymbol."""
        found = self.symbols.find(name)
        if found is None:
            raise MissingSymbol(name)
        return found

    def variable(self, name: str, *, signed: bool = False) -> int:
        """The value of a kernel variable, as wide as its symbol says, a word where it does not."""
        symbol = self.symbol(name)
        data = self.target.read(symbol.value, symbol.size if 0 < symbol.size < WORD else WORD)
        return int.from_bytes(data, "little", signed=signed)

    def find_variable(self, name: str, *, signed: bool = False) -> int | None:
        """The value of a variable; None where the kernel has none of that name, or it is not in the image."""
        try:
            return self.variable(name, signed=signed)
        except (MissingSymbol, ReadFailed):
            return None

    @cached_property
    def types(self) -> TypeSource:
        from vmdebug.guests.illumos.types import find_types

        return find_types(self)

    @cached_property
    def objects(self) -> "Objects":
        """The kernel's structures, by the names of their types."""
        from vmdebug.types.typed import Objects

        return Objects(self.types, self.target.read)

    def follow(self, kind: str, member: str) -> Callable[[int], int]:
        """From a structure to the next one that its member points to."""
        offset = self.objects.offsetof(kind, member)
        return lambda address: read_word(self.target.read, address + offset)

    def page_tables(self, space: int | None = None) -> "PageTables":
        """The page tables of an address space (a struct as), the kernel's own if none is given."""
        from vmdebug.guests.illumos.htables import PageTables

        space = self.symbol("kas").value if space is None else space
        return self._page_tables.setdefault(space, PageTables(self, space))

    def space_of_process(self, pid: int) -> "AddressSpace":
        from vmdebug.guests.illumos.spaces import find_space, space_at

        return space_at(self, find_space(self, pid))

    def user_registers(self, pid: int) -> Mapping[str, int]:
        from vmdebug.guests.illumos.spaces import find_process, user_registers

        return user_registers(self, find_process(self, pid))

    def walks(self) -> Mapping[str, Callable[[], Iterator[int]]]:
        """The buffers that each cache gave out, by its name."""
        return self._walks

    @cached_property
    def _walks(self) -> Mapping[str, Callable[[], Iterator[int]]]:
        from vmdebug.guests.illumos.kmem import caches_by_name

        return {name: cache.allocated for name, cache in caches_by_name(self).items()}

    def landmarks(self) -> Mapping[str, int]:
        from vmdebug.guests.illumos.landmarks import read_landmarks

        return read_landmarks(self)

    def space_at(self, address: int) -> "AddressSpace":
        from vmdebug.guests.illumos.spaces import space_at

        return space_at(self, address)

    def hypervisor(self) -> "Hypervisor":
        from vmdebug.guests.illumos.hypervisor import find_hypervisor

        return find_hypervisor(self)

    @property
    def registers(self) -> Mapping[str, int]:
        from vmdebug.guests.illumos.panic import find_registers

        return find_registers(self) or self.target.registers

    def cpu_id(self, cpu: int) -> int:
        from vmdebug.guests.illumos.cpus import find_cpu

        return find_cpu(self, cpu).id

    def frames(self, registers: Mapping[str, int], arguments: bool = True) -> Iterator[Frame]:
        from vmdebug.guests.illumos.stacks import each_call

        return each_call(self, registers, arguments)

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """The kernel's utsname by member; empty where it cannot be read."""
        try:
            data = self.target.read(self.symbol("utsname").value, NAME_SIZE * len(UTSNAME))
        except (MissingSymbol, ReadFailed):
            return {}
        return {name: decode(data[at * NAME_SIZE :][:NAME_SIZE]) for at, name in enumerate(UTSNAME)}

    def status(self) -> Status:
        extra = [("build version", self.text("buildversion", BUILD_SIZE)), ("image uuid", self._uuid())]
        names = self.identity
        return Status(
            names.get("nodename"),
            names.get("release"),
            names.get("version"),
            names.get("machine"),
            [(label, text) for label, text in extra if text is not None],
        )

    def _uuid(self) -> str | None:
        symbol = self.symbols.find("dump_osimage_uuid")
        if symbol is None or symbol.size < UUID_SIZE:
            return None
        text = self.text("dump_osimage_uuid", UUID_SIZE)
        return "(not set)" if text == "" else text

    def text(self, name: str, limit: int = NAME_SIZE) -> str | None:
        """The characters of a kernel variable, None where there is no such variable or it cannot be read."""
        symbol = self.symbols.find(name)
        try:
            return decode(self.target.read(symbol.value, min(symbol.size or limit, limit))) if symbol else None
        except ReadFailed:
            return None

    def cautions(self) -> Sequence[str]:
        names, said = self.identity, [*self.warnings]
        if not self.target.registers and not self.registers:
            said.append("failed to read panicbuf and panic_reg -- current register set will be unavailable")
        if names:
            system = f"{names['sysname']} {names['release']} {names['version']}"
            said.append(f"dump is from {system}; dcmds and macros may not match kernel implementation")
        return said

    def banner(self) -> Sequence[str]:
        loading = "".join(f" {name}" for name in self.modules if has_debugger_module(name))
        return [f"Loading modules: [{loading} ]"]

    @property
    def evidence(self) -> Sequence[Fact]:
        from vmdebug.guests.illumos.types import each_fact

        loaded = [module for module in self.found if module.symbols.size]
        count = sum(module.symbol_count for module in loaded)
        return [
            Fact("guest", "illumos", f"debug_info at {self.info.at:#x}"),
            Fact("modules", str(len(self.found)), f"modctl ring from {self.info.modules:#x}"),
            Fact("symbols", str(count), f"section headers of {len(loaded)} modules"),
            *each_fact(self),
            *(Fact("warning", warning, "modules") for warning in self.warnings),
        ]


def illumos(guest: Guest) -> Illumos:
    """The guest as what it is, for dcmds that know this kind only."""
    if not isinstance(guest, Illumos):
        raise NoTarget
    return guest
