"""What is being debugged: ::status, and ::image for the file itself."""

from collections.abc import Iterable, Iterator
from typing import Any

from formats.frames import PAGE_SIZE, Paddr
from formats.image import About, Image, PageState
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Show, Text, dcmd

CHUNK = 1024  # pages read together
NOUNS = {"disk": "disk", "illumos-vmcore": "crash dump"}
DOMAIN, MACHINE = "domain crash dump", "virtual machine image"
LABELS = {"panic": "panic message", "content": "dump content"}  # facts of a crash dump that are lines of their own
CONTENTS = {
    "kernel pages": "kernel pages only",
    "all pages": "all kernel and user pages",
}
OF_PROCESS = "pages of the kernel and the current process"
NO_PROCESS = "kernel pages only\n  (curproc requested, but "


@dataclass(frozen=True)
class StatusRow:
    """What is debugged.

    file: the image, as it was named
    kind: domain crash dump, crash dump, virtual machine image, or disk
    bits: the width of the guest's pointers
    guest: the kind of kernel that was found: illumos, linux, xen, unknown
    nodename: the guest's name, null where it is not known, as the next three
    release: its operating system's release
    version: its version
    machine: its kind of machine
    vcpus: how many have saved registers
    extra: further lines by their labels
    """

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
            yield from f"{label}: {text}".splitlines()


@dcmd("status", text=status_lines, row=StatusRow)
def status(call: Call) -> Iterator[StatusRow]:
    """print summary of current target

    Names the file, the guest's node, its operating system's release and version, and what else the kernel's own
    memory says of itself. A guest that is not recognised is called so, with the reason.

    Reads: of illumos utsname, buildversion, dump_osimage_uuid; of Linux the struct uts_namespace (name) at init_uts_ns.

    Example:
        ::status
    """
    target, found = call.target, call.guest.status()
    about = target.image.about
    yield StatusRow(
        file=target.name,
        kind=NOUNS.get(about.format, DOMAIN if about.domain else MACHINE),
        bits=target.word * 8,
        guest=call.guest.kind,
        nodename=found.nodename,
        release=found.release,
        version=found.version,
        machine=found.machine,
        vcpus=len(target.image.vcpus),
        extra={**dict(found.extra), **(_crash(call, about) if about.format == "illumos-vmcore" else {})},
    )


def _crash(call: Call, about: About) -> dict[str, str]:
    """The lines of a crash dump: what the kernel said when it panicked, and which pages the dump has."""
    said = {fact.name: str(fact.value) for fact in about.facts if fact.name in LABELS}
    return {
        LABELS[name]: _with_process(call) if text == OF_PROCESS else CONTENTS.get(text, text)
        for name, text in said.items()
    }


def _with_process(call: Call) -> str:
    """Whose pages a dump has that was to have those of the process which panicked."""
    if call.guest.kind != "illumos":
        return "kernel pages and pages of the current process"
    from vmdebug.guests.illumos.kernel import illumos
    from vmdebug.guests.illumos.panic import find_process

    pid = find_process(illumos(call.guest))
    if pid is None:
        return f"{NO_PROCESS}the process that panicked could not be dumped)"
    return f"kernel pages and pages from PID {pid}" if pid else f"{NO_PROCESS}a kernel thread panicked)"


@dataclass(frozen=True)
class Finding:
    """One fact of the image or the guest.

    name: what
    value: as it was found
    evidence: what it rests on
    """

    name: str
    value: Any
    evidence: str


@dcmd(
    "image",
    flags=(Flag("v", "count the stored pages that hold only zeros, and show how the page cache serves"),),
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
        yield Finding("pages all zero", count_zero_pages(held), "every present page was read")
        yield from each_of_cache(held)
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


def count_zero_pages(held: Image) -> int:
    """How many present pages hold only zeros; every one is read, many at a time."""
    import numpy as np

    count = 0
    for run in held.runs():
        for pfn in range(run.pfn, run.pfn + run.count, CHUNK) if run.state is PageState.PRESENT else ():
            pages = min(CHUNK, run.pfn + run.count - pfn)
            words = np.frombuffer(held.read(Paddr(pfn * PAGE_SIZE), pages * PAGE_SIZE), dtype=np.uint64)
            count += pages - int(words.reshape(pages, -1).any(axis=1).sum())
    return count


def each_of_cache(held: Image) -> Iterator[Finding]:
    """How well the cache of decompressed pages serves, where the format needs one."""
    cache = held.cache
    if cache is not None:
        yield Finding("page cache", f"{cache.used} of {cache.limit} bytes", "decompressed pages kept")
        yield Finding(
            "page cache hits", f"{100 * cache.hit_rate:.1f} %", f"{cache.hits} of {cache.hits + cache.misses}"
        )
