"""Where the stacks of a kernel lie: threads' are aligned to their size, processors have one for interrupts.

The topmost word of an interrupt stack is the stack pointer that it was entered with; on 32 bits it is the lowest, and
the stack is of the size of a thread's.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from formats.frames import PAGE_SIZE
from vmdebug.errors import DebuggerError
from vmdebug.guests.linux.memory import stack_size

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

INTERRUPT_STACK = 16 << 10
POINTER = "hardirq_stack_ptr"


class Regions:
    """The stacks of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux

    def around(self, sp: int) -> range:
        """The stack that a stack pointer is on, be it empty: then the pointer is the address behind it."""
        found = next((region for region in self.interrupt if sp - 1 in region), None)
        start = (sp - 1) & -self._size
        return found or range(start, start + self._size)

    def each_above(self, sp: int) -> Iterator[tuple[int, bytes]]:
        """The memory of a stack from a stack pointer on, and of the thread's that an interrupt's was entered from.

        Parts of a page, each with its address; what cannot be read is left out.
        """
        region, word = self.around(sp), self._linux.word
        sp = -(-sp // word) * word
        yield from self._linux.space.each_readable(sp, region.stop - sp)
        if region not in self.interrupt:
            return
        with suppress(DebuggerError):
            before = self._linux.read_word(region.stop - word if word == 8 else region.start)
            if before >= self._linux.image.half and before not in region and before % word == 0:
                yield from self._linux.space.each_readable(before, self.around(before).stop - before)

    @cached_property
    def interrupt(self) -> Sequence[range]:
        """The interrupt stack of each processor, as far as it is known."""
        found = []
        for cpu in self._linux.per_cpu.cpus:
            with suppress(DebuggerError):
                found.append(self._of_interrupts(self._pointer(cpu)))
        return found

    def _of_interrupts(self, pointer: int) -> range:
        if self._linux.word == 4:
            return range(pointer, pointer + self._size)
        top = -(-pointer // PAGE_SIZE) * PAGE_SIZE  # it points to the topmost word since 5.12
        return range(top - INTERRUPT_STACK, top)

    @cached_property
    def _size(self) -> int:
        return stack_size(self._linux)

    def _pointer(self, cpu: int) -> int:
        """A variable of its own, or a member of pcpu_hot (6.2 to 6.14)."""
        linux = self._linux
        if linux.names.find(POINTER) is None and linux.names.find("pcpu_hot"):
            return int(linux.objects.at("struct pcpu_hot", linux.per_cpu.address("pcpu_hot", cpu))[POINTER])
        return linux.read_word(linux.per_cpu.address(POINTER, cpu))
