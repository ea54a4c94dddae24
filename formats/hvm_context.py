"""The HVM context of a Xen save stream: typed records, of which those of the vcpus are read here.

Each record: typecode u16, instance u16 (the vcpu's number), length u32, body. The header comes first, END last.
Specified in: xen/include/public/hvm/save.h and arch-x86/hvm/save.h. The cpu record has grown since Xen 3.1; its
first 1000 bytes have not moved.
"""

import struct
from collections.abc import Iterator, Mapping

from formats import x86_state
from formats.image import Vcpu
from formats.lazy import dataclass
from formats.x86_paging import find_root

RECORD = struct.Struct("<HHI")
END, HEADER, CPU, CPU_MSRS = 0, 1, 2, 20
MAGIC = 0x54381286
MAX_RECORDS = 1 << 17  # 8192 vcpus with a dozen records each
MAX_VCPUS = 8192

CPU_STATE = struct.Struct("<512x 28Q 18I 10Q 8I 10Q")
GENERAL = (
    *("rax", "rbx", "rcx", "rdx", "rbp", "rsi", "rdi", "rsp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
    *("rip", "rflags", "cr0", "cr2", "cr3", "cr4", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7"),
)
SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")
TABLES = ("idt", "gdt")
LAST = (
    *("sysenter_cs", "sysenter_esp", "sysenter_eip", "kernel_gs_base", "", "lstar", "star", "cstar"),
    *("sfmask", "efer"),
)
NAMES = (
    *GENERAL,
    *SEGMENTS,
    *(f"{name}_limit" for name in (*SEGMENTS, *TABLES)),
    *(f"{name}_base" for name in (*SEGMENTS, *TABLES)),
    *(f"{name}_flags" for name in SEGMENTS),
    *LAST,
)
MSR = struct.Struct("<I4xQ")
MSRS_AT = 8  # behind the count
MAX_MSRS = 256


@dataclass(frozen=True)
class Context:
    """What the records say: the vcpus by number, and what could not be read."""

    vcpus: tuple[Vcpu, ...]
    warnings: tuple[str, ...]


def read_context(data: bytes) -> Context:
    """The vcpus of an HVM context; records that do not fit are named in `warnings`."""
    states: dict[int, Mapping[str, int]] = {}
    msrs: dict[int, Mapping[str, int]] = {}
    warnings: list[str] = []
    for kind, instance, body in _each_record(data, warnings):
        if kind == CPU and instance < MAX_VCPUS:
            if len(body) >= CPU_STATE.size:
                states[instance] = _read_state(body)
            else:
                warnings.append(f"HVM context: cpu record {instance} of {len(body)} bytes: no registers")
        elif kind == CPU_MSRS:
            msrs[instance] = _read_msrs(body)
    vcpus = [_vcpu(number, {**state, **msrs.get(number, {})}) for number, state in sorted(states.items())]
    return Context(tuple(vcpus), tuple(warnings))


def _each_record(data: bytes, warnings: list[str]) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    for _ in range(MAX_RECORDS):
        if at + RECORD.size > len(data):
            break
        kind, instance, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        if kind == END:
            return
        if at + length > len(data):
            warnings.append(f"HVM context: record of type {kind} at {at:#x} is cut short")
            return
        yield kind, instance, data[at : at + length]
        at += length
    if at:
        warnings.append("HVM context: no END record")


def _read_state(body: bytes) -> Mapping[str, int]:
    registers = dict(zip(NAMES, CPU_STATE.unpack_from(body), strict=True))
    del registers[""]
    for name in SEGMENTS:
        registers[f"{name}_flags"] = x86_state.unpack_flags(registers[f"{name}_flags"])
    return registers


def _read_msrs(body: bytes) -> Mapping[str, int]:
    count = min(int.from_bytes(body[:4], "little"), MAX_MSRS, max(len(body) - MSRS_AT, 0) // MSR.size)
    pairs = MSR.iter_unpack(body[MSRS_AT : MSRS_AT + count * MSR.size])
    return {x86_state.msr_name(index): value for index, value in pairs}


def _vcpu(number: int, registers: Mapping[str, int]) -> Vcpu:
    long_mode = bool(registers["efer"] & x86_state.EFER_LMA)
    return Vcpu(number, 64 if long_mode else 32, registers, root=find_root(registers, long_mode))
