"""What an operating system keeps where: one module or package a kind.

base      Guest: what every kind answers            memory    words, strings, lists
illumos/  illumos and Solaris under Xen             linux/    Linux
xen/      the hypervisor Xen                    unknown   everything else
whatis    what an address belongs to: a registry of sources
filetypes types out of the user's file

To add a kind: write its module with `find(target)`, which gives a Guest or raises a DebuggerError that says what it
looked for, and name it in KINDS. A plug-in's `find` is added by add_finder(). Knows no dcmd.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ImageError

if TYPE_CHECKING:
    from vmdebug.guests.base import Guest
    from vmdebug.symbols.file import SymbolFile
    from vmdebug.targets.target import Target

KINDS = ("illumos", "linux", "xen")  # in the order in which they are tried
HYPERVISORS = {"xen": "xen_phys_start"}  # a symbol of each that no kernel of a guest has

Find = Callable[["Target"], "Guest"]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Finder:
    """A kind of guest from elsewhere. `origin` names it in messages; `report` is told in a line when it fails."""

    kind: str
    find: Find
    origin: str
    report: Report

    def __call__(self, target: "Target") -> "Guest":
        """The guest; a DebuggerError or ImageError says why there is none, whatever the finder raises."""
        try:
            return _checked(self.find(target))
        except (DebuggerError, ImageError):
            raise
        except Exception as err:
            self.report(f"{self.origin}: its search for {self.kind} failed: {type(err).__name__}: {err}")
            raise FinderFailed(self.kind, err) from err


class FinderFailed(DebuggerError):
    def __init__(self, kind: str, err: Exception) -> None:
        super().__init__(f"the search for {kind} failed: {type(err).__name__}")


FINDERS: list[Finder] = []  # from elsewhere, asked in this order when none of KINDS is found


def add_finder(kind: str, find: Find, origin: str, report: Report) -> None:
    """Look for another kind of guest where none of our own is recognised."""
    FINDERS.append(Finder(kind, find, origin, report))


def remove_finder(find: object) -> None:
    """Look for that kind no longer."""
    FINDERS[:] = [each for each in FINDERS if each.find is not find]


def find_guest(target: "Target", names: "SymbolFile | None" = None) -> "Guest":
    """The kernel in an image; one that no kind recognises is Unknown, and knows why.

    `names` is a file of the user's with symbols and types for a guest that lacks them: one that is not recognised, or
    that has a method `take`. That of a hypervisor has it looked for first: under it, vcpu 0 may run a guest's kernel.
    """
    reasons = []
    for find in _each_finder(_kind_of(names)):
        try:
            guest = find(target)
        except (DebuggerError, ImageError) as err:
            reasons.append(str(err))
            continue
        if names and (take := getattr(guest, "take", None)):
            take(names)
        return guest
    from vmdebug.guests.unknown import Unknown

    return Unknown(target, reasons, names)


def _checked(guest: "Guest") -> "Guest":
    """The guest, if it is one."""
    from vmdebug.guests.base import Guest

    wanted = {*Guest.__annotations__, *vars(Guest)}
    missing = sorted(name for name in wanted if name[0] != "_" and name not in dir(guest))
    if missing:
        raise TypeError(f"find gave {guest!r}, which lacks {', '.join(missing)}")
    return guest


def _kind_of(names: "SymbolFile | None") -> str:
    """The hypervisor whose file it is, "" for any other."""
    if names is None or not names.has_symbols:
        return ""
    try:
        return next((kind for kind, symbol in HYPERVISORS.items() if names.part.find(symbol)), "")
    except DebuggerError:
        return ""  # a damaged file is told where it is needed


def _each_finder(first: str) -> Iterator[Find]:
    for kind in sorted(KINDS, key=lambda kind: kind != first):
        yield import_module(f"vmdebug.guests.{kind}").find
    yield from FINDERS
