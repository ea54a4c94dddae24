"""Crash dumps of illumos and Solaris as savecore leaves them: vmcore.N, with or without unix.N.

A header in the dumping machine's order and word size, a sorted table of pfns, a hash of (address space, page) to file
offsets, and the pages in the order of the table. A vmdump.N is the same still compressed, and savecore's business.
Registers are not in the header. The kernel's top page table is found by trial: it is the page under which sampled
addresses of the hash lead to the pages that the hash gives.
Specified in: usr/src/uts/common/sys/dumphdr.h and usr/src/lib/libkvm/common/kvm.c of illumos.
"""

import functools
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.errors import ImageDamaged, ImageNotSupported, PageAbsent
from formats.frames import PAGE_MASK, PAGE_SHIFT, Pfn, Vaddr
from formats.illumos_root import Vtop, find_root
from formats.image import About, Fact, Image, Run, Vcpu
from formats.lazy import dataclass
from formats.p2m import Column
from formats.source import Buffer, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "illumos-vmcore"
DESCRIPTION = "illumos or Solaris crash dump (vmcore.N)"

HEADS = (b"\xed\xc8\xfe\xde", b"\xde\xfe\xc8\xed")

VERSION = 10
HEAD = struct.Struct("<3I")  # magic, version, flags
UTSNAME_FIELDS = ("sysname", "nodename", "release", "version", "machine")
HEADER_SIZE, SMALLEST_HEADER = 2048, 1864  # the image's uuid at the end is newer than the rest
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

    def places(self, pfns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        import numpy as np

        slots = self._pfns.find_all(pfns)
        return np.where(slots >= 0, self._header.data_at + (slots << PAGE_SHIFT), -1)

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


@functools.cache
def header_layout() -> Any:  # Any: construct has no types
    """The dump header as `struct dumphdr` declares it; words are of the dumping machine's size."""
    from construct import Bytes, IfThenElse, Int32ul, Int64ul, Padding, Struct, this

    word = IfThenElse(this.bits == 64, Int64ul, Int32ul)
    return Struct(
        *("magic" / Int32ul, "version" / Int32ul, "flags" / Int32ul, "bits" / Int32ul),
        *(name / Int64ul for name in ("start_at", "ksyms_at", "pfns_at", "map_at", "data_at")),
        "utsname" / Struct(*(name / Bytes(257) for name in UTSNAME_FIELDS)),
        *("platform" / Bytes(257), "panic" / Bytes(200), Padding(2)),
        *(
            name / word
            for name in ("crashed", "page_shift", "page_size", "hashmask", "nvtop", "npages", "ksyms", "csize")
        ),
        *(Padding(4), "uuid" / Bytes(37)),
    )


def _read_header(source: Source) -> Header:
    data = source.peek(0, HEADER_SIZE)
    if len(data) < SMALLEST_HEADER:
        raise ImageDamaged(f"{source.name}: truncated: the dump ends inside its header")
    said = header_layout().parse(data.ljust(HEADER_SIZE, b"\0"))
    if said.bits not in ENTRY:
        raise ImageDamaged(f"{source.name}: word size {said.bits} in the dump header, expected 32 or 64")
    if said.page_shift != PAGE_SHIFT:
        raise ImageNotSupported(f"{source.name}: pages of 2^{said.page_shift} bytes: not supported, only 4096")
    _check_place(source, "table of pfns", said.pfns_at, said.npages * (said.bits // 8))
    _check_place(source, "translation map", said.map_at, (said.hashmask + 1) * ENTRY[said.bits].size)
    if said.data_at > source.size or said.hashmask & (said.hashmask + 1):
        raise ImageDamaged(
            f"{source.name}: pages at {said.data_at:#x}, hash mask {said.hashmask:#x}: not in a sound dump"
        )
    return Header(
        bits=said.bits,
        flags=said.flags,
        version=said.version,
        pfns_at=said.pfns_at,
        map_at=said.map_at,
        data_at=said.data_at,
        hashmask=said.hashmask,
        nvtop=said.nvtop,
        npages=said.npages,
        facts=tuple(_each_fact(said)),
    )


def _check_place(source: Source, what: str, at: int, size: int) -> None:
    if at + size > source.size:
        raise ImageDamaged(f"{source.name}: truncated: its {what} of {size:#x} bytes lies at {at:#x}")


def _each_fact(said: Any) -> Iterator[Fact]:
    for name in UTSNAME_FIELDS:
        yield Fact(name, _text(said.utsname[name]), "dump header")
    yield Fact("platform", _text(said.platform), "dump header")
    if panic := _text(said.panic):
        yield Fact("panic", panic, "dump header")
    yield Fact("content", next((name for bit, name in CONTENTS.items() if said.flags & bit), "unknown"), "dump flags")
    if 0 < said.crashed < 1 << 33:
        yield Fact("crash time", datetime.fromtimestamp(said.crashed, UTC).isoformat(), "dump header")
    if uuid := _text(said.uuid):
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
