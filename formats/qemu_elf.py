"""The ELF files of QEMU's dump-guest-memory and of `virsh dump --memory-only`.

One PT_LOAD for each block of memory, or, written with paging, one for each mapping of the guest's page tables: these
overlap in guest-physical memory and leave out what no table maps. Section headers may stand before the program
headers, e_ehsize is wrong since QEMU 7.1, nothing is aligned. Each processor has a CORE and a QEMU note; a VMCOREINFO
note follows where the guest gave one.
Specified in: dump/dump.c and target/i386/arch_dump.c of QEMU.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from formats import core_notes, elf, vmcoreinfo
from formats.core_elf import about_memory, read_extents, warn_of_gaps
from formats.extents import Extent, ExtentImage, disjoint
from formats.image import About, Fact, Image
from formats.source import Source
from formats.x86_paging import CR4_PAE, common_paging

NAME = "qemu-elf"
DESCRIPTION = "QEMU guest memory dump (dump-guest-memory, virsh dump --memory-only)"
HEADS = (b"\x7fELF",)


def probe(source: Source) -> bool:
    """True for an ELF core with a note of QEMU's."""
    return elf.is_core(source) and core_notes.is_qemu(elf.read_notes(source, elf.read_header(source)))


def open_image(source: Source) -> Image:
    """Reads the headers and the notes; memory stays where it is."""
    header = elf.read_header(source)
    notes = vmcoreinfo.named(elf.read_notes(source, header))
    loads = elf.read_segments(source, header, elf.PT_LOAD)
    warnings: list[str] = []
    bits = 64 if header.machine == elf.EM_X86_64 else 32
    vcpus = core_notes.read_vcpus(notes, bits, warnings)
    if bits == 64 and any(not vcpu.registers.get("cr4", CR4_PAE) & CR4_PAE for vcpu in vcpus if vcpu.root is not None):
        warnings.append("the file says x86-64, but a processor's cr4 has PAE off: its page tables are not of long mode")
    extents = bridged(read_extents(loads, source.size))
    warn_of_gaps(extents, warnings)
    virtual = any(load.vaddr != load.paddr for load in loads)
    about = About(
        format=NAME,
        description=DESCRIPTION,
        bits=bits,
        paging=common_paging(vcpus),
        facts=[
            Fact("creator", "QEMU", "notes of the processors"),
            Fact("segments", f"{len(loads)}{' by virtual address' if virtual else ''}", "program headers"),
            *about_memory(header, extents),
            *core_notes.each_fact(notes, bits),
        ],
        warnings=warnings,
    )
    return ExtentImage(source, about, extents, vcpus, notes)


def bridged(extents: Sequence[Extent]) -> list[Extent]:
    """The extents with the gaps closed between two of one block: its bytes lie together in the file, mapped or not."""
    gaps = list(_each_gap(extents))
    return disjoint([*extents, *gaps]) if gaps else list(extents)


def _each_gap(extents: Sequence[Extent]) -> Iterator[Extent]:
    for before, after in pairwise(extents):
        gap = after.paddr - before.end
        if gap and before.offset is not None and after.offset == before.offset + before.size + gap:
            yield Extent(before.end, gap, before.offset + before.size)
