"""The notes that a crashed Xen hypervisor adds to /proc/vmcore, and to a kdump made from it.

CRASH_REGS holds the control registers of one processor and follows its NT_PRSTATUS; CRASH_INFO the version, pointers
to strings of the hypervisor, where the hypervisor lies, and where dom0's p2m begins. All words are the hypervisor's.
Specified in: xen/include/public/elfnote.h and xen/include/xen/elfcore.h of Xen.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from formats.image import Fact, Note

OWNER = "Xen"
CRASH_INFO, CRASH_REGS = 0x0100_0001, 0x0100_0002
NAMES = {CRASH_INFO: "xen_crash_info", CRASH_REGS: "xen_crash_regs"}
CONTROL = {64: struct.Struct("<4Q"), 32: struct.Struct("<4I")}
CONTROL_NAMES = ("cr0", "cr2", "cr3", "cr4")
INFO = {64: struct.Struct("<10Q"), 32: struct.Struct("<10I")}
EVIDENCE = "xen_crash_info note"


def named(notes: Sequence[Note]) -> list[Note]:
    """The notes, Xen's under their names."""
    return [replace(note, name=NAMES[note.type]) if is_crash_note(note) else note for note in notes]


def is_crash_note(note: Note) -> bool:
    return note.owner == OWNER and note.type in NAMES


def read_control(notes: Sequence[Note], bits: int) -> list[Mapping[str, int]]:
    """The control registers of each processor, in the order of the notes; a short note gives none."""
    layout = CONTROL[bits]
    found = [note.data for note in notes if note.owner == OWNER and note.type == CRASH_REGS]
    return [
        dict(zip(CONTROL_NAMES, layout.unpack_from(data), strict=True)) if len(data) >= layout.size else {}
        for data in found
    ]


def each_fact(notes: Sequence[Note], bits: int) -> Iterator[Fact]:
    """What CRASH_INFO says that needs no symbols."""
    layout = INFO[bits]
    data = next((note.data for note in notes if note.owner == OWNER and note.type == CRASH_INFO), b"")
    if len(data) < layout.size:
        return
    major, minor, *_, start, frame_list = layout.unpack_from(data)
    yield Fact("hypervisor", f"Xen {major}.{minor}", EVIDENCE)
    yield Fact("hypervisor's memory", f"{start:#x}", EVIDENCE)
    yield Fact("dom0's p2m frame list list", f"{frame_list:#x}", EVIDENCE)
