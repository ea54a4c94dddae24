"""LiME: ranges of a running Linux machine's physical memory, each behind a 32-byte header.

All little-endian: magic "EMiL", version 1, first and last paddr of the range (last included), eight bytes unused, then
the bytes of the range. Ranges ascend and may begin or end inside a page. AVML writes the same, and, compressed, a
variant of its own that is refused.
Specified in: doc/README of the LiME project; the README of AVML for its version 2.
"""

import struct
from collections.abc import Iterator

from formats.core_elf import describe_ranges
from formats.errors import ImageDamaged, ImageNotSupported
from formats.extents import PHYSICAL_END, Extent, ExtentImage, clipped, disjoint
from formats.image import About, Fact, Image, PageState
from formats.source import Source

NAME = "lime"
DESCRIPTION = "LiME memory dump (LiME, AVML without compression)"
HEADS = (b"EMiL", b"AVML")

MAGIC, MAGIC_AVML = b"EMiL", b"AVML"
VERSION = 1
HEADER = struct.Struct("<4sIQQ8x")
MAX_RANGES = 1 << 16  # a machine has a few dozen


def probe(source: Source) -> bool:
    """True if the file opens with a LiME range; ImageNotSupported for AVML's compressed variant."""
    head = source.peek(0, HEADER.size)
    if len(head) < HEADER.size:
        return False
    magic, version, _, _ = HEADER.unpack(head)
    if magic == MAGIC_AVML and version == 2:
        raise ImageNotSupported(
            f"{source.name}: AVML's compressed format: not supported; run: avml-convert {source.name} FILE.lime"
        )
    if magic == MAGIC and version != VERSION:
        raise ImageNotSupported(f"{source.name}: LiME version {version}: not supported, only {VERSION}")
    return bool(magic == MAGIC)


def open_image(source: Source) -> Image:
    """Reads the headers of the ranges."""
    warnings: list[str] = []
    found = list(_each_range(source, warnings))
    extents = disjoint(part for extent in found for part in clipped(extent, source.size))
    missing = sum(extent.size for extent in extents if extent.state == PageState.ABSENT)
    if missing:
        warnings.append(f"truncated: {missing:#x} bytes of the last range lie past the end of the file")
    if sum(extent.size for extent in extents) < sum(extent.size for extent in found):
        warnings.append("damaged: ranges overlap; the one that begins first is used")
    about = About(
        format=NAME,
        description=DESCRIPTION,
        bits=64,
        facts=[
            Fact("ranges", str(len(found)), "range headers"),
            Fact("memory", describe_ranges(extents), "range headers"),
        ],
        warnings=[*warnings, "the format holds no registers"],
    )
    return ExtentImage(source, about, extents, (), ())


def _each_range(source: Source, warnings: list[str]) -> Iterator[Extent]:
    at = 0
    for _ in range(MAX_RANGES):
        head = source.peek(at, HEADER.size)
        if len(head) < HEADER.size:
            if head.strip(b"\0"):
                warnings.append(f"{len(head)} bytes behind the last range were left out")
            return
        magic, version, first, last = HEADER.unpack(head)
        if magic != MAGIC or version != VERSION:
            warnings.append(f"damaged: no range header at {at:#x}; nothing behind it was read")
            return
        if not first <= last < PHYSICAL_END:
            raise ImageDamaged(f"{source.name}: range at {at:#x} goes from {first:#x} to {last:#x}")
        yield Extent(first, last - first + 1, at + HEADER.size)
        at += HEADER.size + last - first + 1
    raise ImageDamaged(f"{source.name}: more than {MAX_RANGES} ranges")
