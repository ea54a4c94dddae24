"""Where the kernel's text and data lie, and what the ELF header of its first module says.

The kernel keeps the header of every module's file in its struct module. Specified in: sys/kobj.h of illumos; elf(5).
"""

import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

HEADER = struct.Struct("<I20xQ")  # e_ident's first word, e_entry


def read_landmarks(guest: "Illumos") -> Mapping[str, int]:
    """The values of the variables b d e m t thread, without those that cannot be read."""
    info = guest.info
    found = {"b": info.data_start, "d": info.data_end - info.data_start, "t": info.text_end - info.text_start}
    with suppress(DebuggerError, IndexError):
        place = guest.found[0].mp + guest.objects.offsetof("struct module", "hdr")
        found["m"], found["e"] = HEADER.unpack(guest.target.read(place, HEADER.size))
    with suppress(DebuggerError):
        found["thread"] = guest.variable("panic_thread")
    return found
