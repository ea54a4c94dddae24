"""What a kdump says of itself besides its pages: notes, and the facts that identify it."""

from collections.abc import Iterator, Sequence

from formats import core_notes, elf, vmcoreinfo, xen_crash
from formats.image import Fact, Note
from formats.kdump_header import Header, Span
from formats.kdump_pages import CODECS, COMPRESSED, Pages
from formats.source import Source

LEVELS = {1: "zero", 2: "cache", 4: "private cache", 8: "user", 16: "free"}
ERASE_INFO = "ERASEINFO"
MAX_NOTES = 1 << 24


def read_notes(source: Source, header: Header, warnings: list[str]) -> list[Note]:
    """The ELF notes, and VMCOREINFO and the erase info under those names also where only the sub header has them."""
    notes = xen_crash.named(vmcoreinfo.named(elf.each_note(_bytes(source, header.notes, "ELF notes", warnings))))
    texts = {vmcoreinfo.OWNER: (header.vmcoreinfo, "VMCOREINFO"), ERASE_INFO: (header.erase, "erase info")}
    for owner, (span, what) in texts.items():
        text = _bytes(source, span, what, warnings)
        if text and not any(note.owner == owner for note in notes):
            notes.append(Note(owner, 0, text[: vmcoreinfo.MAX_TEXT], owner))
    return notes


def find_bits(header: Header, notes: Sequence[Note]) -> int:
    """The width of the guest's registers: as the notes have them, else by the machine's name, else of the header."""
    by_notes = core_notes.find_bits(notes)
    if by_notes:
        return by_notes
    machine = header.uts["machine"]
    if machine in ("", "Unknown"):
        return 32 if header.layout.startswith("32") else 64
    return 64 if machine.endswith("64") else 32


def each_fact(pieces: Sequence[Pages], notes: Sequence[Note]) -> Iterator[Fact]:
    """Version, writer, kernel, compression and dump level."""
    header = pieces[0].header
    yield Fact("file", f"{header.signature} version {header.version}, {header.layout}", "header")
    if header.uts["sysname"]:
        yield Fact("creator", "makedumpfile", "header names the system")
        yield Fact("system", " ".join(header.uts[key] for key in ("sysname", "release", "machine")), "header")
        yield Fact("node", header.uts["nodename"], "header")
    elif core_notes.is_qemu(notes):
        yield Fact("creator", "QEMU", "notes of the processors, and a header that names no system")
    left_out = [name for bit, name in LEVELS.items() if header.dump_level & bit]
    yield Fact("dump level", f"{header.dump_level} ({', '.join(left_out) or 'nothing'} left out)", "sub header")
    yield Fact("compression", _compression(pieces), "first descriptors")
    yield Fact("highest pfn", f"{header.max_mapnr:#x}", "header")
    for piece in pieces if header.split else ():
        yield Fact("piece", f"pfns {piece.header.start:#x}-{piece.header.end:#x}", piece.source.name)
    yield from core_notes.each_fact(notes, find_bits(header, notes))


def _compression(pieces: Sequence[Pages]) -> str:
    flags = {flags & COMPRESSED for piece in pieces for _, _, flags in piece.first_descriptors()} - {0}
    return ", ".join(sorted(CODECS.get(flag, f"flags {flag:#x}") for flag in flags)) or "none"


def _bytes(source: Source, span: Span, what: str, warnings: list[str]) -> bytes:
    data = source.peek(span.offset, min(span.size, MAX_NOTES))
    if len(data) < span.size:
        warnings.append(f"{what} of {span.size:#x} bytes at {span.offset:#x}: the file has {len(data):#x} of them")
    return data
