"""The memory of an image as a conversion reads it: stretches of pages in large pieces, what is zero apart.

Pages that cannot be read become zeros and are counted: a conversion rescues what there is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Protocol

from formats.errors import ImageError
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Paddr, Pfn
from formats.image import Image, PageState, Run
from formats.lazy import dataclass

CHUNK = 1 << 20
ZERO_PAGE = bytes(PAGE_SIZE)
STORED = (PageState.PRESENT, PageState.ZERO)


@dataclass(frozen=True)
class Stretch:
    """Neighbouring pages that go into the output, as runs of those with bytes and those known to be zero."""

    runs: tuple[Run, ...]

    @property
    def pfn(self) -> int:
        return self.runs[0].pfn

    @property
    def count(self) -> int:
        return sum(run.count for run in self.runs)

    @property
    def paddr(self) -> int:
        return self.pfn << PAGE_SHIFT

    @property
    def size(self) -> int:
        return self.count << PAGE_SHIFT


class Patch(Protocol):
    """Changes pages on their way out."""

    def patched(self, pfn: int, chunk: bytes) -> bytes:
        """The pages from `pfn` on as they are to be written."""
        ...


@dataclass
class Memory:
    """What an image holds, in the order of its addresses."""

    image: Image
    patch: Patch | None = None
    stretches: list[Stretch] = field(default_factory=list)
    excluded: list[Run] = field(default_factory=list)
    unreadable: int = 0

    def __post_init__(self) -> None:
        runs = list(self.image.runs())
        self.stretches = list(_each_stretch(run for run in runs if run.state in STORED))
        self.excluded = [run for run in runs if run.state is PageState.EXCLUDED]

    @property
    def size(self) -> int:
        return sum(stretch.size for stretch in self.stretches)

    @property
    def left_out(self) -> int:
        """Pages that the image knows to have existed, without their bytes."""
        return sum(run.count for run in self.excluded)

    @property
    def end(self) -> int:
        """The address behind the last stored page."""
        return max((stretch.paddr + stretch.size for stretch in self.stretches), default=0)

    def each_chunk(self, stretch: Stretch) -> Iterator[tuple[int, int, bytes | None]]:
        """(pfn, pages, bytes) in order, None for pages known to be zero; a chunk with bytes holds at most CHUNK."""
        for run in stretch.runs:
            if run.state is PageState.ZERO:
                yield run.pfn, run.count, None
                continue
            step = CHUNK >> PAGE_SHIFT
            for pfn in range(run.pfn, run.pfn + run.count, step):
                count = min(step, run.pfn + run.count - pfn)
                chunk = self._read(pfn, count)
                yield pfn, count, self.patch.patched(pfn, chunk) if self.patch else chunk

    def _read(self, pfn: int, count: int) -> bytes:
        try:
            return self.image.read(Paddr(pfn << PAGE_SHIFT), count << PAGE_SHIFT)
        except ImageError:
            return b"".join(self._page(number) for number in range(pfn, pfn + count))

    def _page(self, pfn: int) -> bytes:
        try:
            buffer, start = self.image.locate(Pfn(pfn))
        except ImageError:
            self.unreadable += 1
            return ZERO_PAGE
        return buffer[start : start + PAGE_SIZE]


def _each_stretch(runs: Iterable[Run]) -> Iterator[Stretch]:
    held: list[Run] = []
    for run in runs:
        if held and run.pfn != held[-1].pfn + held[-1].count:
            yield Stretch(tuple(held))
            held = []
        held.append(run)
    if held:
        yield Stretch(tuple(held))


def find_text(memory: Memory, needle: bytes, size: int) -> Iterator[bytes]:
    """The first `size` bytes of each stored page that begins with the needle."""
    for stretch in memory.stretches:
        for _, _, chunk in memory.each_chunk(stretch):
            at = chunk.find(needle) if chunk else -1
            while chunk and at >= 0:
                if at % PAGE_SIZE == 0:
                    yield chunk[at : at + size]
                at = chunk.find(needle, at + 1)
