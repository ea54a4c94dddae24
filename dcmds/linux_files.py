"""What processes hold of memory and files: ::vmmap ::files ::mount, the walkers vmarea and file."""

from collections.abc import Iterable, Iterator

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Hex, Show, Text, dcmd, walker
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.guests.linux.files import EMPTY_ROOT, each_file, each_mount, read_file, read_mount
from vmdebug.guests.linux.kernel import Linux, linux
from vmdebug.guests.linux.mm import Areas, NoAddressSpace, find_process
from vmdebug.guests.linux.tasks import Task

GUESTS = ("linux",)


@dataclass(frozen=True)
class AreaRow:
    """An area of a process' address space.

    addr: its struct vm_area_struct
    start: its first address
    end: the first address behind it
    rights: r, w, x, and s for shared or p for private
    offset: where in the file it begins
    device: the file's device, major:minor
    inode: the file's number there
    name: the file, or what the area is for
    flags: vm_flags
    """

    addr: Vaddr
    start: Vaddr
    end: Vaddr
    rights: str
    offset: Hex
    device: str
    inode: int
    name: str
    flags: Hex


def area_lines(rows: Iterable[AreaRow], _: Show) -> Iterator[str]:
    for number, row in enumerate(rows):
        if number == 0:
            yield f"{'ADDR':<16} {'START':>12} {'END':>12} PERM {'OFFSET':>8} {'DEV':<6} {'INODE':>8} NAME"
        yield (
            f"{row.addr:016x} {row.start:>12x} {row.end:>12x} {row.rights} {row.offset:08x} {row.device:<6} "
            f"{row.inode:>8} {row.name}"
        ).rstrip()


def chosen(call: Call) -> Task:
    """The task that the call means: a pid, as a word or the address, the address of a task_struct, or the context's."""
    address = call.address if call.address is not None or call.args else call.session.process or None
    if len(call.args) > 1 or (call.args and address is not None) or (not call.args and address is None):
        raise call.usage()
    number = call.number(call.args[0]) if address is None else address
    return find_process(linux(call.guest), number)


@dcmd(("vmmap", "$m"), address="optional", synopsis="[pid]", text=area_lines, row=AreaRow, guests=GUESTS)
def vmmap(call: Call) -> Iterator[AreaRow]:
    """print the address space of a process

    Its areas as /proc/PID/maps has them. The process is named by its pid, in the current radix, or by the address of
    its task_struct; without either it is the one that ::context entered.

    Reads: struct task_struct (mm), struct mm_struct (mm_mt, brk, start_brk, start_stack), before 6.1 its mmap along
    vm_next, struct vm_area_struct (vm_start, vm_end, vm_flags, vm_pgoff, vm_file, vm_ops, vm_private_data, anon_name),
    struct file (f_path, f_inode), struct inode (i_sb, i_ino), struct super_block (s_dev).

    Example:
        1::vmmap
    """
    kernel, task = linux(call.guest), chosen(call)
    if not task.mm:
        raise NoAddressSpace(f"{task.comm} ({task.pid})")
    areas = Areas(kernel, task.mm)
    try:
        for address in areas.each_address():
            try:
                yield _area_row(areas, address)
            except (DebuggerError, ImageError) as err:
                call.warn(f"failed to read the area at {address:x}: {err}")
    except (DebuggerError, ImageError) as err:
        call.warn(f"the areas of {task.comm} end here: {err}")


def _area_row(areas: Areas, address: int) -> AreaRow:
    area = areas.area(address)
    return AreaRow(
        addr=Vaddr(address),
        start=Vaddr(area.start),
        end=Vaddr(area.end),
        rights=area.rights,
        offset=Hex(area.offset),
        device=f"{area.device[0]:02x}:{area.device[1]:02x}",
        inode=area.inode,
        name=area.name,
        flags=Hex(area.flags),
    )


@dataclass(frozen=True)
class FileRow:
    """An open file of a process.

    file: its struct file
    fd: its number in the process
    kind: file, dir, char, block, fifo, socket, link or anon
    flags: those that it was opened with
    pos: where the next read or write begins
    inode: its number
    path: its path, or the name that stands for one
    deleted: whether the name is gone
    """

    file: Vaddr
    fd: int
    kind: str
    flags: Hex
    pos: int
    inode: int
    path: str
    deleted: bool


