"""What the ELF cores of machines share: PT_LOADs by physical address as extents, and what to say of them.

A p_filesz below p_memsz means that the rest is zero, by the rule of ELF; but `makedumpfile -E` leaves out pages of any
content that way, which shows in segments that touch. A segment without any bytes was left out (QEMU,
dump/dump.c, gives it an offset of all ones).
"""

from collections.abc import Iterator, Sequence

from formats.elf import EM_386, EM_X86_64, Header, Segment
from formats.extents import Extent, clipped, disjoint
from formats.image import Fact, PageState

MACHINES = {EM_386: "i386", EM_X86_64: "x86-64"}
SHOWN_RANGES = 8


def read_extents(loads: Sequence[Segment], size: int) -> list[Extent]:
    """The memory of all PT_LOADs in a file of `size` bytes, disjoint and ascending."""
    rest = PageState.EXCLUDED if is_filtered(loads) else PageState.ZERO
    return disjoint(extent for load in loads for extent in _each_extent(load, size, rest))


def is_filtered(loads: Sequence[Segment]) -> bool:
    """True if a segment ends early where the next goes on: a filter cut the memory at pages that it left out."""
    short = {load.paddr + load.memsz for load in loads if load.filesz < load.memsz}
    return any(load.paddr in short for load in loads)


def _each_extent(load: Segment, size: int, rest: PageState) -> Iterator[Extent]:
    if not load.filesz:
        yield from clipped(Extent(load.paddr, load.memsz, None, PageState.EXCLUDED), size)
        return
    stored = min(load.filesz, load.memsz) if load.memsz else load.filesz
    yield from clipped(Extent(load.paddr, stored, load.offset), size)
    if load.memsz > stored:
        yield from clipped(Extent(load.paddr + stored, load.memsz - stored, None, rest), size)


def warn_of_gaps(extents: Sequence[Extent], warnings: list[str]) -> None:
    """Adds warnings about memory that the headers name and the file does not hold."""
    sizes = {state: sum(extent.size for extent in extents if extent.state == state) for state in PageState}
    if sizes[PageState.ABSENT]:
        warnings.append(f"truncated: {sizes[PageState.ABSENT]:#x} bytes of memory lie past the end of the file")
    if sizes[PageState.EXCLUDED]:
        warnings.append(f"{sizes[PageState.EXCLUDED]:#x} bytes of memory were left out when the dump was made")
    if sizes[PageState.ZERO]:
        warnings.append(f"{sizes[PageState.ZERO]:#x} bytes of memory have none in the file: taken as zero")


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
