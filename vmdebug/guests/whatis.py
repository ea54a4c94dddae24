"""What an address belongs to: a registry of sources, asked in the order of their rank.

A source is a generator: given a guest and addresses, it yields what it knows of each. A kind of guest keeps its own in
`guests/KIND/whatis.py`, imported when the first question comes; a dcmd module or a plug-in adds more by the same
decorator.

    @source("threads", rank=20, guests=("illumos",))
    def threads(guest: Illumos, addresses: Sequence[int]) -> Iterator[Belonging]: ...
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from formats.lazy import dataclass
from vmdebug.guests.base import Guest

Naming = Callable[[int], str]  # how an address of code is written: by its symbol, if it has one


@dataclass(frozen=True)
class Record:
    """What an allocator keeps of an object: what that is and where ("bufctl fffffffec9000100"), and it in lines.

    `audited` says that it tells who asked for the object.
    """

    name: str
    lines: Callable[[Naming], Iterable[str]]
    audited: bool = True


@dataclass(frozen=True)
class Belonging:
    """What a source knows of an address.

    `text` completes the sentence "address is ..."; `base` is where the object begins that holds the address, None
    where the text says it all. The symbol around an address that is `named` is told too. The lines of a `record`
    follow the text; where they are not wanted, its name goes before the text.
    """

    address: int
    text: str
    base: int | None = None
    named: bool = False
    record: Record | None = None


Find = Callable[[Any, Sequence[int]], Iterator[Belonging]]  # Any: the class of the guest's kind


@dataclass(frozen=True)
class Source:
    """A source as the registry holds it. Those of lower rank are asked first.

    One of `identifiers` is asked what a number means that is no address.
    """

    name: str
    rank: int
    guests: Sequence[str] | None
    find: Find
    identifiers: bool = False


SOURCES: list[Source] = []  # filled when modules are imported


def source(
    name: str, *, rank: int, guests: Sequence[str] | None = None, identifiers: bool = False
) -> Callable[[Find], Find]:
    """Register the function as a source of that name."""

    def register(find: Find) -> Find:
        SOURCES.append(Source(name, rank, guests, find, identifiers))
        return find

    return register


def sources_of(guest: Guest, *, identifiers: bool = False) -> list[Source]:
    """The sources that know a guest's kind, in the order in which they are asked; those of identifiers, if wanted."""
    with suppress(ModuleNotFoundError):
        import_module(f"vmdebug.guests.{guest.kind}.whatis")
    known = [each for each in SOURCES if each.guests is None or guest.kind in each.guests]
    return sorted((each for each in known if each.identifiers == identifiers), key=lambda each: each.rank)
