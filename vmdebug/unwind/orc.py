"""ORC, the unwind data that a Linux kernel carries: for each instruction address how to find the caller's frame.

Two tables side by side: addresses, each relative to its own place, and entries of six bytes (two offsets, a word of
registers and flags). The word's layout and the registers' numbers changed; a hash in the kernel names the layout, and
where there is none the most frequent entry does, which every kernel has: a frame right above the stack pointer.
Specified in: arch/x86/include/asm/orc_types.h and arch/x86/kernel/unwind_orc.c of Linux.
"""

import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import NamedTuple, Protocol

from formats.lazy import dataclass
from vmdebug.unwind import walk
from vmdebug.unwind.registers import IRET, REG_NAMES, REGS, RIP_AT, USER, WORD
from vmdebug.unwind.walk import State, Step, UnwindError

PLACE, ENTRY = struct.Struct("<i"), struct.Struct("<hhH")
MAX_ENTRIES = 1 << 23
MASK = (1 << 64) - 1

UNDEFINED, PREV_SP, RDX, RDI, RBP, RSP, R10, R13, BP_INDIRECT, SP_INDIRECT, RAX = range(11)
OLD_REGISTERS = {number: number for number in range(11)}
NEW_REGISTERS = dict(enumerate((UNDEFINED, RAX, RDX, RSP, RBP, RDI, R10, R13, PREV_SP, SP_INDIRECT, BP_INDIRECT)))
NAMED = {RDX: "rdx", RDI: "rdi", R10: "r10", R13: "r13", RAX: "rax"}
NOTHING, END, CALL, FULL, PARTIAL = range(5)


@dataclass(frozen=True)
class Layout:
    """How the third word of an entry is read."""

    name: str
    registers: Mapping[int, int]
    type_bits: int
    types: Mapping[int, int]
    end_bit: int | None
    signal_bit: int | None

    def decode(self, raw: bytes) -> "Entry":
        sp_offset, bp_offset, word = ENTRY.unpack(raw)
        sp = self.registers.get(word & 0xF, UNDEFINED)
        kind = self.types.get(word >> 8 & ((1 << self.type_bits) - 1), NOTHING)
        ends = self.end_bit is not None and bool(word >> self.end_bit & 1)
        if self.end_bit is not None and sp == UNDEFINED:
            kind = END if ends else NOTHING
        signal = kind in (FULL, PARTIAL) if self.signal_bit is None else bool(word >> self.signal_bit & 1)
        return Entry(sp, sp_offset, self.registers.get(word >> 4 & 0xF, UNDEFINED), bp_offset, kind, signal)


class Entry(NamedTuple):
    sp_register: int
    sp_offset: int
    bp_register: int
    bp_offset: int
    kind: int
    signal: bool


OLD_TYPES = {0: CALL, 1: FULL, 2: PARTIAL}
NEW_TYPES = {number: number for number in range(5)}
LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("4.14", OLD_REGISTERS, 2, OLD_TYPES, 10, None),
        Layout("6.3", OLD_REGISTERS, 2, OLD_TYPES, 11, 10),
        Layout("6.4", OLD_REGISTERS, 3, NEW_TYPES, None, 11),
        Layout("7.1", NEW_REGISTERS, 3, NEW_TYPES, None, 11),
    )
}
HASHES = {
    bytes.fromhex("db84aed4103b31dd51e017f8f79783ca985c2c51"): "6.3",
    bytes.fromhex("fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24"): "6.4",
    bytes.fromhex("137c36ad7627c4dd55932176bb0ecdbd5041fc82"): "7.1",
}


class OrcError(UnwindError):
    """Unwind data that cannot be used."""


class NoData(OrcError):
    """An address that unwind data does not cover."""

    def __init__(self, ip: int) -> None:
        super().__init__(f"no unwind data for {ip:#x}")


def find_layout(header: bytes, entries: bytes) -> Layout:
    """The layout that the kernel's hash names, else the one in which its most frequent entries make sense."""
    if header in HASHES:
        return LAYOUTS[HASHES[header]]
    common = Counter(entries[at : at + ENTRY.size] for at in range(0, min(len(entries), 1 << 18), ENTRY.size))
    for raw, _ in common.most_common(4):
        for name in ("6.4", "7.1", "4.14"):
            entry = LAYOUTS[name].decode(raw)
            if (entry.sp_register, entry.sp_offset, entry.bp_register, entry.kind) == (RSP, 8, UNDEFINED, CALL):
                return LAYOUTS["6.3" if name == "4.14" and _traps_signal(entries) else name]
    raise OrcError("ORC unwind data of no known layout")


