"""Entries of DWARF into types of the model, each when it is first asked for.

The same structure is described in every unit that includes its header. What has the same name, size and line of
declaration is one type, whichever unit is asked: types are compared by identity.
"""

from collections.abc import Callable, Iterator, Sequence

from vmdebug.types import dwarf_forms as forms
from vmdebug.types.dwarf_forms import Damage, DwarfError, uleb
from vmdebug.types.dwarf_search import Search
from vmdebug.types.dwarf_units import TYPE_UNIT, Entry
from vmdebug.types.model import (
    MAX_CHAIN,
    MAX_SIZE,
    Alias,
    Argument,
    Array,
    Const,
    Enum,
    Float,
    Forward,
    Function,
    Integer,
    Member,
    Pointer,
    Reference,
    Restrict,
    Struct,
    Type,
    Typedef,
    Union,
    Unknown,
    Void,
    Volatile,
    known,
)

ENCODED_ADDRESS, BOOLEAN, COMPLEX, FLOAT, SIGNED, SIGNED_CHAR, UNSIGNED, UNSIGNED_CHAR = range(1, 9)
IMAGINARY, UTF = 0x09, 0x10
TAG_WORDS = {forms.STRUCTURE: "struct", forms.CLASS: "struct", forms.UNION: "union", forms.ENUMERATION: "enum"}
OP_CONSTU, OP_PLUS_UCONST = 0x10, 0x23
ENDLESS = frozenset([(1 << 32) - 1, (1 << 64) - 1])  # upper bounds that mean -1: an array of no elements
MAX_COUNT = 1 << 40

Define = Callable[[str, str], Type | None]


