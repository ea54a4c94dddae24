"""Files of illumos: ::pfiles ::fd ::whereopen, the walker file."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Show, Text, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.files import each_file, find_file, read_file
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.threads import each_process

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
class HolderRow:
    """A process that has a vnode open.

    addr: its proc_t
    file: the first of its file_t on that vnode
    fd: the file descriptor of that
    """

    addr: Vaddr
    file: Vaddr
    fd: int


def holder_lines(rows: Iterable[HolderRow], _: Show) -> Iterator[str]:
    """The file, then the process."""
    for row in rows:
        yield f"file {row.file:x}"
        yield f"{row.addr:x}"


@dcmd("whereopen", address="required", text=holder_lines, row=HolderRow, guests=GUESTS)
def whereopen(call: Call) -> Iterator[HolderRow]:
    """given a vnode, dump procs which have it open

    Of each process the first file that is open on the vnode.

    Reads: proc_t from p0 along p_child and p_sibling, p_user.u_finfo, uf_entry_t, f_vnode of file_t.

    Example:
        0t318::pid2proc | ::fd 1 | ::print file_t f_vnode | ::whereopen
    """
    guest = illumos(call.guest)
    for vnode in call.addresses:
        for process in each_process(guest):
            try:
                found = _first_on(guest, process, vnode)
            except ReadFailed as err:
                call.warn(f"failed to read the files of the process at {process:x}: {err}")
                continue
            if found:
                yield HolderRow(Vaddr(process), Vaddr(found[1]), found[0])


def _first_on(guest: Illumos, process: int, vnode: int) -> tuple[int, int] | None:
    """The first descriptor of a process on a vnode, and its file_t."""
    for number, file in each_file(guest, process):
        if guest.objects.at("file_t", file)["f_vnode"] == vnode:
            return number, file
    return None
