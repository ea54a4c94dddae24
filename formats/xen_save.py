"""Xen's save files since 4.6 (`xl save`, `virsh save` on Xen), of paravirtualised and fully virtualised domains.

Pages lie by pfn in libxc's stream. The saver rewrites a paravirtualised guest's page tables so that they hold pfns;
frame numbers elsewhere in its memory (p2m, start_info, grants) are still those of the machine that it ran on.
Specified in: docs/specs/libxc-migration-stream.pandoc and tools/libs/guest/xg_sr_save_x86_pv.c of Xen.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats import hvm_context, x86_state, xen_vcpu
from formats import xen_records as records
from formats.errors import ImageDamaged, PageMissing
from formats.frames import PAGE_SHIFT, PAGE_SIZE, Mfn, Paddr, Pfn
from formats.image import About, Fact, Image, Run, Vcpu
from formats.source import Buffer, Source
from formats.x86_paging import common_paging
from formats.xen_config import domain_name
from formats.xen_envelope import EMULATOR_CONTEXT, Envelope, find_stream
from formats.xen_pages import STREAM_V2, PageIndex
from formats.xen_records import State, Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "xen-save"
DESCRIPTION = "Xen save file (xl save, virsh save on Xen)"
HEADS = (b"Xen saved domain", b"libvirt-xml", b"LinuxGuestRecord", b"LibxlFmt", b"\xff\xff\xff\xff\xff\xff\xff\xff")

PV_INFO = struct.Struct("<BB")  # guest width in bytes, page-table levels
PAGING = {(8, 4): "4-level", (4, 3): "PAE"}
FRAMES = struct.Struct("<II")  # first pfn, last pfn that the p2m's leaf pages cover
TSC = struct.Struct("<IIQII")
CPUID_LEAF = struct.Struct("<6I")
AMD = (b"AuthenticAMD", b"HygonGenuine")
PARAM_NAMES = {1: "store pfn", 2: "store event channel", 17: "console pfn", 18: "console event channel"}


class XenSaveImage(Image):
    """A domain's pages out of a stream. `shared_info` and `hvm_params` are empty where the stream has none."""

    def __init__(self, source: Source, about: About, vcpus: Sequence[Vcpu], pages: PageIndex, state: State) -> None:
        super().__init__(source, about, vcpus)
        self.shared_info = state.bodies.get(records.SHARED_INFO, b"")
        self.hvm_params = records.read_params(state.bodies.get(records.HVM_PARAMS, b""))
        self._pages = pages
        self._frames = state.bodies.get(records.P2M_FRAMES, b"")

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        return self._pages.locate(pfn)

    def read(self, paddr: Paddr, size: int) -> bytes:
        return self._pages.read(paddr, size)

    def places(self, pfns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        return self._pages.places(pfns)

    def runs(self) -> Iterator[Run]:
        return self._pages.runs()

    def saved_mfn_of(self, pfn: Pfn) -> Mfn | None:
        """The frame of the machine on which the domain was saved, from the guest's own p2m; None where it has none."""
        word = self.about.bits // 8
        per_page = PAGE_SIZE // word
        if len(self._frames) < FRAMES.size:
            return None
        first, last = FRAMES.unpack_from(self._frames)
        at = FRAMES.size + 8 * (pfn // per_page - first // per_page)
        if not first <= pfn <= last or at + 8 > len(self._frames):
            return None
        leaf = int.from_bytes(self._frames[at : at + 8], "little")
        try:
            entry = self.read(Paddr((leaf << PAGE_SHIFT) + pfn % per_page * word), word)
        except PageMissing:
            return None
        mfn = int.from_bytes(entry, "little")
        return None if mfn >> (self.about.bits - 2) else Mfn(mfn)  # Linux marks foreign and identity frames there


def probe(source: Source) -> bool:
    """True for a save file whose stream is of version 2 or 3."""
    envelope = find_stream(source)
    return envelope is not None and not envelope.legacy


def open_image(source: Source) -> Image:
    """One pass over the record headers; the page index is built when the first page is wanted."""
    envelope = find_stream(source)
    if envelope is None or envelope.legacy:
        raise ImageDamaged(f"{source.name}: no Xen save file of Xen 4.6 or later")
    stream = records.read_stream(source, envelope.start, envelope.libxl)
    warnings = list(stream.warnings)
    vcpus = _hvm_vcpus(stream, warnings) if stream.domain.hvm else _pv_vcpus(stream, warnings)
    hvm = stream.domain.hvm
    about = About(
        format=NAME,
        description=f"{DESCRIPTION}, {'fully virtualised' if hvm else 'paravirtualised'}",
        bits=(vcpus[0].bits if vcpus else 64) if hvm else _pv_bits(stream.state),
        paging=common_paging(vcpus) if hvm else _pv_paging(stream.state),
        domain=True,
        facts=list(_each_fact(envelope, stream, vcpus)),
        warnings=warnings,
    )
    pages = PageIndex(source, stream.state.batches, STREAM_V2)
    return XenSaveImage(source, about, vcpus, pages, stream.state)


def _hvm_vcpus(stream: Stream, warnings: list[str]) -> Sequence[Vcpu]:
    context = stream.state.bodies.get(records.HVM_CONTEXT, b"")
    if not context:
        warnings.append("no HVM context in the stream: no registers")
    found = hvm_context.read_context(context)
    warnings.extend(found.warnings)
    return found.vcpus


def _pv_bits(state: State) -> int:
    body = state.bodies.get(records.PV_INFO, b"").ljust(PV_INFO.size, b"\0")
    return 32 if PV_INFO.unpack_from(body)[0] == 4 else 64


def _pv_paging(state: State) -> str:
    body = state.bodies.get(records.PV_INFO, b"").ljust(PV_INFO.size, b"\0")
    return PAGING.get(PV_INFO.unpack_from(body), "PAE" if _pv_bits(state) == 32 else "4-level")


def _pv_vcpus(stream: Stream, warnings: list[str]) -> Sequence[Vcpu]:
    found = stream.state.vcpus
    bits = _pv_bits(stream.state)
    need = xen_vcpu.SIZE64 if bits == 64 else xen_vcpu.SIZE32
    if records.PV_INFO not in stream.state.bodies:
        warnings.append("no X86_PV_INFO in the stream: taken as a 64-bit guest")
    vcpus = []
    for number, context in sorted(found.get(records.VCPU_BASIC, {}).items()):
        if len(context) < need:
            warnings.append(f"vcpu {number}: context of {len(context)} bytes, expected {need}: no registers")
            continue
        more = xen_vcpu.read_extended(found.get(records.VCPU_EXTENDED, {}).get(number, b""))
        more |= _msrs(found.get(records.VCPU_MSRS, {}).get(number, b""))
        vcpu = xen_vcpu.read_vcpu(context, number, bits, hvm=False)
        vcpus.append(Vcpu(number, bits, {**more, **vcpu.registers}, vcpu.root, vcpu.user_root, vcpu.flags))
    if not vcpus:
        warnings.append("no vcpu records in the stream: no registers")
    return vcpus


def _msrs(body: bytes) -> dict[str, int]:
    return {x86_state.msr_name(index): value for index, value in records.each_msr(body)}


def _each_fact(envelope: Envelope, stream: Stream, vcpus: Sequence[Vcpu]) -> Iterator[Fact]:
    major, minor = stream.domain.xen
    yield Fact("headers", ", ".join(envelope.layers) or "none", "headers in front of the stream")
    yield Fact("stream", f"libxc stream {stream.domain.version}", "image header")
    if major:
        yield Fact("hypervisor", f"Xen {major}.{minor}", "domain header")
    if name := domain_name(envelope.config):
        yield Fact("domain", name, "configuration")
    if stream.checkpoints:
        yield Fact("checkpoints", f"{stream.checkpoints}, the last complete one is shown", "CHECKPOINT records")
    bodies = stream.state.bodies
    tsc = bodies.get(records.TSC_INFO, b"")
    if len(tsc) >= TSC.size:
        yield Fact("tsc", f"{TSC.unpack_from(tsc)[1]} kHz", "TSC_INFO")
    if stream.domain.hvm:
        yield from _hvm_facts(stream)
    elif vcpus and vcpus[0].id == 0:
        yield Fact("start_info", f"pfn {vcpus[0].registers['rdx']:#x}", "rdx of vcpu 0, put there by the saver")
    for record in stream.state.libxl:
        if record.type == EMULATOR_CONTEXT:
            yield Fact("device model", f"{record.length} bytes of state at {record.at:#x}", "EMULATOR_CONTEXT")


def _hvm_facts(stream: Stream) -> Iterator[Fact]:
    params = records.read_params(stream.state.bodies.get(records.HVM_PARAMS, b""))
    for number, name in PARAM_NAMES.items():
        if params.get(number):
            yield Fact(name, f"{params[number]:#x}", f"HVM_PARAMS {number}")
    if _vendor(stream.state.bodies.get(records.CPUID_POLICY, b"")) in AMD:
        yield Fact("cr2", "is stale: an AMD host does not save a fully virtualised guest's", "CPUID policy")


def _vendor(policy: bytes) -> bytes:
    """The processor's vendor, out of CPUID leaf 0."""
    for leaf, _, _, ebx, ecx, edx in CPUID_LEAF.iter_unpack(policy[: len(policy) // CPUID_LEAF.size * CPUID_LEAF.size]):
        if leaf == 0:
            return struct.pack("<3I", ebx, edx, ecx)
    return b""