@dcmd(
    "files",
    address="optional",
    synopsis="[pid]",
    text=Text(
        "{fd:>4} {file:016x} {kind:<6} {flags:>8x} {pos:>10} {path}",
        head=f"{'FD':>4} {'FILE':<16} {'KIND':<6} {'FLAGS':>8} {'POS':>10} PATH",
    ),
    row=FileRow,
    guests=GUESTS,
)
def files(call: Call) -> Iterator[FileRow]:
    """print the open files of a process

    The process is named by its pid, in the current radix, or by the address of its task_struct.

    Reads: struct task_struct (tasks, signal, thread_node), struct signal_struct (thread_head), struct task_struct
    (files), struct files_struct (fdt), struct fdtable (max_fds, fd), struct file (f_path, f_inode, f_pos, f_flags),
    struct dentry (d_parent, d_name, d_sb), struct mount (mnt, mnt_parent, mnt_mountpoint), struct inode (i_sb, i_mode,
    i_ino), struct super_block (s_type), struct file_system_type (name).

    Example:
        1::files
    """
    kernel, task = linux(call.guest), chosen(call)
    for number, address in each_file(kernel, task):
        try:
            file = read_file(kernel, number, address)
        except (DebuggerError, ImageError) as err:
            call.warn(f"failed to read the file at {address:x}: {err}")
            continue
        yield FileRow(
            file=Vaddr(address),
            fd=number,
            kind=file.kind,
            flags=Hex(file.flags),
            pos=file.position,
            inode=file.inode,
            path=file.path,
            deleted=file.deleted,
        )


@dataclass(frozen=True)
class MountRow:
    """A mounted file system.

    addr: its struct mount
    id: its number
    device: what is mounted
    type: the type of the file system
    mode: rw or ro
    path: where it is mounted
    """

    addr: Vaddr
    id: int
    device: str
    type: str
    mode: str
    path: str


@dcmd(
    "mount",
    address="optional",
    synopsis="[-a] [pid]",
    flags=(Flag("a", "also the empty file system that lies under the root"),),
    text=Text(
        "{addr:016x} {id:>4} {type:<10} {mode:<2} {device:<16} {path}",
        head=f"{'ADDR':<16} {'ID':>4} {'TYPE':<10} {'RW':<2} {'DEVICE':<16} MOUNTED ON",
    ),
    row=MountRow,
    guests=GUESTS,
)
def mount(call: Call) -> Iterator[MountRow]:
    """print what is mounted

    In the mount namespace of the first process, or of the one named by its pid or the address of its task_struct.

    Reads: struct task_struct (nsproxy), struct nsproxy (mnt_ns), struct mnt_namespace (list or since 6.8 mounts),
    struct mount (mnt_list, mnt_node, mnt_id, mnt_devname, mnt, mnt_parent, mnt_mountpoint), struct super_block (s_type,
    s_flags), struct file_system_type (name), struct dentry (d_parent, d_name).

    Example:
        ::mount
    """
    kernel = linux(call.guest)
    task = chosen(call) if call.args or call.address is not None else find_process(kernel, 1)
    try:
        for address in each_mount(kernel, task):
            if row := _mount_row(call, kernel, address):
                yield row
    except (DebuggerError, ImageError) as err:
        call.warn(f"the mounts of {task.comm} end here: {err}")


def _mount_row(call: Call, kernel: Linux, address: int) -> MountRow | None:
    try:
        found = read_mount(kernel, address)
    except (DebuggerError, ImageError) as err:
        call.warn(f"failed to read the mount at {address:x}: {err}")
        return None
    if found.type == EMPTY_ROOT and "a" not in call.flags:
        return None
    return MountRow(
        addr=Vaddr(address),
        id=found.id,
        device=found.device,
        type=found.type,
        mode="ro" if found.read_only else "rw",
        path=found.path,
    )


@walker("vmarea", start="required", guests=GUESTS)
def walk_vmarea(call: Call) -> Iterator[int]:
    """walk the areas of a process, by its task_struct or its pid"""
    kernel = linux(call.guest)
    task = find_process(kernel, call.address or 0)
    if not task.mm:
        raise NoAddressSpace(f"{task.comm} ({task.pid})")
    yield from Areas(kernel, task.mm).each_address()


@walker("file", start="required", guests=GUESTS)
def walk_file(call: Call) -> Iterator[int]:
    """walk the open files of a process, by its task_struct or its pid"""
    kernel = linux(call.guest)
    for _, address in each_file(kernel, find_process(kernel, call.address or 0)):
        yield address
