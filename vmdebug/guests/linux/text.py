"""Where the kernel's instructions are, and where calls return to.

Instructions lie in the image, in modules, and in code that the kernel made while it ran.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.unwind.scan import BEFORE, ends_with_indirect_call, near_target

if TYPE_CHECKING:
    from vmdebug.guests.linux.kernel import Linux

SECTIONS = (("_stext", "_etext"), ("_sinittext", "_einittext"))


class Text:
    """The instructions of one kernel."""

    def __init__(self, linux: "Linux") -> None:
        self._linux = linux

    def holds(self, address: int) -> bool:
        """True if an address lies among instructions."""
        number = bisect_right(self._starts, address) - 1
        if number >= 0 and address < self._runs[number][1]:
            return True
        return self._linux.generated.find(address) is not None

    def returns(self, address: int) -> bool:
        """True if a call returns to the address: one that stands right before it."""
        if not self.holds(address):
            return False
        try:
            code = self._linux.space.read(address - BEFORE, BEFORE)
        except ReadFailed:
            return False
        target = near_target(code, address, self._linux.word)
        return (target is not None and self.holds(target)) or ends_with_indirect_call(code)

    def was_freed(self, address: int) -> bool:
        """True if instructions for the start of the kernel lay there: calls to return to them outlast these."""
        start, end = (self._linux.names.find(name) for name in SECTIONS[1])
        return start is not None and end is not None and start.value <= address < end.value

    @cached_property
    def _runs(self) -> Sequence[tuple[int, int]]:
        return sorted(self._each_run())

    @cached_property
    def _starts(self) -> Sequence[int]:
        return [start for start, _ in self._runs]

    def _each_run(self) -> Iterator[tuple[int, int]]:
        names = self._linux.names
        for first, last in SECTIONS:
            start, end = names.find(first), names.find(last)
            if start and end:
                yield start.value, end.value
        for module in self._linux.loaded.all:
            with suppress(DebuggerError):  # a module whose structure cannot be read
                if text := module.text:
                    yield text.start, text.start + text.size
