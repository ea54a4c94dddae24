"""Searching memory: aligned values by whole arrays, text and regular expressions over bytes.

A Scope says what is searched, Values and Pattern what for; both take pieces of memory and give what they find at once.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from formats.frames import PAGE_SHIFT, PAGE_SIZE
from formats.image import Image
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.targets.bulk import each_piece
from vmdebug.targets.pieces import Piece
from vmdebug.targets.spaces import AddressSpace, FlatSpace

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

# xen/include/public/arch-x86/xen-x86_64.h, xen-x86_32.h: what the hypervisor keeps of a guest's address space.
HYPERVISOR: Mapping[str, tuple[int, int]] = {
    "4-level": (0xFFFF_8000_0000_0000, 0xFFFF_8800_0000_0000),
    "PAE": (0xF580_0000, 1 << 32),
}
SIZES = (1, 2, 4, 8)
KEPT = PAGE_SIZE  # bytes at the end of a piece that wait for the next: the longest match that is sure to be whole
BEFORE, AROUND = 16, 64  # bytes of memory shown before a match, and in all
DOTS = bytes(code if 0x20 <= code < 0x7F else ord(".") for code in range(256))


class BadSize(DebuggerError):
    def __init__(self, size: int) -> None:
        power = size > 0 and not size & (size - 1)
        super().__init__(f"size must be 1, 2, 4 or 8, not {size:#x}" if power else "size must be a power of 2")


class BadDistance(DebuggerError):
    def __init__(self, value: int, distance: int, size: int) -> None:
        super().__init__(f"{value:#x} and a distance of {distance:#x} pass the largest value of {size} bytes")


class BadPattern(DebuggerError):
    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text}: not a regular expression to search for: {reason}")


@dataclass(frozen=True)
class Scope:
    """Ranges of an address space, or of an image's physical memory."""

    memory: AddressSpace | Image
    ranges: tuple[tuple[int, int], ...]

    @property
    def image(self) -> Image:
        return self.memory if isinstance(self.memory, Image) else self.memory.image

    def pieces(self, zeros: bool = True) -> Iterator[Piece]:
        """The bytes of the ranges; with `zeros`, also all of those that are known to be zero."""
        for start, end in self.ranges:
            yield from each_piece(self.memory, start, end, zeros)


def kernel_scope(space: AddressSpace, low: int | None = None, high: int | None = None) -> Scope:
    """The kernel's half of its address space, without what a hypervisor keeps there.

    Limits may also name the lower half. With 32-bit tables, where each kernel draws its own line, it is all of it.
    """
    if isinstance(space, FlatSpace):
        return physical_scope(space.image, low, high)
    mode = space.mode
    if not mode.canonical:
        ranges = [(0, 1 << mode.bits)]
    else:
        half = 1 << mode.bits - 1
        ranges = [(0, half), ((1 << 64) - half, 1 << 64)]
        if low is None and (high is None or high > ranges[1][0]):
            del ranges[0]
    if not space.image.about.translated and mode.name in HYPERVISOR:
        ranges = [part for each in ranges for part in _without(each, HYPERVISOR[mode.name])]
    return _limited(space, ranges, low, high)


def process_scope(space: AddressSpace, low: int | None = None, high: int | None = None) -> Scope:
    """A process' own memory: the lower half of its address space, all of it with 32-bit tables."""
    bits = space.mode.bits - 1 if space.mode.canonical else space.mode.bits
    return _limited(space, [(0, 1 << bits)], low, high)


def physical_scope(image: Image, low: int | None = None, high: int | None = None) -> Scope:
    """The guest's physical memory."""
    return _limited(image, [(0, image.end << PAGE_SHIFT)], low, high)


def _without(whole: tuple[int, int], hole: tuple[int, int]) -> Iterator[tuple[int, int]]:
    parts = (whole[0], min(whole[1], hole[0])), (max(whole[0], hole[1]), whole[1])
    return (part for part in parts if part[0] < part[1])


def _limited(
    memory: AddressSpace | Image, ranges: Iterable[tuple[int, int]], low: int | None, high: int | None
) -> Scope:
    clipped = ((max(start, low or 0), min(end, high) if high is not None else end) for start, end in ranges)
    return Scope(memory, tuple((start, end) for start, end in clipped if start < end))


