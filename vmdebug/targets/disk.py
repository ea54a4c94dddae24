"""A virtual machine's disk as an address space: an address is an offset into what the guest sees."""

from collections.abc import Iterator

from formats.errors import PageAbsent
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Pfn
from formats.image import About, Image, PageState, Run
from formats.qcow2_clusters import Kind
from formats.qcow2_disk import Disk
from formats.source import Buffer
from vmdebug.targets.spaces import FlatSpace
from vmdebug.targets.target import Target


class DiskImage(Image):
    """A disk as pages of 4 KiB; the last one is filled up with zeros."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk, About("disk", "the disk of a virtual machine", 64))
        self.disk = disk

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        at = pfn << PAGE_SHIFT
        if not 0 <= at < self.disk.size:
            raise PageAbsent(pfn)
        if at + PAGE_SIZE <= self.disk.size:
            return self.disk.page(at)
        return self.disk.read(at, self.disk.size - at).ljust(PAGE_SIZE, b"\0"), 0

    def runs(self) -> Iterator[Run]:
        """Runs of clusters of one kind, in whole pages; what no file of the chain has is known to be zero."""
        done = 0
        for extent in self.disk.each_extent():
            end = -(-(extent.start + extent.size) // PAGE_SIZE)
            if end > done:
                zero = extent.kind in (Kind.ZERO, Kind.UNALLOCATED)
                yield Run(Pfn(done), end - done, PageState.ZERO if zero else PageState.PRESENT)
                done = end


class DiskTarget(Target):
    """A disk to be looked at with the commands for memory. It has no processors and no kernel."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(DiskImage(disk))
        self.disk = disk
        self.kernel = FlatSpace(self.image)  # an address is an offset
