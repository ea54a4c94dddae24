"""The registers that a trap leaves on an x86-64 kernel's stack.

Specified in: arch/x86/include/asm/ptrace.h of Linux (struct pt_regs).
"""

import struct

WORD = struct.Struct("<Q")
REGS = struct.Struct("<21Q")  # struct pt_regs
REG_NAMES = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "rflags", "rsp", "ss"),
)
RIP_AT = 8 * REG_NAMES.index("rip")
IRET = struct.Struct("<5Q")  # rip, cs, rflags, rsp, ss
USER = 3  # the privilege level in cs
