"""Where types come from: by name, and by symbol.

A source of one kind of debugging information gives `lookup`, and what it knows of symbols; the names that C builds of
others (`foo_t *`, `char [4]`, `const struct foo *`) are the same for all.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from vmdebug.errors import NoTypes
from vmdebug.types.errors import UnknownType
from vmdebug.types.model import Array, Const, Function, Pointer, Restrict, Type, Void, Volatile, known
from vmdebug.types.spelling import integer_names

if TYPE_CHECKING:
    from vmdebug.types.typedefs import OwnTypes

TAGS = ("struct", "union", "enum")
QUALIFIERS = {"const": Const, "volatile": Volatile, "restrict": Restrict}
DECLARATOR = re.compile(r"\s*(\*|\[\s*(0[xX][0-9a-fA-F]+|\d*)\s*\]|const\b|volatile\b|restrict\b)")
NAME = re.compile(r"\s*(?P<words>[^*\[]*)")
MAX_DECLARATORS = 64


class KernelSymbol(Protocol):
    """What a source needs of a symbol: its module, and its number in that module's symbol table."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...
    @property
    def module(self) -> str: ...
    @property
    def index(self) -> int: ...


class TypeSource(ABC):
    """The types of a kernel. `why` says, where there are none, why not; `pointer` is the size of one.

    `own` are those that the user made: they answer where the kernel has none of the name.
    """

    why: str = ""
    pointer: int = 8
    own: "OwnTypes | None" = None

    @abstractmethod
    def lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        """The type of that name among structs, unions or enums (`tag`), or among all others ("")."""

    @abstractmethod
    def each(self) -> Iterator[Type]:
        """Every type that has a name and is meant to be seen, in the order of the data."""

    def each_name(self) -> Iterator[str]:
        """The names of those types, as `find` takes them."""
        return (found.spelled for found in self.each())

    def each_own(self) -> Iterator[Type]:
        """Every type that the user made."""
        return self.own.each() if self.own else iter(())

    def excuse(self) -> str:
        """What may have kept a type from being found: data that could not be used; "" where all could."""
        return ""

    def alternatives(self, name: str, member: str) -> Iterator[Type]:
        """Every structure of that name that has the member, where a name may have several."""
        return iter(())

    def type_of_symbol(self, symbol: KernelSymbol) -> Type | None:
        """The type of the variable that the symbol names, if that is known."""
        return None

    def function(self, symbol: KernelSymbol) -> Function | None:
        """The prototype of the function that the symbol names, if that is known."""
        return None

    def find(self, name: str) -> Type:
        """The type that C calls so: `struct foo`, `foo_t`, `unsigned long`, `foo_t *`, `char [4]`, `module`foo_t`."""
        match = NAME.match(name)
        words = match["words"].split() if match else []
        found = self._named(words, name)
        return self._declared(found, name, len(match[0]) if match else 0)

    def knows(self, name: str) -> bool:
        """True if `find` would answer."""
        try:
            self.find(name)
        except (UnknownType, NoTypes):
            return False
        return True

    def pointer_to(self, found: Type) -> Pointer:
        return Pointer(known(found), self.pointer)

    def _named(self, words: list[str], asked: str) -> Type:
        """The type that the words before any `*` or `[` name."""
        plain = [word for word in words if word not in QUALIFIERS]
        qualifiers = [word for word in words if word in QUALIFIERS]
        module, _, first = plain[0].rpartition("`") if plain else ("", "", "")
        plain[:1] = [first] if plain else []
        tag = plain.pop(0) if plain and plain[0] in TAGS else ""
        if tag and plain and not module:
            module, _, plain[0] = plain[0].rpartition("`")
        found = self._lookup(tag, " ".join(plain), module or None)
        if found is None:
            raise UnknownType(asked, because=self.excuse())
        for word in qualifiers:
            found = QUALIFIERS[word](known(found))
        return found

    def _lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        if not name:
            return None
        names = [name] if tag else list(integer_names(name))
        found = next((found for each in names if (found := self._kernels(tag, each, module))), None)
        if found is None and self.own is not None and module is None:
            found = next((found for each in names if (found := self.own.lookup(tag, each))), None)
        return found or (Void() if name == "void" and not tag else None)

    def _kernels(self, tag: str, name: str, module: str | None) -> Type | None:
        """What `lookup` gives; where the kernel has no types at all, the user's own are asked nevertheless."""
        try:
            return self.lookup(tag, name, module)
        except NoTypes:
            if self.own is None:
                raise
            return None

    def _declared(self, found: Type, asked: str, at: int) -> Type:
        """The type with what follows its name: pointers, then arrays, the first bound outermost."""
        counts: list[int] = []
        for _ in range(MAX_DECLARATORS):
            match = DECLARATOR.match(asked, at)
            if match is None:
                break
            at = match.end()
            if match[1].startswith("["):
                counts.append(int(match[2] or "0", 0 if match[2][:2].lower() == "0x" else 10))
            elif counts:
                raise UnknownType(asked)
            else:
                found = self.pointer_to(found) if match[1] == "*" else QUALIFIERS[match[1]](known(found))
        if asked[at:].strip():
            raise UnknownType(asked)
        for count in reversed(counts):
            found = Array(known(found), count)
        return found


class EmptyTypes(TypeSource):
    """No types, and why."""

    def __init__(self, why: str) -> None:
        self.why = why

    def lookup(self, tag: str, name: str, module: str | None) -> Type | None:
        raise NoTypes(self.why)

    def each(self) -> Iterator[Type]:
        return iter(())
