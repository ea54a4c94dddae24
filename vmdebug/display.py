"""Values in memory as trees to be shown: what ::print prints, and the same as JSON.

A tree is made top down. Where memory ends in the middle, what was made before stays, `broken` up to the root, and the
failure is raised: text then shows what there was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import Any

from formats.lazy import dataclass
from vmdebug.display_values import Numbers, is_character, printable, read_bits
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.types.model import (
    Aggregate,
    Array,
    Enum,
    Float,
    Forward,
    Function,
    Integer,
    Pointer,
    Struct,
    Type,
)
from vmdebug.types.paths import Place

Read = Callable[[int, int], bytes]
Symbol = Callable[[int], str]

MAX_DEPTH = 64
MAX_WINDOW = 1 << 20
MAX_STRING = 255  # characters shown of what a char * points to
MAX_NODES = 1 << 18
FIRST_CHARACTERS = 8  # of a char array: are they printable?
POINTERS_WITHOUT_TEXT = "caddr_t"
HOLE = "<<HOLE>>"


class UnreadableValue(DebuggerError):
    """A value that could not be read: what, where and why."""

    def __init__(self, what: str, address: int, reason: str) -> None:
        super().__init__(f"failed to read {what} at {address:x}: {reason}")
        self.address = address


class TooMuch(DebuggerError):
    def __init__(self) -> None:
        super().__init__(f"more than {MAX_NODES} values: limit arrays with -l, or depth with -s")


@dataclass(frozen=True)
class Style:
    """What ::print's options ask for."""

    values: bool = True
    addresses: bool = False
    types: bool = False
    base_types: bool = False
    holes: bool = False
    hexadecimal: bool = False
    decimal: bool = False
    symbols: bool = True
    elements: int | None = 32  # None: all
    characters: int | None = 1024
    depth: int = MAX_DEPTH


@dataclass(slots=True, eq=False)
class Node:
    """One value: its text, or its parts. A structure has members, an array of structures elements."""

    name: str
    type: Type
    address: int
    bit: int = 0
    bits: int | None = None
    text: str | None = None  # of a value without parts
    json: Any = None  # Any: what a type's values are
    parts: "list[Node] | None" = None
    array: bool = False
    more: bool = False  # elements that are not shown
    broken: bool = False


@dataclass
class Memory:
    """Reads values; the bytes of the object that is shown are read once where they can be."""

    read: Read
    start: int = 0
    data: bytes = b""

    @classmethod
    def around(cls, read: Read, address: int, size: int) -> "Memory":
        """Memory that has the bytes of one object at hand."""
        try:
            return cls(read, address, read(address, size) if 0 < size <= MAX_WINDOW else b"")
        except ReadFailed:
            return cls(read)

    def take(self, address: int, size: int, what: str) -> bytes:
        """The bytes of one value; UnreadableValue names it."""
        at = address - self.start
        if at >= 0 and at + size <= len(self.data):
            return self.data[at : at + size]
        try:
            return self.read(address, size)
        except ReadFailed as err:
            raise UnreadableValue(what, address, err.reason) from err


