"""What the ELF cores of machines share: PT_LOADs by physical address as extents, and what to say of them.

A p_filesz below p_memsz means that the rest is zero (Linux, fs/proc/vmcore.c); an offset of all ones that the memory
was left out (QEMU, dump/dump.c).
"""

from collections.abc import Iterator, Sequence

from formats.elf import EM_386, EM_X86_64, Header, Segment
from formats.extents import Extent, clipped
from formats.image import Fact, PageState

LEFT_OUT = (1 << 64) - 1, (1 << 32) - 1
MACHINES = {EM_386: "i386", EM_X86_64: "x86-64"}
SHOWN_RANGES = 8


def each_extent(load: Segment, size: int) -> Iterator[Extent]:
    """The memory of one PT_LOAD in a file of `size` bytes."""
    if load.offset in LEFT_OUT and not load.filesz:
        yield from clipped(Extent(load.paddr, load.memsz, None, PageState.EXCLUDED), size)
        return
    stored = min(load.filesz, load.memsz) if load.memsz else load.filesz
    yield from clipped(Extent(load.paddr, stored, load.offset), size)
    rest = max(load.memsz - stored, 0)
    yield from clipped(Extent(load.paddr + stored, rest, None, PageState.ZERO), size)


def warn_of_gaps(extents: Sequence[Extent], warnings: list[str]) -> None:
    """Adds a warning if the file was cut off."""
    missing = sum(extent.size for extent in extents if extent.state == PageState.ABSENT)
    if missing:
        warnings.append(f"truncated: {missing:#x} bytes of memory lie past the end of the file")


def about_memory(header: Header, extents: Sequence[Extent]) -> Iterator[Fact]:
    """The file's class and machine, and the physical ranges."""
    machine = MACHINES.get(header.machine, f"machine type {header.machine}")
    yield Fact("file", f"ELF{header.bits}, {machine}", "ELF header")
    yield Fact("memory", describe_ranges(extents), "program headers")


def describe_ranges(extents: Sequence[Extent]) -> str:
    """The first few physical ranges, neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for extent in extents:
        if ranges and ranges[-1][1] == extent.paddr:
            ranges[-1] = ranges[-1][0], extent.end
        else:
            ranges.append((extent.paddr, extent.end))
    shown = ", ".join(f"{start:#x}-{end:#x}" for start, end in ranges[:SHOWN_RANGES])
    more = len(ranges) - SHOWN_RANGES
    return f"{shown} and {more} more" if more > 0 else shown or "none"
