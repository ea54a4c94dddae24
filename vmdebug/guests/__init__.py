"""What an operating system keeps where: one module or package a kind.

base      Guest: what every kind answers            memory    words, strings, lists
illumos/  illumos and Solaris under Xen             linux/    Linux
unknown   everything else                       whatis    what an address belongs to: a registry of sources

To add a kind: write its module with `find(target)`, which gives a Guest or raises a DebuggerError that says what it
looked for, and name it in KINDS. Knows no dcmd.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError, ImageError

if TYPE_CHECKING:
    from vmdebug.guests.base import Guest
    from vmdebug.symbols.file import SymbolFile
    from vmdebug.targets.target import Target

KINDS = ("illumos", "linux")  # in the order in which they are tried


def find_guest(target: "Target", names: "SymbolFile | None" = None) -> "Guest":
    """The kernel in an image; one that no kind recognises is Unknown, and knows why.

    `names` is a file of the user's that gives symbols to a guest that is not recognised.
    """
    reasons = []
    for kind in KINDS:
        try:
            guest: Guest = import_module(f"vmdebug.guests.{kind}").find(target)
        except (DebuggerError, ImageError) as err:
            reasons.append(str(err))
        else:
            return guest
    from vmdebug.guests.unknown import Unknown

    return Unknown(target, reasons, names)
