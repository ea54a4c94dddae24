"""Instructions of x86 as text, in mdb's AT&T layout. capstone is loaded at the first instruction."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

MODES: Mapping[str, str] = {
    "amd64": "AMD64 and IA32e 64-bit disassembler",
    "ia32": "Intel 32-bit disassembler",
    "ia16": "Intel 16-bit disassembler",
    "default": "default no-op disassembler",
}
LONGEST = 15  # bytes of an x86 instruction
UNKNOWN = "***ERROR--unknown op code***"


@dataclass(frozen=True)
class Instruction:
    """One instruction. A tab in the text stands for the next stop of 8 columns."""

    address: int
    size: int
    text: str


def decode(mode: str, data: bytes, address: int) -> Instruction:
    """The instruction that the bytes begin with."""
    for found in _engine(mode).disasm(data, address, 1):
        return Instruction(address, found.size, f"{found.mnemonic:<6} {found.op_str}".rstrip())
    return Instruction(address, 1, UNKNOWN)


@cache
def _engine(mode: str) -> Any:
    import capstone

    bits = {"amd64": capstone.CS_MODE_64, "ia32": capstone.CS_MODE_32, "ia16": capstone.CS_MODE_16}
    engine = capstone.Cs(capstone.CS_ARCH_X86, bits[mode])
    engine.syntax = capstone.CS_OPT_SYNTAX_ATT
    return engine
