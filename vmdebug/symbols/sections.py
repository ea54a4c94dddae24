"""The sections of an ELF file on disk, mapped and not copied; compressed ones are unpacked when they are asked for. Or
the one that a file of BTF is.

Specified in: System V ABI, chapter 4; SHF_COMPRESSED in its gABI supplement; `.zdebug_` names as binutils wrote them.
"""

import mmap
import struct
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from vmdebug.errors import DebuggerError

NOBITS, COMPRESSED = "SHT_NOBITS", 0x800
ZLIB, ZSTD = 1, 2
HEADERS = {32: struct.Struct("<III"), 64: struct.Struct("<I4xQQ")}  # kind, unpacked size, alignment
OLD_HEADER = struct.Struct(">4sQ")
BTF_HEAD = b"\x9f\xeb\x01"  # magic and version
MAX_UNPACKED = 4 << 30
MAX_SECTIONS = 1 << 16
MAX_RATIO = 1100  # zlib cannot do better than 1032 to 1


class BadSymbolFile(DebuggerError):
    def __init__(self, path: Path, found: str) -> None:
        super().__init__(f"{path}: cannot be used for symbols: {found}")
        self.path = path
        self.found = found


class ElfFile:
    """An ELF file. BadSymbolFile where it is none, or a section does not lie in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def bits(self) -> int:
        """32 or 64."""
        return self._headers[0]

    @property
    def linked(self) -> bool:
        """False for an object file, whose sections still want to be relocated."""
        return self._headers[1]

    def section(self, name: str) -> memoryview:
        """The bytes of a section, empty where there is none such or the file does not hold it."""
        sections = self._headers[2]
        old = f".z{name[1:]}"
        if name not in sections and old in sections:
            return self._unpacked_old(old)
        if name not in sections:
            return memoryview(b"")
        kind, flags, offset, size = sections[name]
        if kind == NOBITS or not size:
            return memoryview(b"")
        end, held = offset + size, len(self._data)
        if end > held:
            raise BadSymbolFile(self.path, f"section {name} ends at {end:#x}, the file at {held:#x}")
        data = self._data[offset:end]
        return self._unpacked(name, data) if flags & COMPRESSED else data

    @cached_property
    def _data(self) -> memoryview:
        try:
            with self.path.open("rb") as stream:
                return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as err:
            raise BadSymbolFile(self.path, str(err)) from err

    @cached_property
    def _headers(self) -> tuple[int, bool, Mapping[str, tuple[str, int, int, int]]]:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        try:
            with self.path.open("rb") as stream:
                elf = ELFFile(stream)
                if not elf.little_endian:
                    raise BadSymbolFile(self.path, "its numbers are big-endian")
                if elf.num_sections() > MAX_SECTIONS:
                    raise BadSymbolFile(self.path, f"it claims {elf.num_sections()} sections")
                sections = {
                    each.name: (each["sh_type"], each["sh_flags"], each["sh_offset"], each["sh_size"])
                    for each in elf.iter_sections()
                }
                return elf.elfclass, elf["e_type"] != "ET_REL", sections
        except BadSymbolFile:
            raise
        except (ELFError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as err:
            raise BadSymbolFile(self.path, str(err) or type(err).__name__) from err

    def _unpacked(self, name: str, data: memoryview) -> memoryview:
        header = HEADERS[self.bits]
        if len(data) < header.size:
            raise BadSymbolFile(self.path, f"section {name} is compressed and has no header")
        kind, size, _ = header.unpack_from(data)
        return self._inflated(name, kind, data[header.size :], size)

    def _unpacked_old(self, name: str) -> memoryview:
        _, _, offset, size = self._headers[2][name]
        data = self._data[offset : offset + size]
        if len(data) < OLD_HEADER.size or bytes(data[:4]) != b"ZLIB":
            raise BadSymbolFile(self.path, f"section {name} does not begin with ZLIB")
        return self._inflated(name, ZLIB, data[OLD_HEADER.size :], OLD_HEADER.unpack_from(data)[1])

    def _inflated(self, name: str, kind: int, data: memoryview, size: int) -> memoryview:
        if size > MAX_UNPACKED or (kind == ZLIB and size > MAX_RATIO * len(data)):
            raise BadSymbolFile(self.path, f"section {name} claims {size:#x} bytes in {len(data):#x} compressed ones")
        try:
            found = _inflate(kind, data, size)
        except (zlib.error, ValueError) as err:
            raise BadSymbolFile(self.path, f"section {name} cannot be unpacked: {err}") from err
        if len(found) != size:
            raise BadSymbolFile(self.path, f"section {name} unpacks to {len(found):#x} bytes, not to {size:#x}")
        return memoryview(found)


class BtfFile:
    """A file that is one blob of BTF, as /sys/kernel/btf/vmlinux and `bpftool` give it: nothing but that section."""

    bits = 64
    linked = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def section(self, name: str) -> memoryview:
        """The whole file as .BTF; no other section."""
        try:
            return memoryview(self.path.read_bytes() if name == ".BTF" else b"")
        except OSError as err:
            raise BadSymbolFile(self.path, str(err)) from err


def sections_of(path: Path) -> ElfFile | BtfFile:
    """The sections of a file of either kind, told by how it begins; what is neither is taken for ELF, and refused."""
    try:
        with path.open("rb") as stream:
            head = stream.read(len(BTF_HEAD))
    except OSError as err:
        raise BadSymbolFile(path, err.strerror or str(err)) from err
    return BtfFile(path) if head == BTF_HEAD else ElfFile(path)


def _inflate(kind: int, data: memoryview, size: int) -> bytes:
    """At most so many bytes out of a compressed section; ValueError for what is not known or not sound."""
    if kind == ZLIB:
        return zlib.decompressobj().decompress(data, size) if size else b""
    if kind == ZSTD:
        from zstandard import ZstdDecompressor, ZstdError

        try:
            with ZstdDecompressor().stream_reader(data) as reader:
                return reader.read(size)
        except ZstdError as err:
            raise ValueError(str(err)) from err
    raise ValueError(f"compression {kind} is not known")
