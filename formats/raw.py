"""Raw memory: a file without a header, or several of them, each at an address.

A file that nothing else knows is taken for memory only if it is made of whole pages and shows what only memory shows
(raw_evidence); any file at all opens if the user says where it belongs: FILE@ADDRESS.
"""

from collections.abc import Sequence
from itertools import pairwise

from formats.core_elf import describe_ranges
from formats.errors import ImageError, ImageUnknown
from formats.extents import PHYSICAL_END, Extent, ExtentImage
from formats.frames import PAGE_MASK, Paddr
from formats.image import About, Fact, Image
from formats.joined import Joined
from formats.raw_evidence import PLAIN, find_evidence
from formats.raw_layout import find_layout
from formats.source import Source

NAME = "raw"
DESCRIPTION = (
    "raw physical memory (one file, or pieces FILE@ADDRESS; Firecracker, Cloud Hypervisor, pmemsave, /dev/mem)"
)
ORDER = 99
NO_REGISTERS = "the format holds no registers"


class Overlap(ImageError):
    def __init__(self, first: str, second: str, paddr: int) -> None:
        super().__init__(f"{first} and {second} both hold physical address {paddr:#x}")


def probe(source: Source) -> bool:
    """True if the file consists of whole pages and looks like memory."""
    return source.size > 0 and not source.size & PAGE_MASK and find_evidence(source) is not None


def open_image(source: Source) -> Image:
    """The file as memory from address 0 on, without the hole below 4 GiB if the file leaves that out."""
    evidence = find_evidence(source)
    if evidence is None:
        raise ImageUnknown(source.name, source.peek(0, 8))
    layout = find_layout(source)
    warnings = [NO_REGISTERS]
    if not layout.sure:
        warnings.append(f"whether the hole below 4 GiB is in the file is not known: {layout.text} was assumed")
    facts = [Fact("memory", describe_ranges(layout.extents), layout.text), Fact("evidence", evidence.text, "content")]
    bits = 32 if evidence.mode is PLAIN else 64
    return ExtentImage(source, About(NAME, DESCRIPTION, bits, facts=facts, warnings=warnings), layout.extents, (), ())


def open_pieces(pieces: Sequence[tuple[Source, Paddr]]) -> Image:
    """The sources as memory, each from the address given with it; Overlap if two hold the same address."""
    extents = _placed(pieces)
    source = pieces[0][0] if len(pieces) == 1 else Joined([piece for piece, _ in pieces])
    facts = [Fact("memory", describe_ranges(extents), "said by the user")]
    return ExtentImage(source, About(NAME, DESCRIPTION, 64, facts=facts, warnings=[NO_REGISTERS]), extents, (), ())


def _placed(pieces: Sequence[tuple[Source, Paddr]]) -> list[Extent]:
    extents, offset = [], 0
    for piece, paddr in pieces:
        if paddr + piece.size > PHYSICAL_END:
            raise ImageError(f"{piece.name}: {piece.size:#x} bytes at {paddr:#x} end past the physical address space")
        extents.append((Extent(paddr, piece.size, offset), piece.name))
        offset += piece.size
    extents.sort(key=lambda placed: placed[0].paddr)
    for (before, first), (after, second) in pairwise(extents):
        if after.paddr < before.end:
            raise Overlap(first, second, after.paddr)
    return [extent for extent, _ in extents]
