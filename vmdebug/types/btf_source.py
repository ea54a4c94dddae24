"""The types of a Linux kernel: its own BTF, its modules' on top, and a table for variables that BTF lacks."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from vmdebug.errors import DebuggerError
from vmdebug.types.btf import ENUM, ENUM64, FUNC, PLAIN_KINDS, STRUCT, TAG_KINDS, TYPEDEF, UNION, Btf
from vmdebug.types.errors import UnknownType
from vmdebug.types.model import Aggregate, Function, Type
from vmdebug.types.source import KernelSymbol, TypeSource

Blob = Callable[[], bytes]
FindModules = Callable[["BtfTypes"], Mapping[str, Blob]]


class BtfTypes(TypeSource):
    """`modules`, given the kernel's own types, finds how to read each module's BTF.

    It is called, and a module's BTF read, when a name is not the kernel's, or is asked for in a module. `variables`
    names the types of variables that BTF does not describe.
    """

    def __init__(self, kernel: Btf, modules: FindModules, variables: Mapping[str, str]) -> None:
        self.pointer = kernel.pointer
        self.problems: dict[str, str] = {}  # the modules whose types cannot be used, and why
        self._kernel = kernel
        self._find_modules = modules
        self._table = variables
        self._modules: dict[str, Btf | None] = {}

    def lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        kinds = TAG_KINDS.get(tag, PLAIN_KINDS)
        for container in self._containers(module):
            for number in container.find(kinds, name):
                return container.type(number)
        return None

    def _containers(self, module: str | None = None) -> Iterator[Btf]:
        """That module's container, or all, the kernel's first."""
        if module is None:
            yield self._kernel
        yield from filter(None, map(self._module, [module] if module else self.modules))

    def alternatives(self, name: str, member: str) -> Iterator[Type]:
        """Every structure of that name that has the member: names repeat across subsystems."""
        for container in self._containers():
            for number in container.find((STRUCT, UNION), name):
                found = container.type(number)
                if isinstance(found, Aggregate) and found.has(member):
                    yield found

    def each(self) -> Iterator[Type]:
        for number in self._kernel.each((STRUCT, UNION, ENUM, ENUM64, TYPEDEF)):
            found = self._kernel.type(number)
            if found.name:
                yield found

    def type_of_symbol(self, symbol: KernelSymbol) -> Type | None:
        containers = self._containers_of(symbol)
        found = next((kind for container in containers for kind in container.variables(symbol.name)), None)
        if found is None and symbol.name in self._table:
            try:
                return self.find(self._table[symbol.name])
            except UnknownType:
                return None
        return found

    def function(self, symbol: KernelSymbol) -> Function | None:
        for container in self._containers_of(symbol):
            for number in container.find((FUNC,), symbol.name):
                found = container.type(number)
                if isinstance(found, Function):
                    return found
        return None

    def loads(self, module: str) -> bool:
        """True if the module has types that can be used; `problems` says why if not."""
        return self._module(module) is not None

    def _containers_of(self, symbol: KernelSymbol) -> Iterator[Btf]:
        """The container that may describe a symbol: its module's, or the kernel's."""
        return self._containers(symbol.module) if symbol.module else iter((self._kernel,))

    def _module(self, name: str) -> Btf | None:
        """A module's container; None if it has none, or none that can be used."""
        if name not in self._modules:
            self._modules[name] = None
            try:
                if name in self.modules:
                    self._modules[name] = Btf(name, self.modules[name](), self._kernel, self.pointer)
            except DebuggerError as err:
                self.problems[name] = str(err)
        return self._modules[name]

    @cached_property
    def modules(self) -> Mapping[str, Blob]:
        """How to read each module's BTF; while they are looked for, the kernel's types alone answer."""
        try:
            return self._find_modules(BtfTypes(self._kernel, lambda _: {}, self._table))
        except DebuggerError as err:
            self.problems["modules"] = str(err)
            return {}
