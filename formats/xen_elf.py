"""Xen's ELF domain dumps, written by `xm dump-core` since 3.1 and `xl dump-core`.

An ELF core without program headers. Sections by name: .note.Xen, .xen_prstatus (one vcpu context a slot),
.xen_pages (4 KiB each), and .xen_p2m (pfn, gmfn of each page: a PV guest) or .xen_pfn (pfn of each page: an
auto-translated guest); .xen_shared_info may be there.
Specified in: docs/misc/dump-core-format.txt of Xen. Unused slots are all-ones.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from formats import elf, xen_vcpu
from formats.errors import ImageDamaged, ImageNotSupported, MfnUnknown, PageAbsent
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Gfn, Mfn, Pfn
from formats.image import NO_FRAME, About, Fact, Image, Note, Run, Vcpu
from formats.lazy import dataclass
from formats.p2m import Column
from formats.source import Buffer, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "xen-elf"
DESCRIPTION = "Xen domain dump (xm/xl dump-core)"
HEADS = (b"\x7fELF",)

MAGIC_PV, MAGIC_HVM = 0xF00FEBED, 0xF00FEBEE
NOTE_NONE, NOTE_HEADER, NOTE_VERSION, NOTE_FORMAT = 0x2000000, 0x2000001, 0x2000002, 0x2000003
NOTE_NAMES = {NOTE_NONE: "none", NOTE_HEADER: "header", NOTE_VERSION: "xen_version", NOTE_FORMAT: "format_version"}
HEADER_NOTE = struct.Struct("<4Q")  # magic, nr_vcpus, nr_pages, page_size
VERSION_NOTE = struct.Struct("<2Q 16s 64s 16s 32s 32s 1024s 64s")
VERSION_FIELDS = ("major", "minor", "extra", "compiler", "by", "domain", "date", "capabilities", "changeset")
MINOR = 1  # of the format's version
MAX_NOTES = 1 << 16
MAX_TOLD = 4  # unknown notes
MAX_VCPUS = 8192  # HVM_MAX_VCPUS of the newest Xen, with room


@dataclass(frozen=True)
class Header:
    """What the notes say."""

    hvm: bool
    nr_pages: int
    version: Mapping[str, str]
    notes: Sequence[Note]


class XenElfImage(Image):
    """A domain's pages in the order of the p2m or pfn section."""

    def __init__(
        self, source: Source, about: About, vcpus: Sequence[Vcpu], notes: Sequence[Note], pages: "Pages", shared: bytes
    ) -> None:
        super().__init__(source, about, vcpus, notes)
        self.shared_info = shared
        self._pages = pages

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        slot = self._pages.pfns.find(pfn)
        if slot is None or slot >= self._pages.count:
            raise PageAbsent(pfn)
        return self.source.page(self._pages.offset + (slot << PAGE_SHIFT))

    def runs(self) -> Iterator[Run]:
        return self._pages.pfns.each_run()

    def pfn_of(self, gfn: Gfn) -> Pfn:
        if self._pages.mfns is None:
            return Pfn(gfn)
        slot = self._pages.mfns.find(gfn)
        if slot is None:
            raise MfnUnknown(Mfn(gfn))
        return Pfn(self._pages.pfns.values[slot])

    def locate_gfn(self, gfn: Gfn) -> tuple[Buffer, int]:
        if self._pages.mfns is None:
            return self.locate(Pfn(gfn))
        slot = self._pages.mfns.find(gfn)
        if slot is None:
            raise MfnUnknown(Mfn(gfn))
        return self.source.page(self._pages.offset + (slot << PAGE_SHIFT))

    def places(self, pfns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        return self._pages.places(self._pages.pfns, pfns)

    def places_of_gfns(self, gfns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        return self._pages.places(self._pages.pfns if self._pages.mfns is None else self._pages.mfns, gfns)

    def mfn_of(self, pfn: Pfn) -> Mfn | None:
        slot = self._pages.pfns.find(pfn)
        if slot is None:
            raise PageAbsent(pfn)
        if self._pages.mfns is None:
            return None
        mfn = self._pages.mfns.values[slot]
        if mfn == NO_FRAME:
            raise PageAbsent(pfn)
        return Mfn(mfn)


@dataclass(frozen=True)
class Pages:
    """Where the page area lies, and which frames its slots hold. `mfns` is None for an auto-translated guest."""

    offset: int
    count: int
    pfns: Column
    mfns: Column | None

    def places(self, column: Column, frames: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Where the pages of frames lie that one of the columns names, -1 for those that it does not."""
        import numpy as np

        slots = column.find_all(frames)
        return np.where(slots >= 0, self.offset + (slots << PAGE_SHIFT), -1)


def probe(source: Source) -> bool:
    """True for an ELF core without segments that has Xen's sections, or had room for them before it was cut."""
    if not elf.is_elf(source):
        return False
    header = elf.read_header(source)
    if header.type != elf.ET_CORE or header.phnum or not header.shnum or header.bits != 64:
        return False
    sections = elf.read_sections(source, header)
    if sections[min(header.shstrndx, len(sections) - 1)].offset >= source.size:
        raise ImageDamaged(f"{source.name}: truncated: the names of its sections lie past the end of the file")
    return any(section.name == ".note.Xen" for section in sections)


def open_image(source: Source) -> Image:
    """Reads the headers, the notes and the vcpus; the frame table is left where it is."""
    file = elf.read_header(source)
    sections = {section.name: section for section in reversed(elf.read_sections(source, file))}
    header = _read_header(source, sections)
    bits = _guest_bits(file, header)
    warnings = list(_each_doubt(header, sections))
    vcpus = list(_each_vcpu(source, sections, header, bits, warnings))
    pages = _find_pages(source, sections, header, warnings)
    about = About(
        format=NAME,
        description=f"{DESCRIPTION}, {'auto-translated' if pages.mfns is None else 'paravirtualised'}",
        bits=bits,
        translated=pages.mfns is None,
        paging=_paging(header, bits) if pages.mfns is not None else None,
        domain=True,
        facts=_facts(header, pages),
        warnings=warnings,
    )
    return XenElfImage(source, about, vcpus, header.notes, pages, _shared_info(source, sections))


def _read_header(source: Source, sections: Mapping[str, elf.Section]) -> Header:
    section = _need(source, sections, ".note.Xen")
    if section.size > MAX_NOTES:
        raise ImageDamaged(f"{source.name}: .note.Xen of {section.size} bytes, at most {MAX_NOTES} make sense")
    notes = [
        Note(note.owner, note.type, note.data, NOTE_NAMES.get(note.type, "unknown"))
        for note in elf.each_note(source.read(section.offset, section.size))
    ]
    by_type = {note.type: note.data for note in reversed(notes)}
    described = by_type.get(NOTE_HEADER, b"")
    if len(described) < HEADER_NOTE.size:
        raise ImageDamaged(f"{source.name}: no header note in .note.Xen")
    magic, _, nr_pages, page_size = HEADER_NOTE.unpack_from(described)
    if magic not in (MAGIC_PV, MAGIC_HVM):
        raise ImageDamaged(f"{source.name}: invalid magic {magic:#x} in the header note")
    if page_size != PAGE_SIZE:
        raise ImageNotSupported(f"{source.name}: pages of {page_size} bytes: not supported, only 4096")
    if int.from_bytes(by_type.get(NOTE_FORMAT, b"")[4:8], "little"):
        major = int.from_bytes(by_type[NOTE_FORMAT][4:8], "little")
        raise ImageNotSupported(f"{source.name}: unknown major version {major} (expected 0)")
    return Header(magic == MAGIC_HVM, nr_pages, _version(by_type.get(NOTE_VERSION, b"")), notes)


def _each_doubt(header: Header, sections: Mapping[str, elf.Section]) -> Iterator[str]:
    """What is not as the format has it, but can be read."""
    formats = [note.data for note in header.notes if note.type == NOTE_FORMAT]
    if formats and (minor := int.from_bytes(formats[0][:4], "little")) != MINOR:
        yield f"unexpected dump minor number version {minor} (expected {MINOR})"
    unknown = {note.type: note.owner for note in header.notes if note.type not in NOTE_NAMES}
    yield from (f"unknown ELF note {kind:#x}({unknown[kind]})" for kind in sorted(unknown)[:MAX_TOLD])
    if ".xen_pages" in sections and sections[".xen_pages"].offset % PAGE_SIZE:
        yield f".xen_pages is not page aligned: it lies at {sections['.xen_pages'].offset:#x}"


def _version(data: bytes) -> Mapping[str, str]:
    if len(data) < VERSION_NOTE.size:
        return {}
    major, minor, *texts = VERSION_NOTE.unpack_from(data)
    decoded = [text.split(b"\0")[0].decode("latin-1") for text in texts]
    return dict(zip(VERSION_FIELDS, (str(major), str(minor), *decoded), strict=True))


def _guest_bits(file: elf.Header, header: Header) -> int:
    """A 4-byte PV guest has said EM_386 since 2009; before, the capabilities tell the tools' width."""
    if file.machine not in (elf.EM_386, elf.EM_X86_64):
        raise ImageNotSupported(f"domain dump for machine type {file.machine}: not supported, only x86")
    if header.hvm or file.machine == elf.EM_X86_64:
        return 64 if file.machine == elf.EM_X86_64 or "x86_64" in header.version.get("capabilities", "") else 32
    return 32


def _paging(header: Header, bits: int) -> str:
    capabilities = header.version.get("capabilities", "").split()
    if bits == 64:
        return "4-level"
    pae = any(word.endswith("x86_32p") for word in capabilities)
    plain = any(word.endswith("x86_32") for word in capabilities)
    return "2-level" if plain and not pae else "PAE"


def _each_vcpu(
    source: Source, sections: Mapping[str, elf.Section], header: Header, bits: int, warnings: list[str]
) -> Iterator[Vcpu]:
    section = sections.get(".xen_prstatus")
    if section is None:
        warnings.append("cannot find section .xen_prstatus: no registers")
        return
    if section.entsize not in (xen_vcpu.SIZE64, xen_vcpu.SIZE32):
        warnings.append(f"invalid section .xen_prstatus: entries of {section.entsize} bytes: no registers")
        return
    need = xen_vcpu.SIZE64 if bits == 64 else xen_vcpu.SIZE32
    count = min(section.size // section.entsize, MAX_VCPUS)
    for number in range(count):
        data = source.peek(section.offset + number * section.entsize, section.entsize)
        if len(data) < need:
            warnings.append(f"vcpu {number} of {count} lies past the end of the file")
            return
        yield xen_vcpu.read_vcpu(data, number, bits, header.hvm)


def _find_pages(source: Source, sections: Mapping[str, elf.Section], header: Header, warnings: list[str]) -> Pages:
    area = _need(source, sections, ".xen_pages")
    translated = ".xen_p2m" not in sections
    table = _need(source, sections, ".xen_pfn" if translated else ".xen_p2m")
    entry = 8 if translated else 16
    counts = {
        "the header note says": header.nr_pages,
        f"{area.name} has room for": area.size >> PAGE_SHIFT,
        f"{table.name} describes": table.size // entry,
        f"the file holds {area.name} up to": max(source.size - area.offset, 0) >> PAGE_SHIFT,
        f"the file holds {table.name} up to": max(source.size - table.offset, 0) // entry,
    }
    count = min(counts.values())
    if len(set(list(counts.values())[:3])) > 1 or count < header.nr_pages:
        said = ", ".join(f"{what} {number}" for what, number in counts.items())
        warnings.append(f"truncated or damaged: pages differ: {said}; using {count}")
    numbers = source.view(table.offset, count * entry).cast("Q")
    pfns, mfns = (numbers, None) if translated else (numbers[0::2], numbers[1::2])
    return Pages(area.offset, count, Column(pfns), Column(mfns) if mfns is not None else None)


def _shared_info(source: Source, sections: Mapping[str, elf.Section]) -> bytes:
    section = sections.get(".xen_shared_info")
    return source.peek(section.offset, min(section.size, PAGE_SIZE)) if section else b""


def _facts(header: Header, pages: Pages) -> Sequence[Fact]:
    version = header.version
    facts = [Fact("slots", str(pages.count), ".xen_pages")]
    if version:
        text = f"{version['major']}.{version['minor']}{version['extra']}"
        facts.append(Fact("hypervisor", f"Xen {text}", "xen_version note"))
        facts.append(Fact("capabilities", version["capabilities"], "xen_version note"))
        facts.append(Fact("changeset", version["changeset"], "xen_version note"))
    return facts


def _need(source: Source, sections: Mapping[str, elf.Section], name: str) -> elf.Section:
    section = sections.get(name)
    if section is None:
        raise ImageDamaged(f"{source.name}: cannot find section {name}")
    if section.offset > source.size:
        raise ImageDamaged(f"{source.name}: truncated: section {name} lies at {section.offset:#x}, past the end")
    return section
