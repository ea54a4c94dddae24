"""The records of libxc's save stream, versions 2 and 3, gathered into the state of one instant.

A stream may hold several checkpoints; what follows the last complete one is dropped, as a restoring host does. One
that was cut off gives what it has.
Specified in: docs/specs/libxc-migration-stream.pandoc of Xen. Sizes of a record exclude its padding to 8 bytes.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from formats.errors import ImageDamaged, ImageNotSupported, SourceEnd
from formats.frames import PAGE_SHIFT, PAGE_SIZE
from formats.lazy import dataclass
from formats.source import Source
from formats.xen_envelope import (
    CHECKPOINT_END,
    CHECKPOINT_STATE,
    EMULATOR_CONTEXT,
    EMULATOR_XENSTORE,
    OPTIONAL,
    RECORD,
    Record,
    each_libxl_record,
    read_record,
)
from formats.xen_pages import Batch

HEADER = struct.Struct(">8x4xIH6x")  # version, options
DOMAIN = struct.Struct("<IHHII")  # type, page shift, reserved, Xen's version
PV, HVM = 1, 2
VERSIONS = (2, 3)
BIG_ENDIAN = 1

(END, PAGE_DATA, PV_INFO, P2M_FRAMES, VCPU_BASIC, VCPU_EXTENDED, VCPU_XSAVE, SHARED_INFO, TSC_INFO) = range(9)
(HVM_CONTEXT, HVM_PARAMS, TOOLSTACK, VCPU_MSRS, VERIFY, CHECKPOINT) = range(9, 15)
(DIRTY_PFNS, STATIC_DATA_END, CPUID_POLICY, MSR_POLICY) = range(15, 19)
LAST_TYPE = MSR_POLICY
MAX_LENGTH = 128 << 20  # REC_LENGTH_MAX, xg_sr_stream_format.h
MAX_VCPUS = 8192

COUNT = struct.Struct("<I4x")
VCPU = struct.Struct("<I4x")
PARAM = struct.Struct("<2Q")
MAX_PARAMS = 1 << 12


@dataclass(frozen=True)
class Domain:
    """The stream's two headers."""

    version: int
    hvm: bool
    xen: tuple[int, int]


@dataclass
class State:
    """What the records up to one point say. Of records that come again the last one counts."""

    batches: list[Batch] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)  # by record type
    vcpus: dict[int, dict[int, bytes]] = field(default_factory=dict)  # by record type, then by vcpu
    libxl: tuple[Record, ...] = ()

    def copy(self) -> "State":
        vcpus = {kind: dict(found) for kind, found in self.vcpus.items()}
        return replace(self, batches=list(self.batches), bodies=dict(self.bodies), vcpus=vcpus)


@dataclass(frozen=True)
class Stream:
    """A whole stream: its headers, the state to show, and how the reading ended."""

    domain: Domain
    state: State
    checkpoints: int
    warnings: tuple[str, ...]


def read_stream(source: Source, at: int, libxl: bool) -> Stream:
    """Everything from the stream's header at `at` on. Only the headers of pages are read."""
    domain = read_domain(source, at)
    return _Walk(source, domain, libxl).run(at + HEADER.size + DOMAIN.size)


def read_domain(source: Source, at: int) -> Domain:
    """The headers; ImageNotSupported for a stream that no x86 Xen writes."""
    try:
        version, options = HEADER.unpack(source.read(at, HEADER.size))
        kind, shift, _, major, minor = DOMAIN.unpack(source.read(at + HEADER.size, DOMAIN.size))
    except SourceEnd as err:
        raise ImageDamaged(f"{source.name}: truncated: the stream ends inside its headers") from err
    if source.read(at, 12) != b"\xff" * 8 + b"XENF":
        raise ImageDamaged(f"{source.name}: no libxc stream at {at:#x}: found {source.read(at, 12).hex(' ')}")
    if version not in VERSIONS:
        raise ImageNotSupported(f"{source.name}: unknown version {version} of libxc's stream (expected 2 or 3)")
    if options & BIG_ENDIAN:
        raise ImageNotSupported(f"{source.name}: big-endian records in libxc's stream: not supported, only x86")
    if kind not in (PV, HVM):
        raise ImageNotSupported(f"{source.name}: domain type {kind}: not supported, only x86 PV (1) and HVM (2)")
    if shift != PAGE_SHIFT:
        raise ImageNotSupported(f"{source.name}: pages of 2^{shift} bytes: not supported, only 4096")
    return Domain(version, kind == HVM, (major, minor))


