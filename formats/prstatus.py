"""NT_PRSTATUS, the note with a processor's general registers that Linux and QEMU write.

A pid and the registers are used; times and signals are not. 336 bytes on x86-64, 144 on i386.
Specified in: Linux include/linux/elfcore.h and arch/x86/include/asm/elf.h.
"""

import struct

from formats.lazy import dataclass

TYPE = 1
OWNER = "CORE"

LAYOUT64 = struct.Struct("<32xI76x27Q")
LAYOUT32 = struct.Struct("<24xI44x17I")
SIZE64, SIZE32 = 336, 144
NAMES64: tuple[str, ...] = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "rflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
NAMES32: tuple[str, ...] = (
    *("rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rax", "ds", "es", "fs", "gs"),
    *("orig_rax", "rip", "cs", "rflags", "rsp", "ss"),
)
SELECTORS = ("cs", "ss", "ds", "es", "fs", "gs")


@dataclass(frozen=True)
class Prstatus:
    """Registers under their 64-bit names, and the width that the note's layout has."""

    bits: int
    pid: int
    registers: dict[str, int]


def read_prstatus(data: bytes) -> Prstatus | None:
    """The note's registers; None if it is of no x86 layout."""
    if len(data) == SIZE64:
        bits, layout, names = 64, LAYOUT64, NAMES64
    elif len(data) == SIZE32:
        bits, layout, names = 32, LAYOUT32, NAMES32
    else:
        return None
    pid, *values = layout.unpack_from(data)
    registers = dict(zip(names, values, strict=True))
    for name in SELECTORS:
        registers[name] &= 0xFFFF
    return Prstatus(bits, pid, registers)
