"""Members of members: `a.b->c[3].d`, as C writes them, and slices of arrays, `a[2..5]`, of which both ends are in.

A path is followed from a Place: a type at an address. What it costs to follow a pointer, how numbers are written and
what happens beyond an array's bounds are the caller's to say. Without a first delimiter a path means `->` on a
pointer and `.` on anything else.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from vmdebug.types.errors import BadPath, OutOfBounds, UnknownMember, WrongKind
from vmdebug.types.model import Aggregate, Array, Member, Pointer, Type, known

MAX_STEPS = 256
MAX_SLICE = 1 << 16


class Place(NamedTuple):
    """A value of a type at an address; `bit` is where a bit-field of `bits` bits begins in its first byte.

    `arrow` is true for what an index 0 on a pointer gave, which is shown as if `->` had been written, `slice` for a
    slice, which is an array of its own.
    """

    type: Type
    address: int
    bit: int = 0
    bits: int | None = None
    arrow: bool = False
    slice: bool = False


class Step(NamedTuple):
    """One step: `delimiter` is `.`, `->`, `[` or "" (not written), `text` a member's name, an index or a slice."""

    delimiter: str
    text: str


class BadDelimiter(BadPath):
    def __init__(self, found: str) -> None:
        super().__init__(f"'{found}' is not a valid delimiter")


class PointerInPath(BadPath):
    def __init__(self, type_: Type) -> None:
        super().__init__(f"cannot follow a pointer of type {type_} without an address")


def each_step(path: str) -> Iterator[Step]:
    """The steps of a path; BadPath where it is none."""
    at = 0
    for _ in range(MAX_STEPS):
        if at >= len(path):
            return
        delimiter = next((mark for mark in ("->", ".", "[") if path.startswith(mark, at)), "")
        if not delimiter and at:
            raise BadDelimiter(path[at])
        start = at = at + len(delimiter)
        if delimiter == "[":
            at = path.find("]", start)
            if at < 0:
                raise BadPath("no trailing ']'")
            yield Step(delimiter, path[start:at])
            at += 1
            continue
        at += 1  # a name has at least one character
        while at < len(path) and (path[at].isalnum() or path[at] == "_"):
            at += 1
        yield Step(delimiter, path[start:at])
    raise BadPath(f"{path[:40]}...: more than {MAX_STEPS} members deep")


def read_index(text: str) -> int:
    """An index as C writes it."""
    try:
        return int(text, 0)
    except ValueError:
        raise BadPath(f"{text!r} is not an index") from None


def _refuse(place: Place) -> int:
    raise PointerInPath(place.type)


def _raise(error: OutOfBounds) -> None:
    raise error


class Follower:
    """How paths are followed: what a pointer holds, what an index is, who hears of one beyond its array."""

    def __init__(
        self,
        pointer: Callable[[Place], int] = _refuse,
        index: Callable[[str], int] = read_index,
        beyond: Callable[[OutOfBounds], None] = _raise,
    ) -> None:
        self._pointer = pointer
        self._index = index
        self._beyond = beyond

    def follow(self, place: Place, path: str) -> Place:
        """Where the path leads from a place."""
        named = False
        for delimiter, text in each_step(path):
            if delimiter == "[":
                place = self._indexed(place, text, named)
            else:
                place = self._member(place, delimiter, text)
                named = True
        return place

    def _member(self, place: Place, delimiter: str, name: str) -> Place:
        base = place.type.complete()
        if delimiter == "->" and not isinstance(base, Pointer):
            raise WrongKind(place.type.spelled, "a pointer type")
        if isinstance(base, Pointer) and delimiter != ".":
            place = Place(base.target, self._pointer(place))
            base = place.type.complete()
        if not isinstance(base, Aggregate):
            raise WrongKind(place.type.spelled, "a struct or union type")
        if not base.has(name):
            raise UnknownMember(name, place.type.spelled)
        member = base.find(name)
        start = place.bit + member.start
        return Place(member.type, place.address + start // 8, start % 8, member.bits)

    def _indexed(self, place: Place, text: str, named: bool) -> Place:
        """An element of an array or behind a pointer, or a slice."""
        base = place.type.resolve()
        if not isinstance(base, Array | Pointer):
            raise BadPath("cannot index into non-array, non-pointer type")
        element = base.target
        if not element.size:
            raise BadPath("cannot dereference void type")
        index, count = self._range(text, base.count if isinstance(base, Array) else 0)
        if isinstance(base, Array):
            start = place.address
            self._check(base, index + count - 1 if index >= 0 else index)
        else:
            start = self._pointer(place)
        start += index * element.size
        if ".." in text:
            return Place(Array(known(element), count), start, slice=True)
        return Place(element, start, arrow=isinstance(base, Pointer) and index == 0 and named)

    def _range(self, text: str, length: int) -> tuple[int, int]:
        """The first index, and how many: one, or those of a slice; without an end all that the array has."""
        first, dots, last = text.partition("..")
        index = self._index(first)
        end = index if not dots else self._index(last) if last.strip() else length - 1
        if not index <= end < index + MAX_SLICE:
            raise BadPath(f"slice [{text}] has to rise, by less than {MAX_SLICE}")
        return index, end - index + 1

    def _check(self, array: Array, index: int) -> None:
        if array.count and not 0 <= index < array.count:
            self._beyond(OutOfBounds(index, array.count - 1))


def covering(type_: Type, offset: int) -> tuple[str, Place]:
    """The member that begins at a byte of a type, else the innermost that covers it: its path, and its place from 0."""
    path, place, left = "", Place(type_, 0), 8 * offset
    for _ in range(MAX_STEPS):
        base, before = place.type.complete(), path
        match base:
            case Aggregate():
                member = next((each for each in base.members if _covers(each, left)), None)
                if member is None:
                    raise BadPath(f"invalid offset {offset:x}")
                left -= member.offset
                start = 8 * place.address + member.start
                place = Place(member.type, start // 8, start % 8, member.bits)
                path += f".{member.name}" if member.name else ""
            case Array() if base.element.size and left // 8 < base.size:
                index, left = divmod(left, 8 * base.element.size)
                place = Place(base.element, place.address + index * base.element.size)
                path += f"[{index}]"
            case _:
                raise BadPath(f"invalid offset {offset:x}")
        if (left == 0 and path != before) or not isinstance(place.type.complete(), Aggregate | Array):
            return path.removeprefix("."), place
    raise BadPath(f"invalid offset {offset:x}")


def _covers(member: Member, bit: int) -> bool:
    width = member.bits if member.bits is not None else 8 * member.type.size
    return member.offset <= bit < member.offset + width or (member.bits is not None and member.offset // 8 == bit // 8)


def locate(type_: Type, path: str) -> Place:
    """Where a member lies in its structure: a Place from address 0."""
    return Follower().follow(Place(type_, 0), path)


def offset_of(type_: Type, path: str) -> int:
    """The byte at which a member begins; a bit-field's first byte."""
    return locate(type_, path).address
