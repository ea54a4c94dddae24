"""Crash dumps of illumos and Solaris as savecore leaves them: vmcore.N, with or without unix.N.

A header in the dumping machine's order and word size, a sorted table of pfns, a hash of (address space, page) to file
offsets, and the pages in the order of the table. A vmdump.N is the same still compressed, and savecore's business.
Registers are not in the header. The kernel's top page table is found by trial: it is the page under which sampled
addresses of the hash lead to the pages that the hash gives.
Specified in: usr/src/uts/common/sys/dumphdr.h and usr/src/lib/libkvm/common/kvm.c of illumos.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from formats.errors import ImageDamaged, ImageNotSupported, PageAbsent
from formats.frames import PAGE_MASK, PAGE_SHIFT, Pfn, Vaddr
from formats.illumos_root import Vtop, find_root
from formats.image import About, Fact, Image, Run, Vcpu
from formats.lazy import dataclass
from formats.p2m import Column
from formats.source import Buffer, Source

NAME = "illumos-vmcore"
DESCRIPTION = "illumos or Solaris crash dump (vmcore.N)"

HEADS = (b"\xed\xc8\xfe\xde", b"\xde\xfe\xc8\xed")

VERSION = 10
HEAD = struct.Struct("<4I5Q")  # magic, version, flags, word size; offsets: start, ksyms, pfns, map, data
UTSNAME = struct.Struct("257s257s257s257s257s")
UTSNAME_FIELDS = ("sysname", "nodename", "release", "version", "machine")
PLATFORM_AT, PLATFORM_SIZE = 1341, 257
PANIC_AT, PANIC_SIZE = 1598, 200
COUNTS_AT = 1800
COUNTS = {64: struct.Struct("<8Q"), 32: struct.Struct("<8I")}
UUID_SIZE = 37
HEADER_SIZE = 2048
ENTRY = {64: struct.Struct("<5Q"), 32: struct.Struct("<3Q2I")}  # first, next, data, as, va

VALID, COMPLETE, LIVE, COMPRESSED = 1, 2, 4, 8
CONTENTS = {0x10000: "kernel pages", 0x20000: "all pages", 0x40000: "pages of the kernel and the current process"}
STEPS = 1 << 16  # links of one chain that are followed


@dataclass(frozen=True)
class Header:
    """What the dump header says; offsets count from the beginning of the file."""

    bits: int
    flags: int
    version: int
    pfns_at: int
    map_at: int
    data_at: int
    hashmask: int
    nvtop: int
    npages: int
    facts: tuple[Fact, ...]


class IllumosImage(Image):
    """Pages by the table of pfns. `namelist` is the unix.N beside the file, if there is one."""

    def __init__(
        self, source: Source, about: About, vcpus: Sequence[Vcpu], header: Header, pfns: Column, namelist: Path | None
    ) -> None:
        super().__init__(source, about, vcpus)
        self.namelist = namelist
        self._header = header
        self._pfns = pfns

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        slot = self._pfns.find(pfn)
        if slot is None:
            raise PageAbsent(pfn)
        return self.source.page(self._header.data_at + (slot << PAGE_SHIFT))

    def runs(self) -> Iterator[Run]:
        return self._pfns.each_run()

    def find_virtual(self, space: int, vaddr: Vaddr) -> int | None:
        """The file offset of a byte of an address space, which is named by the address of its `struct as`."""
        layout, at = ENTRY[self._header.bits], self._header.map_at
        page = vaddr & ~PAGE_MASK
        slot = ((space >> 3) + (vaddr >> PAGE_SHIFT)) & self._header.hashmask
        link = layout.unpack(self.source.read(at + slot * layout.size, layout.size))[0]
        for _ in range(min(self._header.nvtop, STEPS)):
            if not link or not at <= link <= self.source.size - layout.size:
                return None
            _, after, data, owner, mapped = layout.unpack(self.source.read(link, layout.size))
            if (owner, mapped) == (space, page):
                return int(data) + (vaddr & PAGE_MASK)
            link = after
        return None


def probe(source: Source) -> bool:
    """True for a dump header; ImageNotSupported for one of another machine, or still compressed."""
    head = source.peek(0, HEAD.size)
    if head[:4] == HEADS[1]:
        raise ImageNotSupported(f"{source.name}: crash dump of a big-endian machine (SPARC): not supported, only x86")
    if len(head) < HEAD.size or head[:4] != HEADS[0]:
        return False
    if HEAD.unpack(head)[2] & COMPRESSED:
        raise ImageNotSupported(
            f"{source.name}: compressed crash dump (vmdump): run savecore -vf {source.name} DIR on illumos or Solaris,"
            " and open the vmcore that it makes"
        )
    return True


def open_image(source: Source) -> Image:
    """Reads the header and a few entries of the map."""
    header = _read_header(source)
    warnings = list(_each_warning(source, header))
    count = min(header.npages, max(source.size - header.data_at, 0) >> PAGE_SHIFT)
    word = header.bits // 8
    table = source.view(header.pfns_at, count * word)
    pfns = Column(table.cast("Q" if word == 8 else "I"))
    root = _find_root(source, header, count) if header.bits == 64 else None
    vcpus = [Vcpu(0, header.bits, {}, root=root)] if root is not None else []
    warnings.append("the format holds no registers" if vcpus else "no registers, and no top page table was found")
    namelist = _namelist(source)
    facts = [*header.facts]
    if root is not None:
        facts.append(Fact("top page table", f"{root:#x}", "addresses of the translation map lead through it"))
    if namelist:
        facts.append(Fact("namelist", namelist.name, "beside the file"))
    paging = "4-level" if root is not None else None
    about = About(NAME, DESCRIPTION, header.bits, paging=paging, facts=facts, warnings=warnings)
    return IllumosImage(source, about, vcpus, header, pfns, namelist)


def _read_header(source: Source) -> Header:
    data = source.peek(0, HEADER_SIZE)
    if len(data) < COUNTS_AT + COUNTS[64].size:
        raise ImageDamaged(f"{source.name}: truncated: the dump ends inside its header")
    _, version, flags, bits, _, _, pfns_at, map_at, data_at = HEAD.unpack_from(data)
    if bits not in COUNTS:
        raise ImageDamaged(f"{source.name}: word size {bits} in the dump header, expected 32 or 64")
    crashed, shift, _, hashmask, nvtop, npages, *_ = COUNTS[bits].unpack_from(data, COUNTS_AT)
    if shift != PAGE_SHIFT:
        raise ImageNotSupported(f"{source.name}: pages of 2^{shift} bytes: not supported, only 4096")
    _check_place(source, "table of pfns", pfns_at, npages * (bits // 8))
    _check_place(source, "translation map", map_at, (hashmask + 1) * ENTRY[bits].size)
    if data_at > source.size or hashmask & (hashmask + 1):
        raise ImageDamaged(f"{source.name}: pages at {data_at:#x}, hash mask {hashmask:#x}: not in a sound dump")
    facts = tuple(_each_fact(data, flags, crashed, COUNTS_AT + COUNTS[bits].size))
    return Header(bits, flags, version, pfns_at, map_at, data_at, hashmask, nvtop, npages, facts)


def _check_place(source: Source, what: str, at: int, size: int) -> None:
    if at + size > source.size:
        raise ImageDamaged(f"{source.name}: truncated: its {what} of {size:#x} bytes lies at {at:#x}")


def _each_fact(data: bytes, flags: int, crashed: int, end: int) -> Iterator[Fact]:
    for name, text in zip(UTSNAME_FIELDS, UTSNAME.unpack_from(data, HEAD.size), strict=True):
        yield Fact(name, _text(text), "dump header")
    yield Fact("platform", _text(data[PLATFORM_AT : PLATFORM_AT + PLATFORM_SIZE]), "dump header")
    if panic := _text(data[PANIC_AT : PANIC_AT + PANIC_SIZE]):
        yield Fact("panic", panic, "dump header")
    yield Fact("content", next((name for bit, name in CONTENTS.items() if flags & bit), "unknown"), "dump flags")
    if 0 < crashed < 1 << 33:
        yield Fact("crash time", datetime.fromtimestamp(crashed, UTC).isoformat(), "dump header")
    if uuid := _text(data[end + 4 : end + 4 + UUID_SIZE]):
        yield Fact("image uuid", uuid, "dump header")


def _each_warning(source: Source, header: Header) -> Iterator[str]:
    if header.version != VERSION:
        yield f"dump header of version {header.version}, {VERSION} is known"
    if header.flags & LIVE:
        yield "a dump of the running system: its pages are of different moments"
    elif not header.flags & COMPLETE:
        yield "the dump was not completed"
    stored = max(source.size - header.data_at, 0) >> PAGE_SHIFT
    if stored < header.npages:
        yield f"truncated: {stored} of {header.npages} pages are in the file"


def _find_root(source: Source, header: Header, count: int) -> int | None:
    places = _each_vtop(source, header)
    pages = source.view(header.data_at, count << PAGE_SHIFT)
    return find_root(places, pages, source.view(header.pfns_at, count * 8))


def _each_vtop(source: Source, header: Header) -> Iterator[Vtop]:
    """The entries of the map that hold a translation: address space, address, number of the page in the file."""
    layout = ENTRY[header.bits]
    room = (source.size - header.map_at) // layout.size
    for number in range(min(header.nvtop, room)):
        _, _, data, space, vaddr = layout.unpack(source.read(header.map_at + number * layout.size, layout.size))
        if data >= header.data_at:
            yield Vtop(space, vaddr, (data - header.data_at) >> PAGE_SHIFT)


def _namelist(source: Source) -> Path | None:
    path = getattr(source, "path", None)
    if not isinstance(path, Path) or not path.name.startswith("vmcore."):
        return None
    beside = path.with_name("unix." + path.name.removeprefix("vmcore."))
    return beside if beside.is_file() else None


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("latin-1")
