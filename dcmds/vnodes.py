"""Files of illumos: ::pfiles ::fd ::vnode2path, the walker file."""

from collections.abc import Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.files import each_file, find_file, read_file, vnode_path
from vmdebug.guests.illumos.kernel import illumos

GUESTS = ("illumos",)


@walker("file", start="required", guests=GUESTS)
def walk_file(call: Call) -> Iterator[int]:
    """walk the files that a process has open"""
    return (file for _, file in each_file(illumos(call.guest), call.address or 0))


@dataclass(frozen=True)
class FileRow:
    """A file that a process has open.

    addr: its vnode
    fd: the file descriptor
    type: what the vnode is
    file: its file_t
    path: the path by which it was opened, null where the kernel kept none
    """

    addr: Vaddr
    fd: int
    type: str
    file: Vaddr
    path: str | None


FILES = Text("{fd:>4} {type:>4} {addr:016x} {path}", head=f"{'FD':<4} {'TYPE':>4} {'VNODE':>16} INFO", missing="")


@dcmd("pfiles", address="required", text=FILES, row=FileRow, guests=GUESTS)
def pfiles(call: Call) -> Iterator[FileRow]:
    """print process file information

    The files that a process has open: the descriptor, what the vnode is, and the path that the kernel keeps with it.

    Reads: p_user.u_finfo of proc_t, uf_entry_t, file_t, vnode_t.

    Example:
        0t318::pid2proc | ::pfiles
    """
    guest = illumos(call.guest)
    for process in call.addresses:
        for number, address in each_file(guest, process):
            try:
                found = read_file(guest, number, address)
            except ReadFailed as err:
                call.warn(f"failed to read the file of descriptor {number}: {err}")
                continue
            yield FileRow(Vaddr(found.vnode), number, found.kind, Vaddr(address), found.path)


@dataclass(frozen=True)
class FileAddress:
    """A file that a process has open.

    addr: its file_t
    """

    addr: Vaddr


@dcmd("fd", address="required", synopsis="fd", text=Text("{addr:x}"), row=FileAddress, guests=GUESTS)
def fd(call: Call) -> Iterator[FileAddress]:
    """get a file pointer from an fd

    The number is read in the current radix.

    Reads: p_user.u_finfo of proc_t, uf_entry_t.

    Example:
        0t318::pid2proc | ::fd 1 | ::print file_t f_vnode
    """
    if len(call.args) != 1:
        raise call.usage()
    for process in call.addresses:
        yield FileAddress(Vaddr(find_file(illumos(call.guest), process, call.number(call.args[0]))))


@dataclass(frozen=True)
class PathRow:
    """A file.

    addr: its vnode
    path: the path by which it was opened, null where the kernel kept none
    """

    addr: Vaddr
    path: str | None


@dcmd("vnode2path", address="required", text=Text("{path}", missing="??"), row=PathRow, guests=GUESTS)
def vnode2path(call: Call) -> Iterator[PathRow]:
    """vnode address to pathname

    The path that the kernel keeps with the vnode.

    Reads: v_path of vnode_t.

    Example:
        0t318::pid2proc | ::fd 1 | ::print file_t f_vnode | ::vnode2path
    """
    for address in call.addresses:
        yield PathRow(Vaddr(address), vnode_path(illumos(call.guest).objects.at("vnode_t", address)))
