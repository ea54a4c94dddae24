"""The mounted file systems of illumos: ::fsinfo, the walker vfs."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd, walker
from vmdebug.guests.illumos.files import each_mount, read_mount
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
    """

    addr: Vaddr
    type: str | None
    mount: str | None
    resource: str | None


MOUNT = Text("{addr:016x} {type:<15} {mount}", head=f"{'VFSP':<16} {'FS':<15} MOUNT", missing="?")


@dcmd("fsinfo", address="optional", text=MOUNT, row=MountRow, guests=GUESTS)
def fsinfo(call: Call) -> Iterator[MountRow]:
    """print mounted filesystems

    Every mounted file system from the root on, or the one at the address.

    Reads: vfs_t from rootvfs along vfs_next, vfssw, refstr_t.

    Example:
        ::fsinfo
    """
    guest = illumos(call.guest)
    for address in each_mount(guest) if call.address is None else [call.address]:
        found = read_mount(guest, address)
        yield MountRow(Vaddr(address), found.kind, found.path, found.resource)
