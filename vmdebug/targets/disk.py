"""A virtual machine's disk as an address space: an address is an offset into what the guest sees."""

from collections.abc import Iterator

from formats.frames import PAGE_SIZE, Pfn
from formats.image import About, PageState, Run
from formats.qcow2_clusters import Kind
from formats.qcow2_disk import Disk
from vmdebug.targets.raw import ByteImage
from vmdebug.targets.spaces import FlatSpace
from vmdebug.targets.target import Target


class DiskImage(ByteImage):
    """What the guest sees of its disk."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk, About("disk", "the disk of a virtual machine", 64))
        self.disk = disk

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
