"""The types of a Linux kernel: its own BTF, its modules' on top, and a table for variables that BTF lacks."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from vmdebug.errors import DebuggerError
from vmdebug.types.btf import ENUM, ENUM64, FUNC, PLAIN_KINDS, STRUCT, TAG_KINDS, TYPEDEF, UNION, Btf
from vmdebug.types.errors import UnknownType
from vmdebug.types.model import Function, Type
from vmdebug.types.source import KernelSymbol, TypeSource

Blob = Callable[[], bytes]


class BtfTypes(TypeSource):
    """A module's BTF is read when a name is not the kernel's, or is asked for in that module.

    `variables` names the types of variables that BTF does not describe.
    """

    def __init__(self, kernel: Btf, modules: Mapping[str, Blob], variables: Mapping[str, str]) -> None:
        self.pointer = kernel.pointer
        self._kernel = kernel
        self._blobs = modules
        self._table = variables
        self._modules: dict[str, Btf | None] = {}

    def lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        kinds = TAG_KINDS.get(tag, PLAIN_KINDS)
        containers = [self._module(module)] if module else [self._kernel, *map(self._module, self._blobs)]
        for container in containers:
            for number in container.find(kinds, name) if container else ():
                assert container is not None
                return container.type(number)
        return None

    def alternatives(self, name: str, member: str) -> Iterator[Type]:
        """Every structure of that name that has the member: names repeat across subsystems."""
        for container in (self._kernel, *map(self._module, self._blobs)):
            for number in container.find((STRUCT, UNION), name) if container else ():
                assert container is not None
                found = container.type(number)
                if getattr(found, "has", lambda _: False)(member):
                    yield found

    def each(self) -> Iterator[Type]:
        for number in self._kernel.each((STRUCT, UNION, ENUM, ENUM64, TYPEDEF)):
            found = self._kernel.type(number)
            if found.name:
                yield found

    def type_of_symbol(self, symbol: KernelSymbol) -> Type | None:
        container = self._module(symbol.module) if symbol.module in self._blobs else self._kernel
        found = next(container.variables(symbol.name), None) if container else None
        if found is None and symbol.name in self._table:
            try:
                return self.find(self._table[symbol.name])
            except UnknownType:
                return None
        return found

    def function(self, symbol: KernelSymbol) -> Function | None:
        container = self._module(symbol.module) if symbol.module in self._blobs else self._kernel
        for number in container.find((FUNC,), symbol.name) if container else ():
            assert container is not None
            found = container.type(number)
            if isinstance(found, Function):
                return found
        return None

    def _module(self, name: str) -> Btf | None:
        """A module's container; None if it has none, or none that can be used."""
        if name not in self._modules:
            self._modules[name] = None
            try:
                if name in self._blobs:
                    self._modules[name] = Btf(name, self._blobs[name](), self._kernel, self.pointer)
            except DebuggerError as err:
                self.problems[name] = str(err)
        return self._modules[name]

    @cached_property
    def problems(self) -> dict[str, str]:
        """The modules whose types cannot be used, and why."""
        return {}
