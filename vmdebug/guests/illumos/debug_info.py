"""The page at a fixed address in which an illumos kernel under Xen tells debuggers where it keeps what.

A magic number, a version, and seven words. Specified in: uts/i86xpv/sys/debug_info.h of illumos.
"""

import struct
from typing import NoReturn

from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.targets.target import NoTables, Target

MAGIC, VERSION = 0xDEB1_16ED, 1
HEAD = struct.Struct("<II")
LAYOUT = struct.Struct("<8x7Q")
AT_64 = 0xFFFF_FFFF_FB7F_F000
AT_32_PV, AT_32_HVM = 0xF4BF_F000, 0xFE7F_F000


class NotIllumos(DebuggerError):
    """The image holds no illumos kernel that can be debugged; the sentence says what was looked for."""


class NoDebugInfo(NotIllumos):
    def __init__(self, at: int, reason: str) -> None:
        super().__init__(f"no illumos kernel: cannot read debug_info at {at:#x}: {reason}")


class WrongMagic(NotIllumos):
    def __init__(self, at: int, magic: int) -> None:
        super().__init__(f"no illumos kernel: invalid debug info magic {magic:#x} at {at:#x}")


class WrongVersion(NotIllumos):
    def __init__(self, at: int, version: int) -> None:
        super().__init__(f"illumos kernel: unknown debug info version {version} at {at:#x} (expected {VERSION})")


class Only64Bit(NotIllumos):
    def __init__(self, at: int) -> None:
        super().__init__(f"illumos kernel of 32 bits (debug_info at {at:#x}): only 64-bit ones are supported")


@dataclass(frozen=True)
class DebugInfo:
    """Where the kernel keeps its module list, its text and data, and two offsets for finding page tables."""

    at: int
    modules: int
    text_start: int
    text_end: int
    data_start: int
    data_end: int
    hat_htable: int
    ht_pfn: int


def read_debug_info(target: Target) -> DebugInfo:
    """The kernel's debug info; NotIllumos says why there is none."""
    if target.word != 8:
        _refuse_32_bit(target)
    _check(target, AT_64)
    return DebugInfo(AT_64, *LAYOUT.unpack(target.read(AT_64, LAYOUT.size)))


def _refuse_32_bit(target: Target) -> NoReturn:
    at = AT_32_PV if not target.image.about.translated else AT_32_HVM
    _check(target, at)
    raise Only64Bit(at)


def _check(target: Target, at: int) -> None:
    try:
        magic, version = HEAD.unpack(target.read(at, HEAD.size))
        if magic == MAGIC and version == VERSION:
            target.read(at, LAYOUT.size)
    except ReadFailed as err:
        raise NoDebugInfo(at, err.reason) from err
    except NoTables as err:
        raise NoDebugInfo(at, str(err)) from err
    if magic != MAGIC:
        raise WrongMagic(at, magic)
    if version != VERSION:
        raise WrongVersion(at, version)
