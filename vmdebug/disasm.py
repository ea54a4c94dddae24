"""Instructions of x86 as text: AT&T syntax in mdb's layout, or Intel's. capstone is loaded at the first instruction.

capstone decodes and names; the layout is ours: mnemonic and prefixes in 6 columns, operands without blanks, every
number in hex, branches as displacements with the target's name behind a tab.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from formats.lazy import dataclass

MODES: Mapping[str, str] = {
    "amd64": "AMD64 and IA32e 64-bit disassembler",
    "ia32": "Intel 32-bit disassembler",
    "ia16": "Intel 16-bit disassembler",
    "default": "default no-op disassembler",
}
BITS: Mapping[str, int] = {"amd64": 64, "ia32": 32, "ia16": 16}
LONGEST = 15  # bytes of an x86 instruction
UNKNOWN = "***ERROR--unknown op code***"
MNEMONICS: Mapping[str, str] = {
    "callq": "call",
    "calll": "call",
    "retq": "ret",
    "retl": "ret",
    "jmpq": "jmp",
    "jmpl": "jmp",
    "leaveq": "leave",
    "movabsb": "movb",
    "movabsw": "movw",
    "movabsl": "movl",
    "movabsq": "movq",
    "rep": "repz",
    "repe": "repz",
    "repne": "repnz",
}
UNSIGNED = ("or", "and", "xor", "test", "in", "out", "sh", "sa", "ro", "rc")  # their immediates are bit patterns
SHIFTS = ("sh", "sa", "ro", "rc")
SUFFIX_BITS: Mapping[str, int] = {"b": 8, "w": 16, "l": 32, "q": 64}
OPERAND = re.compile(r",\s*(?![^()]*\))")
MEMORY = re.compile(r"(?P<before>\*?(?:%\w+:)?)(?P<displacement>-?(?:0x)?[0-9a-f]+)?(?P<inside>\(.*\))?")
NUMBER = re.compile(r"-?(?:0x[0-9a-f]+|[0-9]+)")
INTEL_NUMBER = re.compile(r"\b0x[0-9a-f]{3,}\b")

Symbol = Callable[[int], str]  # the name of an address, or hex
SymbolOrEmpty = Callable[[int], str]


@dataclass(frozen=True)
class Instruction:
    """One instruction. A tab in the text stands for the next stop of 8 columns; `target` is where it branches to."""

    address: int
    size: int
    text: str
    target: int | None = None


@dataclass(frozen=True)
class Names:
    """How addresses in operands are named: always, or only where a symbol covers them."""

    symbol: Symbol
    symbol_or_empty: SymbolOrEmpty


def nameless(value: int) -> str:
    return f"0x{value:x}"


NAMELESS = Names(nameless, lambda value: "")


def decode(mode: str, data: bytes, address: int, names: Names = NAMELESS, intel: bool = False) -> Instruction:
    """The instruction that the bytes begin with; an unknown one is one byte long."""
    return next(each_instruction(mode, data, address, names, intel, limit=1))


def each_instruction(
    mode: str, data: bytes, address: int, names: Names = NAMELESS, intel: bool = False, limit: int = 0
) -> Iterator[Instruction]:
    """The instructions in the bytes, one after the other; `limit` of them, if that is not 0."""
    at, count = 0, 0
    while at < len(data) and not (limit and count >= limit):
        found = _decode(mode, data[at : at + LONGEST], address + at, names, intel)
        yield found
        at += found.size
        count += 1


def _decode(mode: str, data: bytes, address: int, names: Names, intel: bool) -> Instruction:
    if mode in BITS:
        for found in _engine(mode, intel).disasm(data, address, 1):
            return _intel(found, names) if intel else Layout(found, BITS[mode], names).instruction()
    return Instruction(address, 1, UNKNOWN)


@cache
def _engine(mode: str, intel: bool) -> Any:
    import capstone

    modes = {"amd64": capstone.CS_MODE_64, "ia32": capstone.CS_MODE_32, "ia16": capstone.CS_MODE_16}
    engine = capstone.Cs(capstone.CS_ARCH_X86, modes[mode])
    engine.syntax = capstone.CS_OPT_SYNTAX_INTEL if intel else capstone.CS_OPT_SYNTAX_ATT
    engine.detail = True
    return engine


def _intel(found: Any, names: Names) -> Instruction:
    """Intel's syntax as capstone has it, with the name of what an operand points to."""
    target = _branch_target(found)
    values = [int(match[0], 16) for match in INTEL_NUMBER.finditer(found.op_str)] if target is None else [target]
    if "[rip" in found.op_str and target is None:
        values = [found.address + found.size + found.disp]
    named = next((name for value in values if (name := names.symbol_or_empty(value))), "")
    text = f"{found.mnemonic:<6} {found.op_str}".rstrip()
    return Instruction(found.address, found.size, f"{text}\t<{named}>" if named else text, target)


