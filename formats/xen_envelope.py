"""What lies around the domain's own stream in a Xen save file: the headers of xl, libxl, libvirt and xend.

    xl save         "Xen saved domain, xl format", four u32, configuration; then libxl's stream or the old libxc one
    libxl's stream  "LibxlFmt", big-endian version and options; records, one of which says that libxc's stream follows
    virsh save      "libvirt-xml", version, length of the XML, 64 bytes; then as above
    xm save         "LinuxGuestRecord", big-endian length, an S-expression; then the old libxc stream

Specified in: tools/xl/xl.h and docs/specs/libxl-migration-stream.pandoc of Xen; src/libxl/libxl_conf.h of libvirt;
tools/python/xen/xend/XendCheckpoint.py of Xen 3 and 4.
"""

import struct
from collections.abc import Iterator

from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.lazy import dataclass
from formats.source import Source

XL = b"Xen saved domain, xl format\n \0 \r"
XL_FIELDS = struct.Struct("<4I")  # byte order, mandatory flags, optional flags, length of the optional data
XL_ORDER, XL_SWAPPED = 0x01020304, 0x04030201
XL_JSON, XL_STREAM_V2 = 1, 2
LIBVIRT = b"libvirt-xml\n \0 \r"
LIBVIRT_FIELDS = struct.Struct("<2I")
LIBVIRT_SIZE = 64
XEND = b"LinuxGuestRecord"
LIBXL = b"LibxlFmt"
LIBXL_FIELDS = struct.Struct(">2I")
LIBXC = b"\xff" * 8 + b"XENF"
BIG_ENDIAN, CONVERTED = 1, 2  # options of libxl's stream

RECORD = struct.Struct("<2I")
OPTIONAL = 1 << 31
END, LIBXC_CONTEXT, EMULATOR_XENSTORE, EMULATOR_CONTEXT, CHECKPOINT_END, CHECKPOINT_STATE = range(6)
MAX_RECORDS = 1 << 10  # of libxl, before libxc's stream; real files have one or two
MAX_CONFIG = 1 << 20


@dataclass(frozen=True)
class Envelope:
    """The domain's own stream begins at `start`; `libxl` says that records of libxl go on behind it."""

    start: int
    legacy: bool
    libxl: bool
    layers: tuple[str, ...]
    config: bytes = b""


