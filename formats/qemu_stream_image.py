"""The image in a QEMU stream: main memory and firmware at their addresses, the vcpus, what the guest left for readers.

One pass over the records of pages makes an index, which is kept in the cache; mapped-ram needs none. The description of
the devices at the stream's end leads to everything else.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from formats import vmcoreinfo, x86_paging
from formats.elf import each_note
from formats.errors import ImageDamaged, ImageError, PageAbsent, PageMissing
from formats.frames import PAGE_SIZE, Paddr, Pfn
from formats.image import About, Fact, Image, Note, PageState, Run, Vcpu
from formats.lazy import dataclass
from formats.options import Options
from formats.pagecache import PageCache
from formats.qemu_stream_blocks import IGNORE_SHARED, MAPPED_RAM
from formats.qemu_stream_cpu import each_vcpu, guess_devices
from formats.qemu_stream_devices import Device, Layout, each_device, find_description, skip_device
from formats.qemu_stream_index import load, store
from formats.qemu_stream_layout import (
    HYPERTRANSPORT,
    Piece,
    Placement,
    Split,
    guess_split,
    may_be_main,
    place,
    read_split,
)
from formats.qemu_stream_log import Kind
from formats.qemu_stream_pages import MappedPages, Pages, RecordedPages
from formats.qemu_stream_walk import Scan, scan
from formats.source import Buffer, Source

MAX_NOTE = 1 << 20


class QemuStreamImage(Image):
    """Pages by their place in main memory and firmware, out of the pages of all RAM blocks."""

    def __init__(
        self, source: Source, about: About, vcpus: Sequence[Vcpu], pieces: Sequence[Piece], pages: Pages
    ) -> None:
        super().__init__(source, about, vcpus)
        self._pieces = pieces
        self._starts = [piece.pfn for piece in pieces]
        self._pages = pages

    def locate(self, pfn: Pfn) -> tuple[Buffer, int]:
        return self._pages.locate(self._page(pfn), pfn)

    def state(self, pfn: Pfn) -> PageState:
        try:
            return self._pages.state(self._page(pfn))
        except PageMissing:
            return PageState.ABSENT

    def runs(self) -> Iterator[Run]:
        waiting: Run | None = None
        for run in self._each_stretch():
            if waiting and run.state is waiting.state and run.pfn == waiting.pfn + waiting.count:
                waiting = Run(waiting.pfn, waiting.count + run.count, run.state)
                continue
            if waiting:
                yield waiting
            waiting = run
        if waiting:
            yield waiting

    def _each_stretch(self) -> Iterator[Run]:
        for piece in self._pieces:
            pfn = piece.pfn
            for count, state in self._pages.each_stretch(piece.page, piece.count):
                if state is not PageState.ABSENT:
                    yield Run(Pfn(pfn), count, state)
                pfn += count

    def _page(self, pfn: Pfn) -> int:
        at = bisect_right(self._starts, pfn) - 1
        piece = self._pieces[at] if at >= 0 else None
        if piece is None or pfn - piece.pfn >= piece.count:
            raise PageAbsent(pfn)
        return piece.page + pfn - piece.pfn


@dataclass(frozen=True)
class Behind:
    """What the stream holds behind its memory."""

    devices: Sequence[Device]
    vcpus: Sequence[Vcpu]
    split: Split | None


def open_stream(source: Source, options: Options, name: str, description: str) -> Image:
    """Reads the devices' description, indexes the pages if no index of them is in the cache, and reads the vcpus."""
    warnings: list[str] = []
    described = _described(source, warnings)
    layouts = described[1] if described else ()
    found = _scanned(source, layouts, options)
    warnings += found.warnings
    behind = _read_behind(source, found, described, warnings)
    placement = place(found.blocks, behind.split, found.machine)
    warnings += _doubts(found, placement)
    mapped = MAPPED_RAM in found.capabilities
    cache = PageCache(options.page_cache)
    pages: Pages = (
        MappedPages(source, found.blocks)
        if mapped
        else RecordedPages(source, found.runs, complete=found.tail is not None, cache=cache)
    )
    about = About(
        format=name,
        description=f"{description}, {'mapped RAM' if mapped else 'pages in order'}",
        bits=max((vcpu.bits for vcpu in behind.vcpus), default=64),
        paging=x86_paging.common_paging(behind.vcpus),
        facts=_facts(source, found, placement, behind.devices),
        warnings=warnings,
    )
    image = QemuStreamImage(source, about, behind.vcpus, placement.pieces, pages)
    if found.runs.delta_page or bytes(found.runs.kind).find(Kind.ZLIB) >= 0:
        image.cache = cache
    image.notes = vmcoreinfo.named(_each_guest_note(source, image, behind.devices))
    return image


