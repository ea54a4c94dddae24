"""Open files of a process, and what is mounted."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.paths import Paths
from vmdebug.guests.linux.trees import each_rbtree

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.guests.linux.tasks import Task
    from vmdebug.types.typed import Typed

MAX_FILES = 1 << 20
MAX_TYPE = 256
EMPTY_ROOT = "nullfs"  # 7.x: under the root file system lies an empty one that no process sees


@dataclass(frozen=True)
class OpenFile:
    """A file that a process holds open, under its number there."""

    number: int
    file: int
    kind: str
    path: str
    deleted: bool
    inode: int
    position: int
    flags: int


@dataclass(frozen=True)
class Mounted:
    """A mounted file system."""

    address: int
    id: int
    device: str
    path: str
    type: str
    read_only: bool


def each_file(linux: "Linux", task: "Task") -> Iterator[tuple[int, int]]:
    """The number and the struct file of every open file of a task's process."""
    files = task.struct["files"]
    if not files:
        return
    table = files["fdt"]
    count = int(table["max_fds"])
    if count > MAX_FILES:
        raise DebuggerError(f"the table of open files at {int(table):x} claims {count} entries: it is damaged")
    for number, file in enumerate(linux.objects.array("unsigned long", int(table["fd"]), count)):
        if file:
            yield number, int(file)


def read_file(linux: "Linux", number: int, address: int) -> OpenFile:
    """What the kernel says of an open file."""
    file: Typed = linux.objects.at("struct file", address)
    paths = Paths(linux)
    path = paths.of_file(file)
    dentry, inode = file["f_path.dentry"], file["f_inode"]
    return OpenFile(
        number,
        address,
        paths.kind_of(file),
        path,
        bool(dentry) and path.startswith("/") and paths.deleted(dentry.deref()),
        int(inode["i_ino"]) if inode else 0,
        int(file["f_pos"]),
        int(file["f_flags"]),
    )


def each_mount(linux: "Linux", task: "Task") -> Iterator[int]:
    """The struct mount of everything mounted in a task's mount namespace, the first mounted first."""
    proxy = task.struct["nsproxy"]
    if not proxy:
        return
    namespace = proxy["mnt_ns"]
    if "list" in namespace:  # before 6.8
        head = int(namespace) + linux.objects.offsetof("struct mnt_namespace", "list")
        yield from linux.each_listed(head, "struct mount", "mnt_list")
        return
    offset = linux.objects.offsetof("struct mount", "mnt_node")
    for node in each_rbtree(linux, int(namespace["mounts.rb_node"])):
        yield node - offset


def read_mount(linux: "Linux", address: int) -> Mounted:
    """What is mounted, and where."""
    mount: Typed = linux.objects.at("struct mount", address)
    paths, block = Paths(linux), mount["mnt.mnt_sb"]
    name = mount["mnt_devname"]
    return Mounted(
        address,
        int(mount["mnt_id"]),
        name.string(4096) if name else "",
        paths.climb(paths.dentry(int(mount["mnt.mnt_root"])), address + linux.objects.offsetof("struct mount", "mnt")),
        block["s_type"]["name"].string(MAX_TYPE),
        bool((int(mount["mnt.mnt_flags"]) & READ_ONLY_MOUNT) or (int(block["s_flags"]) & READ_ONLY_SYSTEM)),
    )


READ_ONLY_MOUNT, READ_ONLY_SYSTEM = 0x40, 0x1  # MNT_READONLY, SB_RDONLY
