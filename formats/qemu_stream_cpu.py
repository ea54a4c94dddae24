"""The vcpus of a QEMU stream: x86 registers out of the sections `cpu`.

Fields are found by the names that the stream's description gives them. Where there is no description, the sections are
searched for and laid out as in every release since 2009 (version 12), if what is read that way is plausible.
Specified in: target/i386/machine.c of QEMU (vmstate_x86_cpu).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from formats import x86_paging
from formats.image import Vcpu
from formats.qemu_stream_devices import MAX_TEXT, Device, Field, Layout, find_field
from formats.source import Source
from formats.x86_state import EFER_LMA

SECTION = "cpu"
MAX_VCPUS = 1 << 14
FLAGS_MASK = 0x00FF_FF00  # descriptor bits 8 to 23; the low byte is part of the base
EFER_KNOWN = 0x0020_FD01  # SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE, AIBRSE
CR0_KNOWN = 0xE005_003F  # PG, CD, NW, AM, WP, NE, ET, TS, EM, MP, PE

GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
SINGLE = {
    "rip": "env.eip",
    "rflags": "env.eflags",
    "cr0": "env.cr[0]",
    "cr2": "env.cr[2]",
    "cr3": "env.cr[3]",
    "cr4": "env.cr[4]",
    "sysenter_cs": "env.sysenter_cs",
    "sysenter_esp": "env.sysenter_esp",
    "sysenter_eip": "env.sysenter_eip",
    "efer": "env.efer",
    "star": "env.star",
    "lstar": "env.lstar",
    "cstar": "env.cstar",
    "sfmask": "env.fmask",
    "kernel_gs_base": "env.kernelgsbase",
}
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
TABLES = {"ldt": "env.ldt", "tr": "env.tr", "gdt": "env.gdt", "idt": "env.idt"}
WITHOUT_SELECTOR = ("gdt", "idt")
DEBUG = (0, 1, 2, 3, 6, 7)


def each_vcpu(source: Source, devices: Iterable[Device]) -> Iterator[Vcpu]:
    """The vcpus among the devices."""
    for device in devices:
        if device.layout.name == SECTION:
            registers = read_registers(source, device)
            if "rip" in registers:
                yield make_vcpu(device.layout.instance, registers)


def make_vcpu(number: int, registers: Mapping[str, int]) -> Vcpu:
    """A vcpu whose width and root follow from its registers."""
    long_mode = bool(registers.get("efer", 0) & EFER_LMA)
    return Vcpu(number, 64 if long_mode else 32, registers, root=x86_paging.find_root(registers, long_mode))


def read_registers(source: Source, device: Device) -> Mapping[str, int]:
    """Every register that the section has a field for."""
    body = source.peek(device.body, device.layout.size)
    registers = dict(zip(GENERAL, _array(body, device.field("env.regs"), 0), strict=False))
    for name, label in SINGLE.items():
        registers.update((name, value) for value in _array(body, device.field(label), 0)[:1])
    debug = _array(body, device.field("env.dr"), 0)
    registers |= {f"dr{number}": debug[number] for number in DEBUG if number < len(debug)}
    segments = device.field("env.segs")
    for index, name in enumerate(SEGMENTS):
        if segments and index < segments.count:
            registers |= _segment(body, segments, index, name)
    for name, label in TABLES.items():
        if table := device.field(label):
            registers |= _segment(body, table, 0, name)
    return registers


def _segment(body: bytes, segment: Field, index: int, name: str) -> dict[str, int]:
    at = segment.offset + index * segment.size
    values = {
        part: value
        for part in ("selector", "base", "limit", "flags")
        for value in _array(body, find_field(segment.inner, part), at)[:1]
    }
    found = {f"{name}_{part}": values[part] for part in ("base", "limit") if part in values}
    if name not in WITHOUT_SELECTOR and "selector" in values:
        found |= {name: values["selector"] & 0xFFFF, f"{name}_flags": values.get("flags", 0) & FLAGS_MASK}
    return found


def _array(body: bytes, field: Field | None, base: int) -> list[int]:
    """The elements of a field of numbers; none if there is no such field or the section ends before it."""
    if field is None or field.size not in (1, 2, 4, 8) or field.count > 64:
        return []
    start = base + field.offset
    end = start + field.size * field.count
    if end > len(body):
        return []
    return [int.from_bytes(body[at : at + field.size], "big") for at in range(start, end, field.size)]


# Without a description.

PREFIX = (
    *(("env.regs", 8, 16), ("env.eip", 8, 1), ("env.eflags", 8, 1), ("fpu state", 12, 1), ("env.fpregs", 10, 8)),
    *(("env.segs", 20, 6), ("env.ldt", 20, 1), ("env.tr", 20, 1), ("env.gdt", 20, 1), ("env.idt", 20, 1)),
    *(("env.sysenter_cs", 4, 1), ("env.sysenter_esp", 8, 1), ("env.sysenter_eip", 8, 1)),
    *((f"env.cr[{number}]", 8, 1) for number in (0, 2, 3, 4)),
    *(("env.dr", 8, 8), ("env.a20_mask", 4, 1), ("env.mxcsr", 4, 1), ("env.xmm_regs", 16, 16)),
    *((f"env.{name}", 8, 1) for name in ("efer", "star", "lstar", "cstar", "fmask", "kernelgsbase")),
)
SEGMENT_FIELDS = (
    Field("selector", 0, 4, 1),
    Field("base", 4, 8, 1),
    Field("limit", 12, 4, 1),
    Field("flags", 16, 4, 1),
)
GUESSED_VERSION = 12


def guess_devices(source: Source, start: int) -> Sequence[Device]:
    """The cpu sections behind `start`, by search, as far as their registers are plausible."""
    fields = _guessed_fields()
    size = fields[-1].offset + fields[-1].size
    pattern = re.compile(rb"\x04[\s\S]{4}\x03cpu(\x00\x00[\s\S]{2})" + GUESSED_VERSION.to_bytes(4, "big"))
    found: dict[int, Device] = {}
    for head in pattern.finditer(source.view(start, min(source.size - start, MAX_TEXT))):
        number = int.from_bytes(head[1], "big")
        device = Device(Layout(SECTION, number, size, fields), start + head.end())
        if number < MAX_VCPUS and number not in found and _plausible(read_registers(source, device)):
            found[number] = device
    return [found[number] for number in sorted(found)]


def _guessed_fields() -> Sequence[Field]:
    fields: list[Field] = []
    offset = 0
    for name, size, count in PREFIX:
        inner = SEGMENT_FIELDS if size == 20 else ()
        fields.append(Field(name, offset, size, count, inner))
        offset += size * count
    return fields


def _plausible(registers: Mapping[str, int]) -> bool:
    if "kernel_gs_base" not in registers:
        return False
    efer = registers["efer"]
    cr0 = registers["cr0"]
    return bool(cr0) and not cr0 & ~CR0_KNOWN and not efer & ~EFER_KNOWN and registers["idt_limit"] <= 0xFFFF
