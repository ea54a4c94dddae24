"""Values in memory by their types.

    cpu = Objects(types, target.read).at("cpu_t", address)
    cpu.cpu_disp.disp_nrunnable

A structure is read once, when its first member is asked for, and its members are decoded from that buffer. Names of
this module's own end in an underscore, since structures have members called `address` and `type`.
"""

from collections.abc import Callable, Iterator
from typing import Any, overload

from vmdebug.types.errors import BadPath, UnknownMember, WrongKind
from vmdebug.types.model import Aggregate, Array, Enum, Integer, Pointer, Type
from vmdebug.types.paths import locate
from vmdebug.types.plans import Decode, Incomplete, Plan, Plans
from vmdebug.types.source import TypeSource

Read = Callable[[int, int], bytes]

MAX_STRING = 4096
STRING_CHUNK = 256
PAGE = 4096
BULK = 1 << 20  # an array up to this size is read in one go


class Typed:
    """A structure or union at an address. Members are attributes and items; paths (`a.b[2]`) are items."""

    __slots__ = ("address_", "at_", "data_", "objects_", "plan_")
    data_: bytes  # not there until it is read: __getattr__ then finds the plan's entry that reads it

    def __init__(self, plan: Plan, objects: "Objects", address: int, data: bytes | None = None, at: int = 0) -> None:
        self.plan_ = plan
        self.objects_ = objects
        self.address_ = address
        self.at_ = at
        if data is not None:
            self.data_ = data

    def __getattr__(self, name: str) -> Any:  # Any: what a member holds is known from the image only
        try:
            return self.plan_[name](self)
        except Incomplete:
            return self.plan_[name](self)

    def __getitem__(self, path: str) -> Any:
        return self.__getattr__(path)

    def __contains__(self, path: object) -> bool:
        try:
            return isinstance(path, str) and locate(self.type_, path) is not None
        except (UnknownMember, WrongKind, BadPath):
            return False

    @property
    def type_(self) -> Type:
        return self.plan_.type

    def bytes_(self) -> bytes:
        """The structure's bytes, all of them."""
        try:
            return self.data_[self.at_ : self.at_ + self.plan_.type.size]
        except Incomplete:
            return self.objects_.read(self.address_, self.plan_.type.size)

    def refer_(self, path: str) -> "Ptr":
        """A pointer to a member."""
        place = locate(self.type_, path)
        return self.objects_.pointer(place.type, self.address_ + place.address)

    def __int__(self) -> int:
        return self.address_

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Typed) and other.address_ == self.address_ and other.type_ is self.type_

    def __hash__(self) -> int:
        return hash(self.address_)

    def __dir__(self) -> list[str]:
        base = self.type_.resolve()
        return [*super().__dir__(), *(base.names if isinstance(base, Aggregate) else ())]

    def __repr__(self) -> str:
        return f"<{self.type_} at {self.address_:#x}>"