@dataclass(frozen=True)
class Values:
    """Aligned values of `size` bytes: equal to `value` in the bits of `mask`, or less than `distance` above it."""

    value: int
    size: int = 8
    mask: int | None = None
    distance: int = 0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise BadSize(self.size)
        if self.distance and self.value + self.distance > self.highest + 1:
            raise BadDistance(self.value, self.distance, self.size)

    @property
    def highest(self) -> int:
        """The largest value of that size."""
        return (1 << 8 * self.size) - 1

    def each_match(self, scope: Scope) -> Iterator[tuple[int, int]]:
        """The address and the value of each match."""
        yield from self.each_in(scope.pieces(zeros=self.matches_zero))

    def each_in(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, int]]:
        """The same in pieces of memory."""
        for found in map(self._matches, pieces):
            yield from found

    @cached_property
    def matches_zero(self) -> bool:
        """True if a value of zero is one of those wanted."""
        return any(self.each_in([Piece(0, bytes(self.size))]))

    def _matches(self, piece: Piece) -> list[tuple[int, int]]:
        import numpy as np

        skipped = -piece.address % self.size
        count = (len(piece.data) - skipped) // self.size
        if count <= 0:
            return []
        words = np.frombuffer(piece.data, dtype=f"<u{self.size}", count=count, offset=skipped)
        places = np.flatnonzero(self._compare(words))
        if not len(places):
            return []
        first = piece.address + skipped
        addresses = (first + place * self.size for place in places.tolist())
        return list(zip(addresses, words[places].tolist(), strict=True))

    def _compare(self, words: "NDArray[Any]") -> "NDArray[Any]":
        kind = words.dtype.type
        value = kind(self.value & self.highest)
        if self.distance:
            compared: NDArray[Any] = (words - value) < kind(self.distance)
        elif self.mask is not None:
            mask = kind(self.mask & self.highest)
            compared = (words & mask) == (value & mask)
        else:
            compared = words == value
        return compared


class Found(NamedTuple):
    """Where a match begins, its bytes, and the memory around it: printable characters, others as dots."""

    address: int
    match: bytes
    around: str

    @property
    def printable(self) -> str:
        """The match itself in the same manner."""
        return self.match.translate(DOTS).decode("ascii")


class Pattern:
    """Bytes to be found: a text, or a regular expression. A match may lie across pages that follow each other."""

    def __init__(self, text: str, *, regular: bool = False, ignore_case: bool = False) -> None:
        self._text = text.encode("utf-8", "surrogateescape")
        self._fold = ignore_case
        self._regex = _compiled(text, self._text, ignore_case) if regular else None
        self._kept = max(KEPT, 2 * len(self._text))

    def each_match(self, scope: Scope) -> Iterator[Found]:
        """Each match with what is around it."""
        yield from self.each_in(scope.pieces(zeros=self.matches_zero))

    def each_in(self, pieces: Iterable[Piece]) -> Iterator[Found]:
        """The same in pieces of memory: what may go on in the next piece waits for it."""
        held, begin, done = b"", 0, 0
        for address, data in pieces:
            if address != begin + len(held):
                yield from self._each_found(held, begin, done, len(held))
                held, begin, done = b"", address, 0
            held += data
            limit = len(held) - self._kept
            for found in self._each_found(held, begin, done, limit):
                yield found
                done = found.address - begin + len(found.match)
            done = max(done, limit, 0)
            cut = max(min(done, limit) - self._kept, 0)
            held, begin, done = held[cut:], begin + cut, done - cut
        yield from self._each_found(held, begin, done, len(held))

    @cached_property
    def matches_zero(self) -> bool:
        """True if memory of nothing but zeros has a match."""
        return any(self._each_found(bytes(PAGE_SIZE), 0, 0, PAGE_SIZE))

    def _each_found(self, data: bytes, begin: int, done: int, limit: int) -> Iterator[Found]:
        """The matches that start from `done` on and before `limit`, in data that lies at `begin`."""
        for start, end in self._each_span(data, done) if done < limit else ():
            if start >= limit:
                return
            first = max(start - BEFORE, 0)
            around = data[first : first + AROUND].translate(DOTS).decode("ascii")
            yield Found(begin + start, data[start:end], around)

    def _each_span(self, data: bytes, at: int) -> Iterator[tuple[int, int]]:
        if self._regex:
            for match in self._regex.finditer(data, at):
                if match.end() > match.start():
                    yield match.span()
            return
        text, data = (self._text.lower(), data.lower()) if self._fold else (self._text, data)
        while (at := data.find(text, at)) >= 0:
            yield at, at + len(text)
            at += len(text)


def _compiled(text: str, pattern: bytes, ignore_case: bool) -> re.Pattern[bytes]:
    try:
        regex = re.compile(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    except (re.error, OverflowError, RecursionError) as err:
        raise BadPattern(text, str(err)) from err
    if regex.fullmatch(b""):
        raise BadPattern(text, "it matches nothing at all, and so everywhere")
    return regex
