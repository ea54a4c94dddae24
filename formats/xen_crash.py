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
CONTROL = struct.Struct("<4Q"), struct.Struct("<4I")  # the wider first
CONTROL_NAMES = ("cr0", "cr2", "cr3", "cr4")
INFO = struct.Struct("<10Q"), struct.Struct("<10I")
EVIDENCE = "xen_crash_info note"


def named(notes: Sequence[Note]) -> list[Note]:
    """The notes, Xen's under their names."""
    return [replace(note, name=NAMES[note.type]) if is_crash_note(note) else note for note in notes]


def is_crash_note(note: Note) -> bool:
    return note.owner == OWNER and note.type in NAMES


def read_control(notes: Sequence[Note]) -> list[Mapping[str, int]]:
    """The control registers of each processor, in the order of the notes; a short note gives none."""
    found = [_unpack(CONTROL, note.data) for note in notes if note.owner == OWNER and note.type == CRASH_REGS]
    return [dict(zip(CONTROL_NAMES, values, strict=True)) if values else {} for values in found]


def each_fact(notes: Sequence[Note]) -> Iterator[Fact]:
    """What CRASH_INFO says that needs no symbols."""
    data = next((note.data for note in notes if note.owner == OWNER and note.type == CRASH_INFO), b"")
    values = _unpack(INFO, data)
    if values:
        yield Fact("hypervisor", f"Xen {values[0]}.{values[1]}", EVIDENCE)
        yield Fact("hypervisor's memory", f"{values[-2]:#x}", EVIDENCE)
        yield Fact("dom0's p2m frame list list", f"{values[-1]:#x}", EVIDENCE)


def _unpack(layouts: Sequence[struct.Struct], data: bytes) -> tuple[int, ...]:
    """The words of a note, of the width that its size has room for; none if it is too short."""
    layout = next((layout for layout in layouts if len(data) >= layout.size), None)
    return layout.unpack_from(data) if layout else ()
