"""The bytes of a file as an address space: an address is an offset."""

from collections.abc import Iterator
from pathlib import Path

from formats.errors import PageAbsent
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Pfn
from formats.image import About, Image, PageState, Run
from formats.source import Buffer, FileSource
from vmdebug.targets.spaces import FlatSpace
from vmdebug.targets.target import Target


class ByteImage(Image):
    """A source as pages of 4 KiB; the last one is filled up with zeros."""

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        at = pfn << PAGE_SHIFT
        if not 0 <= at < self.source.size:
            raise PageAbsent(pfn)
        if at + PAGE_SIZE <= self.source.size:
            return self.source.page(at)
        return self.source.read(at, self.source.size - at).ljust(PAGE_SIZE, b"\0"), 0

    def runs(self) -> Iterator[Run]:
        """All of it."""
        yield Run(Pfn(0), -(-self.source.size // PAGE_SIZE), PageState.PRESENT)


class RawTarget(Target):
    """Any file, to be looked at with the commands for memory. It has no processors and no kernel."""

    def __init__(self, path: Path) -> None:
        super().__init__(ByteImage(FileSource(path), About("file", "the bytes of a file", 64)))
        self.kernel = FlatSpace(self.image)
