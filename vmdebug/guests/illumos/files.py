"""Open files: the table of a process, by file descriptor, and the vnode behind each file; mounted file systems.

Specified in: sys/user.h, sys/file.h, sys/vnode.h, sys/door.h, sys/port_impl.h, sys/vfs.h, sys/refstr_impl.h of illumos.
"""

from collections.abc import Callable, Iterator, Sequence
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
DOOR, SOCKET, PORT = 7, 9, 10
KINDS = ("NON", "REG", "DIR", "BLK", "CHR", "LNK", "FIFO", "DOOR", "PROC", "SOCK", "PORT", "BAD")  # vtype_t


class NoSuchFile(DebuggerError):
    def __init__(self, process: int, number: int) -> None:
        super().__init__(f"process {process:x} has no file descriptor {number:x}")


@dataclass(frozen=True)
class OpenFile:
    """A file of a process: its descriptor and file_t, how it is open; of its vnode the address, kind, path if known.

    `about` says what is behind a door, a socket or an event port; it is None for other kinds.
    """

    number: int
    address: int
    flags: int
    count: int
    cred: int
    offset: int
    vnode: int
    kind: str
    path: str | None
    about: str | None


def each_slot(guest: "Illumos", process: int) -> Iterator[int]:
    """The file_t of every descriptor that a process has room for, null where none is open."""
    table = guest.objects.at("proc_t", process)["p_user.u_finfo"]
    count = min(max(table["fi_nfiles"], 0), MAX_FILES)
    return (int(entry["uf_file"]) for entry in guest.objects.array("uf_entry_t", int(table["fi_list"]), count))


def each_file(guest: "Illumos", process: int) -> Iterator[tuple[int, int]]:
    """The descriptors that a process has open, each with its file_t."""
    return ((number, file) for number, file in enumerate(each_slot(guest, process)) if file)


def find_file(guest: "Illumos", process: int, number: int) -> int:
    """The file_t of a descriptor; NoSuchFile if it is not open."""
    for each, file in each_file(guest, process):
        if each == number:
            return file
    raise NoSuchFile(process, number)


def each_port(guest: "Illumos", process: int, warn: Callable[[str], None]) -> Iterator[int]:
    """The port_t of every event port that a process has open; a file that cannot be read is told to `warn`."""
    for number, file in each_file(guest, process):
        try:
            vnode = guest.objects.at("file_t", file)["f_vnode"]
            port = int(vnode["v_data"]) if vnode["v_type"] == PORT else 0
        except ReadFailed as err:
            warn(f"failed to read the file of descriptor {number}: {err}")
            continue
        if port:
            yield port


def read_file(guest: "Illumos", number: int, address: int) -> OpenFile:
    file = guest.objects.at("file_t", address)
    vnode = file["f_vnode"]
    kind = vnode["v_type"]
    return OpenFile(
        number=number,
        address=address,
        flags=file["f_flag"],
        count=file["f_count"],
        cred=int(file["f_cred"]),
        offset=file["f_offset"],
        vnode=int(vnode),
        kind=KINDS[kind] if 0 <= kind < len(KINDS) else f"{kind}",
        path=vnode_path(vnode.deref()),
        about=_about(guest, kind, int(vnode["v_data"])),
    )


def _about(guest: "Illumos", kind: int, data: int) -> str | None:
    """What stands behind a vnode that is no file, by its private data; None where that cannot be read."""
    if kind == PORT:
        return f"[event port (port={data:x})]"
    if kind not in (DOOR, SOCKET):
        return None
    try:
        if kind == SOCKET:
            from vmdebug.guests.illumos.sockets import describe_socket

            return describe_socket(guest, data)
        target = guest.objects.at("door_node_t", data)["door_target"]
        return f"[door to '{target['p_user.u_comm'].string()}' (proc={int(target):x})]" if target else "[door, revoked]"
    except DebuggerError:
        return None


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
