"""The mounted file systems of illumos: ::fsinfo, the walker vfs."""

from collections.abc import Iterable, Iterator, Sequence

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, dcmd, walker
from vmdebug.guests.illumos.files import each_mount, mount_options, read_mount
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)


@walker("vfs", guests=GUESTS)
def walk_vfs(call: Call) -> Iterator[int]:
    """walk the mounted file systems"""
    return each_mount(illumos(call.guest))


@dataclass(frozen=True)
class MountRow:
    """A mounted file system.

    addr: its vfs_t
    type: the kind of file system, null where that cannot be read, as the next two
    mount: where it is mounted
    resource: what is mounted
    options: how, with -v: each as name or name=value, null where they cannot be read
    """

    addr: Vaddr
    type: str | None
    mount: str | None
    resource: str | None
    options: Sequence[str] | None
    _full: bool


def mount_lines(rows: Iterable[MountRow], _: Show) -> Iterator[str]:
    """A line for each, with -v two more: what is mounted, and how."""
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'VFSP':<16} {'FS':<15} MOUNT"
        yield f"{row.addr:016x} {row.type or '?':<15} {'?' if row.mount is None else row.mount}"
        if row._full:
            yield f"{'R:':>16} {'?' if row.resource is None else row.resource}"
            yield f"{'O:':>16} {'?' if row.options is None else ','.join(row.options)}"


@dcmd(
    "fsinfo",
    address="optional",
    flags=(Flag("v", "what is mounted and with which options, too"),),
    text=mount_lines,
    row=MountRow,
    guests=GUESTS,
)
def fsinfo(call: Call) -> Iterator[MountRow]:
    """print mounted filesystems

    Every mounted file system from the root on, or the one at the address. With -v a line R: with what is mounted, and a
    line O: with the options that are set, but for those that the mount table does not show.

    Reads: vfs_t from rootvfs along vfs_next, vfssw, refstr_t; with -v vfs_mntopts, mntopt_t.

    Example:
        ::fsinfo -v
    """
    guest = illumos(call.guest)
    for address in each_mount(guest) if call.address is None else [call.address]:
        found = read_mount(guest, address)
        options = mount_options(guest, address) if "v" in call.flags else None
        yield MountRow(Vaddr(address), found.kind, found.path, found.resource, options, "v" in call.flags)
