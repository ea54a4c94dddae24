"""Readers of dump images, one module for each format. A library of its own: it knows files and pages, no debugger.

    errors    ImageError and its family        frames   the number types: Pfn, Paddr, Vaddr ...
    source    bounded bytes at an offset       image    Image, Run, Vcpu: what everyone gets
    elf       the few parts of ELF that dumps use; core_elf, core_notes, prstatus, qemu_cpu, xen_crash, vmcoreinfo:
              what ELF cores of machines share; qemu_elf, vmcore_elf, vbox_elf: who wrote them
    extents   memory as byte ranges of a file  kdump    kdump-compressed, in kdump_*; bitmap, codec, pagecache under it
    p2m       columns of frame numbers, searched both ways
    opener    open_image, open_disk, describe         candidates   which modules are asked; add() one from elsewhere
    options   what the user allows and prefers     names    file@snapshot, file@0xADDRESS
    cache     indexes kept between runs            unpacked compressed files, unpacked once
    qemu_stream_*  QEMU's migration stream: memory, devices, vcpus
    qcow2_*   qcow2's tables, disks, snapshots, the check of its reference counts
    wrap_*    containers: a source inside a source
    xen_*     Xen's domain dumps and save files (xm_* before 4.6), the vcpu contexts in them; hvm_context, x86_state
    lime, raw (raw_evidence: is it memory at all? raw_layout, joined), vmware_*, illumos_*

Nothing here imports vmdebug or dcmds. To add a format, write its module: NAME and DESCRIPTION, `probe(source)` that
answers no, yes, or an ImageError for "mine, but broken or not supported", and `open_image(source)`; to add a container
(a source inside a source), write `probe` and `unwrap(source)`. Nothing else needs editing. ORDER (50 where it is
missing) says which is asked first; HEADS = (b"...",), in one line, how all such files begin, so that the module is
imported only for them. A function with a second parameter gets the Options. Give it a writer in fixtures/ and tests.
"""

from formats.errors import ImageError
from formats.image import Image
from formats.opener import describe, open_disk, open_image

__all__ = ["Image", "ImageError", "describe", "open_disk", "open_image"]
