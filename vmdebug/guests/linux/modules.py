"""Loaded modules: where each lies, its own symbols, its unwind tables, its types.

A module's symbol table is plain ELF with absolute addresses. Its memory is one area before 6.4 (core_layout, before
4.5 module_core) and several since (mem[], by kind). Newest first, as the kernel lists them.
"""

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ImageError, ReadFailed
from vmdebug.guests.linux.names import KINDS
from vmdebug.symbols.table import Part, Symbol
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.unwind.orc import Layout, OrcTable

SYMBOL, SYMBOL_32 = struct.Struct("<IBBHQQ"), struct.Struct("<IIIBBH")  # struct elf64_sym, elf32_sym
MAX_MODULES = 4096
MAX_SYMBOLS = 1 << 20
MAX_STRINGS = 1 << 26
STATES = ("live", "coming", "going", "unformed")
TEXTS = (  # 6.4, 4.5, and before
    ("mem[0].base", "mem[0].size"),
    ("core_layout.base", "core_layout.text_size"),
    ("module_core", "core_text_size"),
)
INIT_KINDS = 4  # mem[] of these and higher kinds is given back after loading


@dataclass(frozen=True)
class Area:
    """A run of a module's memory."""

    start: int
    size: int

    def holds(self, address: int) -> bool:
        return 0 <= address - self.start < self.size


class Module:
    """One module, read out of its struct module when it is asked something."""

    def __init__(self, linux: "Linux", address: int) -> None:
        self._linux = linux
        self.address = address
        self.struct: Typed = linux.objects.at("struct module", address)

    @cached_property
    def name(self) -> str:
        return str(self.struct["name"].string())

    @property
    def state(self) -> str:
        number = int(self.struct["state"])
        return STATES[number] if number < len(STATES) else str(number)

    @cached_property
    def areas(self) -> Sequence[Area]:
        """The memory that the module has while it lives, its text first."""
        module = self.struct
        if "mem" in module:
            held = [Area(int(part["base"]), int(part["size"])) for part in module["mem"][:INIT_KINDS]]
            return [area for area in held if area.size]
        if "core_layout" in module:
            return [Area(int(module["core_layout.base"]), int(module["core_layout.size"]))]
        return [Area(int(module["module_core"]), int(module["core_size"]))]

    @property
    def text(self) -> Area | None:
        """Where its functions are."""
        module = self.struct
        for start, size in TEXTS:
            if start in module and int(module[size]):
                return Area(int(module[start]), int(module[size]))
        return None

    @property
    def base(self) -> int:
        return self.areas[0].start if self.areas else 0

    @property
    def size(self) -> int:
        return sum(area.size for area in self.areas)

    @property
    def users(self) -> int:
        """How often it is used: its reference count without the one that it holds itself."""
        if "refcnt" in self.struct:
            return max(int(self.struct["refcnt.counter"]) - 1, 0)
        return self._uses("incs") - self._uses("decs") if "refptr" in self.struct else 0

    def _uses(self, member: str) -> int:
        """Before 3.19 each processor counts by itself, what it took and what it gave back."""
        per_cpu, counter = self._linux.per_cpu, int(self.struct["refptr"])
        counters = (
            self._linux.objects.at("struct module_ref", per_cpu.moved(counter, cpu))[member] for cpu in per_cpu.cpus
        )
        return sum(map(int, counters))

    def holds(self, address: int) -> bool:
        return any(area.holds(address) for area in self.areas)

    @cached_property
    def symbols(self) -> Part:
        """The module's own names, read whole at the first look-up."""
        return Part(self.name, list(self._each_symbol()))

    def orc(self, layout: "Layout") -> "OrcTable | None":
        """The module's unwind table; None if it has none."""
        from vmdebug.unwind.orc import ENTRY, MAX_ENTRIES, OrcTable

        if "arch.num_orcs" not in self.struct:
            return None
        count = int(self.struct["arch.num_orcs"])
        if not 0 < count <= MAX_ENTRIES:
            return None
        read, base = self._linux.space.read, int(self.struct["arch.orc_unwind_ip"])
        entries = read(int(self.struct["arch.orc_unwind"]), count * ENTRY.size)
        return OrcTable(base, read(base, 4 * count), entries, layout)

    def _each_symbol(self) -> Iterator[Symbol]:
        table, count, strings = self._tables()
        if not 0 < count <= MAX_SYMBOLS:
            return
        raw = list(self._each_raw(table, count))
        size = min(max(name for name, *_ in raw) + 512, MAX_STRINGS)
        names = b"".join(data for _, data in self._linux.space.each_readable(strings, size))
        for number, (name, info, other, section, value, length) in enumerate(raw):
            if section and number:
                text = names[name : names.find(b"\0", name)].decode("utf-8", "replace")
                yield self._symbol(text, info, other, section, value, length, number)

    def _each_raw(self, table: int, count: int) -> Iterator[tuple[int, int, int, int, int, int]]:
        """Name, info, other, section, value and size of each symbol, in the order of struct elf64_sym."""
        layout = SYMBOL if self._linux.word == 8 else SYMBOL_32
        rows = layout.iter_unpack(self._linux.space.read(table, layout.size * count))
        if layout is SYMBOL:
            yield from rows
            return
        for name, value, size, info, other, section in rows:
            yield name, info, other, section, value, size

    def _symbol(self, name: str, info: int, other: int, section: int, value: int, size: int, number: int) -> Symbol:
        """Newer kernels keep the letter that nm prints in st_info's place or beside; the ELF type is what is left."""
        kind = {1: "OBJT", 2: "FUNC", 3: "SECT", 4: "FILE"}.get(info & 0xF, KINDS.get(chr(info).lower(), "NOTY"))
        bind = {0: "LOCL", 1: "GLOB", 2: "WEAK"}.get(info >> 4, "LOCL")
        return Symbol(name, value, size, kind, bind, self.name, number, other, section)

    def _tables(self) -> tuple[int, int, int]:
        """Where the symbols are, how many, and where their names are."""
        module = self.struct
        own = getattr(module, "kallsyms", None)
        if own:
            return int(own["symtab"]), int(own["num_symtab"]), int(own["strtab"])
        return int(module["symtab"]), int(module["num_symtab"]), int(module["strtab"])


class Modules:
    """The kernel's list of modules."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self.problem = ""

    @cached_property
    def all(self) -> Sequence[Module]:
        """Every module, newest first; `problem` says where a broken list ended."""
        found: list[Module] = []
        try:
            listed = self._linux.each_listed("modules", "struct module", "list", MAX_MODULES)
            found.extend(Module(self._linux, address) for address in listed)
        except (DebuggerError, ImageError, ReadFailed) as err:
            self.problem = str(err)
        return found

    def holding(self, address: int) -> Module | None:
        """The module whose memory an address lies in."""
        return next((module for module in self.all if module.holds(address)), None)
