"""The registers that a trap leaves on a kernel's stack.

Specified in: arch/x86/include/asm/ptrace.h of Linux (struct pt_regs).
"""

import struct

WORD = struct.Struct("<Q")
REGS = struct.Struct("<21Q")  # struct pt_regs
REG_NAMES = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "rflags", "rsp", "ss"),
)
REGS_32 = struct.Struct("<17I")  # of a 32-bit kernel
REG_NAMES_32 = (
    *("rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rax", "ds", "es", "fs", "gs"),
    *("orig_rax", "rip", "cs", "rflags", "rsp", "ss"),
)
LAYOUTS = {8: (REGS, REG_NAMES), 4: (REGS_32, REG_NAMES_32)}  # by the size of a word
RIP_AT = 8 * REG_NAMES.index("rip")
IRET = struct.Struct("<5Q")  # rip, cs, rflags, rsp, ss
USER = 3  # the privilege level in cs
