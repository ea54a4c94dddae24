"""The match letters `/l /L /M value [mask]` and the write letters `/v /w /W /Z /z value…`.

Images are never written: a write is refused for each value, with mdb's words.
"""

from collections.abc import Iterator
from typing import Any, Literal

from formats.frames import PAGE_SIZE, Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Dcmd, Text
from vmdebug.errors import Abort, DebuggerError, LanguageError, ReadFailed
from vmdebug.lang.formats import PHYSICAL, UnreadableData

MATCH_SIZES = {"l": 2, "L": 4, "M": 8}
WRITE_SIZES = {"v": 1, "w": 2, "W": 4, "Z": 8, "z": 0}
TYPE_CODES: dict[int, Literal["H", "I", "Q"]] = {2: "H", 4: "I", 8: "Q"}
TOP = 1 << 64


class BadValue(Abort):
    """A match or a write without the values that it needs."""


class WriteRefused(DebuggerError):
    def __init__(self, value: int, address: int) -> None:
        super().__init__(f"failed to write 0x{value:x} at address 0x{address:x}: target is not open for writing")


@dataclass(frozen=True)
class Match:
    """A word that matched.

    address: where it lies
    """

    address: Vaddr


def search_dcmd(verb: str, letter: str) -> Dcmd:
    """`/L value [mask]` as a dcmd: the first word from dot on that matches."""

    def run(call: Call) -> Iterator[Match]:
        if not call.args:
            raise BadValue(f"expected value following {letter}")
        if len(call.args) > 2:
            raise BadValue(f"only value and mask may follow {letter}")
        size = MATCH_SIZES[letter]
        whole = (1 << 8 * size) - 1
        value, mask = (*(_number(call, word) for word in call.args), whole)[:2]
        read = call.target.read_physical if verb in PHYSICAL else call.target.read
        found = find_word(read, call.session.dot, size, value & whole, mask & whole)
        call.leave_dot(found)
        yield Match(Vaddr(found))

    return Dcmd(
        verb + letter,
        run,
        "optional",
        "value [mask]",
        Text("{address:a}"),
        (),
        Match,
        "",
        "",
        "mdb",
        raw=True,
        repeats=True,
    )


def find_word(read: Any, address: int, size: int, value: int, mask: int) -> int:
    """The address of the first word that matches, stepping by its size; UnreadableData where memory ends before."""
    while address < TOP:
        chunk = _chunk(read, address, size)
        at = _index(chunk, size, value, mask)
        if at >= 0:
            return address + at
        address += len(chunk)
    raise UnreadableData(ReadFailed(address - TOP, "no mapping for address"))


def _chunk(read: Any, address: int, size: int) -> bytes:
    """Words up to the end of the page; one word where it lies across the end, or where memory ends before."""
    left = PAGE_SIZE - address % PAGE_SIZE
    try:
        return bytes(read(address, max(left - left % size, size)))
    except ReadFailed:
        return _one(read, address, size)


def _one(read: Any, address: int, size: int) -> bytes:
    try:
        return bytes(read(address, size))
    except ReadFailed as err:
        raise UnreadableData(err) from err


def _index(chunk: bytes, size: int, value: int, mask: int) -> int:
    """Where in the chunk the first word matches, -1 if none does."""
    if mask == (1 << 8 * size) - 1:
        wanted, at = value.to_bytes(size, "little"), -1
        while (at := chunk.find(wanted, at + 1)) >= 0 and at % size:
            pass
        return at
    words = memoryview(chunk).cast(TYPE_CODES[size])
    return next((number * size for number, word in enumerate(words) if word & mask == value), -1)


def write_dcmd(verb: str, letter: str) -> Dcmd:
    """`/W value…` as a dcmd: always refused."""

    def run(call: Call) -> Iterator[Any]:
        if not call.args:
            raise BadValue(f"expected value to write following {letter}")
        values = [_number(call, word) for word in call.args]
        raise WriteRefused(values[0] & _mask(letter), call.session.dot)
        yield

    return Dcmd(verb + letter, run, "optional", "value ...", None, (), None, "", "", "mdb", raw=True, repeats=True)


def _mask(letter: str) -> int:
    return (1 << 8 * (WRITE_SIZES[letter] or 8)) - 1


def _number(call: Call, word: str | int) -> int:
    try:
        return call.number(word)
    except LanguageError as err:
        raise BadValue(f"expected immediate value instead of '{word}'") from err
