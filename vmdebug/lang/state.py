"""What a session knows between two commands: the image, dot, variables, settings. Expressions are computed over it."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SIZE
from vmdebug.dcmd import Registry
from vmdebug.errors import DebuggerError, LanguageError, NoTarget, ReadFailed, UnknownObject, UnknownSymbol
from vmdebug.guests.base import Guest, WithLandmarks, with_processes
from vmdebug.lang.expressions import evaluate
from vmdebug.lang.grammar import parse_expression
from vmdebug.lang.numbers import MASK, read_number
from vmdebug.lang.settings import Settings
from vmdebug.lang.show import SessionShow
from vmdebug.lang.tree import Expression
from vmdebug.lang.variables import CannotBind, ReadOnly, Variables
from vmdebug.symbols.table import SymbolTable
from vmdebug.targets.process import ProcessTarget
from vmdebug.targets.target import Target
from vmdebug.unwind.frames import Frame, each_frame

if TYPE_CHECKING:
    from vmdebug.disasm import Instruction, Names

LONGEST = 15  # bytes of an x86 instruction
NUMBER = re.compile(r"[0-9a-fA-F][0-9a-fA-F_]*|0[iotxIOTX][0-9a-fA-F][0-9a-fA-F_]*|0[tT][0-9][0-9_]*\.[0-9]+")
NOWHERE: Mapping[str, int] = {}


class UnreadableAddress(DebuggerError):
    """A dereference that failed."""

    def __init__(self, address: int, reason: str) -> None:
        super().__init__(f"failed to read from address {address:x}: {reason}")
        self.address = address


class State:
    """A target and a guest, either of which may be missing, and where the user is in it."""

    def __init__(
        self,
        target: Target | None,
        guest: Guest | None,
        registry: Registry,
        settings: Settings,
        terminal: bool,
    ) -> None:
        self._target = target
        self._guest = guest
        self._inside: ProcessTarget | None = None  # the process that commands look into
        self.process = 0  # its address or pid
        self._no_symbols = SymbolTable()
        self.registry = registry
        self.settings = settings
        self.show = SessionShow(settings, terminal, lambda: self.symbols)
        self.variables = Variables(lambda: self.registers, lambda: self.landmarks, lambda: self.dot, self._set_dot)
        self.dot = 0
        self.increment = 0
        self.last_address = 0
        self.terminal = terminal

    @property
    def target(self) -> Target:
        """What commands look at: the image's kernel, or the process that was entered."""
        return self._inside or self._whole

    def enter(self, process: int) -> None:
        """Look into a process from now on, by its pid or the address of its structure; 0 is the kernel again."""
        if not process:
            self._inside, self.process = None, 0
            return
        guest = with_processes(self.guest)
        space, registers = guest.space_of_process(process), guest.user_registers(process)
        self._inside, self.process = ProcessTarget(self._whole, space, registers), process

    @property
    def _whole(self) -> Target:
        if self._target is None:
            raise NoTarget
        return self._target

    @property
    def guest(self) -> Guest:
        if self._guest is None:
            raise NoTarget
        return self._guest

    @property
    def guest_kind(self) -> str | None:
        """The kind of guest whose dcmds are there; none with `-o nomods`."""
        return self._guest.kind if self._guest and not self.settings.nomods else None

    @property
    def symbols(self) -> SymbolTable:
        """The guest's names, or a table for the user's own where there is no guest."""
        return self._guest.symbols if self._guest else self._no_symbols

    @property
    def radix(self) -> int:
        return self.settings.radix

    @radix.setter
    def radix(self, radix: int) -> None:
        self.settings.radix = radix

    @property
    def word(self) -> int:
        """The size of a pointer in bytes."""
        return self._target.word if self._target else 8

    @property
    def plain_labels(self) -> bool:
        return self.variables.find("_") == 1

    def leave_dot(self, dot: int, increment: int = 0) -> None:
        self.dot, self.increment = dot & MASK, increment & MASK

    def bind(self, name: str, value: int) -> None:
        try:
            self.variables.write(name, value)
        except ReadOnly as err:
            raise CannotBind(name) from err

    def remember(self, value: int) -> None:
        self.variables.define("0", value)

    def variable(self, name: str) -> int:
        return self.variables.read(name)

    def symbol(self, name: str) -> int:
        """The value of `name` or `object`name`."""
        module, quote, bare = name.rpartition("`")
        if quote and self.symbols.module(module) is None:
            raise UnknownObject(name)
        found = self.symbols.find(bare, module if quote else None)
        if found is None:
            raise UnknownSymbol(name, self.symbols.why)
        return found.value

    def symbol_at(self, address: int) -> str:
        """The symbol that begins exactly at an address, or nothing."""
        found = self.symbols.nearest(address, self.settings.distance)
        return self.show.symbol_or_empty(address) if found and found[0].value == address else ""

    def fetch(self, address: int, size: int) -> int:
        if self._target is None:
            raise UnreadableAddress(address, "no image is open")
        try:
            return int.from_bytes(self.target.read(address, size), "little")
        except ReadFailed as err:
            raise UnreadableAddress(address, err.reason.partition(" (")[0]) from err

    def compute(self, expression: Expression) -> int:
        return evaluate(expression, self)

    def evaluate(self, text: str) -> int:
        """The value of a text that is one expression."""
        if text[:1].isdigit() and NUMBER.fullmatch(text):
            return read_number(text, self.radix)
        return evaluate(parse_expression(text), self)

    def read_number(self, text: str) -> int:
        """A word that is a number, as options take them: no names, no operators."""
        if not NUMBER.fullmatch(text):
            raise LanguageError(f'not a number: "{text}"')
        return read_number(text, self.radix)

    def instruction(self, address: int, read: Callable[[int, int], bytes]) -> "Instruction":
        """The instruction at an address, by the current disassembler."""
        from vmdebug.disasm import decode

        data = self._code(address, read)
        return decode(self.disassembler, data, address, self.names, self.settings.intel)

    @property
    def names(self) -> "Names":
        """How operands of instructions name addresses."""
        from vmdebug.disasm import Names

        return Names(self.show.symbol, self.show.symbol_or_empty)

    @property
    def disassembler(self) -> str:
        """The disassembler's name: the user's choice, or the one for the size of a pointer."""
        return self.settings.disassembler or ("amd64" if self.word == 8 else "ia32")

    def _code(self, address: int, read: Callable[[int, int], bytes]) -> bytes:
        """The bytes of an instruction; fewer where memory ends behind it."""
        try:
            return read(address, LONGEST)
        except DebuggerError:
            left = -address % PAGE_SIZE
            if not 0 < left < LONGEST:
                raise
            return read(address, left)

    @property
    def registers(self) -> Mapping[str, int]:
        """The representative registers: of the process that was entered, else as the guest knows them."""
        if self._inside is not None:
            return self._inside.registers
        if self._guest is not None:
            return self._guest.registers
        return self._target.registers if self._target else NOWHERE

    @cached_property
    def landmarks(self) -> Mapping[str, int]:
        """What the kernel says of the variables b d e m t thread."""
        return self._guest.landmarks() if isinstance(self._guest, WithLandmarks) else NOWHERE

    def unwind(self, registers: Mapping[str, int], arguments: bool = True) -> Iterator[Frame]:
        """The calls from some registers on: by frame pointers in a process that was entered, else as the guest can."""
        if self._inside is None:
            return self.guest.frames(registers, arguments)
        return each_frame(self._inside.read, registers.get("rbp", 0), registers.get("rip", 0), word=self.word)

    def _set_dot(self, value: int) -> None:
        self.dot, self.increment = value, 0
