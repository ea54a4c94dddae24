"""QEMU's note with the whole state of a processor, one for each vcpu in the dumps that QEMU writes.

Version, size, general registers, ten segments (selector, limit, flags, base), control registers, and since QEMU 3.0
kernel_gs_base. EFER is not saved: whether the processor was in long mode must be known from elsewhere.
Specified in: target/i386/arch_dump.c of QEMU (QEMUCPUState).
"""

import struct
from collections.abc import Mapping

OWNER = "QEMU"
TYPE = 0
VERSION = 1

HEAD = struct.Struct("<II")  # version, size
GENERAL = struct.Struct("<18Q")
GENERAL_AT = 8
SEGMENT = struct.Struct("<IIIIQ")  # selector, limit, flags, padding, base
SEGMENTS_AT = 152
CONTROL = struct.Struct("<5Q")
CONTROL_AT = 392
KERNEL_GS = struct.Struct("<Q")
KERNEL_GS_AT = 432

GENERAL_NAMES = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
)
SEGMENT_NAMES = ("cs", "ds", "es", "fs", "gs", "ss", "ldt", "tr")
TABLE_NAMES = ("gdt", "idt")  # these have no selector
CONTROL_NAMES = ("cr0", "cr1", "cr2", "cr3", "cr4")
FLAGS_MASK = 0x00FF_FF00  # descriptor bits 8 to 23; the low byte is part of the base
ONLY_64_BIT = ("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "kernel_gs_base")


def read_registers(data: bytes, bits: int) -> Mapping[str, int] | None:
    """The registers in a note, None if it is too short or of another version."""
    if len(data) < HEAD.size:
        return None
    version, said = HEAD.unpack_from(data)
    size = min(said, len(data))
    if version != VERSION or size < CONTROL_AT + CONTROL.size:
        return None
    registers = dict(zip(GENERAL_NAMES, GENERAL.unpack_from(data, GENERAL_AT), strict=True))
    for number, name in enumerate(SEGMENT_NAMES + TABLE_NAMES):
        registers |= _segment(name, SEGMENT.unpack_from(data, SEGMENTS_AT + number * SEGMENT.size))
    registers |= dict(zip(CONTROL_NAMES, CONTROL.unpack_from(data, CONTROL_AT), strict=True))
    del registers["cr1"]  # a place without a register
    if size >= KERNEL_GS_AT + KERNEL_GS.size:
        (registers["kernel_gs_base"],) = KERNEL_GS.unpack_from(data, KERNEL_GS_AT)
    if bits == 32:
        registers = {name: value for name, value in registers.items() if name not in ONLY_64_BIT}
    return registers


def _segment(name: str, fields: tuple[int, ...]) -> dict[str, int]:
    selector, limit, flags, _, base = fields
    found = {f"{name}_base": base, f"{name}_limit": limit}
    if name not in TABLE_NAMES:
        found |= {name: selector & 0xFFFF, f"{name}_flags": flags & FLAGS_MASK}
    return found
