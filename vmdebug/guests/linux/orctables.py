"""The ORC tables of a kernel: its own, its modules', and what holds for trampolines, which are copies of its code."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.unwind.orc import ENTRY, HASHES, MAX_ENTRIES, PLACE, Entry, OrcTable, find_layout
from vmdebug.unwind.walk import UnwindError

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

HEADER_SIZE = 20  # of the hash that names the layout


class Unreadable(UnwindError):
    """Unwind data that the image does not hold. Frame pointers do not help: a kernel with such data has none."""

    def __init__(self, ip: int, err: ReadFailed) -> None:
        super().__init__(f"the unwind data for {ip:#x} cannot be read: {err}")


class Lying:
    """Bytes where they lie in the guest: each slice is read when it is asked for, one look-up needs but a few."""

    def __init__(self, read: Callable[[int, int], bytes], start: int, size: int) -> None:
        self._read = read
        self._start = start
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        return self._read(self._start + start, max(stop - start, 0))


class OrcTables:
    """The unwind data of one kernel. `problem` says, where there is none, why not."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self._modules: dict[int, OrcTable | None] = {}
        self.problem = "the kernel has no ORC unwind data"

    @cached_property
    def kernel(self) -> OrcTable | None:
        """The kernel's own table; None if it was built without one, or it cannot be read."""
        try:
            return self._read()
        except DebuggerError as err:
            self.problem = f"the kernel's ORC unwind data cannot be read: {err}"
            return None

    def find(self, pc: int) -> Entry | None:
        """The entry that holds at an address; None if no unwind data covers it."""
        table = self._covering(pc)
        if table is None and self.kernel is not None:
            pc = self._linux.generated.copied_from(pc) or 0
            table = self.kernel if pc else None
        try:
            return table.find(pc) if table else None
        except ReadFailed as err:
            raise Unreadable(pc, err) from err

    def _covering(self, pc: int) -> OrcTable | None:
        """The kernel's table, or that of the module that an address lies in."""
        if self._linux.image.text <= pc < self._linux.names.end:
            return self.kernel
        module = self._linux.loaded.holding(pc)
        if module is None or self.kernel is None:
            return None
        if module.address not in self._modules:
            self._modules[module.address] = module.orc(self.kernel.layout)
        return self._modules[module.address]

    def _read(self) -> OrcTable | None:
        names, read = self._linux.names, self._linux.space.read
        marks = [
            names.find(f"__{edge}_{table}") for table in ("orc_unwind_ip", "orc_unwind") for edge in ("start", "stop")
        ]
        if not all(marks):
            return None
        places, places_end, entries, entries_end = (mark.value for mark in marks if mark)
        count = (places_end - places) // 4
        if not 0 < count <= MAX_ENTRIES or entries_end - entries < count * ENTRY.size:
            return None
        header = names.find("__start_orc_header")
        known = read(header.value, HEADER_SIZE) if header else b""
        size = count * ENTRY.size
        layout = find_layout(known, b"" if known in HASHES else read(entries, size))
        return OrcTable(places, Lying(read, places, count * PLACE.size), Lying(read, entries, size), layout)