@dataclass(frozen=True)
class Record:
    """A record of libxl's or libxc's stream: its type, where its body lies, how long that is."""

    type: int
    at: int
    length: int

    @property
    def next(self) -> int:
        return self.at + -(-self.length // 8) * 8


def find_stream(source: Source) -> Envelope | None:
    """Where libxc's stream begins in a save file; None if the file is none that names itself."""
    head = source.peek(0, 32)
    try:
        if head == XL:
            return _xl(source)
        if head.startswith(LIBVIRT):
            return _libvirt(source)
        if head.startswith(XEND):
            return _xend(source)
        if head.startswith(LIBXL):
            return _libxl(source, 0, (), b"")
        if head.startswith(LIBXC):
            return Envelope(0, legacy=False, libxl=False, layers=())
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: the save file ends inside its headers") from err
    return None


def read_record(source: Source, at: int) -> Record:
    """The header of a record; SourceEnd past the end of the file."""
    kind, length = RECORD.unpack(source.read(at, RECORD.size))
    return Record(kind, at + RECORD.size, length)


def each_libxl_record(source: Source, at: int) -> Iterator[Record]:
    """The records behind libxc's stream, up to END or the end of the file."""
    for _ in range(MAX_RECORDS):
        if at + RECORD.size > source.size:
            return
        record = read_record(source, at)
        if record.at + record.length > source.size:
            return
        yield record
        if record.type in (END, CHECKPOINT_END):
            return
        at = record.next


def _xl(source: Source) -> Envelope:
    order, mandatory, _, length = XL_FIELDS.unpack(source.read(len(XL), XL_FIELDS.size))
    if order == XL_SWAPPED:
        raise ImageNotSupported(f"{source.name}: saved by big-endian tools: not supported, only x86")
    if order != XL_ORDER:
        raise ImageDamaged(f"{source.name}: invalid byte-order word {order:#x} in the header of xl")
    if mandatory & ~(XL_JSON | XL_STREAM_V2):
        raise ImageNotSupported(f"{source.name}: unknown mandatory flags {mandatory:#x} in the header of xl")
    start = len(XL) + XL_FIELDS.size
    config = _optional_config(source, start, length)
    layers = ("xl save", "JSON configuration" if mandatory & XL_JSON else "xl.cfg configuration")
    return _inside(source, start + length, mandatory & XL_STREAM_V2 != 0, layers, config)


def _optional_config(source: Source, at: int, length: int) -> bytes:
    """The configuration: a length of its own inside the optional data, which may hold more."""
    if length < 4:
        return b""
    size = int.from_bytes(source.read(at, 4), "little")
    return source.peek(at + 4, min(size, length - 4, MAX_CONFIG)).rstrip(b"\0")


def _libvirt(source: Source) -> Envelope:
    version, length = LIBVIRT_FIELDS.unpack(source.read(len(LIBVIRT), LIBVIRT_FIELDS.size))
    if version not in (1, 2):
        raise ImageNotSupported(f"{source.name}: unknown version {version} of libvirt's Xen save header")
    xml = source.peek(LIBVIRT_SIZE, min(length, MAX_CONFIG)).rstrip(b"\0")
    return _inside(source, LIBVIRT_SIZE + length, version == 2, ("virsh save of libvirt's Xen driver",), xml)


def _xend(source: Source) -> Envelope:
    length = int.from_bytes(source.read(len(XEND), 4), "big")
    start = len(XEND) + 4
    if length > min(MAX_CONFIG, source.size - start):
        raise ImageDamaged(f"{source.name}: xend's configuration of {length} bytes does not fit into the file")
    return Envelope(start + length, True, False, ("xm save",), source.read(start, length))


def _inside(source: Source, at: int, modern: bool, layers: tuple[str, ...], config: bytes) -> Envelope:
    if at > source.size:
        raise ImageDamaged(f"{source.name}: truncated: its stream would begin at {at:#x}, past the end of the file")
    if not modern:
        return Envelope(at, True, False, layers, config)
    return _libxl(source, at, layers, config)


def _libxl(source: Source, at: int, layers: tuple[str, ...], config: bytes) -> Envelope:
    ident = source.read(at, len(LIBXL))
    if ident != LIBXL:
        raise ImageDamaged(f"{source.name}: no libxl stream at {at:#x}: found {ident.hex(' ')}")
    version, options = LIBXL_FIELDS.unpack(source.read(at + len(LIBXL), LIBXL_FIELDS.size))
    if version != 2:
        raise ImageNotSupported(f"{source.name}: unknown version {version} of libxl's stream (expected 2)")
    if options & BIG_ENDIAN:
        raise ImageNotSupported(f"{source.name}: big-endian records in libxl's stream: not supported, only x86")
    said = ", converted from the old format" if options & CONVERTED else ""
    at += len(LIBXL) + LIBXL_FIELDS.size
    for _ in range(MAX_RECORDS):
        record = read_record(source, at)
        if record.type == LIBXC_CONTEXT:
            return Envelope(record.at, False, True, (*layers, f"libxl stream {version}{said}"), config)
        if record.type > CHECKPOINT_STATE and not record.type & OPTIONAL:
            raise ImageDamaged(f"{source.name}: unknown record type {record.type:#x} at {at:#x} of libxl's stream")
        if record.type == END:
            break
        at = record.next
    raise ImageDamaged(f"{source.name}: libxl's stream ends without a domain's state (no LIBXC_CONTEXT)")
