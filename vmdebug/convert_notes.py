"""ELF notes that describe vcpus as QEMU's dumps do, so that other tools find registers where they look for them.

A CORE note (NT_PRSTATUS) for each vcpu, then a QEMU note with its whole state.
Specified in: target/i386/arch_dump.c of QEMU; Linux arch/x86/include/asm/elf.h.
"""

import struct
from collections.abc import Mapping, Sequence

from formats.lazy import dataclass

PRSTATUS64 = struct.Struct("<32xI76x27Q8x")
PRSTATUS32 = struct.Struct("<24xI44x17I4x")
GENERAL64 = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", ""),
    *("rip", "cs", "rflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
GENERAL32 = (
    *("rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rax", "ds", "es", "fs", "gs", ""),
    *("rip", "cs", "rflags", "rsp", "ss"),
)

STATE_VERSION, STATE_SIZE = 1, 440
STATE_HEAD = struct.Struct("<II18Q")
SEGMENT = struct.Struct("<IIIIQ")
STATE_TAIL = struct.Struct("<6Q")
STATE_GENERAL = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
)
SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "ldt", "tr", "gdt", "idt")
CODE64, CODE32, DATA = 0x00AF_9B00, 0x00CF_9B00, 0x00CF_9300  # flat, present; the privilege level is the selector's
MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Processor:
    """Registers under their 64-bit names, in the width that the kernel runs in."""

    registers: Mapping[str, int]
    long_mode: bool


def cpu_notes(processors: Sequence[Processor]) -> bytes:
    """All CORE notes, then all QEMU notes."""
    core = (note(b"CORE", 1, _prstatus(one, number)) for number, one in enumerate(processors, start=1))
    return b"".join([*core, *(note(b"QEMU", 0, _state(one)) for one in processors)])


def note(owner: bytes, kind: int, data: bytes) -> bytes:
    """One note, everything padded to 4 bytes."""
    name = owner + b"\0"
    head = struct.pack("<III", len(name), len(data), kind)
    return head + _padded(name) + _padded(data)


def _prstatus(one: Processor, number: int) -> bytes:
    layout, names = (PRSTATUS64, GENERAL64) if one.long_mode else (PRSTATUS32, GENERAL32)
    mask = MASK if one.long_mode else MASK >> 32
    return layout.pack(number, *(one.registers.get(name, 0) & mask for name in names))


def _state(one: Processor) -> bytes:
    general = (one.registers.get(name, 0) & MASK for name in STATE_GENERAL)
    out = STATE_HEAD.pack(STATE_VERSION, STATE_SIZE, *general)
    for name in SEGMENTS:
        out += _segment(one, name)
    control = (one.registers.get(name, 0) & MASK for name in ("cr0", "", "cr2", "cr3", "cr4", "kernel_gs_base"))
    return out + STATE_TAIL.pack(*control)


def _segment(one: Processor, name: str) -> bytes:
    """Limits and flags of a flat segment where the image does not save them: the code segment's tells the mode."""
    registers = one.registers
    selector = registers.get(name, 0) & 0xFFFF
    flat = {"cs": CODE64 if one.long_mode else CODE32, "ss": DATA}.get(name, 0)
    flags = registers.get(f"{name}_flags", flat and flat | (selector & 3) << 13)
    limit = registers.get(f"{name}_limit", MASK >> 32 if flat else 0)
    return SEGMENT.pack(selector, limit & MASK >> 32, flags & MASK >> 32, 0, registers.get(f"{name}_base", 0) & MASK)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
