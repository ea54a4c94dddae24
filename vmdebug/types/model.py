"""One model of types for CTF, BTF and DWARF.

A type refers to others by a Reference, which is followed when the answer is first needed: reading one structure
does not read the kernel's other fifty thousand types. Types are compared by identity; a source gives one object for
one type of the image. (Plain classes: twenty dataclasses would cost each start of the program ten milliseconds.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

from vmdebug.types.errors import TypeLoop, TypeTooLarge, UnknownMember

MAX_CHAIN = 64  # typedefs and qualifiers, arrays of arrays, anonymous members inside each other
MAX_SIZE = 1 << 40
MAX_BITS, MAX_ENUM = 128, 8  # the widest integer, the bytes of the widest enum
MAX_MEMBERS = 1 << 16  # that one structure shows, those of its anonymous members included

Reference = Callable[[], "Type"]


class Type:
    """What all types have: a name ("" for one without) and the module whose data describes it."""

    def __init__(self, name: str = "", *, module: str = "") -> None:
        self.name = name
        self.module = module

    @property
    def size(self) -> int:
        """Bytes that a value takes."""
        return 0

    def resolve(self) -> "Type":
        """The type behind typedefs and qualifiers."""
        return self

    def complete(self) -> "Type":
        """As `resolve`, and the definition of what is only declared here, if any module has one."""
        return self.resolve()

    @cached_property
    def spelled(self) -> str:
        """The type as C writes it without a variable's name: `struct vnode *`, `void *[1]`."""
        from vmdebug.types.spelling import spell

        return spell(self)

    def __str__(self) -> str:
        return self.spelled

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spelled}>"


class Void(Type):
    def __init__(self, name: str = "void", *, module: str = "") -> None:
        super().__init__(name, module=module)


class Unknown(Type):
    """A type that the data names but does not describe."""

    def __init__(self, name: str = "(?)", *, module: str = "") -> None:
        super().__init__(name, module=module)


class Sized(Type):
    """A type whose size is stated."""

    def __init__(self, name: str, size: int, *, module: str = "") -> None:
        super().__init__(name, module=module)
        self._size = size

    @property
    def size(self) -> int:
        return self._size


class Integer(Sized):
    """An integer of `bits` bits, which lie `shift` bits above the start of its `size` bytes."""

    def __init__(
        self,
        name: str,
        size: int,
        *,
        bits: int | None = None,
        signed: bool = False,
        char: bool = False,
        boolean: bool = False,
        shift: int = 0,
        module: str = "",
    ) -> None:
        super().__init__(name, size, module=module)
        self.bits = min(8 * size if bits is None else bits, MAX_BITS)
        self.signed = signed
        self.char = char
        self.boolean = boolean
        self.shift = shift


class Float(Sized):
    """A floating-point number; `parts` is 2 for complex ones and intervals."""

    def __init__(self, name: str, size: int, *, parts: int = 1, module: str = "") -> None:
        super().__init__(name, size, module=module)
        self.parts = parts


class Forward(Type):
    """A structure, union or enum (`tag`) that is declared but not defined. `define` may find it elsewhere."""

    def __init__(
        self, name: str, tag: str = "struct", define: Callable[[], Type | None] | None = None, *, module: str = ""
    ) -> None:
        super().__init__(name, module=module)
        self.tag = tag
        self._define = define

    @property
    def size(self) -> int:
        return self._definition.size if self._definition else 0

    def complete(self) -> Type:
        return self._definition or self

    @cached_property
    def _definition(self) -> Type | None:
        return self._define() if self._define and self.name else None


class Reaching(Type):
    """A type that is made of another one."""

    def __init__(self, to: Reference, name: str = "", *, module: str = "") -> None:
        super().__init__(name, module=module)
        self._to = to

    @cached_property
    def target(self) -> Type:
        return self._to()


class Pointer(Reaching):
    def __init__(self, to: Reference, size: int = 8, *, module: str = "") -> None:
        super().__init__(to, module=module)
        self._size = size

    @property
    def size(self) -> int:
        return self._size


class Alias(Reaching):
    """A typedef or a qualified type: another word for its target."""

    @property
    def size(self) -> int:
        return self.resolve().size

    def resolve(self) -> Type:
        return self._resolved

    def complete(self) -> Type:
        return self._resolved.complete()

    @cached_property
    def _resolved(self) -> Type:
        found: Type = self
        for _ in range(MAX_CHAIN):
            if not isinstance(found, Alias):
                return found
            found = found.target
        raise TypeLoop(self.name, "typedefs")


class Typedef(Alias):
    pass


class Qualified(Alias):
    word: ClassVar[str]


class Const(Qualified):
    word = "const"


class Volatile(Qualified):
    word = "volatile"


class Restrict(Qualified):
    word = "restrict"


