"""Where a Linux kernel lies: the mapped runs of its image, and the page tables that show it.

On x86-64 the image is in the top 2 GiB of the address space, its first mapping is `_text`. A 32-bit kernel lies within
the direct map of low memory: `_text` begins its read-only code, and where there is no NX that goes on as its read-only
data. With page-table isolation a vcpu that was stopped in user mode has a root that maps almost nothing of the kernel;
the kernel's own root is the page before it.
"""

import struct
from collections.abc import Iterator
from itertools import islice

from formats.frames import PAGE_SIZE, Vaddr
from formats.lazy import dataclass
from vmdebug.errors import DebuggerError, ReadFailed
from vmdebug.guests.linux.scan import SHAPES, each_candidate
from vmdebug.paging import MODES, Span
from vmdebug.symbols.kallsyms import Kallsyms, find_kallsyms
from vmdebug.targets.spaces import AddressSpace
from vmdebug.targets.target import Target

IMAGE_START, IMAGE_END = 0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_C000_0000
UPPER_HALF = 1 << 63
LOWEST_DIRECT_MAP, END_32 = 0x4000_0000, 1 << 32  # PAGE_OFFSET with CONFIG_VMSPLIT_1G, the lowest that there is
MIN_TEXT = 1 << 20  # a smaller run of code is a program's, a module's or the firmware's
HYPERVISOR_START, HYPERVISOR_END = 0xFFFF_8000_0000_0000, 0xFFFF_8800_0000_0000  # Linux leaves these to Xen
MAX_CANDIDATES = 64  # pages that look like a root and are none: more than any image has shown
MAX_PLACES = 256  # runs of read-only memory that are searched: a kernel has few, a program some
MAX_READ_ONLY = 256 << 20  # of read-only data: many times what any kernel has
PLACE, WINDOW = "kallsyms-1", struct.Struct("<QQ")  # what the cache calls the tables' first and last offset, and these


class NotLinux(DebuggerError):
    """No Linux kernel was found; the text says what was looked for and what there was."""


@dataclass(frozen=True)
class KernelImage:
    """A kernel's image: its first address, its read-only data, its names, and the tables through which it is seen.

    `half` is where the kernel's part of the address space begins.
    """

    space: AddressSpace
    text: int
    rodata: Span
    kallsyms: Kallsyms
    half: int = UPPER_HALF


def find_image(target: Target) -> KernelImage:
    """The kernel that a vcpu's page tables map, or without registers those found in memory; NotLinux if none does."""
    if not target.image.vcpus:
        return _find_without_registers(target)
    for vcpu in target.image.vcpus:
        if HYPERVISOR_START <= vcpu.registers.get("rip", 0) < HYPERVISOR_END:
            raise NotLinux(f"not Linux: vcpu {vcpu.id} runs a Xen hypervisor")
    if target.mode is None:
        raise NotLinux("not Linux: vcpu 0 runs without page tables")
    reasons = list[str]()
    for root in _roots(target):
        found = _find_under(target, root, reasons)
        if found:
            return found
    raise NotLinux(f"not Linux: {'; '.join(reasons)}")


def _find_without_registers(target: Target) -> KernelImage:
    """The kernel under page tables found in memory, whose mode becomes the target's."""
    for mode in map(MODES.__getitem__, SHAPES):
        target.mode = mode
        for root in islice(each_candidate(target.image, mode), MAX_CANDIDATES):
            found = _find_under(target, root, [])
            if found:
                return found
    target.mode = None
    raise NotLinux("not Linux: no registers, and no page tables of a kernel in memory")


def _find_under(target: Target, root: int, reasons: list[str]) -> KernelImage | None:
    """The kernel that the tables at a root show; if there is none, `reasons` gets why."""
    space, text = target.space(root), None
    places = _places(space) if target.word == 8 else _places_32(space)
    for text, span in islice(places, MAX_PLACES):
        found = _kallsyms_in(space, span, text, target) if span else None
        if span and found:
            return KernelImage(space, text, span, found, _half(space, text, target.word))
    if text is None:
        reasons.append(f"the tables at {root:#x} map nothing where Linux puts its image")
    else:
        reasons.append(f"no kallsyms in the image that the tables at {root:#x} map at {text:#x}")
    return None


def _places(space: AddressSpace) -> Iterator[tuple[int, Span | None]]:
    """Where the image begins, and each run of read-only data that may be its own; no run where it begins."""
    spans = space.each_span(IMAGE_START, IMAGE_END)
    first = next(spans, None)
    if first is None:
        return
    yield first.start, None
    for span in spans:
        if not span.writable and not span.executable and span.size <= MAX_READ_ONLY:
            yield first.start, span


def _places_32(space: AddressSpace) -> Iterator[tuple[int, Span | None]]:
    """The same of a 32-bit kernel: every long run of code that cannot be written may begin it."""
    text = None
    for span in space.each_span(LOWEST_DIRECT_MAP, END_32):
        if span.writable or not MIN_TEXT // 4 <= span.size <= MAX_READ_ONLY:
            continue
        if span.executable and span.size >= MIN_TEXT:
            text = span.start
        if text is not None:
            yield text, span


def _half(space: AddressSpace, text: int, word: int) -> int:
    """Where the kernel's part begins: in a 32-bit kernel with the direct map of low memory, in which its image lies."""
    return UPPER_HALF if word == 8 else text - space.translate(Vaddr(text)).paddr


def _roots(target: Target) -> Iterator[int]:
    """The roots to try: each vcpu's, and of a pair of page-table isolation the kernel's half."""
    tried = set()
    for vcpu in target.image.vcpus:
        for root in (vcpu.root, None if vcpu.root is None else vcpu.root & ~PAGE_SIZE):
            if root is not None and root not in tried:
                tried.add(root)
                yield root


def _kallsyms_in(space: AddressSpace, span: Span, text: int, target: Target) -> Kallsyms | None:
    """The kallsyms in a span, which is read as a whole, but for the part that held it the last time in such an image.

    What is kept is only where to look: there, too, the tables are found by their own structure.
    """
    cache, word = target.cache, target.word
    key = f"{span.start - text:x}+{span.size:x}"
    kept = cache.load(PLACE, key) if cache else None
    if kept and len(kept) == WINDOW.size:
        start, end = WINDOW.unpack(kept)
        found = _kallsyms_at(space, span, start, end, text, word)
        if found:
            return found
    found = _kallsyms_at(space, span, 0, span.size, text, word)
    if cache and found:
        cache.store(PLACE, key, [WINDOW.pack(*found.extent)])
    return found


def _kallsyms_at(space: AddressSpace, span: Span, start: int, end: int, text: int, word: int) -> Kallsyms | None:
    """The kallsyms between two offsets into a span."""
    if not start < end <= span.size:
        return None
    try:
        data = space.read(span.start + start, end - start)
    except ReadFailed:
        return None
    return find_kallsyms(span.start + start, data, text, word)
