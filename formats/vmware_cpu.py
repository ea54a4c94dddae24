"""The vcpus in the group "cpu" of VMware's state files.

Registers are tags of their own (rax[cpu]) or one block of sixteen; control registers likewise. Segments are S[cpu][n]
with their bases in S.base64. EFER is not among the known tags.
"""

import struct
from collections.abc import Callable, Iterable, Mapping

from formats.image import Vcpu
from formats.source import Source
from formats.vmware_tags import Tag
from formats.x86_paging import find_root

MAX_VCPUS = 8192
GENERAL = (
    *("rax", "rcx", "rdx", "rbx", "rbp", "rsp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)
ALONE = frozenset((*GENERAL, "rip"))
FLAGS = ("eflags", "EFLAGS", "rflags")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr")
CONTROLS = {0: "cr0", 2: "cr2", 3: "cr3", 4: "cr4", 8: "cr8"}
BLOCK_SIZE = 128
CONTROL_SIZE = 72
TABLE = struct.Struct("<HQ")  # limit, base

Registers = dict[str, int]


def read_vcpus(source: Source, tags: Iterable[Tag]) -> list[Vcpu]:
    """Every vcpu of which something is saved."""
    states: dict[int, Registers] = {}
    blocks: dict[int, Registers] = {}
    for tag in tags:
        if not tag.indices or tag.indices[0] >= MAX_VCPUS:
            continue
        if tag.name == "gpregs":
            blocks[tag.indices[0]] = _general(tag.read(source))
        elif found := _registers(source, tag):
            states.setdefault(tag.indices[0], {}).update(found)
    vcpus = []
    for number in sorted(states.keys() | blocks.keys()):
        registers = blocks.get(number, {}) | states.get(number, {})
        vcpus.append(Vcpu(number, 64, registers, root=_root(registers)))
    return vcpus


def _registers(source: Source, tag: Tag) -> Registers:
    if tag.name in ALONE and len(tag.indices) == 1:
        return {tag.name: tag.number(source)}
    if tag.name in FLAGS:
        return {"rflags": tag.number(source)}
    reader = READERS.get(tag.name)
    return reader(source, tag) if reader else {}


def _control(source: Source, tag: Tag) -> Registers:
    if len(tag.indices) == 2:
        return {CONTROLS[tag.indices[1]]: tag.number(source)} if tag.indices[1] in CONTROLS else {}
    data = tag.read(source)
    values = struct.unpack("<9Q", data[:CONTROL_SIZE]) if len(data) >= CONTROL_SIZE else ()
    return {CONTROLS[number]: value for number, value in enumerate(values) if number in CONTROLS}


def _selector(source: Source, tag: Tag) -> Registers:
    return _of_segment(tag, "", tag.number(source) & 0xFFFF)


def _base(source: Source, tag: Tag) -> Registers:
    return _of_segment(tag, "_base", tag.number(source))


def _of_segment(tag: Tag, suffix: str, value: int) -> Registers:
    if len(tag.indices) < 2 or tag.indices[1] >= len(SEGMENTS):
        return {}
    return {f"{SEGMENTS[tag.indices[1]]}{suffix}": value}


def _table(source: Source, tag: Tag) -> Registers:
    data = tag.read(source)
    if len(data) < TABLE.size:
        return {}
    limit, base = TABLE.unpack_from(data)
    name = tag.name[:3].lower()
    return {f"{name}_limit": limit, f"{name}_base": base}


READERS: Mapping[str, Callable[[Source, Tag], Registers]] = {
    "CR64": _control,
    "S": _selector,
    "S.base64": _base,
    "IDTR": _table,
    "GDTR": _table,
}


def _general(data: bytes) -> Registers:
    """The block of sixteen. Readers disagree on whether rbp or rsp comes first; a stack pointer is known by sight."""
    if len(data) < BLOCK_SIZE:
        return {}
    registers = dict(zip(GENERAL, struct.unpack("<16Q", data[:BLOCK_SIZE]), strict=True))
    if _is_stack(registers["rbp"]) and not _is_stack(registers["rsp"]):
        registers["rbp"], registers["rsp"] = registers["rsp"], registers["rbp"]
    return registers


def _is_stack(value: int) -> bool:
    return value != 0 and not value & 7 and value >> 47 in (0, 0x1FFFF)


def _root(registers: Registers) -> int | None:
    if not {"cr0", "cr3", "cr4"} <= registers.keys():
        return None
    return find_root(registers, long_mode=True)