class Maker:
    """`define`, given a tag and a name, finds the definition of what is only declared."""

    def __init__(self, name: str, search: Search, define: Define, module: str) -> None:
        self.name = name
        self.module = module
        self._search = search
        self._define = define
        self._made: dict[int, Type] = {}
        self._same: dict[tuple[object, ...], Type] = {}
        self._signed: dict[int, int] | None = None

    def make(self, entry: Entry) -> Type:
        """The type that an entry describes; Unknown for what has no place in the model."""
        found = self._made.get(entry.number)
        if found is None:
            self._made[entry.number] = Unknown(module=self.module)  # for one that needs itself to be made
            maker = MAKERS.get(entry.tag)
            found = maker(self, entry) if maker else Unknown(self._name(entry) or "(?)", module=self.module)
            found = self._made[entry.number] = self._one(entry, found)
        return found

    def to(self, entry: Entry) -> Reference:
        """What an entry's attribute `type` refers to, void where it has none."""
        return self.follow(entry, forms.TYPE) if entry.has(forms.TYPE) else known(Void(module=self.module))

    def follow(self, entry: Entry, attribute: int) -> Reference:
        def load() -> Type:
            try:
                target = self.target(entry, attribute)
                return self.make(target) if target else Unknown(module=self.module)
            except (Damage, IndexError) as err:
                raise damaged(self.name, err) from err

        return load

    def target(self, entry: Entry, attribute: int) -> Entry | None:
        """The entry that an attribute refers to; None if that lies in another file."""
        form, value = entry.values.get(attribute, (0, 0))
        if not isinstance(value, int):
            return None
        if form in forms.UNIT_REFERENCES:
            return self._search.units.entry(entry.unit.base + entry.unit.start + value)
        if form == forms.REF_ADDR:
            return self._search.units.entry(value)
        return self._by_signature(value) if form == forms.REF_SIG8 else None

    def function(self, entry: Entry) -> Function:
        """The prototype of a function or of a type of functions."""
        children = list(self._search.units.children(entry))
        arguments = [Argument(self.to(each), self._name(each)) for each in children if each.tag == forms.PARAMETER]
        varargs = any(each.tag == forms.VARARGS for each in children)
        name = self._name(entry) if entry.tag == forms.SUBPROGRAM else ""
        return Function(self.to(entry), arguments, varargs=varargs, name=name, module=self.module)

    def variable(self, entry: Entry) -> Type | None:
        """The type of a variable, which its declaration may say."""
        for _ in range(MAX_CHAIN):
            if entry.has(forms.TYPE):
                return self.to(entry)()
            attribute = forms.SPECIFICATION if entry.has(forms.SPECIFICATION) else forms.ABSTRACT_ORIGIN
            target = self.target(entry, attribute) if entry.has(attribute) else None
            if target is None:
                return None
            entry = target
        return None

    def _one(self, entry: Entry, found: Type) -> Type:
        """The one type for all entries that describe it."""
        if not found.name or isinstance(found, Forward):
            return found
        size = entry.integer(forms.BYTE_SIZE)
        key = (entry.tag, found.name, size, entry.integer(forms.DECL_LINE), entry.integer(forms.ENCODING))
        return self._same.setdefault(key, found)

    def _name(self, entry: Entry) -> str:
        return self._search.name_of(entry)

    def _by_signature(self, signature: int) -> Entry | None:
        """The type that a unit of its own describes."""
        units = self._search.units
        if self._signed is None:
            own = (unit for unit in units.all if unit.kind == TYPE_UNIT)
            self._signed = {unit.signature: unit.base + unit.start + unit.type_at for unit in own}
        number = self._signed.get(signature)
        return None if number is None else units.entry(number)

    # Makers.

    def _base(self, entry: Entry) -> Type:
        name, size = self._name(entry), self._size(entry)
        encoding = entry.integer(forms.ENCODING)
        if encoding in (FLOAT, COMPLEX, IMAGINARY):
            return Float(name, size, parts=2 if encoding == COMPLEX else 1, module=self.module)
        return Integer(
            name, size, bits=entry.integer(forms.BIT_SIZE), signed=encoding in (SIGNED, SIGNED_CHAR),
            char=encoding in (SIGNED_CHAR, UNSIGNED_CHAR, UTF), boolean=encoding == BOOLEAN, module=self.module,
        )  # fmt: skip

    def _pointer(self, entry: Entry) -> Type:
        size = entry.integer(forms.BYTE_SIZE)
        return Pointer(self.to(entry), entry.unit.sizes.address if size is None else size, module=self.module)

    def _typedef(self, entry: Entry) -> Type:
        return Typedef(self.to(entry), self._name(entry), module=self.module)

    def _const(self, entry: Entry) -> Type:
        return Const(self.to(entry), module=self.module)

    def _volatile(self, entry: Entry) -> Type:
        return Volatile(self.to(entry), module=self.module)

    def _restrict(self, entry: Entry) -> Type:
        return Restrict(self.to(entry), module=self.module)

    def _atomic(self, entry: Entry) -> Type:
        return Alias(self.to(entry), module=self.module)

    def _array(self, entry: Entry) -> Type:
        bounds = [each for each in self._search.units.children(entry) if each.tag == forms.SUBRANGE][:MAX_CHAIN]
        counts = [_count(each) for each in bounds] or [0]
        to = self.to(entry)
        for count in reversed(counts[1:]):
            to = known(Array(to, count, module=self.module))
        return Array(to, counts[0], module=self.module)

    def _aggregate(self, entry: Entry) -> Type:
        name, tag = self._name(entry), TAG_WORDS[entry.tag]
        if entry.has(forms.DECLARATION) or entry.has(forms.SIGNATURE):
            return self._declared(entry, name, tag)
        kind = Union if entry.tag == forms.UNION else Struct
        return kind(name, self._size(entry), lambda: self._members(entry), module=self.module)

    def _declared(self, entry: Entry, name: str, tag: str) -> Type:
        if entry.has(forms.SIGNATURE):
            target = self.target(entry, forms.SIGNATURE)
            if target is not None and not target.has(forms.SIGNATURE):
                return self.make(target)
        return Forward(name, tag, lambda: self._define(tag, name), module=self.module)

    def _members(self, entry: Entry) -> Sequence[Member]:
        try:
            children = self._search.units.children(entry)
            return [self._member(each) for each in children if each.tag == forms.MEMBER and _inside(each)]
        except (Damage, IndexError) as err:
            raise damaged(self.name, err) from err

    def _member(self, entry: Entry) -> Member:
        to, width = self.to(entry), entry.integer(forms.BIT_SIZE)
        offset = entry.integer(forms.DATA_BIT_OFFSET)
        if offset is None:
            offset = 8 * _location(entry)
            if width and (before := entry.integer(forms.BIT_OFFSET)) is not None:
                # The old form counts from the most significant bit of a word of storage.
                storage = entry.integer(forms.BYTE_SIZE)
                offset += 8 * (to().size if storage is None else storage) - _signed(before) - width
        return Member(self._name(entry), offset, to, width)

    def _enum(self, entry: Entry) -> Type:
        name = self._name(entry)
        if entry.has(forms.DECLARATION) or entry.has(forms.SIGNATURE):
            return self._declared(entry, name, "enum")
        size = self._size(entry)
        signed = self._is_signed(entry)
        values = list(self._values(entry, size, signed))
        if signed is None:
            signed = any(value < 0 for _, value in values)
        return Enum(name, size, lambda: values, signed=signed, module=self.module)

    def _is_signed(self, entry: Entry) -> bool | None:
        """What the enum or its underlying type says; None if neither does."""
        encoding = entry.integer(forms.ENCODING)
        if encoding is None and entry.has(forms.TYPE):
            base = self.to(entry)().resolve()
            return base.signed if isinstance(base, Integer) else None
        return None if encoding is None else encoding in (SIGNED, SIGNED_CHAR)

    def _values(self, entry: Entry, size: int, signed: bool | None) -> Iterator[tuple[str, int]]:
        bits = 8 * size
        for each in self._search.units.children(entry):
            if each.tag == forms.ENUMERATOR:
                value = each.integer(forms.CONST_VALUE) or 0
                if signed is not None and bits:
                    value &= (1 << bits) - 1
                    value -= (value >> (bits - 1) << bits) if signed else 0
                yield self._name(each), value

    def _size(self, entry: Entry) -> int:
        size = entry.integer(forms.BYTE_SIZE) or 0
        if not 0 <= size <= MAX_SIZE:
            raise Damage(f"the type at {entry.number:#x} has {size:#x} bytes")
        return size


