"""The vcpus that the notes of an ELF core or of a kdump describe: QEMU's whole state, or NT_PRSTATUS, with Xen's
control registers or without.

Who wrote the dump decides what the gs base in NT_PRSTATUS is: QEMU saves the active one, a crashing Linux kernel the
one that swapgs would load (arch/x86/include/asm/elf.h, ELF_CORE_COPY_REGS).
"""

from collections.abc import Iterator, Mapping, Sequence

from formats import prstatus, qemu_cpu, vmcoreinfo, xen_crash
from formats.image import Fact, Note, Vcpu
from formats.prstatus import Prstatus
from formats.x86_paging import common_paging, find_root

MAX_VCPUS = 8192


def is_qemu(notes: Sequence[Note]) -> bool:
    """True if QEMU's processor states are among the notes."""
    return any(note.owner == qemu_cpu.OWNER for note in notes)


def find_bits(notes: Sequence[Note]) -> int | None:
    """The width of the first NT_PRSTATUS; in QEMU's dumps that says whether the processor was in long mode."""
    return next((found.bits for note in _general_notes(notes) if (found := prstatus.read_prstatus(note.data))), None)


def read_vcpus(notes: Sequence[Note], bits: int, warnings: list[str]) -> list[Vcpu]:
    """One vcpu for each processor that the notes describe, in their order; what cannot be read is a warning.

    The root is cr3's where that was saved, else the kernel's own tables as VMCOREINFO names them.
    """
    states = [note for note in notes if note.owner == qemu_cpu.OWNER and note.type == qemu_cpu.TYPE]
    generals = _general_notes(notes)
    controls = xen_crash.read_control(notes)
    if states and generals and len(states) != len(generals):
        warnings.append(f"{len(generals)} notes with general registers, but {len(states)} with QEMU's processor state")
    count = max(len(states), len(generals))
    if count > MAX_VCPUS:
        warnings.append(f"notes for {count} processors: only the first {MAX_VCPUS} are used")
    kernel = vmcoreinfo.find_root(vmcoreinfo.find_text(notes), bits)
    vcpus = []
    for number in range(min(count, MAX_VCPUS)):
        each = slice(number, number + 1)
        registers = _registers(states[each], generals[each], controls[each], bits)
        if not registers:
            warnings.append(f"vcpu {number}: its registers are in no known layout")
            continue
        root = find_root(registers, bits == 64) if "cr3" in registers or not kernel else kernel[0]
        vcpus.append(Vcpu(number, bits, registers, root=root))
    return vcpus


def find_paging(vcpus: Sequence[Vcpu], notes: Sequence[Note], bits: int) -> str | None:
    """The paging mode that the control registers share, or VMCOREINFO names where there are none."""
    if any("cr3" in vcpu.registers for vcpu in vcpus):
        return common_paging(vcpus)
    kernel = vmcoreinfo.find_root(vmcoreinfo.find_text(notes), bits)
    return kernel[1] if kernel else None


def each_fact(notes: Sequence[Note], bits: int) -> Iterator[Fact]:
    """What the notes say of kernel and hypervisor."""
    text = vmcoreinfo.find_text(notes)
    yield from vmcoreinfo.each_fact(text)
    kernel = vmcoreinfo.find_root(text, bits)
    if kernel:
        yield Fact("kernel page tables", f"{kernel[0]:#x}, {kernel[1]}", vmcoreinfo.EVIDENCE)
    yield from xen_crash.each_fact(notes)


def _general_notes(notes: Sequence[Note]) -> list[Note]:
    return [note for note in notes if note.owner == prstatus.OWNER and note.type == prstatus.TYPE]


def _registers(
    states: Sequence[Note], generals: Sequence[Note], controls: Sequence[Mapping[str, int]], bits: int
) -> dict[str, int]:
    registers: dict[str, int] = {}
    general = prstatus.read_prstatus(generals[0].data) if generals else None
    if general:
        registers |= _by_qemu(general) if states else _by_xen(general) if controls else _by_kernel(general)
    if controls:
        registers |= controls[0]
    state = qemu_cpu.read_registers(states[0].data, bits) if states else None
    return registers | dict(state or {})


def _by_qemu(general: Prstatus) -> dict[str, int]:
    return {name: value for name, value in general.registers.items() if name != "orig_rax"}  # QEMU has no such value


def _by_xen(general: Prstatus) -> dict[str, int]:
    """The hypervisor has no orig_rax, and before 4.15 left the bases out."""
    unknown = {"orig_rax", *(name for name in ("fs_base", "gs_base") if not general.registers.get(name))}
    return {name: value for name, value in general.registers.items() if name not in unknown}


def _by_kernel(general: Prstatus) -> dict[str, int]:
    """A crashing kernel stores the inactive gs base: in kernel mode that is the user's."""
    registers = dict(general.registers)
    if general.bits == 64 and registers["cs"] & 3 == 0:
        registers["kernel_gs_base"] = registers.pop("gs_base")
    return registers