def _described(source: Source, warnings: list[str]) -> tuple[int, Sequence[Layout]] | None:
    try:
        return find_description(source)
    except ImageDamaged as err:
        warnings.append(str(err))
        return None


def _scanned(source: Source, layouts: Sequence[Layout], options: Options) -> Scan:
    """The result of the pass over the stream, from the cache if it is there."""
    found = load(source, options.cache)
    if found is None:
        shift = getattr(source, "file_offset", 0)  # a container that the stream's own file offsets count from
        found = scan(source, lambda at: skip_device(source, at, layouts), shift, options.progress)
        store(source, options.cache, found)
    return found


def _read_behind(
    source: Source, found: Scan, described: tuple[int, Sequence[Layout]] | None, warnings: list[str]
) -> Behind:
    if found.tail is None:
        return Behind((), (), None)
    if described is None:
        warnings.append("the stream has no description of its devices: registers and memory layout are found by search")
        devices = guess_devices(source, found.tail)
        split = guess_split(source, found.tail)
    else:
        devices = list(each_device(source, found.tail, described[0], described[1]))
        split = read_split(source, devices)
    vcpus = sorted(each_vcpu(source, devices), key=lambda vcpu: vcpu.id)
    if not vcpus:
        warnings.append("no registers: the stream has no x86 vcpu that can be read")
    return Behind(devices, vcpus, split)


def _doubts(found: Scan, placement: Placement) -> Iterator[str]:
    split = placement.split
    if "guessed" in split.evidence and split.above:
        yield f"memory above {split.below:#x} is placed at 4 GiB: {split.evidence}"
    if split.below + split.above > HYPERTRANSPORT - (1 << 32):
        yield "memory above 4 GiB may begin at 1 TiB instead (AMD hosts); the stream does not tell"
    if IGNORE_SHARED in found.capabilities:
        yield "the stream leaves out shared memory (x-ignore-shared): what it has no pages of reads as zeros"
    for block in placement.unplaced:
        if may_be_main(block):
            yield f"RAM block {block.name} of {block.length:#x} bytes has no known address and is left out"


def _facts(source: Source, found: Scan, placement: Placement, devices: Sequence[Device]) -> Sequence[Fact]:
    split = placement.split
    facts = [Fact("machine type", found.machine or "not recorded", "configuration section")]
    if state := _run_state(source, devices):
        facts.append(Fact("run state", state, "section globalstate"))
    facts.append(Fact("memory below 4 GiB", f"{split.below:#x}", split.evidence))
    facts.append(Fact("memory above 4 GiB", f"{split.above:#x}", split.evidence))
    if found.capabilities:
        facts.append(Fact("capabilities", ", ".join(found.capabilities), "configuration section"))
    for block in found.blocks[:64]:
        where = "" if block not in placement.unplaced else ", at no fixed address"
        facts.append(Fact(f"RAM block {block.name}", f"{block.length:#x} bytes{where}", "section ram"))
    return facts


def _run_state(source: Source, devices: Sequence[Device]) -> str:
    device = next((device for device in devices if device.layout.name == "globalstate"), None)
    field = device.field("runstate") if device else None
    if device is None or field is None:
        return ""
    return source.peek(device.body + field.offset, min(field.size, 32)).split(b"\0")[0].decode("latin-1")


def _each_guest_note(source: Source, image: Image, devices: Sequence[Device]) -> Iterator[Note]:
    """The note that a guest gave to the device `vmcoreinfo`; it lies in the guest's memory."""
    device = next((device for device in devices if device.layout.name == "vmcoreinfo"), None)
    numbers = [device.field(f"vmcoreinfo.{name}") for name in ("size", "paddr")] if device else []
    if device is None or None in numbers:
        return
    size, paddr = (
        int.from_bytes(source.peek(device.body + field.offset, field.size), "big") for field in numbers if field
    )
    if not PAGE_SIZE <= paddr < 1 << 52 or not 0 < size <= MAX_NOTE:
        return
    try:
        yield from islice(each_note(image.read(Paddr(paddr), size)), 1)
    except ImageError:
        return
