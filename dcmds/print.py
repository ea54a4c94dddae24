"""Values in memory by their types: ::print."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, dcmd
from vmdebug.display import Display, Memory, Node, Style, as_json
from vmdebug.display_layout import Layout
from vmdebug.display_values import bits_of, read_bits
from vmdebug.errors import Abort, DebuggerError, NoTypes, ReadFailed
from vmdebug.members import follow, read_pointer
from vmdebug.session import Session
from vmdebug.types.errors import UnknownType
from vmdebug.types.model import Aggregate, Array, Enum, Integer, Pointer, Type, Unknown
from vmdebug.types.paths import Follower, Place, covering
from vmdebug.types.plans import span
from vmdebug.types.words import Words, take_name

WORD = 8
BEGINNING = re.compile(r"(?<=\w)(\[|\.|->).*", re.DOTALL)  # what follows the first member of a path


@dataclass(frozen=True)
class Printed:
    """One value.

    value: a number's or a pointer's value, the address of anything else; of all with -a
    addr: where the value lies; without an address its offset
    type: its type
    member: the member that was asked for, null for the whole
    data: the value itself: an object of members, a list of elements, a number, a hex string for a pointer
    """

    value: Hex | None
    addr: Vaddr
    type: str
    member: str | None
    data: Any
    _root: Node
    _layout: Layout


def print_lines(rows: Iterable[Printed], _: Show) -> Iterator[str]:
    for row in rows:
        yield from row._layout.lines(row._root)


@dcmd(
    "print",
    address="optional",
    synopsis="[-aCdhiLnptTx] [-c limit] [-l limit] [-s depth] [type] [member|$[offset] ...]",
    flags=(
        Flag("a", "show the address of each value"),
        Flag("C", "do not limit the length of character arrays"),
        Flag("c", "limit the length of character arrays", "number", "limit"),
        Flag("d", "show integers in decimal"),
        Flag("h", "show holes in structures"),
        Flag("i", "the address is itself the data"),
        Flag("L", "do not limit the length of other arrays"),
        Flag("l", "limit the length of other arrays", "number", "limit"),
        Flag("n", "show pointers as numbers, not as symbols"),
        Flag("p", "the address is a physical one"),
        Flag("s", "limit how deep structures are shown", "number", "depth"),
        Flag("T", "show types, and what typedefs stand for"),
        Flag("t", "show types"),
        Flag("x", "show integers in hexadecimal"),
    ),
    text=print_lines,
    row=Printed,
)
def print_value(call: Call) -> Iterator[Printed]:
    """print the contents of a data structure

    Shows the value of a type at an address, or the members that are named: `a.b`, `a->b`, `a[3]`, `a[2..5]` for a slice
    with both its ends (`a[2..]` goes to the array's), and `$[8]` for the member at an offset. The type may be left out
    where a variable begins at the address. Without an address only the shape is shown. Into a pipe numbers and pointers
    give their values, all else its address. Dot is left behind it.

    Examples:
        fffffffffbc4b7f0::print cpu_t cpu_id cpu_flags
        fffffffffbc4b7f0::print -at cpu_t cpu_disp->disp_nrunnable
        ::print cpu_t
    """
    style = _style(call)
    if "p" in call.flags and "i" in call.flags:
        raise DebuggerError("-p and -i options are incompatible")
    found, members = _type_and_members(call)
    for member in members or [""]:
        yield from _printed(call, style, found, member)
    start = call.address if call.address is not None else call.session.dot
    call.leave_dot((start + found.size) & ((1 << 64) - 1))


def _style(call: Call) -> Style:
    flags, settings = call.flags, cast(Session, call.session).settings
    return Style(
        values=call.address is not None,
        addresses="a" in flags,
        types="t" in flags or "T" in flags,
        base_types="T" in flags,
        holes="h" in flags,
        hexadecimal="x" in flags,
        decimal="d" in flags and "x" not in flags,
        symbols="n" not in flags,
        elements=None if "L" in flags else flags.get("l", settings.array_mem_limit),
        characters=None if "C" in flags else flags.get("c", settings.array_str_limit),
        **({"depth": flags["s"]} if "s" in flags else {}),
    )


def _type_and_members(call: Call) -> tuple[Type, Words]:
    """The type that is named, else that of the variable at the address; and the members that are asked for."""
    inferable = call.address is not None and "i" not in call.flags
    if not call.args or not isinstance(call.args[0], str):
        if not inferable:
            raise call.usage()
        return _type_at(call), call.args
    if call.args[0][:1] in ("+", "-"):
        raise call.usage()
    name, rest = take_name(call.args)
    try:
        return call.guest.types.find(name), rest
    except (UnknownType, NoTypes) as err:
        if inferable and (found := _type_with(call, call.args[0])):
            return found, call.args
        raise Abort(str(err)) from err


def _type_with(call: Call, member: str) -> Type | None:
    """The type of the variable at the address, if it has the member that a path begins with."""
    try:
        found = _type_at(call)
        Follower(pointer=lambda place: 0).follow(Place(found, 0), BEGINNING.sub("", member))
    except DebuggerError:
        return None
    return found


def _type_at(call: Call) -> Type:
    """The type of the variable that begins at the address."""
    address = call.address or 0
    found = call.guest.symbols.nearest(address)
    if found is None or found[0].value != address:
        raise DebuggerError(f"no symbol information for {call.session.show.symbol(address)}")
    type_ = call.guest.types.type_of_symbol(found[0])
    if type_ is None or isinstance(type_.resolve(), Unknown):
        shown = f"{call.session.show.symbol(address)} [{found[0].index}]"
        raise DebuggerError(f"no type data available for {shown}")
    return type_


class Data:
    """Where values are read: at the address that was given, or in it; behind a pointer in virtual memory."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._given = True
        self.start = call.address if call.address is not None and "i" not in call.flags else 0

    def read(self, address: int, size: int) -> bytes:
        call = self._call
        if not self._given:
            return call.target.read(address, size)
        if "i" in call.flags:
            return self._immediate(address, size)
        return call.target.read_physical(address, size) if "p" in call.flags else call.target.read(address, size)

    def follow(self, place: Place) -> int:
        """The value of a pointer; what it points to is in virtual memory."""
        if self._call.address is None:
            return 0  # only the shape is wanted
        value = read_pointer(self.read, place)
        self._given = False
        return value

    def _immediate(self, address: int, size: int) -> bytes:
        if address + size > WORD:
            raise ReadFailed(address, "no mapping for address")
        return (self._call.address or 0).to_bytes(WORD, "little")[address : address + size]


def _printed(call: Call, style: Style, found: Type, member: str | int) -> Iterator[Printed]:
    """The row of one member, or of the whole where none is named. What memory lacks ends it where it is missing."""
    data = Data(call)
    place, label = _place(call, data, found, member)
    if place.slice and style.elements is not None:
        style = replace(style, elements=max(style.elements, cast(Array, place.type).count))
    memory = Memory.around(data.read, place.address, place.type.size) if style.values else Memory(data.read)
    display = Display(memory, style, call.session.show.symbol, call.target.read)
    root = display.root(place, label)
    layout = (
        Layout(style, label.removesuffix("[0]"), "->") if place.arrow and _is_aggregate(place) else Layout(style, label)
    )
    try:
        if not call.piped or call.kept:
            display.tree(place, root)
        value = _value(style, place, memory)
    except DebuggerError as err:
        yield Printed(None, Vaddr(place.address), place.type.spelled, label or None, as_json(root), root, layout)
        call.warn(str(err))
        raise DebuggerError("failed to print type") from err
    yield Printed(value, Vaddr(place.address), place.type.spelled, label or None, as_json(root), root, layout)


def _place(call: Call, data: Data, found: Type, member: str | int) -> tuple[Place, str]:
    """Where a member lies, and what it is called."""
    if isinstance(member, int):
        try:
            path, place = covering(found, member)
        except DebuggerError as err:
            raise Abort(f"invalid offset {member:x}") from err
        return place._replace(address=data.start + place.address), path
    return follow(call, Place(found, data.start), member, data.follow), member


def _value(style: Style, place: Place, memory: Memory) -> Hex:
    """What goes down a pipe."""
    base = place.type.resolve()
    if style.addresses or not style.values or not isinstance(base, Integer | Enum | Pointer):
        return Hex(place.address)
    size = span(place)
    data = memory.take(place.address, size, f"{size} bytes")
    if isinstance(base, Pointer):
        return Hex(int.from_bytes(data, "little"))
    return Hex(read_bits(data, place, base) & ((1 << bits_of(place, base)) - 1))


def _is_aggregate(place: Place) -> bool:
    return isinstance(place.type.complete(), Aggregate)
