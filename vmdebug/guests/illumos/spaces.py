"""The memory and the registers of an illumos process in user mode.

The page tables of an address space begin at the htable that its hat names first; those of a small process (32 bits)
may begin in the hat itself, with an entry for each GiB. What a thread had in its registers
when it entered the kernel lies where its lwp says. Specified in: vm/as.h, i86pc/vm/hat_i86.h, sys/klwp.h of illumos.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from formats.frames import PAGE_SHIFT, PAGE_SIZE, Pfn
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.panic import read_trap
from vmdebug.guests.illumos.processes import find_pid
from vmdebug.guests.memory import read_word
from vmdebug.paging import MODES
from vmdebug.targets.spaces import AddressSpace

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

PID_LIMIT = 1 << 22  # no process has a higher number
IN_HAT = 0x01  # HTABLE_VLP: the entries are kept in the hat itself
ENTRIES, WORD = 4, 8


class NoAddressSpace(DebuggerError):
    def __init__(self, process: int) -> None:
        super().__init__(f"process {process:x} has no address space: it has ended, or is the kernel's")


class NoTopTable(DebuggerError):
    def __init__(self, space: int, reason: str) -> None:
        super().__init__(f"the page tables of address space {space:x} are not supported: {reason}")


def find_process(guest: "Illumos", number: int) -> int:
    """The proc_t that a pid, or its own address, means."""
    return number if number >= PID_LIMIT else find_pid(guest, number)


def find_space(guest: "Illumos", number: int) -> int:
    """The struct as of a process, by its pid or its proc_t; the kernel's own for 0."""
    kernel = guest.symbol("kas").value
    if not number:
        return kernel
    process = find_process(guest, number)
    space = int(guest.objects.at("proc_t", process)["p_as"])
    if space in (0, kernel):
        raise NoAddressSpace(process)
    return space


def space_at(guest: "Illumos", space: int) -> AddressSpace:
    """The address space that a struct as describes."""
    hat = int(guest.objects.at("struct as", space)["a_hat"])
    table = read_word(guest.target.read, hat + guest.info.hat_htable) if hat else 0
    if not table:
        raise NoTopTable(space, "its hat names no htable")
    if guest.objects.at("htable_t", table)["ht_flags"] & IN_HAT:
        return _space_in(guest, hat)
    pfn = Pfn(read_word(guest.target.read, table + guest.info.ht_pfn))
    target = guest.target
    frame = pfn if target.image.about.translated else target.mfn_of(pfn)
    if frame is None:
        raise NoTopTable(space, f"its top table is in pfn {pfn:#x}, which the image does not have")
    return target.space(frame << PAGE_SHIFT)


def _space_in(guest: "Illumos", hat: int) -> AddressSpace:
    """The address space whose first entries a hat keeps: they are to 4 GiB what PAE's first table is."""
    record = guest.objects.at("hat_t", hat)
    name = next((name for name in ("hat_copied_ptes", "hat_vlp_ptes") if name in record), None)
    entries = int(record.refer_(name)) if name else 0
    if not name or entries % PAGE_SIZE + ENTRIES * WORD > PAGE_SIZE:
        raise NoTopTable(int(record["hat_as"]), f"the entries of its top table are not in one page of hat {hat:x}")
    root = guest.target.translate(entries).gfn << PAGE_SHIFT | entries % PAGE_SIZE
    return AddressSpace(guest.target.image, MODES["PAE"], root)


def user_registers(guest: "Illumos", process: int) -> Mapping[str, int]:
    """What the first thread of a process had in its registers when it entered the kernel; empty without a thread."""
    thread = int(guest.objects.at("proc_t", process)["p_tlist"])
    lwp = int(guest.objects.at("kthread_t", thread)["t_lwp"]) if thread else 0
    saved = int(guest.objects.at("klwp_t", lwp)["lwp_regs"]) if lwp else 0
    return read_trap(guest, saved) if saved else {}
