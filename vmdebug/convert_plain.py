"""Memory without registers: raw (offset is address) and LiME (ranges behind 32-byte headers).

Specified in: doc/README of the LiME project.
"""

import struct
from typing import BinaryIO

from vmdebug.convert_memory import Memory
from vmdebug.convert_output import Tick, write_stretch

LIME_RANGE = struct.Struct("<4sIQQ8x")


def write_raw(file: BinaryIO, memory: Memory, tick: Tick) -> None:
    """Each page at its address; what is not stored reads as zeros."""
    for stretch in memory.stretches:
        write_stretch(file, stretch.paddr, memory, stretch, tick)
    file.truncate(memory.end)


def write_lime(file: BinaryIO, memory: Memory, tick: Tick) -> None:
    """A range for each stretch of pages."""
    at = 0
    for stretch in memory.stretches:
        file.seek(at)
        file.write(LIME_RANGE.pack(b"EMiL", 1, stretch.paddr, stretch.paddr + stretch.size - 1))
        at += LIME_RANGE.size
        write_stretch(file, at, memory, stretch, tick)
        at += stretch.size
    file.truncate(at)
