"""qcow2's header: fixed fields, feature bits, extensions. All numbers big-endian.

Specified in: docs/interop/qcow2.rst of QEMU.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.lazy import dataclass
from formats.source import Source

MAGIC = b"QFI\xfb"
FIXED = struct.Struct(">4sIQIIQIIQQIIQ")  # both versions, 72 bytes
MORE = struct.Struct(">QQQII")  # version 3
SIZE_2, SIZE_3 = 72, 104
EXTENSION = struct.Struct(">II")
FEATURE = struct.Struct(">BB46s")
BITMAPS = struct.Struct(">I4xQQ")

DIRTY, CORRUPT, DATA_FILE, COMPRESSION, EXTENDED_L2 = (1 << bit for bit in range(5))
KNOWN = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2
BITMAPS_VALID, RAW_DATA = 1, 2  # autoclear

BACKING_FORMAT, FEATURES, BITMAP_AREA = 0xE279_2ACA, 0x6803_F857, 0x2385_2875
ENCRYPTION, DATA_NAME = 0x0537_BE77, 0x4441_5441
FEATURE_NAMES = {0: "dirty", 1: "corrupt", 2: "external data file", 3: "compression type", 4: "extended L2 entries"}
COMPRESSIONS = {0: "deflate", 1: "zstd"}
CIPHERS = {1: "AES", 2: "LUKS"}

MIN_CLUSTER, MAX_CLUSTER, MIN_EXTENDED = 9, 21, 14
MAX_NAME = 1023
MAX_L1 = 32 << 20
MAX_REFCOUNTS = 8 << 20
MAX_SNAPSHOTS = 1 << 16
SUBCLUSTERS = 32


@dataclass(frozen=True)
class Header:
    """The fields, and what the extensions say. Offsets are places in the image file."""

    version: int
    backing_name: str
    cluster_bits: int
    size: int
    crypt_method: int
    l1_size: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshot_count: int
    snapshots_offset: int
    incompatible: int = 0
    compatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    header_length: int = SIZE_2
    compression: int = 0
    backing_format: str = ""
    data_name: str = ""
    features: Mapping[tuple[int, int], str] = field(default_factory=dict)
    bitmaps: Sequence[int] | None = None  # count, size and offset of the directory
    encryption: Sequence[int] | None = None  # offset, length

    @property
    def cluster_size(self) -> int:
        return 1 << self.cluster_bits

    @property
    def extended(self) -> bool:
        return bool(self.incompatible & EXTENDED_L2)

    @property
    def corrupt(self) -> bool:
        return bool(self.incompatible & CORRUPT)

    @property
    def has_data_file(self) -> bool:
        return bool(self.incompatible & DATA_FILE)

    @property
    def table_bits(self) -> int:
        """Two to this power entries fill an L2 table."""
        return self.cluster_bits - (4 if self.extended else 3)

    @property
    def cipher(self) -> str:
        """What the image is encrypted with, empty if it is not."""
        return CIPHERS.get(self.crypt_method, f"method {self.crypt_method}") if self.crypt_method else ""


def is_qcow2(source: Source) -> bool:
    return source.peek(0, 4) == MAGIC


def read_header(source: Source) -> Header:
    """The header, checked against itself and the file; ImageNotSupported for what no reader here understands."""
    try:
        return _read(source)
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: the qcow2 file ends inside its header") from err


def _read(source: Source) -> Header:
    fields = FIXED.unpack(source.read(0, FIXED.size))
    _, version, backing_at, backing_size, bits, size, crypt, l1_size, l1_at, ref_at, ref_count, snaps, snaps_at = fields
    if version not in (2, 3):
        raise ImageNotSupported(f"{source.name}: qcow of version {version}; known are qcow2's versions 2 and 3")
    more, length, compression = (0, 0, 0, 4), SIZE_2, 0
    if version == 3:
        *more_read, length = MORE.unpack(source.read(SIZE_2, MORE.size))
        more = (more_read[0], more_read[1], more_read[2], more_read[3])
        compression = source.read(SIZE_3, 1)[0] if length > SIZE_3 else 0
    _check_bits(source, bits, more, length, version)
    _check_features(source, more[0], compression, bits, dict(_each_feature(source, length, 1 << bits)))
    texts = dict(_each_extension(source, length, min(1 << bits, backing_at or 1 << bits)))
    header = Header(
        version=version, backing_name=_name(source, backing_at, backing_size, 1 << bits), cluster_bits=bits, size=size,
        crypt_method=crypt, l1_size=l1_size, l1_offset=l1_at, refcount_offset=ref_at, refcount_clusters=ref_count,
        snapshot_count=snaps, snapshots_offset=snaps_at, incompatible=more[0], compatible=more[1], autoclear=more[2],
        refcount_order=more[3], header_length=length, compression=compression,
        backing_format=_text(texts.get(BACKING_FORMAT, b"")), data_name=_text(texts.get(DATA_NAME, b"")),
        features=dict(_each_feature(source, length, 1 << bits)), bitmaps=_unpacked(BITMAPS, texts.get(BITMAP_AREA)),
        encryption=_unpacked(struct.Struct(">QQ"), texts.get(ENCRYPTION)),
    )  # fmt: skip
    _check_tables(source, header)
    return header


def _check_bits(source: Source, bits: int, more: tuple[int, int, int, int], length: int, version: int) -> None:
    name = source.name
    if not MIN_CLUSTER <= bits <= MAX_CLUSTER:
        raise ImageDamaged(f"{name}: clusters of 2^{bits} bytes; qcow2 has 2^{MIN_CLUSTER} to 2^{MAX_CLUSTER}")
    if more[3] > 6:
        raise ImageDamaged(f"{name}: reference counts of 2^{more[3]} bits; qcow2 has at most 2^6")
    if version == 3 and not SIZE_3 <= length <= 1 << bits:
        raise ImageDamaged(f"{name}: qcow2 header of {length} bytes; it has {SIZE_3} to {1 << bits}")


def _check_features(
    source: Source, incompatible: int, compression: int, bits: int, names: Mapping[tuple[int, int], str]
) -> None:
    if unknown := incompatible & ~KNOWN:
        number = (unknown & -unknown).bit_length() - 1
        said = names.get((0, number), "without a name")
        raise ImageNotSupported(f"{source.name}: qcow2 with an incompatible feature, bit {number} ({said})")
    if bool(incompatible & COMPRESSION) != bool(compression):
        raise ImageDamaged(f"{source.name}: compression type {compression} contradicts the feature bits")
    if compression not in COMPRESSIONS:
        raise ImageNotSupported(f"{source.name}: qcow2 compression type {compression}; known are deflate and zstd")
    if incompatible & EXTENDED_L2 and bits < MIN_EXTENDED:
        raise ImageDamaged(f"{source.name}: extended L2 entries with clusters of 2^{bits} bytes")


def _check_tables(source: Source, header: Header) -> None:
    name, mask = source.name, header.cluster_size - 1
    places = {"L1 table": header.l1_offset, "refcount table": header.refcount_offset}
    if header.snapshot_count:
        places["snapshot table"] = header.snapshots_offset
    for what, offset in places.items():
        if offset & mask:
            raise ImageDamaged(f"{name}: {what} at {offset:#x}, which is no cluster boundary")
    if header.l1_size * 8 > MAX_L1:
        raise ImageDamaged(f"{name}: L1 table of {header.l1_size} entries; at most {MAX_L1 // 8} are allowed")
    if header.l1_size and header.l1_offset + header.l1_size * 8 > source.size:
        raise ImageDamaged(f"{name}: truncated: L1 table of {header.l1_size} entries at {header.l1_offset:#x}")
    if header.l1_size << header.cluster_bits + header.table_bits < header.size:
        raise ImageDamaged(
            f"{name}: L1 table of {header.l1_size} entries is too short for {header.size:#x} bytes of disk"
        )
    if header.refcount_clusters << header.cluster_bits > MAX_REFCOUNTS + header.cluster_size:
        raise ImageDamaged(f"{name}: refcount table of {header.refcount_clusters} clusters is too long")
    if header.snapshot_count > MAX_SNAPSHOTS:
        raise ImageDamaged(f"{name}: {header.snapshot_count} snapshots; at most {MAX_SNAPSHOTS} are allowed")


def _each_extension(source: Source, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Type and data of each header extension; the first of a type comes last, so that a dict keeps it."""
    found: list[tuple[int, bytes]] = []
    while at + EXTENSION.size <= end:
        kind, length = EXTENSION.unpack(source.read(at, EXTENSION.size))
        if not kind:
            break
        at += EXTENSION.size
        if at + length > end:
            raise ImageDamaged(f"{source.name}: header extension {kind:#x} of {length} bytes at {at:#x} is too long")
        found.append((kind, source.read(at, length)))
        at += -(-length // 8) * 8
    return reversed(found)


def _each_feature(source: Source, at: int, end: int) -> Iterator[tuple[tuple[int, int], str]]:
    table = dict(_each_extension(source, at, end)).get(FEATURES, b"")
    for kind, bit, name in FEATURE.iter_unpack(table[: len(table) // FEATURE.size * FEATURE.size]):
        yield (kind, bit), _text(name.split(b"\0")[0])


def _name(source: Source, at: int, size: int, end: int) -> str:
    if not at:
        return ""
    if size > MAX_NAME or at + size > end:
        raise ImageDamaged(f"{source.name}: name of the backing file: {size} bytes at {at:#x}")
    return source.read(at, size).decode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _unpacked(layout: struct.Struct, data: bytes | None) -> Sequence[int] | None:
    return layout.unpack_from(data) if data and len(data) >= layout.size else None
