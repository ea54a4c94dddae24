"""Named values: the user's own, the debugger's persistent ones, and the registers of the representative vcpu.

A register answers to the names that mdb gives it (trapno, savpc) and to those of its parts (eax, ax, ah, al).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from vmdebug.errors import DebuggerError, LanguageError
from vmdebug.lang.numbers import MASK

LANDMARKS = ("b", "d", "e", "m", "t")  # of the kernel, until the user sets them
PERSISTENT = ("0", "1", "2", "9", *LANDMARKS, "hits", "_")
FORBIDDEN = frozenset("#%^&*-+=,:$/\\?<>;|!`'\"[](){} \t\n")
MAX_NAME = 30
MODIFIERS: Mapping[str, int] = {"c": 8, "s": 16, "i": 32, "l": 64}
LEGACY = ("ax", "bx", "cx", "dx")
INDEX = ("di", "si", "bp", "sp")
OTHER_NAMES: Mapping[str, str] = {
    "savfp": "rbp",
    "savpc": "rip",
    "trapno": "entry_vector",
    "err": "error_code",
    "gsbase": "gs_base",
    "kgsbase": "kernel_gs_base",
    "fsbase": "fs_base",
    "eflags": "rflags",
    "eip": "rip",
}


class ReadOnly(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"cannot modify read-only variable '{name}'")


class CannotBind(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"variable {name} is read-only")


class PersistentVariable(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"cannot remove persistent variable '{name}'")


class NotDefined(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"variable '{name}' not defined")


class BadName(DebuggerError):
    """A name that no variable may have."""


class Variables:
    """The variables of one session.

    `registers` gives the representative ones, by the image's names; `landmarks` what the kernel says of b d e m t and
    thread.
    """

    def __init__(
        self,
        registers: Callable[[], Mapping[str, int]],
        landmarks: Callable[[], Mapping[str, int]],
        read_dot: Callable[[], int],
        write_dot: Callable[[int], None],
    ) -> None:
        self._values: dict[str, int | None] = dict.fromkeys(PERSISTENT, 0) | dict.fromkeys(LANDMARKS)
        self._registers = registers
        self._landmarks = landmarks
        self._read_dot = read_dot
        self._write_dot = write_dot
        self.tagged: set[str] = set()

    def read(self, name: str) -> int:
        """The value; LanguageError where there is no such variable."""
        value = self.find(name)
        if value is None:
            raise LanguageError(f"variable '{name}' is not defined", f"<{name}")
        return value

    def find(self, name: str) -> int | None:
        if name == ".":
            return self._read_dot()
        if name in self._values or name == "thread":
            value = self._values.get(name)
            return self._landmarks().get(name, 0) if value is None else value
        return self._register(name)

    def write(self, name: str, value: int) -> None:
        """Set a variable of the user's or one that is not read-only; creates it."""
        value &= MASK
        if name == ".":
            self._write_dot(value)
            return
        if name == "thread" or self._register(name) is not None:
            raise ReadOnly(name)
        check_name(name)
        if name == "1":
            self._values["2"] = self._values["1"]
        self._values[name] = value

    def define(self, name: str, value: int) -> None:
        """Set a variable for the debugger itself: a persistent one."""
        self._values[name] = value & MASK

    def remove(self, name: str) -> None:
        if name in PERSISTENT or name in (".", "thread") or self._register(name) is not None:
            raise PersistentVariable(name)
        if name not in self._values:
            raise NotDefined(name)
        del self._values[name]
        self.tagged.discard(name)

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def each(self) -> Iterator[tuple[str, int]]:
        """Every variable and its value: the debugger's and the user's, then the registers."""
        yield ".", self._read_dot()
        for name in (*self._values, "thread"):
            yield name, self.find(name) or 0
        for name in self._register_names():
            yield name, self._register(name) or 0

    def _register(self, name: str) -> int | None:
        registers = self._registers()
        if not registers:
            return None
        name = OTHER_NAMES.get(name, name)
        if name in registers:
            return registers[name]
        whole, shift, bits = parts().get(name, ("", 0, 0))
        return registers[whole] >> shift & ((1 << bits) - 1) if whole in registers else None

    def _register_names(self) -> Iterator[str]:
        registers = self._registers()
        yield from (name for name, real in OTHER_NAMES.items() if real in registers)
        yield from registers
        yield from (name for name, (whole, _, _) in parts().items() if whole in registers)


@cache
def parts() -> Mapping[str, tuple[str, int, int]]:
    """The names of registers' parts: the whole register, the shift and the bits."""
    found: dict[str, tuple[str, int, int]] = {}
    for name in (*LEGACY, *INDEX):
        whole = f"r{name}"
        found[f"e{name}"] = (whole, 0, 32)
        found[name] = (whole, 0, 16)
        if name in LEGACY:
            found[f"{name[0]}h"] = (whole, 8, 8)
            found[f"{name[0]}l"] = (whole, 0, 8)
        else:
            found[f"{name}l"] = (whole, 0, 8)
    for number in range(8, 16):
        for suffix, bits in (("d", 32), ("w", 16), ("l", 8)):
            found[f"r{number}{suffix}"] = (f"r{number}", 0, bits)
    return found


def check_name(name: str) -> None:
    """BadName if a variable may not be called so."""
    if len(name) > MAX_NAME:
        raise BadName(f"variable names may not exceed {MAX_NAME} characters")
    for char in name:
        if char in FORBIDDEN:
            raise BadName(f"'{char}' may not be used in a variable name")
    if not name:
        raise BadName("expected single variable name following '>'")


def truncate(value: int, modifier: str) -> int:
    """A value cut to the size of a `>/i/` modifier."""
    if modifier not in MODIFIERS:
        raise BadName(f"{modifier} is not a valid // modifier")
    return value & ((1 << MODIFIERS[modifier]) - 1)
