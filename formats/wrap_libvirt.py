"""libvirt's save files of QEMU domains (`virsh save`, managed save, memory of external snapshots).

92 bytes: magic, five u32 in the byte order of the host that wrote them (version, length of what follows, whether the
domain ran, compression, offset of the cookie), 56 unused; then the domain's XML, a cookie, padding; then QEMU's stream,
plain or as a compression program wrote it.
Specified in: src/qemu/qemu_saveimage.h of libvirt.
"""

import struct
from collections.abc import Sequence

from formats.cache import identity_of
from formats.errors import ImageDamaged, ImageNotSupported
from formats.image import Note
from formats.source import Source, Window

NAME = "libvirt-save"
DESCRIPTION = "libvirt save file of a QEMU domain (virsh save)"
HEADS = (b"LibvirtQemudSave", b"LibvirtQemudPart")

MAGIC, PARTIAL = b"LibvirtQemudSave", b"LibvirtQemudPart"
HEADER_SIZE = 92
VERSION_1, VERSION_2 = 1, 2
SPARSE = 6
COMPRESSIONS = {
    0: ("none", b"QEVM"),
    1: ("gzip", b"\x1f\x8b"),
    2: ("bzip2", b"BZh"),
    3: ("xz", b"\xfd7zXZ\0"),
    4: ("lzop", b"\x89LZO"),
    5: ("zstd", b"\x28\xb5\x2f\xfd"),
    SPARSE: ("none, sparse", b"QEVM"),
}
MAX_XML = 16 << 20
OWNER = "libvirt"
UNFINISHED = "libvirt did not finish writing the save file"


class SavedStream(Window):
    """What follows the header. A mapped stream's own offsets count from the beginning of the file."""

    def __init__(self, inner: Source, start: int, notes: Sequence[Note], warnings: Sequence[str]) -> None:
        super().__init__(inner, start, inner.size - start)
        self.file_offset = start
        self.notes = notes
        self.warnings = warnings
        self._key_of = inner

    def identity(self) -> str | None:
        """The file's own, and where in it this begins."""
        key = identity_of(self._key_of)
        return f"{key}+{self.file_offset:x}" if key else None


def probe(source: Source) -> bool:
    """True for a save file, also for one that libvirt did not finish."""
    return source.peek(0, len(MAGIC)) in (MAGIC, PARTIAL)


def unwrap(source: Source) -> Source:
    """QEMU's stream, with the domain's XML as a note."""
    header = source.peek(0, HEADER_SIZE)
    if len(header) < HEADER_SIZE:
        raise ImageDamaged(f"{source.name}: truncated: the libvirt save file ends inside its header")
    words = struct.Struct("<5I").unpack_from(header, len(MAGIC))
    if words[0] > 0xFFFF:
        words = struct.Struct(">5I").unpack_from(header, len(MAGIC))
    version, length, _, compression, cookie = words
    if version not in (VERSION_1, VERSION_2):
        raise ImageNotSupported(f"{source.name}: libvirt save file of version {version}; known are 1 and 2")
    start = HEADER_SIZE + length
    if start >= source.size:
        raise ImageDamaged(f"{source.name}: truncated: the stream of the libvirt save file would begin at {start:#x}")
    _check_stream(source, start, compression if version == VERSION_2 else 0)
    xml_end = cookie if 0 < cookie <= length else length
    warnings = [UNFINISHED] if header.startswith(PARTIAL) else []
    return SavedStream(source, start, _notes(source, xml_end, length), warnings)


def _check_stream(source: Source, start: int, compression: int) -> None:
    if compression not in COMPRESSIONS:
        known = ", ".join(f"{number} {name}" for number, (name, _) in COMPRESSIONS.items())
        raise ImageNotSupported(f"{source.name}: libvirt save file of format {compression}; known are {known}")
    name, magic = COMPRESSIONS[compression]
    found = source.peek(start, len(magic))
    if found != magic:
        raise ImageDamaged(
            f"{source.name}: libvirt save file of compression {name}, but its stream at {start:#x} begins with"
            f" {found.hex(' ')}"
        )


def _notes(source: Source, xml_end: int, length: int) -> Sequence[Note]:
    """The domain's description, and the cookie behind it, if there is one."""
    texts = [("domain.xml", 0, xml_end), ("cookie.xml", xml_end, length)]
    found = []
    for name, begin, end in texts:
        data = source.peek(HEADER_SIZE + begin, min(end - begin, MAX_XML)).split(b"\0")[0]
        if data:
            found.append(Note(OWNER, 0, data, name))
    return found