Make = Callable[[Maker, Entry], Type]
MAKERS: dict[int, Make] = {
    forms.BASE: Maker._base,
    forms.POINTER: Maker._pointer,
    forms.REFERENCE: Maker._pointer,
    forms.RVALUE_REFERENCE: Maker._pointer,
    forms.TYPEDEF: Maker._typedef,
    forms.CONST: Maker._const,
    forms.VOLATILE: Maker._volatile,
    forms.RESTRICT: Maker._restrict,
    forms.ATOMIC: Maker._atomic,
    forms.ARRAY: Maker._array,
    forms.STRUCTURE: Maker._aggregate,
    forms.CLASS: Maker._aggregate,
    forms.UNION: Maker._aggregate,
    forms.ENUMERATION: Maker._enum,
    forms.SUBROUTINE: Maker.function,
}


def damaged(name: str, err: Exception) -> DwarfError:
    """The error for data that is not sound, out of what was met while it was read."""
    return DwarfError(name, str(err) if isinstance(err, Damage) else "it ends within an entry")


def _count(bound: Entry) -> int:
    """How many elements a dimension has; 0 for a flexible array, or a bound that only the running program knows."""
    count = bound.integer(forms.COUNT)
    if count is None:
        last = bound.integer(forms.UPPER_BOUND)
        if last is None or bound.form(forms.UPPER_BOUND) not in forms.CONSTANTS or last in ENDLESS:
            return 0
        count = last + 1
    return count if 0 <= count <= MAX_COUNT else 0


def _inside(member: Entry) -> bool:
    """True unless a member is one of the class, not of its objects."""
    return not member.has(forms.DECLARATION)


def _location(member: Entry) -> int:
    """The byte at which a member begins: a number, or version 2's expression of one; a union's members say none."""
    value = member.value(forms.MEMBER_LOCATION)
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if value[:1] and value[0] in (OP_PLUS_UCONST, OP_CONSTU):
        return uleb(value, 1)[0]
    raise Damage(f"the member at {member.number:#x} lies where an expression says: {value[:8].hex(' ')}")


def _signed(value: int) -> int:
    """A small number that may be negative, in whatever width it was written."""
    for bits in (8, 16, 32, 64):
        if value >> (bits - 1) == 1 and value.bit_length() == bits:
            return value - (1 << bits)
    return value
