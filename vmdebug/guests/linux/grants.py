"""Grant references of a Linux guest on Xen: which it holds, and what it grants by them.

The table's frames belong to the hypervisor: a dump of a paravirtualised domain has none of them, one of an
auto-translated domain has them where the guest mapped them. Which references are free the kernel notes for itself: in a
bitmap since 5.19, before that in a list alone.
Entries are specified in: xen/include/public/grant_table.h.
"""

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

PAGE = 4096
MAX_FRAMES = 1 << 16
LIST_END = 0xFFFF_FFFF
PER_LIST_PAGE = PAGE // 4
ENTRY_V1, ENTRY_V2, STATUS = struct.Struct("<HHI"), struct.Struct("<HHIQ"), struct.Struct("<H")
TYPE_MASK, READ_ONLY, READING, WRITING = 0x3, 1 << 2, 1 << 3, 1 << 4
PERMIT, TRANSITIVE = 1, 3
TYPES = ("invalid", "access", "transfer", "transitive")


class NoGrants(DebuggerError):
    def __init__(self, found: str) -> None:
        super().__init__(f"the guest grants nothing to other domains: {found}")


@dataclass(frozen=True)
class Grant:
    """A grant reference that is in use. What the table says of it is None where the image does not hold that."""

    reference: int
    type: str | None = None
    domain: int | None = None
    frame: int | None = None
    read_only: bool | None = None
    mapped: str | None = None


class Grants:
    """The grant table of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        if linux.names.find("nr_grant_frames") is None:
            raise NoGrants("its kernel was built without grant tables")
        if not self.frames:
            raise NoGrants("it does not run on Xen, or has set up no grant table")

    @cached_property
    def frames(self) -> int:
        """How many frames the table has."""
        found = self._number("nr_grant_frames", 4)
        if found > MAX_FRAMES:
            raise NoGrants(f"nr_grant_frames is {found}, more than any hypervisor allows")
        return found

    @cached_property
    def version(self) -> int:
        """Of the entries: 2 where the kernel uses the operations for that."""
        operations, second = self._linux.names.find("gnttab_interface"), self._linux.names.find("gnttab_v2_ops")
        if operations is None or second is None:
            return 1
        return 2 if self._linux.read_word(operations.value) == second.value else 1

    @property
    def size(self) -> int:
        """How many references the table has room for."""
        return self.frames * (PAGE // (ENTRY_V2 if self.version == 2 else ENTRY_V1).size)

    @cached_property
    def free(self) -> frozenset[int]:
        """The references that are free; NoGrants with the reason if the kernel's notes cannot be followed."""
        bitmap = self._linux.names.find("gnttab_free_bitmap")
        if bitmap is not None:
            bits = self._bits(self._linux.read_word(bitmap.value))
            return frozenset(number for number in range(self.size) if bits >> number & 1)
        return frozenset(self._each_free())

    @cached_property
    def missing(self) -> str:
        """Why the entries cannot be read; "" if they can."""
        try:
            self._entry(0)
        except ReadFailed as err:
            return str(err)
        return ""

    def each(self) -> Iterator[Grant]:
        """Every reference that is not free, rising."""
        for number in range(self.size):
            if number not in self.free:
                yield Grant(number) if self.missing else self._grant(number)

    def _bits(self, address: int) -> int:
        return int.from_bytes(self._linux.space.read(address, -(-self.size // 64) * 8), "little")

    def _each_free(self) -> Iterator[int]:
        """The chain of free references, each of which names the next."""
        read = self._linux.space.read
        pages, number = self._linux.read_word("gnttab_list"), self._number("gnttab_free_head", 4)
        seen = set[int]()
        while number != LIST_END:
            if number in seen or number >= self.size:
                raise NoGrants(f"the list of free references is broken after {len(seen)}: it leads to {number:#x}")
            seen.add(number)
            yield number
            page = self._linux.read_word(pages + self._linux.word * (number // PER_LIST_PAGE))
            number = int.from_bytes(read(page + 4 * (number % PER_LIST_PAGE), 4), "little")

    def _grant(self, number: int) -> Grant:
        try:
            return self._second(number) if self.version == 2 else self._first(number)
        except ReadFailed:
            return Grant(number)

    def _first(self, number: int) -> Grant:
        flags, domain, frame = ENTRY_V1.unpack(self._entry(number))
        return _told(number, flags, domain, frame, flags)

    def _second(self, number: int) -> Grant:
        """An entry of version 2, whose marks of use lie in an array of their own."""
        flags, domain, _, frame = ENTRY_V2.unpack(self._entry(number))
        statuses = self._linux.read_word("grstatus")
        (marks,) = STATUS.unpack(self._linux.space.read(statuses + STATUS.size * number, STATUS.size))
        return _told(number, flags, domain, None if flags & TYPE_MASK == TRANSITIVE else frame, marks)

    def _entry(self, number: int) -> bytes:
        entry = ENTRY_V2 if self.version == 2 else ENTRY_V1
        start = self._linux.read_word("gnttab_shared")
        return self._linux.space.read(start + entry.size * number, entry.size)

    def _number(self, name: str, size: int) -> int:
        return int.from_bytes(self._linux.space.read(self._linux.address(name), size), "little")


def _told(number: int, flags: int, domain: int, frame: int | None, marks: int) -> Grant:
    kind = flags & TYPE_MASK
    if not kind:
        return Grant(number, TYPES[kind], mapped="")
    mapped = ("r" if marks & READING else "") + ("w" if marks & WRITING else "")
    return Grant(number, TYPES[kind], domain, frame, bool(flags & READ_ONLY) if kind == PERMIT else None, mapped)
