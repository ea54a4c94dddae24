"""The header and sub header of a kdump-compressed file, in the word sizes and versions that exist.

Block 0 holds the header, block 1 the sub header, which grew with each version; `long` fields make the 64-bit layout
differ from the 32-bit one. In the sub header of 32-bit x86 64-bit fields are packed, on ARM they are aligned.
Specified in: diskdump_mod.h and IMPLEMENTATION of makedumpfile; include/system/dump.h of QEMU.
"""

import struct

from formats.errors import ImageDamaged, ImageNotSupported
from formats.lazy import dataclass
from formats.source import Source

MIN_BLOCK, MAX_BLOCK = 1 << 12, 1 << 16
NEWEST = 6
INCOMPLETE = 8  # status: the dumping program ran out of space

UTSNAME = ("sysname", "nodename", "release", "version", "machine", "domainname")
HEAD = struct.Struct("<8si" + "65s" * 6)
TAIL = struct.Struct("<IiiIIII")  # status, block_size, sub_hdr_size, bitmap_blocks, max_mapnr, total_ram, device blocks
TAIL_AT = {64: 424, 32: 412}
BLOCK_SIZE_AT = {64: 428, 32: 416}
HEADER_SIZE = 464

PHYS_BASE = {64: struct.Struct("<Qii"), 32: struct.Struct("<Iii")}  # phys_base, dump_level, split
SPLIT_OLD = {64: struct.Struct("<QQ"), 32: struct.Struct("<II")}  # start_pfn, end_pfn
EXTENT = {64: struct.Struct("<QQ"), 32: struct.Struct("<QI")}  # offset, size
SPLIT_NEW = struct.Struct("<QQQ")  # start_pfn_64, end_pfn_64, max_mapnr_64


@dataclass(frozen=True)
class Places:
    """Where the fields of one sub header layout lie."""

    bits: int
    split_old: int
    vmcoreinfo: int
    notes: int
    erase: int
    split_new: int


LAYOUTS = {
    "64-bit": Places(64, 16, 32, 48, 64, 80),
    "32-bit": Places(32, 12, 20, 32, 44, 56),
    "32-bit ARM": Places(32, 12, 24, 40, 56, 72),
}


@dataclass(frozen=True)
class Span:
    """Bytes of the file."""

    offset: int
    size: int


@dataclass(frozen=True)
class Header:
    """What both headers say. `start` and `end` bound the pfns whose pages lie in this file of a split set."""

    signature: str
    version: int
    layout: str
    uts: dict[str, str]
    status: int
    block_size: int
    sub_blocks: int
    bitmap_blocks: int
    max_mapnr: int
    dump_level: int
    split: bool
    start: int
    end: int
    vmcoreinfo: Span
    notes: Span
    erase: Span

    @property
    def bitmap_at(self) -> int:
        return (1 + self.sub_blocks) * self.block_size

    @property
    def descriptors_at(self) -> int:
        return self.bitmap_at + self.bitmap_blocks * self.block_size

    @property
    def half_size(self) -> int:
        """Bytes of each of the two bitmaps; the whole where only one fits."""
        both = self.bitmap_blocks * self.block_size
        return both // 2 if self.max_mapnr <= 8 * (both // 2) else both

    @property
    def has_two_bitmaps(self) -> bool:
        return self.half_size < self.bitmap_blocks * self.block_size

    @property
    def incomplete(self) -> bool:
        return bool(self.status & INCOMPLETE)


@dataclass(frozen=True)
class Tail:
    """The fields of the header behind its names, in one word size."""

    status: int
    block_size: int
    sub_blocks: int
    bitmap_blocks: int
    max_mapnr: int

    def plausible(self, size: int) -> bool:
        """True if these are numbers that a file of `size` bytes can have."""
        if not is_block_size(self.block_size) or self.sub_blocks < 1 or self.bitmap_blocks < 1:
            return False
        return (1 + self.sub_blocks + self.bitmap_blocks) * self.block_size <= size


def is_block_size(number: int) -> bool:
    return MIN_BLOCK <= number <= MAX_BLOCK and not number & (number - 1)