def _branch_target(found: Any) -> int | None:
    """Where a direct branch goes."""
    import capstone

    groups = (capstone.CS_GRP_JUMP, capstone.CS_GRP_CALL, capstone.CS_GRP_BRANCH_RELATIVE)
    if any(found.group(group) for group in groups) and NUMBER.fullmatch(found.op_str):
        return int(found.op_str, 0)
    return None


class Layout:
    """One decoded instruction in mdb's layout."""

    def __init__(self, found: Any, bits: int, names: Names) -> None:
        self._found = found
        self._mask = (1 << bits) - 1
        self._names = names
        self._notes: list[str] = []
        words = found.mnemonic.split()
        self._plain = words[-1]
        self._mnemonic = " ".join(MNEMONICS.get(word, word) for word in words)

    def instruction(self) -> Instruction:
        found = self._found
        target = _branch_target(found)
        if target is not None:
            operands = [self._displacement(target)]
        else:
            operands = [self._operand(text) for text in OPERAND.split(found.op_str) if text]
        if self._plain.startswith(SHIFTS) and len(operands) == 2 and found.opcode[0] in (0xD0, 0xD1):
            operands = operands[1:]
        text = f"{self._mnemonic:<6} {','.join(operands)}".rstrip()
        return Instruction(found.address, found.size, "\t".join([text, *self._notes]), target)

    def _displacement(self, target: int) -> str:
        """A branch: how far from the next instruction; the target's name is a note."""
        self._note(self._names.symbol(target))
        return _signed_hex(target - (self._found.address + self._found.size), plus=True)

    def _operand(self, text: str) -> str:
        if text.startswith("$"):
            return self._immediate(int(text[1:], 0))
        if text.startswith(("%", "*%")) and ":" not in text:
            return text
        match = MEMORY.fullmatch(text)
        return self._memory(match) if match else text

    def _immediate(self, value: int) -> str:
        """A number: a small negative one with its sign and its bits as a note, one that is an address with its name."""
        bits = SUFFIX_BITS.get(self._plain[-1], 64)
        unsigned = value & ((1 << bits) - 1)
        negative = unsigned - (1 << bits)
        if -255 <= negative <= -1 and not self._plain.startswith(UNSIGNED):
            self._note(f"0x{unsigned:x}")
            return f"$-0x{-negative:x}"
        if name := self._names.symbol_or_empty(unsigned):
            self._note(name)
        return f"$0x{unsigned:x}"

    def _memory(self, match: re.Match[str]) -> str:
        before, inside = match["before"], (match["inside"] or "").replace(" ", "")
        if inside in ("(%rip)", "(%eip)"):
            displacement = int(match["displacement"] or "0", 0)
            self._note(self._names.symbol((self._found.address + self._found.size + displacement) & self._mask))
            return f"{before}{_signed_hex(displacement, plus=True)}{inside}"
        if match["displacement"] is None:
            shown = "0x0" if self._found.disp_size else ""
        else:
            value = int(match["displacement"], 0)
            shown = _signed_hex(value) if inside else f"0x{value & self._mask:x}"
            name = self._names.symbol_or_empty(value & self._mask) if abs(value) > 0xFFFF else ""
            if name:
                self._note(name)
        return f"{before}{shown}{inside}"

    def _note(self, text: str) -> None:
        self._notes.append(f"<{text}>")


def _signed_hex(value: int, plus: bool = False) -> str:
    return f"-0x{-value:x}" if value < 0 else f"{'+' if plus else ''}0x{value:x}"
