"""Open files: the table of a process, by file descriptor, and the vnode behind each file; mounted file systems.

Specified in: sys/user.h, sys/file.h, sys/vnode.h, sys/vfs.h, sys/refstr_impl.h of illumos.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import each_link, read_string
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

MAX_FILES = 1 << 18
MAX_MOUNTS = 1 << 14
MAX_OPTIONS = 1 << 10
SET, HIDDEN = 0x01, 0x02  # MO_SET, MO_NODISPLAY
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


@dataclass(frozen=True)
class Mount:
    """A mounted file system: its vfs, the kind, what is mounted, and where. None is what cannot be read."""

    address: int
    kind: str | None
    resource: str | None
    path: str | None


def each_mount(guest: "Illumos") -> Iterator[int]:
    """Every vfs, the root first."""
    return each_link(guest.follow("vfs_t", "vfs_next"), guest.variable("rootvfs"), MAX_MOUNTS)


def read_mount(guest: "Illumos", address: int) -> Mount:
    found = guest.objects.at("vfs_t", address)
    kind = _kind(guest, found["vfs_fstype"])
    resource, path = (find_shared_text(guest, int(found[name])) for name in ("vfs_resource", "vfs_mntpt"))
    return Mount(address, kind, resource, path)


def mount_options(guest: "Illumos", address: int) -> Sequence[str] | None:
    """The options that a file system is mounted with, `name` or `name=value`; None where they cannot be read."""
    found = guest.objects.at("vfs_t", address)
    if "vfs_mntopts" not in found:
        return ()
    count = min(found["vfs_mntopts.mo_count"], MAX_OPTIONS)
    try:
        options = list(guest.objects.array("mntopt_t", int(found["vfs_mntopts.mo_list"]), count))
        return [_option(each) for each in options if each["mo_flags"] & (SET | HIDDEN) == SET]
    except DebuggerError:
        return None


def _option(option: Typed) -> str:
    name = option["mo_name"].string()
    return f"{name}={option['mo_arg'].string()}" if option["mo_arg"] else f"{name}"


def _kind(guest: "Illumos", number: int) -> str | None:
    """The name of a kind of file system, by the kernel's table of them."""
    table, size = guest.symbols.find("vfssw"), guest.objects.sizeof("vfssw_t")
    if table is None or not 0 <= number < table.size // size:
        return None
    try:
        return str(guest.objects.at("vfssw_t", table.value + number * size)["vsw_name"].string())
    except DebuggerError:
        return None


def find_shared_text(guest: "Illumos", address: int) -> str | None:
    """The characters of a refstr_t; None for NULL, and where they cannot be read."""
    try:
        start = address + guest.objects.offsetof("refstr_t", "rs_string")
        return read_string(guest.target.read, start) if address else None
    except ReadFailed:
        return None


def vnode_path(vnode: Typed) -> str | None:
    """The path that the kernel keeps with a vnode; None where it keeps none, or an empty one."""
    try:
        return vnode["v_path"].string() or None if vnode["v_path"] else None
    except DebuggerError:
        return None