def read_header(source: Source) -> Header:
    """Both headers, checked against each other and the file."""
    data = source.peek(0, HEADER_SIZE)
    if len(data) < HEADER_SIZE:
        raise ImageDamaged(f"{source.name}: truncated: it ends inside the kdump header")
    signature, version, *names = HEAD.unpack_from(data)
    uts = {key: text.split(b"\0")[0].decode("latin-1") for key, text in zip(UTSNAME, names, strict=True)}
    bits, tail = _choose_tail(source, data, uts["machine"])
    layout = "64-bit" if bits == 64 else "32-bit ARM" if uts["machine"].startswith("arm") else "32-bit"
    sub = source.read(tail.block_size, tail.block_size)
    return _join(source, signature.decode().rstrip(), version, uts, tail, layout, sub)


def _choose_tail(source: Source, data: bytes, machine: str) -> tuple[int, Tail]:
    """The word size whose numbers make sense; the machine's name decides only where both do."""
    found = {bits: Tail(*TAIL.unpack_from(data, at)[:5]) for bits, at in TAIL_AT.items()}
    good = {bits: tail for bits, tail in found.items() if tail.plausible(source.size)}
    if len(good) == 2:
        bits = 64 if machine.endswith("64") or machine in ("", "Unknown") else 32
        return bits, good[bits]
    if good:
        return good.popitem()
    sizes = {bits: tail for bits, tail in found.items() if is_block_size(tail.block_size)}
    for bits, tail in sizes.items():
        if tail.sub_blocks > 0 and tail.bitmap_blocks > 0:
            blocks = f"{tail.sub_blocks} blocks of sub header, {tail.bitmap_blocks} of bitmap"
            raise ImageDamaged(
                f"{source.name}: truncated or damaged: the {bits}-bit kdump header says {blocks} "
                f"of {tail.block_size} bytes, the file has {source.size:#x} bytes"
            )
    if any(is_block_size(int.from_bytes(data[at : at + 4], "big")) for at in BLOCK_SIZE_AT.values()):
        raise ImageNotSupported(f"{source.name}: kdump of a big-endian machine: not supported, only x86")
    said = " or ".join(str(tail.block_size) for tail in found.values())
    raise ImageDamaged(f"{source.name}: kdump header with blocks of {said} bytes: no power of two from 4096 to 65536")


def _join(
    source: Source, signature: str, version: int, uts: dict[str, str], tail: Tail, layout: str, sub: bytes
) -> Header:
    places = LAYOUTS[layout]
    bits = places.bits
    _, dump_level, split = PHYS_BASE[bits].unpack_from(sub)
    start, end = SPLIT_OLD[bits].unpack_from(sub, places.split_old)
    max_mapnr = tail.max_mapnr
    if version >= 6:
        start, end, max_mapnr = SPLIT_NEW.unpack_from(sub, places.split_new)
    if version < 2 or split != 1:
        split, start, end = 0, 0, max_mapnr
    room = 8 * tail.bitmap_blocks * tail.block_size
    if max_mapnr > room:
        raise ImageDamaged(f"{source.name}: bitmap of {room} bits for {max_mapnr} pages")
    if not start <= end <= max_mapnr:
        raise ImageDamaged(f"{source.name}: split dump with pfns {start:#x} to {end:#x} of {max_mapnr:#x}")
    return Header(
        signature=signature,
        version=version,
        layout=layout,
        uts=uts,
        status=tail.status,
        block_size=tail.block_size,
        sub_blocks=tail.sub_blocks,
        bitmap_blocks=tail.bitmap_blocks,
        max_mapnr=max_mapnr,
        dump_level=dump_level if version >= 1 else 0,
        split=bool(split),
        start=start,
        end=end,
        vmcoreinfo=_span(sub, places.vmcoreinfo, bits, version >= 3),
        notes=_span(sub, places.notes, bits, version >= 4),
        erase=_span(sub, places.erase, bits, version >= 5),
    )


def _span(sub: bytes, at: int, bits: int, there: bool) -> Span:
    return Span(*EXTENT[bits].unpack_from(sub, at)) if there else Span(0, 0)