class Ptr(int):
    """A pointer: the address itself, which knows what it points to.

    A member of the structure behind it is an attribute of the pointer too; the structure is read once for that.
    """

    objects_: "Objects"
    type_: Type

    def deref(self) -> Any:
        """What it points to."""
        found = self.__dict__.get("object_")
        if found is None:
            found = self.__dict__["object_"] = self.objects_.at(self.type_, int(self))
        return found

    def string(self, limit: int = MAX_STRING) -> str:
        """The characters up to a NUL."""
        return decode_text(self.objects_.read_string(int(self), limit))

    def cast(self, of: "str | Type") -> "Ptr":
        """The same address as a pointer to another type."""
        return self.objects_.pointer(of, int(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # a protocol that int does not have: no member
        return self[name]

    def __getitem__(self, which: int | str) -> Any:
        if isinstance(which, int):
            return self.objects_.at(self.type_, (int(self) + which * self.objects_.stride(self.type_)) & ADDRESSES)
        found = self.deref()
        if not isinstance(found, Typed):
            raise WrongKind(self.type_.spelled, "a struct or union type")
        return found[which]

    def __contains__(self, path: str) -> bool:
        found = self.deref()
        return isinstance(found, Typed) and path in found

    def __repr__(self) -> str:
        return f"<{self.type_} * {int(self):#x}>"


ADDRESSES = (1 << 64) - 1


class Named(int):
    """A value of an enum."""

    type_: Enum

    @property
    def name(self) -> str | None:
        """Its name; None for a value that the enum does not have."""
        return self.type_.by_value.get(int(self))

    def __repr__(self) -> str:
        return f"<{self.type_} {int(self)} {self.name or '(?)'}>"


class Items:
    """An array. Indexes are checked against its declared count; `at` goes beyond."""

    __slots__ = ("_data", "_decode", "_start", "address_", "count_", "element_", "objects_", "stride_")

    def __init__(
        self, objects: "Objects", element: Type, count: int, address: int, data: bytes | None = None, start: int = 0
    ) -> None:
        self.objects_ = objects
        self.element_ = element
        self.count_ = count
        self.address_ = address
        self.stride_ = element.size
        self._decode = objects.plans.decoder(element)
        self._data = data
        self._start = start

    def __len__(self) -> int:
        return self.count_

    @overload
    def __getitem__(self, which: int) -> Any: ...
    @overload
    def __getitem__(self, which: slice) -> list[Any]: ...
    def __getitem__(self, which: int | slice) -> Any:
        if isinstance(which, slice):
            return [self._one(index) for index in range(self.count_)[which]]
        return self._one(range(self.count_)[which])

    def __iter__(self) -> Iterator[Any]:
        return map(self._one, range(self.count_))

    def _one(self, index: int) -> Any:
        data = self._data or self._load()
        if data is None:
            return self.at(index)
        offset = index * self.stride_
        return self._decode(data, self._start + offset, self.address_ + offset)

    def _load(self) -> bytes | None:
        """The whole array's bytes, unless it is too large to be read for one element."""
        if self.stride_ * self.count_ <= BULK:
            self._data = self.objects_.read(self.address_, self.stride_ * self.count_)
        return self._data

    def at(self, index: int) -> Any:
        """The element of any index, read by itself."""
        return self.objects_.at(self.element_, self.address_ + index * self.stride_)

    def bytes(self) -> bytes:
        """The bytes of all elements."""
        size = self.stride_ * self.count_
        if self._data is None:
            return self.objects_.read(self.address_, size)
        return self._data[self._start : self._start + size]

    def string(self) -> str:
        """The characters up to a NUL, or all."""
        return decode_text(self.bytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Items | list | tuple) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # compared by value, as lists are

    def __repr__(self) -> str:
        return f"<{self.element_} [{self.count_}] at {self.address_:#x}>"


class Objects:
    """Makes typed values: from types, and a function that reads memory or raises ReadFailed."""

    def __init__(self, types: TypeSource, read: Read) -> None:
        self.types = types
        self.read = read
        self.plans = Plans(self, Typed, Items, self._pointing, self._naming)
        self._types: dict[str, Type] = {}
        self._makers: dict[str | Type, Callable[[int], Any]] = {}
        self._pointers: dict[Type, type[Ptr]] = {}

    def at(self, of: str | Type, address: int) -> Any:
        """The value at an address. A structure is not read before one of its members is asked for."""
        make = self._makers.get(of)
        if make is None:
            make = self._makers[of] = self._maker(self.find(of))
        return make(address)

    def pointer(self, of: str | Type, address: int) -> Ptr:
        """A pointer to a type."""
        return self._pointing(self.find(of))(address)

    def array(self, of: str | Type, address: int, count: int) -> Items:
        """So many values in a row."""
        return Items(self, self.find(of), count, address)

    def container(self, address: int, of: str | Type, path: str) -> Any:
        """The structure whose member lies at an address."""
        return self.at(of, address - self.offsetof(of, path))

    def find(self, of: str | Type) -> Type:
        """The type of that name."""
        if isinstance(of, Type):
            return of
        found = self._types.get(of)
        if found is None:
            found = self._types[of] = self.types.find(of)
        return found

    def sizeof(self, of: str | Type) -> int:
        return self.find(of).size

    def offsetof(self, of: str | Type, path: str) -> int:
        """The byte at which a member begins."""
        return locate(self.find(of), path).address

    def stride(self, of: Type) -> int:
        """How far apart values lie in a row; WrongKind for a type without size."""
        if not of.size:
            raise WrongKind(of.spelled, "a type with a size")
        return of.size

    def read_string(self, address: int, limit: int = MAX_STRING) -> bytes:
        """The bytes up to a NUL, at most `limit`; no page beyond it is touched."""
        parts: list[bytes] = []
        while limit > 0:
            chunk = self.read(address, min(limit, STRING_CHUNK, PAGE - address % PAGE))
            text, end, _ = chunk.partition(b"\0")
            parts.append(text)
            if end:
                break
            address += len(chunk)
            limit -= len(chunk)
        return b"".join(parts)

    def _maker(self, found: Type) -> Callable[[int], Any]:
        base = found.complete()
        if isinstance(base, Aggregate):
            plan = self.plans.plan(found, base)
            return lambda address: Typed(plan, self, address)
        if isinstance(base, Array):
            element, count = base.element, base.count
            return lambda address: Items(self, element, count, address)
        if not isinstance(base, Integer | Enum | Pointer) and not base.size:
            raise WrongKind(found.spelled, "a type that has values")
        size, decode = base.size, self.plans.decoder(found)
        return lambda address: decode(self.read(address, size), 0, address)

    def _pointing(self, target: Type) -> type[Ptr]:
        """The class of pointers to a type: what they share is kept once, which makes one as cheap as an int."""
        found = self._pointers.get(target)
        if found is None:
            found = self._pointers[target] = type("Ptr", (Ptr,), {"objects_": self, "type_": target})
        return found

    def _naming(self, enum: Enum) -> type[Named]:
        """The class of the values of an enum."""
        return type("Named", (Named,), {"type_": enum})


def decode_text(data: bytes) -> str:
    """The characters of a fixed array up to its NUL; bytes that are no UTF-8 are escaped."""
    return data.partition(b"\0")[0].decode("utf-8", "backslashreplace")


__all__ = ["Decode", "Items", "Named", "Objects", "Ptr", "Typed", "decode_text"]