def _traps_signal(entries: bytes) -> bool:
    """True if entries of traps carry the bit that 6.3 gave them: its first releases had no hash."""
    return any(high & 0b11 and high & 0b100 for high in set(entries[ENTRY.size - 1 :: ENTRY.size]))


class Bytes(Protocol):
    """Bytes, or what gives the same slices of bytes that lie elsewhere."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


@dataclass
class OrcTable:
    """The entries of the kernel or of one module. `base` is the address of the table of addresses."""

    base: int
    places: Bytes
    entries: Bytes
    layout: Layout
    _decoded: dict[bytes, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._count = len(self.places) // PLACE.size
        if self._count * ENTRY.size != len(self.entries) or self._count > MAX_ENTRIES:
            raise OrcError(f"ORC tables differ: {self._count} addresses, {len(self.entries)} bytes of entries")

    def address(self, number: int) -> int:
        at = PLACE.size * number
        return (self.base + at + int(PLACE.unpack(self.places[at : at + PLACE.size])[0])) & MASK

    def find(self, pc: int) -> Entry | None:
        """The entry that holds at an address: the last at or below it."""
        number = bisect_right(range(self._count), pc, key=self.address) - 1
        if number < 0:
            return None
        raw = self.entries[number * ENTRY.size : (number + 1) * ENTRY.size]
        entry = self._decoded.get(raw)
        if entry is None:
            entry = self._decoded[raw] = self.layout.decode(raw)
        return entry


Read = Callable[[int, int], bytes]
Find = Callable[[int], Entry | None]


def orc_step(state: State, find: Find, read: Read) -> Step | None:
    """The caller's state, None at the end of the stack; NoData where `find` has no entry for the address."""
    entry = _entry(state, find)
    if entry.kind == END:
        return None
    if entry.kind == NOTHING:
        raise OrcError(f"no unwind data for {state.ip:#x}")
    cfa = _frame_address(entry, state, read)
    if entry.kind == FULL:
        registers = dict(zip(REG_NAMES, REGS.unpack(read(cfa, REGS.size)), strict=True))
        after = State(registers["rip"], registers["rsp"], registers["rbp"], entry.signal, registers)
        return None if registers["cs"] & USER == USER else Step(after, walk.TRAP, walk.ORC, cfa + RIP_AT)
    if entry.kind == PARTIAL:
        ip, cs, _, sp, _ = IRET.unpack(read(cfa, IRET.size))
        after = State(ip, sp, _base_pointer(entry, state, cfa, read), entry.signal, state.registers)
        return None if cs & USER == USER else Step(after, walk.TRAP, walk.ORC, cfa)
    if cfa <= state.sp:
        raise OrcError(f"the stack does not grow: {state.sp:#x} to {cfa:#x}")
    (ip,) = WORD.unpack(read(cfa - 8, 8))
    after = State(ip, cfa, _base_pointer(entry, state, cfa, read), entry.signal)
    return Step(after, walk.CALL, walk.ORC, cfa - 8)


def _entry(state: State, find: Find) -> Entry:
    if state.ip == 0:  # a call through a null pointer: its return address is on top of the stack
        return Entry(RSP, 8, UNDEFINED, 0, CALL, False)
    entry = find(state.ip if state.exact else state.ip - 1)
    if entry is None:
        raise NoData(state.ip)
    return entry


def _frame_address(entry: Entry, state: State, read: Read) -> int:
    """The stack pointer of the caller, before its call (CFA)."""
    register, offset = entry.sp_register, entry.sp_offset
    if register == RSP:
        return (state.sp + offset) & MASK
    if register == RBP:
        return (state.bp + offset) & MASK
    if register == SP_INDIRECT:
        return (int(WORD.unpack(read(state.sp, 8))[0]) + offset) & MASK
    if register == BP_INDIRECT:
        return int(WORD.unpack(read((state.bp + offset) & MASK, 8))[0])
    name = NAMED.get(register, "")
    if name not in state.registers:
        raise OrcError(f"the frame of {state.ip:#x} hangs on {name or 'no register'}, which was not saved")
    return (state.registers[name] + offset) & MASK


def _base_pointer(entry: Entry, state: State, cfa: int, read: Read) -> int:
    if entry.bp_register == PREV_SP:
        return int(WORD.unpack(read((cfa + entry.bp_offset) & MASK, 8))[0])
    if entry.bp_register == RBP:
        return int(WORD.unpack(read((state.bp + entry.bp_offset) & MASK, 8))[0])
    return state.bp
