"""A guest whose kernel nothing here recognises: registers, memory and page tables work, names do not."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from formats.image import Fact
from vmdebug.errors import DebuggerError
from vmdebug.guests.base import Status
from vmdebug.guests.filetypes import kind_of, types_of
from vmdebug.symbols.file import MovedPart, SymbolFile
from vmdebug.symbols.table import SymbolTable
from vmdebug.targets.target import Target
from vmdebug.types.source import EmptyTypes, TypeSource
from vmdebug.unwind.frames import Frame, each_frame

IMAGE_START, IMAGE_END = 0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_C000_0000  # where Linux puts its image


class NoCpuStructures(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x}: the guest's cpu structures are not known")


class Unknown:
    """A guest that nothing is known of but what the hypervisor saved."""

    kind = "unknown"
    modules: Sequence[str] = ()

    def __init__(self, target: Target, reasons: Sequence[str], names: SymbolFile | None = None) -> None:
        self.target = target
        self.reasons = "; ".join(reasons) or "no kind of guest is known"
        self.why = f"the guest is not recognised ({self.reasons})"
        self.names = names
        self.symbols = SymbolTable(why=self.why)
        self.types: TypeSource = EmptyTypes(self.why)
        if names:
            if names.has_symbols:
                self.symbols = SymbolTable(main=MovedPart(names.part, self.shift))
            names.taken = True
            self.types = types_of(names, pointer=target.word, shift=self.shift, variables={})

    @cached_property
    def shift(self) -> int:
        """How far the kernel of the user's file was moved: the image's first page against the file's first symbol."""
        first = self.names.part.find("_text") if self.names and self.names.has_symbols else None
        if first is None or not IMAGE_START <= first.value < IMAGE_END:
            return 0
        try:
            span = next(self.target.kernel.each_span(IMAGE_START, IMAGE_END), None)
        except DebuggerError:
            return 0
        return span.start - first.value if span else 0

    @property
    def evidence(self) -> Sequence[Fact]:
        facts = [Fact("guest", "unknown", self.why)]
        if self.names:
            if self.names.has_symbols:
                facts.append(Fact("symbols", str(self.names.path), f"the user's file, moved by {self.shift:+#x}"))
            if kind := kind_of(self.names):
                facts.append(Fact("types", kind, "the user's file"))
        return facts

    @property
    def registers(self) -> Mapping[str, int]:
        return self.target.registers

    def status(self) -> Status:
        return Status(extra=[("operating system", f"not recognised ({self.reasons})")])

    def cpu_id(self, cpu: int) -> int:
        raise NoCpuStructures(cpu)

    def frames(self, registers: Mapping[str, int], arguments: bool = True) -> Iterator[Frame]:
        """The chain of frame pointers, as far as the kernel was built to keep one."""
        start = registers.get("rbp", 0), registers.get("rip", 0)
        return each_frame(self.target.read, *start, word=self.target.word)

    def cautions(self) -> Sequence[str]:
        return []

    def banner(self) -> Sequence[str]:
        return []
