"""How each type is decoded: made on first use, kept for as long as the types.

A decoder takes a buffer, the place in it and the address it was read from. A plan has one entry a member, which takes
the typed object; the entry `data_` reads the object's buffer. An object whose memory cannot be read whole, or is
very large, changes to a plan whose entries read each member by itself.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vmdebug.errors import ReadFailed
from vmdebug.types.errors import WrongKind
from vmdebug.types.model import Aggregate, Array, Enum, Float, Function, Integer, Pointer, Type
from vmdebug.types.paths import Place, locate

if TYPE_CHECKING:
    from vmdebug.types.typed import Objects, Typed

Decode = Callable[[bytes, int, int], Any]
Get = Callable[["Typed"], Any]

WHOLE = 1 << 16  # a structure up to this size is read in one go
CODES = {(1, False): "B", (1, True): "b", (2, False): "H", (2, True): "h", (4, False): "I", (4, True): "i",
         (8, False): "Q", (8, True): "q"}  # fmt: skip
X87_BIAS, X87_FRACTION = 16383, 63


class Incomplete(Exception):
    """An object has changed its plan, since it cannot be read whole: ask it again."""


class Plan(dict[str, Get]):
    """How the members of one structure are had from an object of it. Entries are made when first asked for."""

    def __init__(self, plans: "Plans", type_: Type, base: Aggregate) -> None:
        super().__init__()
        self.plans = plans
        self.type = type_
        self.base = base
        self["data_"] = self._read if base.size <= WHOLE else self._scatter

    def __missing__(self, path: str) -> Get:
        place = locate(self.base, path)
        get = self[path] = self._entry(place)
        return get

    def _entry(self, place: Place) -> Get:
        offset, size = place.address, span(place)
        if offset < 0 or offset + size > self.base.size:
            return self.plans.apart(place)  # flexible arrays, and members that the data places outside
        if place.bits is None and (quick := self.plans.quick(place.type, offset)):
            return quick
        decode = self.plans.placed(place)
        return lambda o: decode(o.data_, o.at_ + offset, o.address_ + offset)

    def _read(self, o: "Typed") -> bytes:
        try:
            o.data_ = o.objects_.read(o.address_, self.base.size)
        except ReadFailed:
            self._scatter(o)
        return o.data_

    def _scatter(self, o: "Typed") -> bytes:
        o.plan_ = self.plans.scattered(self)
        raise Incomplete


class ScatteredPlan(Plan):
    """Reads each member by itself."""

    def __init__(self, whole: Plan) -> None:
        super().__init__(whole.plans, whole.type, whole.base)
        self["data_"] = self._refuse

    def _entry(self, place: Place) -> Get:
        return self.plans.apart(place)

    def _refuse(self, o: "Typed") -> bytes:
        raise Incomplete


class Plans:
    """Plans and decoders by type. The makers of values are given, so that they may know of plans."""

    def __init__(
        self,
        objects: "Objects",
        typed: Callable[..., Any],
        items: Callable[..., Any],
        pointing: Callable[[Type], Callable[[int], Any]],
        naming: Callable[[Enum], Callable[[int], Any]],
    ) -> None:
        self._objects = objects
        self._typed = typed
        self._items = items
        self._pointing = pointing
        self._naming = naming
        self._plans: dict[Type, Plan] = {}
        self._scattered: dict[Type, ScatteredPlan] = {}
        self._decoders: dict[Type, Decode] = {}

    def plan(self, type_: Type, base: Aggregate) -> Plan:
        found = self._plans.get(type_)
        if found is None:
            found = self._plans[type_] = Plan(self, type_, base)
        return found

    def scattered(self, plan: Plan) -> ScatteredPlan:
        found = self._scattered.get(plan.type)
        if found is None:
            found = self._scattered[plan.type] = ScatteredPlan(plan)
        return found

    def placed(self, place: Place) -> Decode:
        """The decoder of a member: that of its type, unless it is a bit-field."""
        return self.decoder(place.type) if place.bits is None else self._bit_field(place)

    def quick(self, type_: Type, offset: int) -> Get | None:
        """The entry of a plain integer or pointer, without the steps that others need."""
        base = type_.resolve()
        unpack = _unpacker(base.size, isinstance(base, Integer) and base.signed)
        if unpack is None:
            return None
        if isinstance(base, Pointer):
            point = self._pointing(base.target)
            return lambda o: point(unpack(o.data_, o.at_ + offset)[0])
        if isinstance(base, Integer) and not base.boolean and base.bits == 8 * base.size and not base.shift:
            return lambda o: unpack(o.data_, o.at_ + offset)[0]
        return None

    def apart(self, place: Place) -> Get:
        """Has a member by reading it alone; structures and arrays read themselves."""
        base, offset = place.type.resolve(), place.address
        if isinstance(base, Aggregate | Array):
            return lambda o: o.objects_.at(place.type, o.address_ + offset)
        decode, size = self.placed(place), span(place)
        return lambda o: decode(o.objects_.read(o.address_ + offset, size), 0, o.address_ + offset)

    def decoder(self, type_: Type) -> Decode:
        found = self._decoders.get(type_)
        if found is None:
            found = self._decoders[type_] = self._decoder(type_)
        return found

    def _decoder(self, type_: Type) -> Decode:
        base = type_.resolve()
        match base:
            case Integer():
                return _integer(base)
            case Float():
                return _float(base)
            case Enum():
                number, make = _number(base.size, base.signed), self._naming(base)
                return lambda data, at, _: make(number(data, at, 0))
            case Pointer():
                number, point = _number(base.size, False), self._pointing(base.target)
                return lambda data, at, _: point(number(data, at, 0))
            case Array():
                objects, items, element, count = self._objects, self._items, base.element, base.count
                return lambda data, at, address: items(objects, element, count, address, data, at)
            case Aggregate():
                objects, typed, plan = self._objects, self._typed, self.plan(type_, base)
                return lambda data, at, address: typed(plan, objects, address, data, at)
            case Function():
                return lambda data, at, address: address
            case _:
                raise WrongKind(type_.spelled, "a type that has values")

    def _bit_field(self, place: Place) -> Decode:
        base, bits, shift, size = place.type.resolve(), place.bits or 0, place.bit, span(place)
        mask, sign = (1 << bits) - 1, 1 << (bits - 1)
        signed = base.signed and bits > 1 if isinstance(base, Enum) else isinstance(base, Integer) and base.signed
        make: Callable[[int], Any] = int
        if isinstance(base, Enum):
            make = self._naming(base)
        elif isinstance(base, Integer) and base.boolean:
            make = bool

        def decode(data: bytes, at: int, _: int) -> Any:
            value = int.from_bytes(data[at : at + size], "little") >> shift & mask
            return make(value - (1 << bits) if signed and value & sign else value)

        return decode


def span(place: Place) -> int:
    """How many bytes a value touches from its first one on."""
    return place.type.size if place.bits is None else (place.bit + place.bits + 7) // 8


def _unpacker(size: int, signed: bool) -> Callable[[bytes, int], tuple[int, ...]] | None:
    code = CODES.get((size, signed))
    return struct.Struct(f"<{code}").unpack_from if code else None


def _number(size: int, signed: bool) -> Decode:
    """Decodes a little-endian integer of any size."""
    unpack = _unpacker(size, signed)
    if unpack is None:
        return lambda data, at, _: int.from_bytes(data[at : at + size], "little", signed=signed)
    return lambda data, at, _: unpack(data, at)[0]


def _integer(base: Integer) -> Decode:
    number = _number(base.size, base.signed)
    if base.boolean:
        return lambda data, at, _: number(data, at, 0) != 0
    if base.bits == 8 * base.size and not base.shift:
        return number
    size, bits, shift = base.size, base.bits, base.shift
    mask, sign = (1 << bits) - 1, 1 << bits >> 1 if base.signed else 0

    def decode(data: bytes, at: int, _: int) -> int:
        value = int.from_bytes(data[at : at + size], "little") >> shift & mask
        return value - (1 << bits) if value & sign else value

    return decode


def _float(base: Float) -> Decode:
    size = base.size // base.parts
    code = {2: "<e", 4: "<f", 8: "<d"}.get(size)
    part: Decode
    if code:
        unpack = struct.Struct(code).unpack_from
        part = lambda data, at, _: unpack(data, at)[0]  # noqa: E731  # the other branch is a function
    else:
        part = _extended
    if base.parts == 1:
        return part
    return lambda data, at, _: complex(part(data, at, 0), part(data, at + size, 0))


def decode_float(base: Float, data: bytes) -> float | complex:
    """The number that the bytes of a floating-point type hold."""
    value: float | complex = _float(base)(data, 0, 0)
    return value


def _extended(data: bytes, at: int, _: int) -> float:
    """The 80-bit format of the x87: 64 bits of fraction with its leading one, exponent, sign."""
    fraction, high = int.from_bytes(data[at : at + 8], "little"), int.from_bytes(data[at + 8 : at + 10], "little")
    sign, exponent = -1.0 if high >> 15 else 1.0, high & 0x7FFF
    if exponent == 0x7FFF:
        return sign * float("inf") if fraction << 1 & ((1 << 64) - 1) == 0 else float("nan")
    try:
        return sign * fraction * 2.0 ** (exponent - X87_BIAS - X87_FRACTION)
    except OverflowError:
        return sign * (float("inf") if exponent > X87_BIAS else 0.0)
