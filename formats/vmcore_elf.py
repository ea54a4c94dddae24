"""ELF cores of a whole machine that say where its memory lies by physical address: /proc/vmcore, `makedumpfile -E`.

A crashed Linux kernel leaves NT_PRSTATUS of each processor and its VMCOREINFO; under Xen the hypervisor adds its own
notes and memory is the machine's. Control registers are saved by Xen only: without them the kernel's page tables are
those that VMCOREINFO names. Any other ELF core with physical addresses is opened here, too.
Specified in: fs/proc/vmcore.c and Documentation/admin-guide/kdump of Linux.
"""

from collections.abc import Sequence

from formats import core_notes, elf, vmcoreinfo, xen_crash
from formats.core_elf import about_memory, read_extents, warn_of_gaps
from formats.errors import ImageDamaged, ImageNotSupported
from formats.extents import ExtentImage
from formats.image import About, Fact, Image, Note
from formats.source import Source

NAME = "vmcore-elf"
DESCRIPTION = "ELF core of a machine (/proc/vmcore, makedumpfile -E)"
HEADS = (b"\x7fELF",)
ORDER = 80  # after the readers that know whose ELF core it is

BIG_ENDIAN = 2  # e_ident[EI_DATA]
OF_A_PROCESS = {3: "NT_PRPSINFO", 6: "NT_AUXV", 0x46494C45: "NT_FILE"}  # notes that only a process' core has


def probe(source: Source) -> bool:
    """True for any ELF core with program headers; ImageNotSupported for an ELF file that is none."""
    if elf.is_core(source):
        return True
    head = source.peek(0, 18)
    if len(head) < 18 or not head.startswith(elf.MAGIC) or head[4] not in elf.HEADER:
        return False
    if head[5] == BIG_ENDIAN:
        raise ImageNotSupported(f"{source.name}: ELF file of a big-endian machine: not supported, only x86")
    kind = int.from_bytes(head[16:], "little")
    if kind != elf.ET_CORE:
        raise ImageNotSupported(f"{source.name}: ELF file of type {kind}: not a core dump (type {elf.ET_CORE})")
    return False


def open_image(source: Source) -> Image:
    """Reads the headers and the notes; memory stays where it is."""
    header = elf.read_header(source)
    notes = xen_crash.named(vmcoreinfo.named(elf.read_notes(source, header)))
    loads = elf.read_segments(source, header, elf.PT_LOAD)
    _refuse_process(source, loads, notes)
    warnings: list[str] = []
    if header.machine not in (elf.EM_X86_64, elf.EM_386):
        warnings.append(f"machine type {header.machine}: registers and page tables of it are not known, only of x86")
    bits = 32 if header.machine == elf.EM_386 else header.bits
    vcpus = core_notes.read_vcpus(notes, bits, warnings)
    extents = read_extents(loads, source.size)
    warn_of_gaps(extents, warnings)
    about = About(
        format=NAME,
        description=DESCRIPTION,
        bits=bits,
        paging=core_notes.find_paging(vcpus, notes, bits),
        facts=[
            _creator(notes),
            Fact("segments", str(len(loads)), "program headers"),
            *about_memory(header, extents),
            *core_notes.each_fact(notes, bits),
        ],
        warnings=warnings,
    )
    return ExtentImage(source, about, extents, vcpus, notes)


def _refuse_process(source: Source, loads: Sequence[elf.Segment], notes: Sequence[Note]) -> None:
    if not loads:
        raise ImageDamaged(f"{source.name}: ELF core without a PT_LOAD: it holds no memory")
    if any(note.owner.startswith("VMCOREINFO") for note in notes):
        return
    telling = [OF_A_PROCESS[note.type] for note in notes if note.owner == "CORE" and note.type in OF_A_PROCESS]
    if telling:
        raise ImageNotSupported(f"{source.name}: the core dump of a process ({telling[0]}), not of a machine")
    if len(loads) > 1 and not any(load.paddr for load in loads):
        raise ImageNotSupported(f"{source.name}: ELF core without physical addresses: not the memory of a machine")


def _creator(notes: Sequence[Note]) -> Fact:
    owners = {note.owner for note in notes}
    if xen_crash.OWNER in owners:
        return Fact("creator", "crash kernel of a Xen host", "notes of Xen")
    if vmcoreinfo.OWNER in owners:
        return Fact("creator", "crash kernel of Linux, or makedumpfile", "VMCOREINFO note, and none of QEMU")
    return Fact("creator", "unknown", f"notes of {', '.join(sorted(owners)) or 'nobody'}")
