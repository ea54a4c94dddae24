"""Arguments that a prologue saved on the stack.

Compilers for amd64 kernels can be told to store the registers that arguments come in right below the frame pointer:
by `mov %rdi,-8(%rbp)` and so on, or by pushing them behind `mov %rsp,%rbp`. Which word holds which register is
read from the code itself; registers that are not all at their places count as not saved.
Calling convention: System V ABI, AMD64 supplement, 3.2.3.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from vmdebug.errors import ReadFailed
from vmdebug.unwind.frames import Read

REGISTERS = 6  # arguments that come in registers: rdi rsi rdx rcx r8 r9
PROLOGUE = 0x100  # saves stand in a function's first bytes
WORD = 8
MAX_ARGUMENTS = 64

MOVES = (b"\x48\x89\x7d", b"\x48\x89\x75", b"\x48\x89\x55", b"\x48\x89\x4d", b"\x4c\x89\x45", b"\x4c\x89\x4d")
PUSHES = (b"\x57", b"\x56", b"\x52", b"\x51", b"\x41\x50", b"\x41\x51")
PUSH_RBP = (b"\x55", b"\xcc")  # int3: a tracing probe stands in for the push
SET_RBP = (b"\x48\x89\xe5", b"\x48\x8b\xec")
SUB_RSP8, SUB_RSP32 = b"\x48\x83\xec", b"\x48\x81\xec"


def saved_arguments(read: Read, fp: int, code: bytes, count: int, hidden: int = 0) -> Sequence[int]:
    """The first `count` arguments of the function whose frame is at `fp`; none if its prologue did not save them.

    `code` is the function from its start up to where it stopped. `hidden` is 1 where the first register holds the place
    for a returned structure.
    """
    count = min(count, MAX_ARGUMENTS)
    wanted = range(hidden, min(count + hidden, REGISTERS))
    places = _places(code, wanted)
    if not count or places is None:
        return ()
    above = count - len(wanted)
    try:
        low = read(fp - WORD * max(places), WORD * max(places))
        high = read(fp + 2 * WORD, WORD * above) if above else b""
    except ReadFailed:
        return ()
    words = [int.from_bytes(low[-place * WORD :][:WORD], "little") for place in places]
    return [*words, *struct.unpack(f"<{above}Q", high)]


def _places(code: bytes, wanted: range) -> Sequence[int] | None:
    """For each wanted register, how many words below the frame pointer it was saved; None if not all of them were."""
    code = code[:PROLOGUE]
    if not all(MOVES[number] in code or PUSHES[number] in code for number in wanted):
        return None
    saved = _saves(code)
    places = [saved.get(number, 0) for number in wanted]
    shifts = {place - number for place, number in zip(places, wanted, strict=True)}
    return places if all(places) and len(shifts) <= 1 and shifts <= {1, 1 - wanted.start} else None


def _saves(code: bytes) -> Mapping[int, int]:
    """Each argument register that was saved first, and how many words below the frame pointer."""
    saves: dict[int, int] = {}
    pushed_rbp, depth = False, None  # depth: bytes between the frame pointer and the stack pointer
    for at, size in _each_instruction(code):
        word = code[at : at + size]
        if depth is None:
            pushed_rbp = pushed_rbp or word in PUSH_RBP
            depth = 0 if pushed_rbp and word in SET_RBP else None
        elif word[:3] in MOVES and size == 4 and word[3] & 0x87 == 0x80:
            saves.setdefault(MOVES.index(word[:3]), (0x100 - word[3]) // WORD)
        elif _is_push(word):
            depth += WORD
            if word in PUSHES:
                saves.setdefault(PUSHES.index(word), depth // WORD)
        elif word[:3] in (SUB_RSP8, SUB_RSP32):
            depth += int.from_bytes(word[3:], "little", signed=True)
    return saves


def _is_push(word: bytes) -> bool:
    """True for a push of any general register."""
    return word[-1] & 0xF8 == 0x50 and (len(word) == 1 or (len(word) == 2 and word[0] & 0xF0 == 0x40))


def _each_instruction(code: bytes) -> Iterator[tuple[int, int]]:
    """Where each instruction begins and how long it is, up to the first that is none."""
    return ((at, size) for at, size, _, _ in _disassembler().disasm_lite(code, 0))


@cache
def _disassembler() -> Any:  # capstone has no types
    from capstone import CS_ARCH_X86, CS_MODE_64, Cs

    return Cs(CS_ARCH_X86, CS_MODE_64)
