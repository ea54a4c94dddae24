"""What x86 control registers say of address translation: the paging mode and the address of the top table.

Specified in: Intel SDM vol. 3, 4.1 and 4.5. Formats that leave EFER out do not save the mode itself, so the caller says
whether the processor was in long mode.
"""

from collections.abc import Iterable, Mapping

from formats.image import Vcpu

CR0_PG = 1 << 31
CR4_PAE = 1 << 5
CR4_LA57 = 1 << 12
ROOT_LONG = 0x000F_FFFF_FFFF_F000  # bits 51:12; PCID and LAM bits are no address
ROOT_PAE = 0xFFFF_FFE0  # four entries, aligned to 32 bytes
ROOT_2_LEVEL = 0xFFFF_F000


def find_paging(registers: Mapping[str, int], long_mode: bool) -> str | None:
    """The name of the paging mode, None where paging is off or the control registers are not known."""
    if "cr3" not in registers or "cr4" not in registers or not registers.get("cr0", 0) & CR0_PG:
        return None
    if not registers["cr4"] & CR4_PAE:
        return "2-level"
    if not long_mode:
        return "PAE"
    return "5-level" if registers["cr4"] & CR4_LA57 else "4-level"


def find_root(registers: Mapping[str, int], long_mode: bool) -> int | None:
    """The address of the top page table, None where paging is off or the control registers are not known."""
    masks = {"2-level": ROOT_2_LEVEL, "PAE": ROOT_PAE, "4-level": ROOT_LONG, "5-level": ROOT_LONG}
    mode = find_paging(registers, long_mode)
    return None if mode is None else registers["cr3"] & masks[mode]


def common_paging(vcpus: Iterable[Vcpu]) -> str | None:
    """The mode that all vcpus with paging on share; None if they differ, or none has it on."""
    modes = {find_paging(vcpu.registers, vcpu.bits == 64) for vcpu in vcpus} - {None}
    return modes.pop() if len(modes) == 1 else None
