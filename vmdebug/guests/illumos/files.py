"""Open files: the table of a process, by file descriptor, and the vnode behind each file.

Specified in: sys/user.h, sys/file.h, sys/vnode.h of illumos.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_FILES = 1 << 18
KINDS = ("NON", "REG", "DIR", "BLK", "CHR", "LNK", "FIFO", "DOOR", "PROC", "SOCK", "PORT", "BAD")  # vtype_t


class NoSuchFile(DebuggerError):
    def __init__(self, process: int, number: int) -> None:
        super().__init__(f"process {process:x} has no file descriptor {number:x}")


@dataclass(frozen=True)
class OpenFile:
    """A file of a process: its descriptor and file_t; of its vnode the address, the kind, and the path if known."""

    number: int
    address: int
    vnode: int
    kind: str
    path: str | None


def each_file(guest: "Illumos", process: int) -> Iterator[tuple[int, int]]:
    """The descriptors that a process has open, each with its file_t."""
    table = guest.objects.at("proc_t", process)["p_user.u_finfo"]
    count = min(max(table["fi_nfiles"], 0), MAX_FILES)
    for number, entry in enumerate(guest.objects.array("uf_entry_t", int(table["fi_list"]), count)):
        if entry["uf_file"]:
            yield number, int(entry["uf_file"])


def find_file(guest: "Illumos", process: int, number: int) -> int:
    """The file_t of a descriptor; NoSuchFile if it is not open."""
    for each, file in each_file(guest, process):
        if each == number:
            return file
    raise NoSuchFile(process, number)


def read_file(guest: "Illumos", number: int, address: int) -> OpenFile:
    vnode = guest.objects.at("file_t", address)["f_vnode"]
    kind = vnode["v_type"]
    name = KINDS[kind] if 0 <= kind < len(KINDS) else f"{kind}"
    return OpenFile(number, address, int(vnode), name, vnode_path(vnode.deref()))


def vnode_path(vnode: Typed) -> str | None:
    """The path that the kernel keeps with a vnode; None where it keeps none."""
    try:
        return vnode["v_path"].string() if vnode["v_path"] else None
    except DebuggerError:
        return None
