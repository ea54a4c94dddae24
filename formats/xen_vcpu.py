"""Xen's vcpu_guest_context, 64- and 32-bit, as a Vcpu.

Specified in: xen/include/public/arch-x86/xen.h, xen-x86_64.h, xen-x86_32.h; the same since Xen 3.0.2. In the 32-bit
layout 64-bit fields are aligned to 4. What the hypervisor puts into ctrlreg: xen/arch/x86/domctl.c.
"""

import struct

from formats.frames import PAGE_SHIFT
from formats.image import Vcpu

SIZE64, SIZE32 = 5168, 2800
IN_KERNEL = 1 << 2  # VGCF_in_kernel: the vcpu ran the guest's kernel

FLAGS64, FLAGS32 = struct.Struct("<512xQ"), struct.Struct("<512xI")
USER_REGS64 = struct.Struct("<15QII Q H2xB3x 2Q H6xH6xH6xH6xH6x")
USER_REGS32 = struct.Struct("<7IHHIHBxIIH2xH2xH2xH2xH2x")
USER_REGS64_AT, USER_REGS32_AT = 520, 516
CTRLREG64_AT, CTRLREG32_AT = 4984, 2716
DEBUGREG64_AT, DEBUGREG32_AT = 5048, 2748
TAIL64 = struct.Struct("<QQQQQQQ")  # three callbacks, vm_assist, fs_base, gs_base_kernel, gs_base_user
TAIL64_AT = 5112
TAIL32 = struct.Struct("<IIIII")  # two callbacks (cs, eip each), vm_assist
TAIL32_AT = 2780
TABLES64 = struct.Struct("<2Q 128x Q 2Q")  # ldt_base, ldt_ents, gdt_frames, gdt_ents, kernel_ss, kernel_sp
TABLES64_AT = 4816
TABLES32 = struct.Struct("<2I 64x I 2I")
TABLES32_AT = 2632

NAMES64 = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("error_code", "entry_vector", "rip", "cs", "saved_upcall_mask", "rflags", "rsp", "ss", "es", "ds", "fs", "gs"),
)
NAMES32 = (
    *("rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rax", "error_code", "entry_vector", "rip", "cs"),
    *("saved_upcall_mask", "rflags", "rsp", "ss", "es", "ds", "fs", "gs"),
)
EXTENDED = struct.Struct("<8xQQHHBB")
EXTENDED_NAMES = (
    *("syscall32_callback", "sysenter_callback", "syscall32_cs", "sysenter_cs"),
    *("syscall32_disables_events", "sysenter_disables_events"),
)
TABLE_NAMES = ("ldt_base", "ldt_ents", "gdt_ents", "kernel_ss", "kernel_sp")


def read_vcpu(data: bytes, number: int, bits: int, hvm: bool) -> Vcpu:
    """The vcpu in a context of at least SIZE64 or SIZE32 bytes."""
    return _vcpu64(data, number, hvm) if bits == 64 else _vcpu32(data, number, hvm)


def read_extended(data: bytes) -> dict[str, int]:
    """The registers in an ext_vcpucontext of a save stream; none if it is too short."""
    return dict(zip(EXTENDED_NAMES, EXTENDED.unpack_from(data), strict=True)) if len(data) >= EXTENDED.size else {}


def looks_like_32_bit(data: bytes) -> bool:
    """True if the selectors stand where the 32-bit layout has them and not where the 64-bit one has."""
    cs32, ss32 = struct.unpack_from("<H", data, 552)[0], struct.unpack_from("<I", data, 564)[0]
    cs64, ss64 = struct.unpack_from("<H", data, 656)[0], struct.unpack_from("<Q", data, 680)[0]
    return bool(cs32 > 0 and 0 < ss32 < 0x10000) and not (cs64 > 0 and 0 < ss64 < 0x10000)


def unfold_cr3(cr3: int) -> int:
    """The machine address of a 32-bit PV guest's root: frame bits above 20 are folded into the low 12."""
    return (((cr3 >> PAGE_SHIFT) | (cr3 << 20)) & 0xFFFF_FFFF) << PAGE_SHIFT


def _vcpu64(data: bytes, number: int, hvm: bool) -> Vcpu:
    (flags,) = FLAGS64.unpack_from(data)
    registers = dict(zip(NAMES64, USER_REGS64.unpack_from(data, USER_REGS64_AT), strict=True))
    control = struct.unpack_from("<8Q", data, CTRLREG64_AT)
    registers |= _control(control) | _debug(struct.unpack_from("<8Q", data, DEBUGREG64_AT))
    registers |= dict(zip(TABLE_NAMES, TABLES64.unpack_from(data, TABLES64_AT), strict=True))
    event, failsafe, syscall, assist, fs_base, gs_kernel, gs_user = TAIL64.unpack_from(data, TAIL64_AT)
    kernel = hvm or bool(flags & IN_KERNEL)
    active, other = (gs_kernel, gs_user) if kernel else (gs_user, gs_kernel)
    registers |= {
        "fs_base": fs_base,
        "gs_base": active,
        "kernel_gs_base": other,
        "event_callback": event,
        "failsafe_callback": failsafe,
        "syscall_callback": syscall,
        "vm_assist": assist,
    }
    page = ~0xFFF
    user = control[1] & page if not hvm else 0
    return Vcpu(number, 64, registers, root=control[3] & page, user_root=user or None, flags=flags)


def _vcpu32(data: bytes, number: int, hvm: bool) -> Vcpu:
    (flags,) = FLAGS32.unpack_from(data)
    registers = dict(zip(NAMES32, USER_REGS32.unpack_from(data, USER_REGS32_AT), strict=True))
    control = struct.unpack_from("<8I", data, CTRLREG32_AT)
    registers |= _control(control) | _debug(struct.unpack_from("<8I", data, DEBUGREG32_AT))
    registers |= dict(zip(TABLE_NAMES, TABLES32.unpack_from(data, TABLES32_AT), strict=True))
    _, event, _, failsafe, assist = TAIL32.unpack_from(data, TAIL32_AT)
    registers |= {"event_callback": event, "failsafe_callback": failsafe, "vm_assist": assist}
    root = control[3] & ~0x1F if hvm else unfold_cr3(control[3])
    return Vcpu(number, 32, registers, root=root, flags=flags)


def _control(control: tuple[int, ...]) -> dict[str, int]:
    return {"cr0": control[0], "cr2": control[2], "cr3": control[3], "cr4": control[4]}


def _debug(debug: tuple[int, ...]) -> dict[str, int]:
    return {f"dr{number}": debug[number] for number in (0, 1, 2, 3, 6, 7)}
