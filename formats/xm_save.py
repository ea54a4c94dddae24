"""Xen's save files before 4.6: `xm save`, `xl save` of 4.1 to 4.5, `virsh save` of that time.

Pages lie by pfn; a paravirtualised guest's page tables hold pfns, as the saver rewrote them. The stream has no magic
of its own: it is known by the header in front of it, or, bare, by the extended information of a PV domain.
Specified in: tools/libxc/xc_domain_save.c of Xen 4.5, tools/python/xen/xend/XendCheckpoint.py of Xen 3 and 4.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from formats import hvm_context, xen_vcpu, xm_stream
from formats.frames import Paddr, Pfn
from formats.image import About, Fact, Image, Run, Vcpu
from formats.source import Buffer, Source
from formats.x86_paging import common_paging
from formats.xen_config import domain_name
from formats.xen_envelope import Envelope, find_stream
from formats.xen_pages import PageIndex
from formats.xm_stream import Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "xm-save"
DESCRIPTION = "Xen save file before 4.6 (xm save)"
ORDER = 85  # the bare stream has no magic: whoever knows the file by its head comes first

BARE_BLOCK = b"vcpu"


class XmSaveImage(Image):
    """A domain's pages out of a stream. `shared_info` is empty for a fully virtualised guest."""

    def __init__(self, source: Source, about: About, vcpus: Sequence[Vcpu], stream: Stream) -> None:
        super().__init__(source, about, vcpus)
        self.shared_info = stream.state.shared_info
        self._pages = PageIndex(source, stream.state.batches, stream.guess.words)

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        return self._pages.locate(pfn)

    def read(self, paddr: Paddr, size: int) -> bytes:
        return self._pages.read(paddr, size)

    def places(self, pfns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        return self._pages.places(pfns)

    def runs(self) -> Iterator[Run]:
        return self._pages.runs()


def probe(source: Source) -> bool:
    """True for a save file with the old stream, or that stream alone with its extended information."""
    envelope = find_stream(source)
    return envelope.legacy if envelope else _is_bare(source)


def open_image(source: Source) -> Image:
    """One pass over the batches; only their words are read."""
    envelope = find_stream(source) or Envelope(0, True, False, ())
    stream = xm_stream.read_stream(source, envelope.start, _says_hvm(envelope))
    warnings: list[str] = []
    if not stream.complete:
        warnings.append("truncated: the stream ends before its last page; what came before is shown")
    vcpus = _hvm_vcpus(stream, warnings) if stream.guess.hvm else list(_each_pv_vcpu(stream))
    if not vcpus:
        warnings.append("no registers in the stream")
    about = About(
        format=NAME,
        description=f"{DESCRIPTION}, {'fully virtualised' if stream.guess.hvm else 'paravirtualised'}",
        bits=vcpus[0].bits if vcpus else stream.bits,
        paging=common_paging(vcpus) if stream.guess.hvm else ("4-level" if stream.bits == 64 else "PAE"),
        domain=True,
        facts=list(_each_fact(envelope, stream)),
        warnings=warnings,
    )
    return XmSaveImage(source, about, vcpus, stream)


def _is_bare(source: Source) -> bool:
    """A p2m size, a word of ones, a small length and the block of a vcpu."""
    for word in (8, 4):
        head = source.peek(0, 2 * word + 8)
        pages = int.from_bytes(head[:word], "little")
        ones = head[word : 2 * word] == b"\xff" * word
        if ones and 0 < pages <= xm_stream.MAX_P2M and head[2 * word + 4 :] == BARE_BLOCK:
            return True
    return False


def _says_hvm(envelope: Envelope) -> bool | None:
    """What the configuration says of the domain's kind; None if it says nothing clear."""
    config = envelope.config
    if b"(hvm" in config or b"'hvm'" in config or b'"hvm"' in config:
        return True
    if b"(linux" in config:
        return False
    return None


def _hvm_vcpus(stream: Stream, warnings: list[str]) -> Sequence[Vcpu]:
    found = hvm_context.read_context(stream.state.hvm_context)
    warnings.extend(found.warnings)
    return found.vcpus


def _each_pv_vcpu(stream: Stream) -> Iterator[Vcpu]:
    for number, context in sorted(stream.state.contexts.items()):
        more = xen_vcpu.read_extended(stream.state.extended.get(number, b""))
        vcpu = xen_vcpu.read_vcpu(context, number, stream.bits, hvm=False)
        yield Vcpu(number, stream.bits, {**more, **vcpu.registers}, vcpu.root, vcpu.user_root, vcpu.flags)


def _each_fact(envelope: Envelope, stream: Stream) -> Iterator[Fact]:
    yield Fact("headers", ", ".join(envelope.layers) or "none", "headers in front of the stream")
    yield Fact("stream", f"old libxc stream of {stream.guess.words.size * 8}-bit tools", "its first words")
    if stream.blocks:
        yield Fact("extended info", " ".join(stream.blocks), "blocks behind the p2m size")
    if name := domain_name(envelope.config):
        yield Fact("domain", name, "configuration")
    yield Fact("p2m size", f"{stream.p2m_size:#x}", "first word")
    if stream.generations > 1:
        yield Fact("checkpoints", f"{stream.generations}, the last complete one is shown", "stream")
    if stream.state.khz:
        yield Fact("tsc", f"{stream.state.khz} kHz", "TSC information")
