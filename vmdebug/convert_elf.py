"""Memory as the ELF core that QEMU's dump-guest-memory writes: a PT_NOTE, then a PT_LOAD for each stretch of pages.

Pages that the image has not are in no segment; zeros become holes of the file. More than 65534 segments are counted
in section header 0, as ELF wants it.
Specified in: System V ABI, chapters 4 and 5; dump/dump.c of QEMU.
"""

import struct
from typing import BinaryIO

from formats.frames import PAGE_SIZE
from vmdebug.convert_memory import Memory, Stretch
from vmdebug.convert_output import Tick, write_stretch

IDENT = b"\x7fELF%c\1\1" + bytes(9)
EHDR = {32: struct.Struct("<16sHHIIIIIHHHHHH"), 64: struct.Struct("<16sHHIQQQIHHHHHH")}
SHDR = {32: struct.Struct("<10I"), 64: struct.Struct("<IIQQQQIIQQ")}
PHDR = {32: struct.Struct("<8I"), 64: struct.Struct("<IIQQQQQQ")}
ET_CORE, EM_386, EM_X86_64, PT_LOAD, PT_NOTE = 4, 3, 62, 1, 4
PN_XNUM = 0xFFFF
ALL_RIGHTS = 7


def write(file: BinaryIO, memory: Memory, notes: bytes, long_mode: bool, tick: Tick) -> None:
    """The whole file; addresses past 4 GiB take the 64-bit class even for a 32-bit guest."""
    bits = 64 if long_mode or memory.end > 1 << 32 else 32
    count = 1 + len(memory.stretches)
    extended = count >= PN_XNUM
    phoff = EHDR[bits].size + (SHDR[bits].size if extended else 0)
    notes_at = phoff + count * PHDR[bits].size
    at = -(-(notes_at + len(notes)) // PAGE_SIZE) * PAGE_SIZE
    file.write(_header(bits, EM_X86_64 if long_mode else EM_386, phoff, count))
    if extended:
        file.write(SHDR[bits].pack(0, 0, 0, 0, 0, 0, 0, count, 0, 0))
    file.write(_program(bits, PT_NOTE, notes_at, 0, len(notes)))
    start = at
    for stretch in memory.stretches:
        file.write(_load(bits, at, stretch))
        at += stretch.size
    file.write(notes)
    for stretch in memory.stretches:
        write_stretch(file, start, memory, stretch, tick)
        start += stretch.size
    file.truncate(start)


def _header(bits: int, machine: int, phoff: int, count: int) -> bytes:
    extended = count >= PN_XNUM
    ehsize, shsize = EHDR[bits].size, SHDR[bits].size
    sections = (ehsize, shsize, 1) if extended else (0, 0, 0)
    return EHDR[bits].pack(
        IDENT % (bits // 32), ET_CORE, machine, 1, 0, phoff, sections[0], 0, ehsize, PHDR[bits].size,
        min(count, PN_XNUM), sections[1], sections[2], 0,
    )  # fmt: skip


def _load(bits: int, offset: int, stretch: Stretch) -> bytes:
    return _program(bits, PT_LOAD, offset, stretch.paddr, stretch.size)


def _program(bits: int, kind: int, offset: int, paddr: int, size: int) -> bytes:
    rights = ALL_RIGHTS if kind == PT_LOAD else 0
    if bits == 64:
        return PHDR[64].pack(kind, rights, offset, paddr, paddr, size, size, 0)
    return PHDR[32].pack(kind, offset, paddr, paddr, size, size, rights, 0)
