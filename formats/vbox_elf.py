"""VirtualBox's core files (`VBoxManage debugvm NAME dumpvmcore`).

An ELF core by physical address, with a VBCORE note (magic, version) and a VBCPU note for each processor. In versions
before 0x10003 VBCPU was VirtualBox's own context, which changed with releases and is not read. Segments without bytes
are devices.
Specified in: include/VBox/vmm/dbgfcorefmt.h and VMM/VMMR3/DBGFCoreWrite.cpp of VirtualBox.
"""

import struct
from collections.abc import Sequence

from formats import elf
from formats.core_elf import about_memory, read_extents, warn_of_gaps
from formats.errors import ImageDamaged
from formats.extents import ExtentImage
from formats.image import About, Fact, Image, Note, Vcpu
from formats.source import Source
from formats.x86_paging import common_paging, find_root

NAME = "vbox-elf"
DESCRIPTION = "VirtualBox core dump (debugvm dumpvmcore)"
HEADS = (b"\x7fELF",)

CORE_OWNER, CORE_TYPE = "VBCORE", 0xB00
CPU_OWNER, CPU_TYPE = "VBCPU", 0xB01
MAGIC = 0xC01A_C0DE
WITH_REGISTERS = 0x0001_0003
MAX_VCPUS = 8192
EFER_LMA = 1 << 10

DESCRIPTOR = struct.Struct("<6I")  # magic, version, size, VirtualBox's version, its revision, processors
GENERAL = struct.Struct("<18Q")
SEGMENT = struct.Struct("<QIIH6x")  # base, limit, attributes, selector
SEGMENTS_AT = 144
CONTROL = struct.Struct("<4Q8Q")
CONTROL_AT = 288
TABLE = struct.Struct("<QI4x")  # address, limit
TABLES_AT = 384
SYSTEM_SEGMENTS_AT = 416
MSRS = struct.Struct("<11Q")
MSRS_AT = 464
CPU_SIZE = MSRS_AT + MSRS.size

GENERAL_NAMES = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
    *("rip", "rsp", "rbp", "rflags"),
)
SEGMENT_NAMES = ("cs", "ds", "es", "fs", "gs", "ss")
CONTROL_NAMES = ("cr0", "cr2", "cr3", "cr4", *(f"dr{number}" for number in range(8)))
MSR_NAMES = (
    *("sysenter_cs", "sysenter_eip", "sysenter_esp", "efer", "star", "pat", "lstar", "cstar", "sfmask"),
    *("kernel_gs_base", "apic_base"),
)


def probe(source: Source) -> bool:
    """True for an ELF core with VirtualBox's note."""
    return elf.is_core(source) and any(
        note.owner == CORE_OWNER and note.type == CORE_TYPE for note in elf.read_notes(source, elf.read_header(source))
    )


def open_image(source: Source) -> Image:
    """Reads the headers and the notes; memory stays where it is."""
    header = elf.read_header(source)
    notes = elf.read_notes(source, header)
    version, facts = _read_descriptor(source, notes)
    warnings: list[str] = []
    vcpus = _read_vcpus(notes, version, warnings)
    loads = [load for load in elf.read_segments(source, header, elf.PT_LOAD) if load.filesz]
    extents = read_extents(loads, source.size)
    warn_of_gaps(extents, warnings)
    about = About(
        format=NAME,
        description=DESCRIPTION,
        bits=max((vcpu.bits for vcpu in vcpus), default=header.bits),
        paging=common_paging(vcpus),
        facts=[*facts, *about_memory(header, extents)],
        warnings=warnings,
    )
    return ExtentImage(source, about, extents, vcpus, notes)


def _read_descriptor(source: Source, notes: Sequence[Note]) -> tuple[int, list[Fact]]:
    data = next(note.data for note in notes if note.owner == CORE_OWNER and note.type == CORE_TYPE)
    if len(data) < DESCRIPTOR.size:
        raise ImageDamaged(f"{source.name}: VBCORE note of {len(data)} bytes, expected {DESCRIPTOR.size}")
    magic, version, _, program, revision, _ = DESCRIPTOR.unpack_from(data)
    if magic != MAGIC:
        raise ImageDamaged(f"{source.name}: VBCORE note with magic {magic:#x}, expected {MAGIC:#x}")
    major, minor, build = program >> 24, program >> 16 & 0xFF, program & 0xFFFF
    facts = [
        Fact("creator", f"VirtualBox {major}.{minor}.{build} r{revision}", "VBCORE note"),
        Fact("format version", f"{version:#x}", "VBCORE note"),
    ]
    return version, facts


def _read_vcpus(notes: Sequence[Note], version: int, warnings: list[str]) -> list[Vcpu]:
    found = [note.data for note in notes if note.owner == CPU_OWNER and note.type == CPU_TYPE][:MAX_VCPUS]
    if found and version < WITH_REGISTERS:
        warnings.append(f"format version {version:#x}: the processors' state is in VirtualBox's own form: no registers")
        return []
    vcpus = []
    for number, data in enumerate(found):
        if len(data) < CPU_SIZE:
            warnings.append(f"vcpu {number}: note of {len(data)} bytes, expected at least {CPU_SIZE}: no registers")
            continue
        registers = _registers(data)
        long_mode = bool(registers["efer"] & EFER_LMA)
        vcpus.append(Vcpu(number, 64 if long_mode else 32, registers, root=find_root(registers, long_mode)))
    return vcpus


def _registers(data: bytes) -> dict[str, int]:
    registers = dict(zip(GENERAL_NAMES, GENERAL.unpack_from(data), strict=True))
    registers |= dict(zip(CONTROL_NAMES, CONTROL.unpack_from(data, CONTROL_AT), strict=True))
    registers |= dict(zip(MSR_NAMES, MSRS.unpack_from(data, MSRS_AT), strict=True))
    del registers["dr4"], registers["dr5"]  # names of dr6 and dr7
    for number, name in enumerate(SEGMENT_NAMES):
        registers |= _segment(name, data, SEGMENTS_AT + number * SEGMENT.size)
    for number, name in enumerate(("ldt", "tr")):
        registers |= _segment(name, data, SYSTEM_SEGMENTS_AT + number * SEGMENT.size)
    for number, name in enumerate(("gdt", "idt")):
        base, limit = TABLE.unpack_from(data, TABLES_AT + number * TABLE.size)
        registers |= {f"{name}_base": base, f"{name}_limit": limit}
    return registers


def _segment(name: str, data: bytes, at: int) -> dict[str, int]:
    base, limit, attributes, selector = SEGMENT.unpack_from(data, at)
    return {name: selector, f"{name}_base": base, f"{name}_limit": limit, f"{name}_flags": (attributes & 0xFFFF) << 8}
