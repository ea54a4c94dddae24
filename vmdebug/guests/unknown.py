"""A guest whose kernel nothing here recognises: registers, memory and page tables work, names do not."""

from collections.abc import Iterator, Mapping, Sequence

from formats.image import Fact
from vmdebug.errors import DebuggerError
from vmdebug.guests.base import Status
from vmdebug.symbols.table import SymbolTable
from vmdebug.targets.target import Target
from vmdebug.types.source import EmptyTypes, TypeSource
from vmdebug.unwind.frames import Frame, each_frame


class NoCpuStructures(DebuggerError):
    def __init__(self, address: int) -> None:
        super().__init__(f"{address:x}: the guest's cpu structures are not known")


class Unknown:
    """A guest that nothing is known of but what the hypervisor saved."""

    kind = "unknown"
    modules: Sequence[str] = ()

    def __init__(self, target: Target, reasons: Sequence[str]) -> None:
        self.target = target
        self.reasons = "; ".join(reasons) or "no kind of guest is known"
        self.why = f"the guest is not recognised ({self.reasons})"
        self.symbols = SymbolTable(why=self.why)
        self.types: TypeSource = EmptyTypes(self.why)

    @property
    def evidence(self) -> Sequence[Fact]:
        return [Fact("guest", "unknown", self.why)]

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
