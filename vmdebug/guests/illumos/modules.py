"""The kernel's modules: the ring of modctl structures, and what struct module says of each.

The offsets here are those of every 64-bit kernel known; they are needed before any type data can be found, and are
compared with genunix's own type data once that is read. Specified in: uts/common/sys/modctl.h and sys/kobj.h of
illumos.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import field, replace

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.illumos.debug_info import NotIllumos
from vmdebug.guests.memory import MAX_TABLE, Read, each_link, read_string, read_word
from vmdebug.symbols.elf import ENTRY

Offsets = Mapping[str, int]

MAX_MODULES = 2000
MAX_NAME = 256
WORD = struct.Struct("<Q")
SECTION = struct.Struct("<16xQ8xQ24x")  # an Elf64_Shdr's sh_addr and sh_size
LINKAGE = struct.Struct("<i4xQ")  # ml_rev, ml_linkage[0]
MAX_INFO = 256
NO_SYMBOLS = 0x800  # KOBJ_NOKSYMS

MODCTL: Offsets = {
    "mod_next": 0,
    "mod_prev": 8,
    "mod_id": 16,
    "mod_mp": 24,
    "mod_linkage": 48,
    "mod_filename": 56,
    "mod_modname": 64,
}
MODULE: Offsets = {
    "symhdr": 80,
    "strhdr": 88,
    "symsize": 104,
    "symspace": 112,
    "flags": 120,
    "text_size": 128,
    "data_size": 136,
    "text": 144,
    "data": 152,
    "symtbl": 168,
    "strings": 176,
    "bss_size": 216,
    "bss": 224,
    "ctfdata": 272,
    "ctfsize": 280,
}


class NoModules(NotIllumos):
    def __init__(self, at: int, reason: str) -> None:
        super().__init__(f"illumos kernel: cannot construct namelist: failed to read modctl at {at:#x}: {reason}")


class CorruptSymbols(DebuggerError):
    def __init__(self) -> None:
        super().__init__("corrupt symspace")


@dataclass(frozen=True)
class Layout:
    """Where the members of modctl and struct module lie."""

    modctl: Offsets = field(default_factory=lambda: MODCTL)
    module: Offsets = field(default_factory=lambda: MODULE)


@dataclass(frozen=True)
class Area:
    """A range of kernel memory."""

    base: int = 0
    size: int = 0

    def holds(self, address: int) -> bool:
        return 0 <= address - self.base < self.size


@dataclass(frozen=True)
class Module:
    """A kernel module: where its modctl and its parts lie. One that is not loaded has no `mp`, and no parts."""

    name: str
    id: int
    modctl: int
    mp: int
    linkage: int = 0
    filename: str = ""
    flags: int = 0
    text: Area = Area()
    data: Area = Area()
    bss: Area = Area()
    symbols: Area = Area()
    strings: Area = Area()
    types: Area = Area()

    @property
    def symbol_count(self) -> int:
        return self.symbols.size // ENTRY.size


class Reader:
    """Reads modules with one layout; what cannot be read is told to `warn`, and left out."""

    def __init__(self, read: Read, warn: Callable[[str], None], layout: Layout) -> None:
        self.read = read
        self.warn = warn
        self.layout = layout

    def modules(self, first: int) -> list[Module]:
        """Every loaded module in load order."""
        found: dict[str, Module] = {}
        for node in self.ring(first):
            module = self._module(node)
            if module and module.name in found:
                self.warn(f"skipping duplicate module '{module.name}', id={module.id}")
            elif module:
                found[module.name] = module
        return list(found.values())

    def ring(self, first: int) -> list[int]:
        """The addresses of all modctls. Where the way forward is lost, the rest is found going backward."""
        forward, lost = self._follow(first, "mod_next")
        if lost is None:
            return forward
        if not forward:
            raise NoModules(first, lost.reason)
        self.warn(f"failed to read modctl at {lost.address:x}: {lost.reason}")
        backward, _ = self._follow(first, "mod_prev")
        known = set(forward)
        return forward + [node for node in reversed(backward) if node not in known]

    def _follow(self, first: int, link: str) -> tuple[list[int], ReadFailed | None]:
        """The modctls that can be read along one link, and the failure that ended them."""
        nodes: list[int] = []
        offset = self.layout.modctl[link]
        try:
            for node in each_link(lambda node: read_word(self.read, node + offset), first, MAX_MODULES):
                self._members(node, self.layout.modctl)
                nodes.append(node)
        except ReadFailed as err:
            return nodes, err
        return nodes, None

    def _module(self, node: int) -> Module | None:
        """The module of a modctl; None if it is not loaded or has no name that can be read."""
        modctl = self._members(node, self.layout.modctl)
        if not modctl["mod_mp"]:
            return None
        try:
            name = read_string(self.read, modctl["mod_modname"], MAX_NAME)
        except ReadFailed as err:
            self.warn(f"failed to read the name of the module at {node:x}: {err.reason}")
            return None
        number = modctl["mod_id"] & 0xFFFF_FFFF
        bare = Module(name, number, node, modctl["mod_mp"], modctl["mod_linkage"], self._filename(modctl))
        try:
            return self._loaded(bare)
        except DebuggerError as err:
            self.warn(f"skipping module '{name}', id={number} ({err})")
            return bare

    def _filename(self, modctl: Mapping[str, int]) -> str:
        try:
            return read_string(self.read, modctl["mod_filename"], MAX_NAME) if modctl["mod_filename"] else ""
        except ReadFailed:
            return ""

    def _loaded(self, bare: Module) -> Module:
        """The module with its parts, as struct module says."""
        module = self._members(bare.mp, self.layout.module)
        flags = module["flags"] & 0xFFFF_FFFF
        symbols, strings = self._tables(module) if not flags & NO_SYMBOLS else (Area(), Area())
        return replace(
            bare,
            flags=flags,
            text=Area(module["text"], module["text_size"]),
            data=Area(module["data"], module["data_size"]),
            bss=Area(module["bss"], module["bss_size"]),
            symbols=symbols,
            strings=strings,
            types=Area(module["ctfdata"], module["ctfsize"] if module["ctfdata"] else 0),
        )

    def _tables(self, module: Mapping[str, int]) -> tuple[Area, Area]:
        """The symbol table and its strings. A section header without an address leaves it to struct module."""
        symbols_at, symbols_size = SECTION.unpack(self.read(module["symhdr"], SECTION.size))
        strings_at, strings_size = SECTION.unpack(self.read(module["strhdr"], SECTION.size))
        whole = Area(module["symspace"], module["symsize"] or symbols_size + strings_size)
        symbols = Area(symbols_at or module["symtbl"] or whole.base, symbols_size)
        strings = Area(strings_at or module["strings"] or whole.base + symbols_size, strings_size)
        if max(symbols_size, strings_size) > MAX_TABLE or not (symbols_at or _inside(symbols, whole)):
            raise CorruptSymbols
        if not (strings_at or _inside(strings, whole)):
            raise CorruptSymbols
        return symbols, strings

    def _members(self, address: int, offsets: Offsets) -> dict[str, int]:
        """The words at the members' offsets, read as one piece."""
        data = self.read(address, max(offsets.values()) + WORD.size)
        return {name: WORD.unpack_from(data, offset)[0] for name, offset in offsets.items()}


def _inside(part: Area, whole: Area) -> bool:
    return whole.base <= part.base and part.base + part.size <= whole.base + whole.size


def differing(layout: Layout, offset_of: Callable[[str, str], int]) -> list[str]:
    """The members that the kernel's own type data puts elsewhere, with both offsets."""
    members = [("struct modctl", *each) for each in layout.modctl.items()]
    members += [("struct module", *each) for each in layout.module.items()]
    places = [(kind, name, used, offset_of(kind, name)) for kind, name, used in members]
    return [f"{kind} {name} at {stated}, not {used}" for kind, name, used, stated in places if stated != used]


def read_linkage(read: Read, address: int) -> tuple[int | None, str | None]:
    """The revision in a modlinkage, and the text that its first part keeps behind a pointer to its operations."""
    try:
        revision, part = LINKAGE.unpack(read(address, LINKAGE.size))
    except ReadFailed:
        return None, None
    try:
        text = read_word(read, part + WORD.size)
        return revision, read_string(read, text, MAX_INFO)
    except ReadFailed:
        return revision, None
