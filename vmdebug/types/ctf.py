"""The types of an illumos kernel: one CTF container for each module.

No container is unpacked before something in it is asked for. One that is damaged is left out and noted; its module's
types are missing then, all others work. Names are looked up in the modules' order, the kernel's base module first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.types.ctf_container import Container
from vmdebug.types.ctf_symbols import RawSymbol
from vmdebug.types.errors import CtfError, CtfParentMissing, NoTypesOfModule, UnknownType
from vmdebug.types.model import Forward, Function, Type
from vmdebug.types.source import KernelSymbol, TypeSource

MAX_PARENTS = 8
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class CtfModule:
    """What a module gives: its CTF section as it lies in memory, the strings of its symbol table and its symbols.

    All are called at first use. The symbols come in the order of their table, with the section numbers that the linker
    wrote; an empty `data` means that the module was built without types.
    """

    name: str
    data: Callable[[], bytes]
    strings: Callable[[], bytes] = bytes
    symbols: Callable[[], Iterable[RawSymbol]] = tuple


class CtfTypes(TypeSource):
    """All modules' types. `problems` says, a line each, what could not be used."""

    def __init__(self, modules: Sequence[CtfModule], pointer: int = 8, why: str = "") -> None:
        self.pointer = pointer
        self.why = why
        self.problems: list[str] = []
        self._modules = {module.name: module for module in reversed(modules)}
        self._order = list(dict.fromkeys(module.name for module in modules))
        self._opened: dict[str, Container | CtfError | None] = {}
        self._found: dict[tuple[str, str], Type | None] = {}

    def lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        if module is not None:
            return self._scoped(tag, name, module)
        key = (tag, name)
        if key not in self._found:
            self._found[key] = self._search(tag, name)
        return self._found[key]

    def each(self) -> Iterator[Type]:
        return (found for container in self._containers() for found in container.each())

    def each_name(self) -> Iterator[str]:
        return (name for container in self._containers() for name in container.each_name())

    def excuse(self) -> str:
        return self.problems[0] if self.problems else ""

    def type_of_symbol(self, symbol: KernelSymbol) -> Type | None:
        container = self._usable(symbol.module)
        return container.type_of(symbol.index) if container is not None else None

    def function(self, symbol: KernelSymbol) -> Function | None:
        container = self._usable(symbol.module)
        return container.function(symbol.index, symbol.name) if container is not None else None

    def container(self, module: str) -> Container:
        """A module's container; CtfError says why there is none."""
        found = self._open(module)
        if isinstance(found, CtfError):
            raise found
        if found is None:
            raise CtfError(module, "it has no type data" if module in self._modules else "no such module is loaded")
        return found

    def _scoped(self, tag: str, name: str, module: str) -> Type | None:
        """A name of one module, or of those that it builds on."""
        if module not in self._modules:
            raise UnknownType(name, f"module {module} is not loaded")
        if self._open(module) is None:
            raise NoTypesOfModule(f"{tag} {module}`{name}".lstrip())
        container: Container | None = self.container(module)
        for _ in range(MAX_PARENTS):
            if container is None:
                return None
            if found := container.find(tag, name):
                return found
            container = container.parent
        return None

    def _search(self, tag: str, name: str) -> Type | None:
        """A definition in the first module that has one; else the first declaration."""
        declared: Type | None = None
        for container in self._containers():
            found = container.find(tag, name)
            if found is not None and not isinstance(found, Forward):
                return found
            declared = declared or found
        return declared

    def _complete(self, tag: str, name: str) -> Type | None:
        found = self.lookup(tag, name, None)
        return None if isinstance(found, Forward) else found

    def _containers(self) -> Iterator[Container]:
        return (container for name in self._order if (container := self._usable(name)) is not None)

    def _usable(self, module: str) -> Container | None:
        found = self._open(module)
        return found if isinstance(found, Container) else None

    def _open(self, module: str) -> Container | CtfError | None:
        """The module's container, the error that it gave, or None where the module has none. Tried once."""
        if module not in self._opened:
            self._opened[module] = None  # what asks for it meanwhile goes without it
            self._opened[module] = self._read(module)
        return self._opened[module]

    def _read(self, module: str) -> Container | CtfError | None:
        described = self._modules.get(module)
        if described is None:
            return None
        try:
            data = described.data()
            return self._container(described, data) if data else None
        except DebuggerError as err:
            found = err if isinstance(err, CtfError) else CtfError(module, str(err))
            self.problems.append(str(found))
            return found

    def _container(self, module: CtfModule, data: bytes) -> Container:
        return Container(
            module.name,
            data,
            strings=lambda: self._whatever(module.name, module.strings, b""),
            symbols=lambda: self._whatever(module.name, lambda: list(module.symbols()), []),
            parent=self._parent,
            complete=self._complete,
            pointer=self.pointer,
        )

    def _whatever(self, module: str, load: Callable[[], Loaded], otherwise: Loaded) -> Loaded:
        """What can be loaded; where memory cannot be read, the types are used without it."""
        try:
            return load()
        except DebuggerError as err:
            self.problems.append(str(CtfError(module, f"symbols missing: {err}")))
            return otherwise

    def _parent(self, child: Container) -> Container | None:
        """The container that a child builds on. One that does not name it builds on the first module."""
        name = child.parent_name or self._order[0]
        parent = self._usable(name) if name != child.name else None
        if parent is None or self._builds_on(parent, child):
            self.problems.append(str(CtfParentMissing(child.name, name)))
            return None
        if child.parent_label and child.parent_label not in parent.labels:
            self.problems.append(f"types of {child.name} were made for another build of {name}: {child.parent_label}")
        return parent

    def _builds_on(self, container: Container, child: Container) -> bool:
        """True if the container builds on the child in turn, or its own parents never end."""
        for _ in range(MAX_PARENTS):
            if container is child:
                return True
            if not container.child:
                return False
            found = self._usable(container.parent_name or self._order[0])
            if found is None:
                return False
            container = found
        return True
