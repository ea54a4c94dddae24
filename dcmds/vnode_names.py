"""Names of files in illumos: ::vnode2path ::dnlc."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Text, dcmd
from vmdebug.guests.illumos.files import vnode_path
from vmdebug.guests.illumos.kernel import illumos
from vmdebug.guests.illumos.names import Paths, each_cached_name

GUESTS = ("illumos",)


@dataclass(frozen=True)
class PathRow:
    """A file.

    addr: its vnode
    path: its path, null where none is known; ?? stands for directories above it that are not known
    """

    addr: Vaddr
    path: str | None


@dcmd(
    "vnode2path",
    address="required",
    flags=(Flag("F", "search the directory name lookup cache too"),),
    text=Text("{path}", missing="??"),
    row=PathRow,
    guests=GUESTS,
    whole=True,
)
def vnode2path(call: Call) -> Iterator[PathRow]:
    """vnode address to pathname

    The path that the kernel keeps with the vnode. With -F, where it keeps none, the path that the directory name lookup
    cache gives, from the vnode up to the root, through what is mounted; ?? stands for what is not in the cache.

    Reads: v_path of vnode_t; with -F nc_hash, nc_hashsz, ncache_t, rootdir, v_flag and v_vfsp of vnode_t, vfs_t
    (vfs_vnodecovered).

    Example:
        0t318::pid2proc | ::fd 1 | ::print file_t f_vnode | ::vnode2path -F
    """
    guest = illumos(call.guest)
    paths = Paths(guest, call.warn)
    for address in call.addresses:
        path = vnode_path(guest.objects.at("vnode_t", address))
        yield PathRow(Vaddr(address), paths.find(address) if path is None and "F" in call.flags else path)


@dataclass(frozen=True)
class NameRow:
    """A name in the directory name lookup cache.

    addr: the vnode that it refers to, that of the kernel's negative_cache_vnode for a name that no file has
    directory: the vnode of the directory that it is in
    name: the name
    """

    addr: Vaddr
    directory: Vaddr
    name: str


NAME = Text("{addr:016x} {directory:016x} {name}", head=f"{'VP':<16} {'DVP':<16} NAME")


@dcmd("dnlc", text=NAME, row=NameRow, guests=GUESTS)
def dnlc(call: Call) -> Iterator[NameRow]:
    """list the names in the directory name lookup cache

    Each with the vnode that it refers to and that of its directory.

    Reads: nc_hash, nc_hashsz, nc_hash_t, ncache_t (hash_next, vp, dp, namlen, name).

    Example:
        ::dnlc
    """
    for each in each_cached_name(illumos(call.guest), call.warn):
        yield NameRow(Vaddr(each.vnode), Vaddr(each.directory), each.name)
