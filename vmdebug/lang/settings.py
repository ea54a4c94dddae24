"""What a user can set: -o and `::set -o` words, and the values that $d, $s, $w, $P and $V change."""

import re

from vmdebug.errors import DebuggerError

FLAGS = (
    *("adb", "pager", "autowrap", "ignoreeof", "repeatlast", "latest", "noctf", "nomods", "showlmid", "lmraw"),
    *("stop_on_bpt_nosym", "write_readback", "allow_io_access", "nostop", "intel"),
)
CHOICES = {"follow_exec_mode": ("ask", "stop", "follow"), "follow_fork_mode": ("ask", "parent", "child")}
LIMITS = ("array_mem_limit", "array_str_limit")
VALUED = (*CHOICES, *LIMITS, "term")
MAX_PROMPT = 35
TARGET_KIND = "kvm"  # mdb's name of targets that are kernels in images


class OptionError(DebuggerError):
    """A word that -o does not know."""


class Settings:
    """One session's settings: what is written here are mdb's defaults, until one is set."""

    adb: bool = False
    pager: bool = True
    autowrap: bool = False
    ignoreeof: bool = False
    repeatlast: bool = False
    latest: bool = False
    noctf: bool = False
    nomods: bool = False
    showlmid: bool = False
    lmraw: bool = False
    stop_on_bpt_nosym: bool = True
    write_readback: bool = True
    allow_io_access: bool = False
    nostop: bool = False
    intel: bool = False  # ours: instructions in Intel's syntax
    follow_exec_mode: str = "ask"
    follow_fork_mode: str = "ask"
    term: str = ""
    array_mem_limit: int | None = 32
    array_str_limit: int | None = 1024
    radix: int = 16
    distance: int = 0  # symbol matching distance, 0 is smart mode
    prompt: str = "> "
    width: int = 80
    height: int = 24
    macro_path: str = "."  # folders, separated by colons; %r, %i and %t in them are known to folders()
    root: str = ""  # what %r stands for
    module_path: str = ""
    demangling: bool = False  # names of C++ and Rust are shown as they were written
    demangle_flags: int = 2  # which parts of them, as $g numbers them
    disassembler: str = ""  # empty: the one that fits the target

    def set_words(self, words: str, on: bool = True) -> None:
        """Set or unset comma-separated option words; OptionError at the first that is wrong."""
        for word in words.split(","):
            name, equals, value = word.partition("=")
            self._set(name, value if equals else None, on)

    def folders(self, isa: str) -> list[str]:
        """The folders of the macro path: %r is the root, %i the instruction set, %t the kind of target, %% is %."""
        known = {"%r": self.root, "%i": isa, "%t": TARGET_KIND, "%%": "%"}
        return re.sub("%[rit%]", lambda found: known[found[0]], self.macro_path).split(":")

    def enabled(self) -> str:
        """The options that are on, as -o would take them."""
        return ",".join(name for name in FLAGS if getattr(self, name))

    def _set(self, name: str, value: str | None, on: bool) -> None:
        negated = name[2:] if name.startswith("no") else ""
        if name in FLAGS:
            if value is not None:
                raise OptionError(f"option does not accept an argument -- {name}")
            setattr(self, name, on)
        elif name in VALUED:
            if value is None or not value:
                raise OptionError(f"option requires an argument -- {name}")
            setattr(self, name, _value(name, value))
        elif negated in FLAGS and value is None:
            setattr(self, negated, not on)
        else:
            raise OptionError(f"invalid debugger option -- {name}")


def _value(name: str, value: str) -> int | str | None:
    """The value of an option that takes one; numbers are decimal."""
    if name in CHOICES and value not in CHOICES[name]:
        raise OptionError(f"invalid argument for option {name} -- {value}")
    if name not in LIMITS:
        return value
    if value == "none":
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise OptionError(f"invalid argument for option {name} -- {value}")
    return int(value)
