"""What is being debugged: ::status, and ::image for the file itself."""

from collections.abc import Iterable, Iterator
from typing import Any

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd

NOUNS = {True: "domain crash dump", False: "virtual machine image"}


@dataclass(frozen=True)
class StatusRow:
    """The guest as `::status` shows it."""

    file: str
    kind: str
    bits: int
    guest: str
    nodename: str | None
    release: str | None
    version: str | None
    machine: str | None
    vcpus: int
    extra: dict[str, str]


def status_lines(rows: Iterable[StatusRow], _: Show) -> Iterator[str]:
    for row in rows:
        yield f"debugging {row.kind} {row.file} ({row.bits}-bit) from {row.nodename or 'unknown machine'}"
        if row.release is not None:
            yield f"operating system: {row.release} {row.version} ({row.machine})"
        for label, text in row.extra.items():
            yield f"{label}: {text}"


@dcmd("status", text=status_lines, row=StatusRow)
def status(call: Call) -> Iterator[StatusRow]:
    """print summary of current target

    Names the file, the guest's node, its operating system's release and version, and what else the kernel's own
    memory says of itself. A guest that is not recognised is called so, with the reason.

    Example:
        ::status
    """
    target, found = call.target, call.guest.status()
    yield StatusRow(
        file=target.name,
        kind="disk" if target.image.about.format == "disk" else NOUNS[target.image.about.domain],
        bits=target.word * 8,
        guest=call.guest.kind,
        nodename=found.nodename,
        release=found.release,
        version=found.version,
        machine=found.machine,
        vcpus=len(target.image.vcpus),
        extra=dict(found.extra),
    )


@dataclass(frozen=True)
class Finding:
    """One fact of the image or the guest, and what it rests on."""

    name: str
    value: Any
    evidence: str


@dcmd(
    "image",
    flags=(Flag("v", "read every stored page and count those that hold only zeros"),),
    text=Text("{name:<16} {value:<40}  {evidence}"),
    row=Finding,
)
def image(call: Call) -> Iterator[Finding]:
    """show what the image file holds

    The format, the pages that are present, known to be zero, left out by the dumping program, or absent; the saved
    vcpus, the notes, the versions that the file states, and what was found in the guest. Each with what it rests on.

    Example:
        ::image
    """
    held, about = call.target.image, call.target.image.about
    yield Finding("format", about.format, about.description)
    yield Finding("file", held.name, f"{held.source.size} bytes")
    for state, pages in held.tally().items():
        yield Finding(f"pages {state.value}", pages, f"{pages * 4} KiB")
    if "v" in call.flags:
        zero = count_zero_pages(held)
        yield Finding("pages all zero", zero, "every present page was read")
    yield Finding("highest pfn", max(held.end - 1, 0), "last page of the image")
    yield Finding("vcpus", len(held.vcpus), "saved contexts")
    mode = call.target.mode
    yield Finding("paging", mode.name if mode else "none", "registers of vcpu 0" if held.vcpus else "no registers")
    yield Finding("frames", "pfn" if about.translated else "mfn", "what page-table entries hold")
    for fact in about.facts:
        yield Finding(fact.name, fact.value, fact.evidence)
    for note in held.notes:
        yield Finding("note", note.name or f"{note.type:#x}", f"{note.owner}, {len(note.data)} bytes")
    for fact in call.guest.evidence:
        yield Finding(fact.name, fact.value, fact.evidence)
    for warning in about.warnings:
        yield Finding("warning", warning, about.format)


def count_zero_pages(held: Any) -> int:
    """How many present pages hold only zeros; every one is read."""
    from formats.frames import PAGE_SIZE, Pfn
    from formats.image import PageState

    empty = bytes(PAGE_SIZE)
    count = 0
    for run in held.runs():
        if run.state is PageState.PRESENT:
            for pfn in range(run.pfn, run.pfn + run.count):
                buffer, start = held.locate(Pfn(pfn))
                count += buffer[start : start + PAGE_SIZE] == empty
    return count
