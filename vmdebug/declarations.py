"""Types as C declares them, with the offset and the size of every member and the holes between them."""

from collections.abc import Iterator

from formats.lazy import dataclass
from vmdebug.types.model import MAX_CHAIN, Aggregate, Enum, Forward, Function, Member, Struct, Type, Typedef
from vmdebug.types.spelling import spell

TAB = "    "
COLUMN = 48  # where the comments begin
MAX_LINES = 1 << 16


@dataclass(frozen=True)
class Line:
    """A line of a declaration.

    offset: the byte at which a member or a hole begins, null in lines without one
    bit: the bit of it, of bit-fields
    size: the bytes of a member or hole; of a bit-field its type's
    bits: how wide a bit-field or a hole of bits is, null for whole bytes
    name: the member's name, null for what has none
    type: its type
    hole: true for what no member uses
    text: the line
    """

    offset: int | None
    bit: int
    size: int | None
    bits: int | None
    name: str | None
    type: str | None
    hole: bool
    text: str


def declaration(found: Type) -> Iterator[Line]:
    """The lines of a type's declaration; of a typedef its own line first."""
    for _ in range(MAX_CHAIN):
        if not isinstance(found, Typedef):
            break
        yield _plain(f"typedef {spell(found.target, found.name)};")
        found = found.target
    base = found.complete()
    if isinstance(base, Aggregate):
        yield from _Declaring().whole(base)
    elif isinstance(base, Enum):
        yield from _enum(base)
    elif isinstance(base, Forward):
        yield _plain(f"{base.spelled};")
    elif base is found and not isinstance(base, Function):
        yield _plain(f"{base.spelled}{_comment(base.size)}")


def _plain(text: str, size: int | None = None) -> Line:
    return Line(None, 0, size, None, None, None, False, text)


def _comment(size: int) -> str:
    return f" /* {size} byte{'s' * (size != 1)} */"


def _enum(base: Enum) -> Iterator[Line]:
    yield _plain(f"{base.spelled} {{{_comment(base.size)}", base.size)
    for name, value in base.values:
        yield _plain(f"{TAB}{name} = {value:#x}," if base.flags and value else f"{TAB}{name} = {value},")
    yield _plain("};")


class _Declaring:
    """Declares structures; those without a name inside their members are written out."""

    def __init__(self) -> None:
        self._left = MAX_LINES
        self._open: set[Type] = set()  # structures around; none truly contains itself

    def whole(self, base: Aggregate) -> Iterator[Line]:
        yield _plain(f"{base.spelled} {{{_comment(base.size)}", base.size)
        yield from self._members(base, TAB, 0, 0)
        yield _plain("};")

    def _members(self, base: Aggregate, indent: str, start: int, depth: int) -> Iterator[Line]:
        """The members of a structure that begins at a bit, and the holes between them."""
        end = 0
        for member in base.members:
            self._left -= 1
            if self._left < 0:
                yield _plain(f"{indent}/* more than {MAX_LINES} members */")
                return
            if isinstance(base, Struct):
                yield from self._hole(indent, start, end, member.start)
            yield from self._member(member, indent, start, depth)
            end = max(end, member.start + _width(member))
        if isinstance(base, Struct):
            yield from self._hole(indent, start, end, 8 * base.size)

    def _member(self, member: Member, indent: str, start: int, depth: int) -> Iterator[Line]:
        target = member.type
        if isinstance(target, Aggregate) and not target.name and depth < MAX_CHAIN and target not in self._open:
            self._open.add(target)
            at = start + member.start
            yield Line(
                at // 8, 0, target.size, None, member.name or None, target.tag, False, f"{indent}{target.tag} {{"
            )
            yield from self._members(target, indent + TAB, at, depth + 1)
            self._open.remove(target)
            named = f" {member.name}" if member.name else ""
            yield _plain(_noted(f"{indent}}}{named};", at, None, target.size))
            return
        declared = spell(target, member.name)
        if member.bits is not None:  # some compilers put the width into the name of the type, too
            declared = f"{declared.replace(f':{member.bits} ', ' ', 1)}:{member.bits}"
        at = start + member.start
        text = _noted(f"{indent}{declared};", at, member.bits, target.size)
        yield Line(at // 8, at % 8, target.size, member.bits, member.name or None, target.spelled, False, text)

    def _hole(self, indent: str, start: int, end: int, until: int) -> Iterator[Line]:
        """The line of a hole between two bits, if there is one."""
        width = until - end
        if width <= 0:
            return
        whole = width % 8 == 0 and end % 8 == 0
        amount = f"{width // 8} byte{'s' * (width != 8)}" if whole else f"{width} bit{'s' * (width != 1)}"
        at = start + end
        text = f"{indent}/* hole of {amount} */"
        yield Line(at // 8, at % 8, (width + 7) // 8, None if whole else width, None, None, True, text)


def _width(member: Member) -> int:
    return member.bits if member.bits is not None else 8 * member.type.size


def _noted(text: str, at: int, bits: int | None, size: int) -> str:
    """A line with its offset and size behind it."""
    place = f"{at // 8}:{at % 8}" if bits is not None else f"{at // 8}"
    amount = f"{bits} bits" if bits is not None else f"{size}"
    return f"{text:<{COLUMN}} /* {place:>6} {amount:>6} */"
