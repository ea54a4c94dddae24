"""What a panic recorded: its message and registers in panicbuf, else the trap frame of panic_reg.

Specified in: sys/panic.h, sys/regset.h and intel/sys/privregs.h of illumos.
"""

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.memory import decode, read_string

if TYPE_CHECKING:
    from vmdebug.guests.illumos.kernel import Illumos

VERSION = 2
HEAD = struct.Struct("<II")  # version, offset of the message
PAIR = struct.Struct("<16sQ")
PAIRS_AT = (8, 48)  # right behind the head; kernels from 2010 on put a UUID in between
MAX_PAIRS = 256
MAX_MESSAGE = 1024
NAMES = {"fsbase": "fs_base", "gsbase": "gs_base", "trapno": "entry_vector", "err": "error_code", "rfl": "rflags"}


@dataclass(frozen=True)
class Record:
    """What panicbuf holds: the panic's message, and the registers by the kernel's names of them."""

    message: str
    values: Mapping[str, int]


@dataclass(frozen=True)
class Panic:
    """A panic: the cpu and the thread that it happened on, and its record."""

    cpu: int
    thread: int
    record: Record


class NoPanic(DebuggerError):
    def __init__(self, found: str) -> None:
        super().__init__(f"failed to read 'panicbuf': {found}")


def find_panic(guest: "Illumos") -> Panic:
    """The kernel's panic; NoPanic if it did not panic."""
    record = read_record(guest)
    if record is None:
        raise NoPanic("the kernel recorded no panic in it")
    cpu = guest.objects.at("cpu_t", guest.symbol("panic_cpu").value)["cpu_id"]
    return Panic(cpu, guest.variable("panic_thread"), record)


def find_process(guest: "Illumos") -> int | None:
    """The number of the process whose thread panicked, 0 for a thread of the kernel; None where it cannot be read."""
    try:
        thread = guest.objects.at("kthread_t", guest.variable("panic_thread"))
        return int(thread["t_procp"]["p_pidp"]["pid_id"])
    except DebuggerError:
        return None


def find_registers(guest: "Illumos") -> Mapping[str, int] | None:
    """The registers of the panic; None if the kernel recorded none."""
    record = read_record(guest)
    if record is not None:
        return {NAMES.get(name, name): value for name, value in record.values.items()}
    return _from_trap(guest)


def read_record(guest: "Illumos") -> Record | None:
    """What panicbuf holds; None where it holds no panic, or cannot be read."""
    symbol = guest.symbols.find("panicbuf")
    if symbol is None:
        return None
    try:
        version, message = HEAD.unpack(guest.target.read(symbol.value, HEAD.size))
        if version != VERSION:
            return None
        data = guest.target.read(symbol.value, min(message, PAIRS_AT[-1] + MAX_PAIRS * PAIR.size))
    except ReadFailed:
        return None
    at = next((at for at in PAIRS_AT if (len(data) - at) % PAIR.size == 0 and _names_begin(data, at)), None)
    if at is None:
        return None
    pairs = ((decode(name), value) for name, value in PAIR.iter_unpack(data[at:]))
    text = _message(guest, symbol.value + message)
    return Record(text, {name: value for name, value in pairs if name})


def _message(guest: "Illumos", address: int) -> str:
    """The panic's message, empty where it cannot be read."""
    try:
        return read_string(guest.target.read, address, MAX_MESSAGE).rstrip("\n")
    except ReadFailed:
        return ""


def _names_begin(data: bytes, at: int) -> bool:
    """True if a register's name stands there."""
    return decode(data[at : at + 16]).isidentifier()


def _from_trap(guest: "Illumos") -> Mapping[str, int] | None:
    trap = guest.find_variable("panic_reg")
    try:
        return read_trap(guest, trap) if trap else None
    except DebuggerError:
        return None


def read_trap(guest: "Illumos", trap: int) -> Mapping[str, int]:
    """A struct regs by the names of the registers: its members have them behind `r_` or `__r_`."""
    saved = guest.objects.at("struct regs", trap)
    members = {name: saved[name] for name in saved.type_.resolve().names}
    plain = {name.removeprefix("__").removeprefix("r_"): value for name, value in members.items()}
    return {NAMES.get(name, name): value & (1 << 64) - 1 for name, value in plain.items()}
