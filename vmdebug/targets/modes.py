"""Which paging mode the saved registers name.

Control registers say it where the format saves EFER. Xen's contexts do not: then the kernel's own text decides, by a
trial walk of the instruction pointer, the widest mode first.
"""

from formats.frames import Vaddr
from formats.image import Image, Vcpu
from vmdebug.errors import ReadFailed
from vmdebug.paging import CR0_PG, CR4_LA57, CR4_PAE, EFER_LMA, MODES, Mode
from vmdebug.targets.spaces import AddressSpace


def find_mode(image: Image, vcpu: Vcpu) -> Mode | None:
    """The mode of a vcpu's page tables, None where paging is off or no root is known."""
    if vcpu.root is None:
        return None
    if image.about.paging:
        return MODES[image.about.paging]
    cr0, cr4 = vcpu.registers.get("cr0"), vcpu.registers.get("cr4", 0)
    if cr0 is not None and not cr0 & CR0_PG:
        return None
    if "cr4" in vcpu.registers and not cr4 & CR4_PAE:
        return MODES["2-level"]
    wide = MODES["5-level" if cr4 & CR4_LA57 else "4-level"]
    if "efer" in vcpu.registers:
        return wide if vcpu.registers["efer"] & EFER_LMA else MODES["PAE"]
    return wide if _translates(image, wide, vcpu) else MODES["PAE"]


def _translates(image: Image, mode: Mode, vcpu: Vcpu) -> bool:
    """True if the instruction or stack pointer is an address of that mode's tables."""
    space = AddressSpace(image, mode, vcpu.root or 0)
    for name in ("rip", "rsp"):
        address = vcpu.registers.get(name, 0)
        if address >> 32 and mode.holds(address):
            return True
        try:
            space.translate(Vaddr(address))
        except ReadFailed:
            continue
        return True
    return False
