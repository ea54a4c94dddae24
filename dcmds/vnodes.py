"""Files of illumos: ::pfiles ::fd ::whereopen, the walkers file, allfile and port."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.errors import ReadFailed
from vmdebug.guests.illumos.files import OpenFile, each_file, each_port, each_slot, find_file, read_file
from vmdebug.guests.illumos.kernel import Illumos, illumos
from vmdebug.guests.illumos.threads import each_process

GUESTS = ("illumos",)


@walker("file", start="required", guests=GUESTS)
def walk_file(call: Call) -> Iterator[int]:
    """walk the files that a process has open"""
    return (file for _, file in each_file(illumos(call.guest), call.address or 0))


@walker("allfile", start="required", guests=GUESTS)
def walk_allfile(call: Call) -> Iterator[int]:
    """walk the files of all descriptors of a process, those that are not open as NULL"""
    return each_slot(illumos(call.guest), call.address or 0)


@walker("port", start="required", guests=GUESTS)
def walk_port(call: Call) -> Iterator[int]:
    """walk the event ports that a process has open"""
    return each_port(illumos(call.guest), call.address or 0, call.warn)


@dataclass(frozen=True)
class FileRow:
    """A file that a process has open.

    addr: its vnode
    fd: the file descriptor
    type: what the vnode is
    file: its file_t
    flags: how it is open
    count: how many descriptors have it
    cred: who opened it: a cred_t
    offset: where the next access begins
    path: the path by which it was opened, null where the kernel kept none
    about: what is behind a door, a socket or an event port, null for other kinds
    """

    addr: Vaddr
    fd: int
    type: str
    file: Vaddr
    flags: Hex
    count: int
    cred: Vaddr
    offset: Hex
    path: str | None
    about: str | None
    _info: str | None


FILES = Text("{fd:>4} {type:>4} {addr:016x} {_info}", head=f"{'FD':<4} {'TYPE':>4} {'VNODE':>16} INFO", missing="")
PATHS = Text("{fd:>4} {type:>4} {addr:016x} {path}", head=f"{'FD':<4} {'TYPE':>4} {'VNODE':>16} PATH", missing="")
OPENED = Text(
    "{fd:>4} {file:016x} {flags:>8x} {count:>4} {cred:016x} {offset:>16x} {addr:016x}",
    head=f"{'FD':<4} {'FILE':>16} {'FLAG':>8} {'CNT':>4} {'CRED':>16} {'OFFSET':>16} {'VNODE':>16}",
)


@dcmd(
    "pfiles",
    address="required",
    flags=(Flag("f", "the file_t of each, and what is in it"), Flag("p", "paths only")),
    text=FILES,
    row=FileRow,
    guests=GUESTS,
)
def pfiles(call: Call) -> Iterator[FileRow]:
    """print process file information

    The files that a process has open: the descriptor, what the vnode is, and the path that the kernel keeps with it, or
    whom a door leads to, the addresses of a socket, or where an event port is. With -p of these too only the path; with
    -f the file_t, its flags, how many descriptors have it, its cred_t and its offset instead. Of a socket that is not
    over STREAMS, as most are since 2008, only the family is known.

    Reads: p_user.u_finfo of proc_t, uf_entry_t, file_t (f_vnode, f_flag, f_count, f_cred, f_offset), vnode_t (v_type,
    v_path, v_data), door_node_t (door_target), struct sonode (so_family, so_laddr, so_faddr), since 2008
    sotpi_info_t instead of the addresses in it.

    Example:
        0t318::pid2proc | ::pfiles
    """
    guest = illumos(call.guest)
    call.text = OPENED if "f" in call.flags else PATHS if "p" in call.flags else FILES
    for process in call.addresses:
        for number, address in each_file(guest, process):
            try:
                yield _file_row(read_file(guest, number, address))
            except ReadFailed as err:
                call.warn(f"failed to read the file of descriptor {number}: {err}")


def _file_row(found: OpenFile) -> FileRow:
    return FileRow(
        addr=Vaddr(found.vnode),
        fd=found.number,
        type=found.kind,
        file=Vaddr(found.address),
        flags=Hex(found.flags),
        count=found.count,
        cred=Vaddr(found.cred),
        offset=Hex(found.offset & (1 << 64) - 1),
        path=found.path,
        about=found.about,
        _info=found.about or found.path,
    )


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
