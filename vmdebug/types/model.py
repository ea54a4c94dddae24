"""One model of types for CTF, BTF and DWARF.

A type refers to others by a Reference, which is followed when the answer is first needed: reading one structure
does not read the kernel's other fifty thousand types. Types are compared by identity; a source gives one object for
one type of the image.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from vmdebug.types.errors import TypeLoop, TypeTooLarge, UnknownMember

MAX_CHAIN = 64  # typedefs and qualifiers, arrays of arrays, anonymous members inside each other
MAX_SIZE = 1 << 40
MAX_MEMBERS = 1 << 16  # that one structure shows, those of its anonymous members included

Reference = Callable[[], "Type"]


@dataclass(eq=False)
class Type:
    """What all types have: a name ("" for one without) and the module whose data describes it."""

    name: str = ""
    module: str = field(default="", kw_only=True)

    @property
    def size(self) -> int:
        """Bytes that a value takes."""
        return 0

    def resolve(self) -> "Type":
        """The type behind typedefs and qualifiers."""
        return self

    @cached_property
    def spelled(self) -> str:
        """The type as C writes it without a variable's name: `struct vnode *`, `void *[1]`."""
        from vmdebug.types.spelling import spell

        return spell(self)

    def __str__(self) -> str:
        return self.spelled


@dataclass(eq=False)
class Void(Type):
    name: str = "void"


@dataclass(eq=False)
class Unknown(Type):
    """A type that the data names but does not describe."""

    name: str = "(?)"


@dataclass(eq=False)
class Sized(Type):
    """A type whose size is stated."""

    extent: int = 0

    @property
    def size(self) -> int:
        return self.extent


@dataclass(eq=False)
class Integer(Sized):
    """An integer of `bits` bits, which lie `shift` bits above the start of its `size` bytes."""

    bits: int = 0
    signed: bool = False
    char: bool = False
    boolean: bool = False
    shift: int = 0


@dataclass(eq=False)
class Float(Sized):
    """A floating-point number of so many bits; `parts` is 2 for complex ones and intervals."""

    bits: int = 0
    parts: int = 1


@dataclass(eq=False)
class Forward(Type):
    """A structure, union or enum (`tag`) that is declared but not defined."""

    tag: str = "struct"


@dataclass(eq=False)
class Reaching(Type):
    """A type that is made of another one."""

    to: Reference = Void

    @cached_property
    def target(self) -> Type:
        return self.to()


@dataclass(eq=False)
class Pointer(Reaching):
    extent: int = 8

    @property
    def size(self) -> int:
        return self.extent


@dataclass(eq=False)
class Alias(Reaching):
    """A typedef or a qualified type: another word for its target."""

    @property
    def size(self) -> int:
        return self.resolve().size

    def resolve(self) -> Type:
        return self._resolved

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


@dataclass(eq=False)
class Array(Reaching):
    """`count` elements; 0 for a flexible array. `extent` is a size that the data states beside it, or 0."""

    count: int = 0
    extent: int = 0

    @property
    def element(self) -> Type:
        return self.target

    @property
    def flexible(self) -> bool:
        return self.count == 0

    @cached_property
    def size(self) -> int:
        size, element = 1, self.resolve()
        for _ in range(MAX_CHAIN):
            if not isinstance(element, Array):
                return self._checked(size * element.size)
            if element.extent:
                return self._checked(size * element.extent)
            size, element = self._checked(size * element.count), element.target.resolve()
        raise TypeLoop(self.name, "arrays")

    def _checked(self, size: int) -> int:
        if size > MAX_SIZE:
            raise TypeTooLarge("array", size)
        return size


@dataclass(eq=False)
class Member:
    """A member at `offset` bits; `width` is that of a bit-field where the structure itself states it."""

    name: str
    offset: int
    to: Reference
    width: int | None = None

    @cached_property
    def type(self) -> Type:
        return self.to()

    @cached_property
    def bits(self) -> int | None:
        """How many bits a bit-field has; None for a member that fills whole bytes."""
        base = self.type.resolve()
        own = base.bits if isinstance(base, Integer) else 8 * base.size
        width = self.width or own
        whole = width == 8 * base.size and self.start % 8 == 0
        return width if width and not whole and isinstance(base, Integer | Enum) else None

    @cached_property
    def start(self) -> int:
        """The first bit of the value, counted from the start of the structure."""
        base = self.type.resolve()
        inner = base.shift if isinstance(base, Integer) and not self.width else 0
        return self.offset + inner

    def moved(self, bits: int) -> "Member":
        """The same member seen from a structure that begins so many bits before."""
        return Member(self.name, self.offset + bits, lambda: self.type, self.width)


@dataclass(eq=False)
class Aggregate(Sized):
    """A structure or union. Its members are read when they are first asked for."""

    load: Callable[[], Sequence[Member]] = tuple
    tag: ClassVar[str]

    @cached_property
    def members(self) -> Sequence[Member]:
        return self.load()

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


@dataclass(eq=False)
class Enum(Sized):
    """Named values."""

    load: Callable[[], Sequence[tuple[str, int]]] = tuple
    signed: bool = True

    @cached_property
    def values(self) -> Sequence[tuple[str, int]]:
        """Names and values in the order of their declaration."""
        return self.load()

    @cached_property
    def by_value(self) -> Mapping[int, str]:
        """The first name of each value."""
        return {value: name for name, value in reversed(self.values)}

    @cached_property
    def by_name(self) -> Mapping[str, int]:
        return dict(reversed(self.values))

    @cached_property
    def flags(self) -> bool:
        """True if every value is 0 or a single bit, so that values may be combined."""
        return bool(self.values) and all(value >= 0 and value & (value - 1) == 0 for _, value in self.values)


@dataclass(frozen=True)
class Argument:
    """An argument of a function; CTF keeps no names."""

    to: Reference
    name: str = ""

    @property
    def type(self) -> Type:
        return self.to()


@dataclass(eq=False)
class Function(Reaching):
    """A function that gives its target."""

    arguments: Sequence[Argument] = ()
    varargs: bool = False

    @property
    def returns(self) -> Type:
        return self.target


def known(found: Type) -> Reference:
    """The Reference to a type that is at hand."""
    return lambda: found


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
