"""Types themselves: ::sizeof ::offsetof ::enum ::typelist ::type."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd
from vmdebug.declarations import Line, declaration
from vmdebug.display_values import common_prefix, flag_names
from vmdebug.errors import DebuggerError
from vmdebug.lang.flags import each_word
from vmdebug.types.errors import UnknownMember, UnknownType
from vmdebug.types.model import Enum
from vmdebug.types.paths import locate
from vmdebug.types.words import Words, take_name, take_type

INT_BITS = 32


@dataclass(frozen=True)
class Size:
    """The size of a type.

    size: its bytes
    type: the type as it was asked for
    """

    size: int
    type: str


def size_lines(rows: Iterable[Size], show: Show) -> Iterator[str]:
    for row in rows:
        size = show.number(row.size, prefix=True)
        yield size if show.piped else f"sizeof ({row.type}) = {size}"


@dcmd("sizeof", synopsis="type", text=size_lines, row=Size)
def sizeof(call: Call) -> Iterator[Size]:
    """print the size of a type

    The size in bytes of a value of the type.

    Example:
        ::sizeof cpu_t
    """
    found, name, rest = take_type(call.guest.types, call.args)
    if rest:
        raise call.usage()
    yield Size(found.size, name)


@dataclass(frozen=True)
class Offset:
    """Where a member lies.

    offset: the byte at which it begins
    bit: the bit in that byte, 0 for all but bit-fields
    size: the bytes of its type
    member: the member as it was asked for
    type: the structure as it was asked for
    """

    offset: int
    bit: int
    size: int
    member: str
    type: str


def offset_lines(rows: Iterable[Offset], show: Show) -> Iterator[str]:
    number = partial(show.number, prefix=True)
    for row in rows:
        if show.piped:
            yield number(row.offset)
            continue
        bit = f".{show.number(row.bit)}" if row.bit else ""
        size = f", sizeof (...->{row.member}) = {number(row.size)}" if row.size else ""
        yield f"offsetof ({row.type}, {row.member}) = {number(row.offset)}{bit}{size}"


class NoSuchMember(DebuggerError):
    def __init__(self, member: str, type_name: str, reason: str) -> None:
        super().__init__(f"failed to find member {member} of type {type_name}: {reason}")


@dcmd("offsetof", synopsis="type member", text=offset_lines, row=Offset)
def offsetof(call: Call) -> Iterator[Offset]:
    """print the offset of a structure's member

    The byte at which a member begins, and for a bit-field also the bit; then the size of the member. The member may be
    one of a member (`a.b[2]`).

    Example:
        ::offsetof cpu_t cpu_id
    """
    found, name, rest = take_type(call.guest.types, call.args)
    words = list(each_word(rest))
    if len(words) != 1:
        raise call.usage()
    try:
        place = locate(found, words[0])
    except UnknownMember as err:
        raise NoSuchMember(words[0], name, "no such member of structure or union") from err
    except DebuggerError as err:
        raise NoSuchMember(words[0], name, str(err)) from err
    if place.bit and call.piped:
        raise DebuggerError(f"member {words[0]} of type {name} is not byte-aligned")
    yield Offset(place.address, place.bit, place.type.size, words[0], name)


@dataclass(frozen=True)
class Enumerator:
    """A value of an enum.

    value: the number
    name: its name; of several flags their names
    """

    value: int
    name: str
    _shown: str


def enum_lines(hexadecimal: bool, rows: Iterable[Enumerator], show: Show) -> Iterator[str]:
    """The values under a head; bare in a pipe."""
    if not show.piped:
        yield f"{'VALUE':>8} {'NAME':<64}" if hexadecimal else f"{'VALUE':>11} {'NAME':<64}"
    for row in rows:
        number = f"{row.value & 0xFFFF_FFFF:8x}" if hexadecimal else f"{row.value:11d}"
        yield show.number(row.value, prefix=True) if show.piped else f"{number} {row._shown}"


@dcmd(
    "enum",
    address="optional",
    synopsis="[-ex] enum [name]",
    flags=(Flag("e", "leave out what all names begin with"), Flag("x", "values in hexadecimal")),
    row=Enumerator,
)
def enum(call: Call) -> Iterator[Enumerator]:
    """print an enumeration

    All values of an enum with their names; with an address (a number) or a name only that one. Enums whose values are
    single bits are shown in hexadecimal, and a number of several bits by all their names.

    Examples:
        ::enum xdf_state
        1::enum xdf_state
    """
    found, name, rest = _find_enum(call)
    if len(rest) > 1 or (rest and call.address is not None):
        raise call.usage("may only specify one of: name, address" if rest else "")
    hexadecimal = "x" in call.flags or found.flags
    call.text = partial(enum_lines, hexadecimal)
    prefix = len(common_prefix([each for each, _ in found.values])) if "e" in call.flags else 0
    wanted: str | int | None = rest[0] if rest else call.address
    if isinstance(wanted, int):
        yield from _by_value(call, found, name, wanted, prefix)
        return
    chosen = [(each, value) for each, value in found.values if wanted in (None, each)]
    if wanted is not None and not chosen:
        raise DebuggerError(f"name \"{wanted}\" not in '{name}'")
    for each, value in chosen:
        yield Enumerator(value, each, each[prefix:])


def _by_value(call: Call, found: Enum, name: str, wanted: int, prefix: int) -> Iterator[Enumerator]:
    value = wanted - (1 << 64) if wanted >> 63 else wanted
    if not -(1 << INT_BITS - 1) <= value < 1 << INT_BITS - 1:
        call.warn(f"value '{value}' out of enumeration range")
    if found.flags:
        names = flag_names(value & 0xFFFF_FFFF, found.values)
        yield Enumerator(
            value, names, flag_names(value & 0xFFFF_FFFF, [(each[prefix:], bit) for each, bit in found.values])
        )
        return
    chosen = [each for each, number in found.values if number == value]
    if not chosen:
        raise DebuggerError(f"value {value} not in '{name}'")
    for each in chosen:
        yield Enumerator(value, each, each[prefix:])


def _find_enum(call: Call) -> tuple[Enum, str, Words]:
    """The enum that the words begin with: a tag before a typedef of the same name."""
    name, rest = take_name(call.args)
    types = call.guest.types
    tagged = name if " " in name else f"enum {name}"
    try:
        found = types.find(tagged)
        name = tagged
    except UnknownType as err:
        if tagged == name:
            raise DebuggerError(f"'{name}': {err.reason}") from err
        try:
            found = types.find(name)
        except UnknownType as again:
            raise DebuggerError(f"types '{tagged}', '{name}': {again.reason}") from again
    base = found.complete()
    if not isinstance(base, Enum):
        raise DebuggerError(f"'{name}': not an enumeration")
    return base, name, rest


@dataclass(frozen=True)
class TypeName:
    """A type.

    name: as ::print takes it
    """

    name: str


@dcmd("typelist", text=Text("{name}"), row=TypeName)
def typelist(call: Call) -> Iterator[TypeName]:
    """list known types

    Every type of the kernel and its modules that has a name, one a line.

    Example:
        ::typelist
    """
    if call.args:
        raise call.usage()
    types = call.guest.types
    if types.why and types.own is None:
        raise DebuggerError(f"no types: {types.why}")
    seen: set[str] = set()
    for name in chain(types.each_name(), (found.spelled for found in types.each_own())):
        if name not in seen:
            seen.add(name)
            yield TypeName(name)


def type_lines(rows: Iterable[Line], show: Show) -> Iterator[str]:
    """A declaration with each member's offset and size in a comment."""
    for row in rows:
        yield row.text


@dcmd(("type", "ptype"), synopsis="type", text=type_lines, row=Line)
def declared(call: Call) -> Iterator[Line]:
    """print the declaration of a type

    The type as C declares it. Members carry their offset and size in bytes (a bit-field its byte:bit and its bits), and
    what the compiler left free between them is marked as a hole.

    Example:
        ::type cpu_t
    """
    found, _, rest = take_type(call.guest.types, call.args)
    if rest:
        raise call.usage()
    yield from declaration(found)
