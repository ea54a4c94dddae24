"""Code that the kernel made while it ran: BPF programs, and the trampolines of ftrace.

The kernel lists both for /proc/kallsyms, which shows them as of modules `bpf` and `__builtin__ftrace`. A trampoline is
a copy of ftrace_caller or ftrace_regs_caller, whose unwind data holds for it.
Specified in: kernel/bpf/core.c, kernel/trace/ftrace.c and orc_ftrace_find() of Linux.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ImageError
from vmdebug.symbols.table import Part, Symbol
from vmdebug.types.typed import Typed

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

T = TypeVar("T")
BPF, FTRACE, TRAMPOLINE = "bpf", "__builtin__ftrace", "ftrace_trampoline"
MAX_LISTED = 1 << 16
MAX_SIZE = 1 << 24  # bytes of one program's code: many times what the kernel allows
SAVE_REGS = 1 << 2  # FTRACE_OPS_FL_SAVE_REGS


@dataclass(frozen=True)
class Trampoline:
    """A trampoline: where it lies, and what it is a copy of."""

    start: int
    size: int
    original: int


class Generated:
    """The lists of code made at run time, each read at the first look-up."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux
        self.problem = ""

    @cached_property
    def parts(self) -> Sequence[Part]:
        """The symbols, a part for each list that has any; `problem` says where a broken list ended."""
        traced = [Symbol(TRAMPOLINE, each.start, each.size, "FUNC", "LOCL", FTRACE) for each in self.trampolines]
        found = (Part(BPF, self._gather(self._each_program())), Part(FTRACE, traced))
        return [part for part in found if part.all]

    @cached_property
    def trampolines(self) -> Sequence[Trampoline]:
        """The trampolines, as far as their list leads."""
        return self._gather(self._each_trampoline())

    def find(self, address: int) -> Symbol | None:
        """The symbol that an address lies in."""
        found = (part.below(address) for part in self.parts)
        return next((symbol for symbol in found if symbol and symbol.covers(address)), None)

    def copied_from(self, address: int) -> int | None:
        """The address in the kernel's image that an address of a trampoline is a copy of."""
        found = next((each for each in self.trampolines if 0 <= address - each.start < each.size), None)
        return found.original + address - found.start if found else None

    def _each_program(self) -> Iterator[Symbol]:
        for ksym in self._each("bpf_kallsyms", "struct bpf_ksym", "lnode"):
            start, size = int(ksym["start"]), int(ksym["end"]) - int(ksym["start"])
            if 0 < size <= MAX_SIZE:
                yield Symbol(str(ksym["name"].string()), start, size, "FUNC", "LOCL", BPF)

    def _each_trampoline(self) -> Iterator[Trampoline]:
        for ops in self._each("ftrace_ops_trampoline_list", "struct ftrace_ops", "list"):
            name = "ftrace_regs_caller" if int(ops["flags"]) & SAVE_REGS else "ftrace_caller"
            size = int(ops["trampoline_size"])
            if 0 < size <= MAX_SIZE:
                yield Trampoline(int(ops["trampoline"]), size, self._linux.address(name))

    def _each(self, head: str, kind: str, member: str) -> Iterator[Typed]:
        """What hangs on a list; nothing where the kernel has no such list."""
        linux = self._linux
        if linux.names.find(head) and member in linux.objects.at(kind, 0):
            yield from (linux.objects.at(kind, at) for at in linux.each_listed(head, kind, member, MAX_LISTED))

    def _gather(self, found: Iterator[T]) -> Sequence[T]:
        """What is found until the list breaks off, which `problem` then tells."""
        kept: list[T] = []
        try:
            kept.extend(found)
        except (DebuggerError, ImageError) as err:
            self.problem = str(err)
        return kept
