"""Objects in rows and chains: ::array ::list, and the walkers list and avl."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show, dcmd, walker
from vmdebug.errors import Abort, DebuggerError
from vmdebug.lang.flags import each_word
from vmdebug.types.lists import each_avl, each_linked, each_listed
from vmdebug.types.model import Array, Type
from vmdebug.types.paths import locate
from vmdebug.types.typed import Objects
from vmdebug.types.words import Words, need_type

ADDRESSES = (1 << 64) - 1
MAX_COUNT = 1 << 31


@dataclass(frozen=True)
class Element:
    """An object of an array or a list.

    addr: where it lies
    """

    addr: Vaddr


def address_lines(rows: Iterable[Element], show: Show) -> Iterator[str]:
    for row in rows:
        yield show.number(row.addr)


@dcmd("array", address="required", synopsis="[type count] [variable]", text=address_lines, row=Element)
def array(call: Call) -> Iterator[Element]:
    """print each array element's address

    The addresses of so many values of a type from the address on; without a type, those of the array variable that
    begins there. A variable takes each address in step with the stages behind.

    Example:
        fffffffffbc4b7f0::array uintptr_t 4
    """
    element, count, rest = _elements(call)
    if not element.size:
        raise Abort(f"{element.spelled} has no size")
    name = _variable(call, rest)
    for index in range(count):
        yield _bound(call, name, ((call.address or 0) + index * element.size) & ADDRESSES)


def _elements(call: Call) -> tuple[Type, int, Words]:
    """What the elements are, how many, and the words behind them."""
    if len(call.args) >= 2:
        found, _, rest = need_type(call.guest.types, call.args)
        if not rest:
            raise call.usage()
        count = call.number(rest[0])
        if count >= MAX_COUNT:
            raise Abort(f"{count:#x} elements are more than any array's")
        return found, count, rest[1:]
    address = call.address or 0
    symbol = call.guest.symbols.nearest(address)
    found_type = call.guest.types.type_of_symbol(symbol[0]) if symbol and symbol[0].value == address else None
    base = found_type.resolve() if found_type else None
    if not isinstance(base, Array):
        raise DebuggerError(f"no symbol information for {call.session.show.symbol(address)}")
    return base.element, base.count, call.args


@dcmd("list", address="required", synopsis="type member [variable]", text=address_lines, row=Element)
def linked(call: Call) -> Iterator[Element]:
    """walk list using member as link pointer

    The objects that hang together by the pointer in a member, from the address on, up to NULL or the first object
    again. Instead of type and member the member's offset may stand there, as `$[8]`. A variable takes each address in
    step with the stages behind.

    Example:
        fffffffffbc4b7f0::list cpu_t cpu_next
    """
    offset, rest = _link(call)
    name = _variable(call, rest)
    objects = Objects(call.guest.types, call.target.read)
    start = call.address or 0
    for node in each_linked(objects, start, offset, start):
        yield _bound(call, name, node)


def _link(call: Call) -> tuple[int, Words]:
    """The offset of the pointer, and the words behind it."""
    word = call.session.word
    if call.args and isinstance(call.args[0], int):
        if call.args[0] % word:
            raise Abort("offset must fall on a word boundary")
        return call.args[0], call.args[1:]
    found, name, rest = need_type(call.guest.types, call.args)
    if not rest or not isinstance(rest[0], str):
        raise call.usage()
    try:
        place = locate(found, rest[0])
    except DebuggerError as err:
        raise Abort(f"failed to find member {rest[0]} of type {name}: no such member of structure or union") from err
    if place.address % word or place.bit:
        raise Abort(f"{rest[0]} is not a word-aligned member")
    return place.address, rest[1:]


def _variable(call: Call, words: Words) -> str:
    """The variable that is to take the addresses, if one is named."""
    names = list(each_word(words))
    if len(names) > 1:
        raise call.usage()
    return names[0] if names else ""


def _bound(call: Call, name: str, address: int) -> Element:
    if name:
        call.bind(name, address)
    return Element(Vaddr(address))


@walker("list", start="required", guests=("illumos",))
def listed(call: Call) -> Iterator[int]:
    """walk a linked list"""
    return each_listed(Objects(call.guest.types, call.target.read), call.address or 0)


@walker("avl", start="required", guests=("illumos",))
def tree(call: Call) -> Iterator[int]:
    """walk an AVL tree"""
    return each_avl(Objects(call.guest.types, call.target.read), call.address or 0)