class Array(Reaching):
    """`count` elements, 0 for a flexible array. `stated` is a size that the data gives beside them, or 0."""

    def __init__(self, to: Reference, count: int, *, stated: int = 0, module: str = "") -> None:
        super().__init__(to, module=module)
        self.count = count
        self._stated = stated

    @property
    def element(self) -> Type:
        return self.target

    @property
    def flexible(self) -> bool:
        return self.count == 0

    @property
    def size(self) -> int:
        return self._whole

    @cached_property
    def _whole(self) -> int:
        size, element = 1, self.resolve()
        for _ in range(MAX_CHAIN):
            if not isinstance(element, Array):
                return _within_memory(size * element.size)
            if element._stated:
                return _within_memory(size * element._stated)
            size, element = _within_memory(size * element.count), element.target.resolve()
        raise TypeLoop(self.name, "arrays")


class Member:
    """A member at `offset` bits; `width` is that of a bit-field where the structure itself states it."""

    def __init__(self, name: str, offset: int, to: Reference, width: int | None = None) -> None:
        self.name = name
        self.offset = offset
        self.width = width
        self._to = to

    @cached_property
    def type(self) -> Type:
        return self._to()

    @cached_property
    def bits(self) -> int | None:
        """How many bits a bit-field has; None for a member that fills whole bytes."""
        base = self.type.resolve()
        if not isinstance(base, Integer | Enum):
            return None
        width = self.width or (base.bits if isinstance(base, Integer) else 8 * base.size)
        whole = width == 8 * base.size and self.start % 8 == 0
        return None if whole or not width else width

    @cached_property
    def start(self) -> int:
        """The first bit of the value, counted from the start of the structure."""
        base = self.type.resolve()
        inner = base.shift if isinstance(base, Integer) and not self.width else 0
        return self.offset + inner

    def moved(self, bits: int) -> "Member":
        """The same member seen from a structure that begins so many bits before."""
        return Member(self.name, self.offset + bits, lambda: self.type, self.width)


class Aggregate(Sized):
    """A structure or union. Its members are read when they are first asked for."""

    tag: ClassVar[str]

    def __init__(self, name: str, size: int, load: Callable[[], Sequence[Member]], *, module: str = "") -> None:
        super().__init__(name, size, module=module)
        self._load = load

    @cached_property
    def members(self) -> Sequence[Member]:
        return self._load()

    def find(self, name: str) -> Member:
        """The member of that name, also inside anonymous ones, at its offset from here; UnknownMember if none."""
        found = self._by_name.get(name)
        if found is None:
            raise UnknownMember(name, self.spelled)
        return found

    def has(self, name: str) -> bool:
        return name in self._by_name

    @property
    def names(self) -> Sequence[str]:
        """The names that a member may be asked for by."""
        return list(self._by_name)

    @cached_property
    def _by_name(self) -> Mapping[str, Member]:
        found: dict[str, Member] = {}
        for member in _flat(self):
            found.setdefault(member.name, member)
        return found


class Struct(Aggregate):
    tag = "struct"


class Union(Aggregate):
    tag = "union"


class Enum(Sized):
    """Named values, in the order of their declaration."""

    def __init__(
        self, name: str, size: int, load: Callable[[], Sequence[tuple[str, int]]], *, signed: bool = True,
        module: str = "",
    ) -> None:  # fmt: skip
        super().__init__(name, min(size, MAX_ENUM), module=module)
        self.signed = signed
        self._load = load

    @cached_property
    def values(self) -> Sequence[tuple[str, int]]:
        return self._load()

    @cached_property
    def by_value(self) -> Mapping[int, str]:
        """The first name of each value."""
        return {value: name for name, value in reversed(self.values)}

    @cached_property
    def by_name(self) -> Mapping[str, int]:
        return dict(reversed(self.values))

    @cached_property
    def flags(self) -> bool:
        """True if every value is 0 or a single bit, and not all are 0: values may be combined."""
        return any(self.by_value) and all(value >= 0 and value & (value - 1) == 0 for value in self.by_value)


class Argument:
    """An argument of a function; CTF keeps no names."""

    def __init__(self, to: Reference, name: str = "") -> None:
        self.name = name
        self._to = to

    @property
    def type(self) -> Type:
        return self._to()


class Function(Reaching):
    """A function that gives its target."""

    def __init__(
        self, to: Reference, arguments: Sequence[Argument] = (), *, varargs: bool = False, name: str = "",
        module: str = "",
    ) -> None:  # fmt: skip
        super().__init__(to, name, module=module)
        self.arguments = arguments
        self.varargs = varargs

    @property
    def returns(self) -> Type:
        return self.target


def known(found: Type) -> Reference:
    """The Reference to a type that is at hand."""
    return lambda: found


def _within_memory(size: int) -> int:
    if size > MAX_SIZE:
        raise TypeTooLarge("array", size)
    return size


def _flat(outer: Aggregate) -> Iterator[Member]:
    """The named members, those of anonymous members included."""
    budget = MAX_MEMBERS
    pending = [(outer, 0, 0)]
    while pending:
        inner, offset, depth = pending.pop()
        deeper = []
        for member in inner.members:
            budget -= 1
            if budget < 0:
                return
            if member.name:
                yield member.moved(offset) if offset else member
            elif depth < MAX_CHAIN and isinstance(base := member.type.resolve(), Aggregate):
                deeper.append((base, offset + member.offset, depth + 1))
        pending.extend(reversed(deeper))