@dataclass
class Display:
    """Makes trees of values. `symbol` names addresses; `strings` reads what pointers point to."""

    memory: Memory
    style: Style
    symbol: Symbol
    strings: Read
    _left: int = field(default=MAX_NODES, init=False)
    _open: set[Type] = field(default_factory=set, init=False)  # structures around; none truly contains itself

    def tree(self, place: Place, root: Node) -> Node:
        """Fill the tree under a root that was made for a place."""
        self._fill(root, place, 0)
        return root

    def root(self, place: Place, name: str = "") -> Node:
        return Node(name, place.type, place.address, place.bit, place.bits)

    def _fill(self, node: Node, place: Place, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooMuch
        try:
            self._value(node, place, depth)
        except DebuggerError:
            node.broken = True
            raise

    def _value(self, node: Node, place: Place, depth: int) -> None:
        base = place.type.complete()
        match base:
            case Aggregate():
                self._aggregate(node, base, depth)
            case Forward():
                prefix = "; " if self.style.values else ""
                node.text = f"{prefix}<forward declaration of {base.spelled}>"
            case _ if not self.style.values:
                node.text = ""
            case Array():
                self._array(node, base, depth)
            case Pointer() | Function():
                self._pointer(node, base)
            case _:
                self._scalar(node, place, base)

    # Structures and unions

    def _aggregate(self, node: Node, base: Aggregate, depth: int) -> None:
        textual = self._textual(node, base)
        if textual is not None:
            node.text = node.json = textual
            return
        if depth >= min(self.style.depth, MAX_DEPTH) or base in self._open:
            node.text = "{ ... }"
            return
        node.parts = []
        self._open.add(base)
        for member in base.members:
            start = 8 * node.address + node.bit + member.start
            place = Place(member.type, start // 8, start % 8, member.bits)
            self._add_holes(node, base, start)
            child = Node(member.name or "<anon>", member.type, place.address, place.bit, place.bits)
            node.parts.append(child)
            self._guarded(node, child, place, depth + 1)
        if isinstance(base, Struct):
            self._add_holes(node, base, 8 * (node.address + base.size))
        self._open.remove(base)

    def _guarded(self, node: Node, child: Node, place: Place, depth: int) -> None:
        try:
            self._fill(child, place, depth)
        except DebuggerError:
            node.broken = True
            raise

    def _textual(self, node: Node, base: Aggregate) -> str | None:
        """Structures that are shown as addresses of the network."""
        if not self.style.values or node.type.name not in ("in6_addr_t", "in_addr", "in6_addr"):
            return None
        family = {4: "v4", 16: "v6"}.get(base.size)
        if family is None or self.style.hexadecimal or self.style.decimal:
            return None
        from ipaddress import IPv4Address, IPv6Address

        data = self.memory.take(node.address, base.size, f"{base.size} bytes")
        return str(IPv4Address(data) if family == "v4" else IPv6Address(data))

    def _add_holes(self, node: Node, base: Aggregate, until: int) -> None:
        """What lies between the member shown last and the next one, in pieces of at most 8 aligned bytes."""
        if not self.style.holes or not isinstance(base, Struct) or node.parts is None:
            return
        at = _end(node.parts[-1]) if node.parts else 8 * node.address
        while at < until and until - at < 8 * MAX_WINDOW:
            end = min((at // 64 + 1) * 64, until) if until - at > 64 else until
            bits = end - at
            whole = at % 8 == 0 and bits in (8, 16, 32, 64)
            name = f"uint{bits}_t" if whole else "unsigned"
            made = Integer(name, (bits + 7) // 8, bits=bits)
            place = Place(made, at // 8, at % 8, None if whole else bits)
            child = Node(HOLE, made, place.address, place.bit, place.bits)
            node.parts.append(child)
            self._guarded(node, child, place, 0)
            at = end

    # Arrays

    def _array(self, node: Node, base: Array, depth: int) -> None:
        if depth >= min(self.style.depth, MAX_DEPTH):
            node.text = "[ ... ]"
            return
        element = base.element.complete()
        if is_character(element) and self._characters(node, base):
            return
        limit = base.count if self.style.elements is None else min(base.count, self.style.elements)
        if limit <= 0 or not element.size:
            node.text = "[ ... ]"
            return
        node.parts, node.array, node.more = [], True, limit < base.count
        for index in range(limit):
            place = Place(base.element, node.address + index * element.size)
            child = Node("", base.element, place.address)
            node.parts.append(child)
            self._guarded(node, child, place, depth + 1)

    def _characters(self, node: Node, base: Array) -> bool:
        """Show an array of characters as a string, if its first ones and then all are printable."""
        limit = self.style.characters
        if not base.count or (limit is not None and base.count > limit):
            return False
        first = self.memory.take(node.address, min(base.count, FIRST_CHARACTERS), "char array").partition(b"\0")[0]
        if not first or not printable(first):
            return False
        text = self.memory.take(node.address, base.count, "char array").partition(b"\0")[0]
        if not printable(text):
            return False
        node.json = text.decode("ascii")
        node.text = f'[ "{node.json}" ]'
        return True

    # What has no parts

    def _scalar(self, node: Node, place: Place, base: Type) -> None:
        numbers = Numbers(self.style.hexadecimal, self.style.decimal)
        match base:
            case Integer():
                value = read_bits(self._bytes(place, ""), place, base)
                node.text, node.json = numbers.integer(value, place, base)
            case Enum():
                value = read_bits(self._bytes(place, f"{node.name} integer"), place, base)
                node.text, node.json = numbers.enum(value, base), {"value": value, "name": base.by_value.get(value)}
            case Float():
                node.text, node.json = numbers.real(self._bytes(place, "float"), base)
            case _:
                node.text = "??? (unknown type)"

    def _bytes(self, place: Place, what: str) -> bytes:
        size = place.type.size if place.bits is None else (place.bit + place.bits + 7) // 8
        return self.memory.take(place.address, size, what or f"{size} bytes")

    def _pointer(self, node: Node, base: Pointer | Function) -> None:
        size = base.size or 8
        value = int.from_bytes(self.memory.take(node.address, size, f"{node.name} pointer"), "little")
        node.json = f"{value:#x}"
        if not self.style.symbols:
            node.text = f"{value:#x}" if value else "0"
            return
        node.text = self.symbol(value)
        if value and isinstance(base, Pointer) and node.type.name != POINTERS_WITHOUT_TEXT:
            node.text += self._pointed_text(value, base)

    def _pointed_text(self, value: int, base: Pointer) -> str:
        """The string behind a char *, if it is printable."""
        if not is_character(base.target.resolve()):
            return ""
        text = self._string(value)
        if text is None or not printable(text):
            return ""
        shown = text[:MAX_STRING].decode("ascii")
        return f' "{shown} ..."' if len(text) > MAX_STRING else f' "{shown}"'

    def _string(self, address: int) -> bytes | None:
        """Up to one character more than are shown; None where memory cannot be read."""
        parts: list[bytes] = []
        left = MAX_STRING + 1
        while left:
            chunk = min(left, 64, 4096 - address % 4096)
            try:
                data = self.strings(address, chunk)
            except ReadFailed:
                return None
            text, end, _ = data.partition(b"\0")
            parts.append(text)
            if end:
                break
            address, left = address + chunk, left - chunk
        return b"".join(parts)


def _end(node: Node) -> int:
    """The bit behind a value: an integer's own bits, any other type's bytes."""
    start = 8 * node.address + node.bit
    base = node.type.complete()
    if node.bits is not None:
        return start + node.bits
    return start + (base.bits if isinstance(base, Integer) else 8 * base.size)


def as_json(node: Node) -> Any:
    """A tree as JSON: structures as objects, arrays as lists, pointers as hex strings."""
    if node.parts is None:
        return node.json
    if node.array:
        return [as_json(part) for part in node.parts]
    return dict(_named(node.parts))


def _named(parts: Sequence[Node]) -> Iterator[tuple[str, Any]]:
    """Members by name; those of anonymous members stand beside the others, holes have no place."""
    for part in parts:
        if part.name == "<anon>" and part.parts is not None:
            yield from _named(part.parts)
        elif part.name != HOLE:
            yield part.name, as_json(part)
