"""Address spaces of processes: the areas that each has, as /proc/PID/maps shows them.

Areas hang in a maple tree (6.1 and later), before that on a list that the address space itself begins.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.paths import Paths
from vmdebug.guests.linux.tasks import Task, each_task
from vmdebug.guests.linux.trees import each_maple
from vmdebug.guests.memory import each_link

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux
    from vmdebug.targets.spaces import AddressSpace
    from vmdebug.types.typed import Typed

READ, WRITE, EXECUTE, SHARED = 1, 2, 4, 8  # of vm_flags
MAX_AREAS = 1 << 20
MINOR_BITS = 20
PID_LIMIT = 1 << 22  # no process has a higher number


class NoAddressSpace(DebuggerError):
    def __init__(self, what: str) -> None:
        super().__init__(f"{what} has no address space: it is a kernel thread, or has ended")


class NoProcess(DebuggerError):
    def __init__(self, number: int) -> None:
        super().__init__(f"PID 0t{number} not found")
        self.number = number


def find_process(linux: "Linux", number: int) -> Task:
    """The thread that a pid, or the address of a task_struct, means."""
    if number >= PID_LIMIT:
        return Task(linux, number)
    found = next((task for task in each_task(linux) if task.pid == number), None)
    if found is None:
        raise NoProcess(number)
    return found


def space_of(linux: "Linux", task: Task) -> "AddressSpace":
    """The address space that a task's own page tables make."""
    if not task.mm:
        raise NoAddressSpace(f"{task.comm} ({task.pid})")
    return linux.space_at(int(task.struct["mm"]["pgd"]))


@dataclass(frozen=True)
class Area:
    """One area. `offset`, `device` and `inode` are of the file behind it, zero where there is none."""

    address: int
    start: int
    end: int
    flags: int
    offset: int
    device: tuple[int, int]
    inode: int
    name: str

    @property
    def rights(self) -> str:
        """As /proc/PID/maps has them: r, w, x, and s for shared or p for private."""
        letters = (("r", READ), ("w", WRITE), ("x", EXECUTE))
        held = "".join(letter if self.flags & bit else "-" for letter, bit in letters)
        return held + ("s" if self.flags & SHARED else "p")


class Areas:
    """The areas of one struct mm_struct."""

    def __init__(self, linux: "Linux", mm: int) -> None:
        self._linux = linux
        self.mm: Typed = linux.objects.at("struct mm_struct", mm)
        self._paths = Paths(linux)

    def each_address(self) -> Iterator[int]:
        """The areas' struct vm_area_struct, by rising address; DebuggerError where the tree or list is broken."""
        if "mm_mt" in self.mm:
            for _, _, area in each_maple(self._linux.space.read, int(self.mm["mm_mt.ma_root"]), self._linux.word):
                yield area
            return
        after = self._linux.objects.offsetof("struct vm_area_struct", "vm_next")
        yield from each_link(lambda area: self._linux.read_word(area + after), int(self.mm["mmap"]), MAX_AREAS)

    def area(self, address: int) -> Area:
        """What the kernel says of one area."""
        struct = self._linux.objects.at("struct vm_area_struct", address)
        file = struct["vm_file"]
        device, inode = (0, 0), 0
        if file and file["f_inode"]:
            number = int(file["f_inode"]["i_sb"]["s_dev"])
            device, inode = (number >> MINOR_BITS, number & (1 << MINOR_BITS) - 1), int(file["f_inode"]["i_ino"])
        return Area(
            address,
            int(struct["vm_start"]),
            int(struct["vm_end"]),
            int(struct["vm_flags"]),
            int(struct["vm_pgoff"]) << PAGE_SHIFT if file else 0,
            device,
            inode,
            self._name(struct, file),
        )

    def _name(self, area: "Typed", file: "Typed") -> str:
        if file:
            return self._paths.of_file(file.deref())
        special = self._linux.names.find("special_mapping_vmops")
        if special and int(area["vm_ops"]) == special.value and area["vm_private_data"]:
            mapping = self._linux.objects.at("struct vm_special_mapping", int(area["vm_private_data"]))
            return str(mapping["name"].string(256))
        mm, start, end = self.mm, int(area["vm_start"]), int(area["vm_end"])
        if start <= int(mm["brk"]) and end >= int(mm["start_brk"]):
            return "[heap]"
        if start <= int(mm["start_stack"]) <= end:
            return "[stack]"
        named = getattr(area, "anon_name", None)
        return f"[anon:{named['name'].string()}]" if named else ""