class _Walk:
    """One pass over the records."""

    def __init__(self, source: Source, domain: Domain, libxl: bool) -> None:
        self.source = source
        self.domain = domain
        self.libxl = libxl
        self.state = State()
        self.complete: State | None = None
        self.checkpoints = 0
        self.verifying = False
        self.warnings: list[str] = []

    def run(self, at: int) -> Stream:
        end = self._records(at)
        if end is None:
            self._say_truncated()
        elif self.libxl and self.complete is None:
            self.state.libxl = tuple(each_libxl_record(self.source, end))
        if not self.state.batches and self.complete is None:
            reason = "; ".join(self.warnings) or "it ends at once"
            raise ImageDamaged(f"{self.source.name}: the stream holds no pages: {reason}")
        return Stream(self.domain, self.complete or self.state, self.checkpoints, tuple(self.warnings))

    def _records(self, at: int) -> int | None:
        """Takes every record; gives the place behind END, None if the stream stops before it."""
        while at + RECORD.size <= self.source.size:
            record = read_record(self.source, at)
            if not self._known(record, at):
                return None
            if record.type == END:
                return record.next
            self._take(record)
            at = self._behind_checkpoint(record.next) if record.type == CHECKPOINT else record.next
        return None

    def _known(self, record: Record, at: int) -> bool:
        if record.length > MAX_LENGTH:
            found = f"a record of {record.length} bytes"
        elif record.type > LAST_TYPE and not record.type & OPTIONAL:
            found = f"unknown record type {record.type:#x}"
        else:
            return True
        self.warnings.append(f"damaged: {found} at {at:#x}; nothing behind it was read")
        return False

    def _take(self, record: Record) -> None:
        if record.type == PAGE_DATA:
            if not self.verifying:
                self._take_pages(record)
        elif record.type == VERIFY:
            self.verifying = True
        elif record.type == CHECKPOINT:
            self.checkpoints += 1
            self.complete = self.state.copy()
        elif record.at + record.length > self.source.size:
            return
        elif record.type in (VCPU_BASIC, VCPU_EXTENDED, VCPU_MSRS):
            self._take_vcpu(record)
        elif record.type in (PV_INFO, P2M_FRAMES, SHARED_INFO, TSC_INFO, HVM_CONTEXT, HVM_PARAMS, CPUID_POLICY):
            self.state.bodies[record.type] = self.source.read(record.at, record.length)

    def _take_pages(self, record: Record) -> None:
        """The record's length tells how many of its words are followed by a page."""
        if record.length < COUNT.size or record.at + COUNT.size > self.source.size:
            return
        (count,) = COUNT.unpack(self.source.read(record.at, COUNT.size))
        words = record.at + COUNT.size
        carried, rest = divmod(record.length - COUNT.size - 8 * count, PAGE_SIZE)
        if carried < 0 or rest or carried > count:
            said = f"{count} words and a length of {record.length}"
            raise ImageDamaged(f"{self.source.name}: PAGE_DATA record at {record.at:#x} has {said}, which do not fit")
        if words + 8 * count <= self.source.size:
            self.state.batches.append(Batch(words, count, words + 8 * count, carried))

    def _take_vcpu(self, record: Record) -> None:
        if record.length < VCPU.size:
            return
        (number,) = VCPU.unpack(self.source.read(record.at, VCPU.size))
        if number >= MAX_VCPUS:
            self.warnings.append(f"vcpu {number}: past the {MAX_VCPUS} that Xen may have; left out")
            return
        body = self.source.read(record.at + VCPU.size, record.length - VCPU.size)
        self.state.vcpus.setdefault(record.type, {})[number] = body

    def _behind_checkpoint(self, at: int) -> int:
        """Where libxc's records go on: libxl may put its own behind a checkpoint, up to CHECKPOINT_END."""
        if not self.libxl or at + RECORD.size > self.source.size:
            return at
        first = read_record(self.source, at)
        emulator = self.domain.hvm and first.type in (EMULATOR_XENSTORE, EMULATOR_CONTEXT)
        if not emulator and (first.type, first.length) not in ((CHECKPOINT_END, 0), (CHECKPOINT_STATE, 4)):
            return at
        records = tuple(each_libxl_record(self.source, at))
        if self.complete is not None:
            self.complete.libxl = records
        return records[-1].next if records else at

    def _say_truncated(self) -> None:
        if not self.warnings:
            kept = "the last checkpoint is shown" if self.complete else "what came before is shown"
            self.warnings.append(f"truncated: the stream has no END record; {kept}")


def read_params(body: bytes) -> Mapping[int, int]:
    """The HVM parameters by number."""
    if len(body) < COUNT.size:
        return {}
    count = min(COUNT.unpack_from(body)[0], MAX_PARAMS, (len(body) - COUNT.size) // PARAM.size)
    return dict(PARAM.iter_unpack(body[COUNT.size : COUNT.size + count * PARAM.size]))


def each_msr(body: bytes) -> Iterator[tuple[int, int]]:
    """The MSRs in the body of a vcpu's record: number and value."""
    layout = struct.Struct("<I4xQ")
    yield from layout.iter_unpack(body[: len(body) // layout.size * layout.size])
