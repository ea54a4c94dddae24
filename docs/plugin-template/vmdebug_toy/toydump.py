"""Toy dumps: a page of header, then the memory from address 0 on.

All little-endian: magic "TOYDUMP1", the size of the memory in bytes, rip and rsp of the only vcpu, whose paging is off.
"""

import struct

from formats.errors import ImageDamaged
from formats.extents import Extent, ExtentImage
from formats.frames import PAGE_SIZE
from formats.image import About, Fact, Image, Vcpu
from formats.source import Source

NAME = "toydump"
DESCRIPTION = "dump of the toy hypervisor"
HEADS = (b"TOYDUMP1",)  # how all such files begin: others are not even probed

HEADER = struct.Struct("<8sQQQ")
PAGING_OFF = 0x11  # cr0: protected mode, no paging


def probe(source: Source) -> bool:
    """True if the file is a toy dump; ImageDamaged if it is one that was cut short."""
    head = source.peek(0, HEADER.size)  # peek gives fewer bytes at the end of a file, where read raises
    if not head.startswith(HEADS):
        return False
    if len(head) < HEADER.size:
        raise ImageDamaged(f"{source.name}: the header is cut short after {len(head)} bytes")
    return True


def open_image(source: Source) -> Image:
    """The memory behind the header. Every size is checked against the file before it is used."""
    _, size, rip, rsp = HEADER.unpack(source.read(0, HEADER.size))
    stored = source.size - PAGE_SIZE
    if size > stored:
        raise ImageDamaged(f"{source.name}: {size:#x} bytes of memory are named, {max(stored, 0):#x} are there")
    about = About(
        format=NAME,
        description=DESCRIPTION,
        bits=64,
        facts=[Fact("memory", f"{size:#x} bytes", "header")],
    )
    vcpu = Vcpu(id=0, bits=64, registers={"rip": rip, "rsp": rsp, "cr0": PAGING_OFF, "cr3": 0}, root=0)
    return ExtentImage(source, about, [Extent(paddr=0, size=size, offset=PAGE_SIZE)], [vcpu], [])
