"""Names of C++ and Rust: $G $g ::dem."""

from collections.abc import Iterator
from typing import cast

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Text, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.lang.demangle import ALL, DESCRIPTIONS, readable
from vmdebug.lang.flags import each_word
from vmdebug.lang.settings import Settings
from vmdebug.session import Session

BUILT_IN = True


class Disabled(DebuggerError):
    def __init__(self) -> None:
        super().__init__("C++ demangling facility is currently disabled")


@dataclass(frozen=True)
class Switched:
    """Whether names are demangled.

    enabled: true or false
    text: the line that says so
    """

    enabled: bool
    text: str


def _settings(call: Call) -> Settings:
    return cast(Session, call.session).settings


@dcmd("$G", row=Switched, text=Text("{text}"))
def switch(call: Call) -> Iterator[Switched]:
    """enable/disable C++ demangling support

    Switches whether the names of symbols that C++ or Rust mangled are shown as they were written; $g says which parts
    of them. What is typed, and what ::nm lists, stays as it is in the symbol table.

    Example:
        $G; $G
    """
    if call.args:
        raise call.usage()
    settings = _settings(call)
    settings.demangling = not settings.demangling
    yield Switched(settings.demangling, f"C++ symbol demangling {'enabled' if settings.demangling else 'disabled'}")


@dataclass(frozen=True)
class Part:
    """A part of a demangled name.

    flag: its bit
    state: on or off
    description: what it is
    """

    flag: int
    state: str
    description: str


@dcmd("$g", address="optional", row=Part, text=Text("0x{flag:x}\t{state}\t{description}"))
def parts(call: Call) -> Iterator[Part]:
    """get/set C++ demangling options

    With an address sets which parts of a demangled name are shown: the sum of the numbers that it lists. $G switches
    demangling on.

    Example:
        $G; 6$g; 2$g; $G
    """
    if call.args:
        raise call.usage()
    settings = _settings(call)
    if not settings.demangling:
        raise Disabled
    if call.address is not None:
        settings.demangle_flags = call.address & ALL
    for flag, description in DESCRIPTIONS.items():
        yield Part(flag, "on" if settings.demangle_flags & flag else "off", description)


@dataclass(frozen=True)
class Demangled:
    """A name.

    name: as the linker has it
    shown: as it was written
    """

    name: str
    shown: str


@dcmd("dem", synopsis="name ...", row=Demangled, text=Text("{name} == {shown}"))
def demangle_names(call: Call) -> Iterator[Demangled]:
    """demangle C++ symbol names

    Shows for each name of C++ or Rust what it stands for, in the parts that $g chose.

    Example:
        ::dem _ZN3foo3barEv
    """
    words = list(each_word(call.args))
    if not words:
        raise call.usage()
    for word in words:
        yield Demangled(word, readable(word, _settings(call).demangle_flags))
