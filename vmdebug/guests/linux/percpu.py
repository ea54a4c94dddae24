"""Per-CPU variables: the address of a variable is its symbol's value plus the processor's offset, as words add.

Up to 6.14 symbols are small offsets and a processor's offset is an address; from 6.15 on symbols are addresses in the
image and the offset is a difference. The sum is the same, and `this_cpu_off` of a processor must read back its offset.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError, ReadFailed

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

MAX_CPUS = 8192


class PerCpu:
    """The offsets of a kernel's processors."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux

    @cached_property
    def cpus(self) -> Sequence[int]:
        """The numbers of the possible processors."""
        symbols = self._linux.names
        if symbols.find("__per_cpu_offset") is None:
            return [0]
        mask = symbols.find("__cpu_possible_mask") or symbols.find("cpu_possible_bits")
        count = min(self._word("nr_cpu_ids", 4) if symbols.find("nr_cpu_ids") else MAX_CPUS, MAX_CPUS)
        if mask is None:
            return [number for number in range(count) if self._reads_back(number)]
        bits = int.from_bytes(self._linux.space.read(mask.value, -(-count // 8)), "little")
        return [number for number in range(count) if bits >> number & 1]

    def offset(self, cpu: int) -> int:
        """What is added to a per-CPU symbol for a processor; 0 on a kernel for one processor."""
        symbol = self._linux.names.find("__per_cpu_offset")
        if symbol is None:
            return 0
        return self._linux.read_word(symbol.value + self._linux.word * cpu)

    def address(self, name: str, cpu: int) -> int:
        """Where a processor's copy of a variable lies; DebuggerError if the kernel has no such variable."""
        return self.moved(self._linux.address(name), cpu)

    def moved(self, pointer: int, cpu: int) -> int:
        """A pointer to per-CPU memory, for a processor."""
        return (pointer + self.offset(cpu)) % (1 << 8 * self._linux.word)

    def cpu_of(self, base: int) -> int | None:
        """The processor whose kernel gs base this is."""
        return next((cpu for cpu in self.cpus if self.offset(cpu) == base), None)

    def _reads_back(self, cpu: int) -> bool:
        try:
            return self._linux.read_word(self.address("this_cpu_off", cpu)) == self.offset(cpu)
        except (ReadFailed, DebuggerError):
            return False

    def _word(self, name: str, size: int) -> int:
        return int.from_bytes(self._linux.space.read(self._linux.address(name), size), "little")
