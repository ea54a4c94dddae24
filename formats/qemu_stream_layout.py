"""Where the RAM blocks of a QEMU stream lie in the guest's physical memory.

A PC's main memory is split: what does not fit below the devices under 4 GiB continues at 4 GiB. How much lies below is
taken from the CMOS memory of the clock, in which the machine tells its firmware; without it, from the machine type.
Specified in: hw/i386/pc.c, pc_piix.c, pc_q35.c, microvm.c of QEMU (pc_cmos_init, pc_init1, pc_q35_init).
"""

import re
from collections.abc import Iterable, Sequence

from formats.frames import PAGE_SHIFT
from formats.lazy import dataclass
from formats.qemu_stream_blocks import Block
from formats.qemu_stream_devices import MAX_TEXT, Device
from formats.source import Source

FOUR_GIB = 1 << 32
MIB = 1 << 20
RTC = "mc146818rtc"
CMOS_SIZE = 128
FIRMWARE = ("system.flash0", "system.flash1")  # the first ends at 4 GiB, the second where the first begins
OLD_FIRMWARE = ("pc.bios",)
MAIN = "pc.ram"
NOT_MAIN = re.compile(r"(?!/objects/).*/.*|.*\.(rom|vram|bios|flash\d*)|vga\..*")  # memory of devices, firmware
PLUGGED = re.compile(r"(/objects/)?(mem\d+|dimm.*|nvdimm.*)")  # may be a node's memory, or a module plugged in later
MICROVM = "microvm"
ALIAS = 128 << 10  # of the firmware, at most
HYPERTRANSPORT = 0xFD_0000_0000  # AMD hosts move upper memory that would reach this to 1 TiB


@dataclass(frozen=True)
class Split:
    """How much memory lies below 4 GiB and from 4 GiB on, and how that is known."""

    below: int
    above: int
    evidence: str


@dataclass(frozen=True)
class Piece:
    """`count` pages from `pfn` on are the pages from `page` on of all blocks."""

    pfn: int
    count: int
    page: int


@dataclass(frozen=True)
class Placement:
    """The pieces by rising pfn, the split they follow, and the blocks that have no place."""

    pieces: Sequence[Piece]
    split: Split
    unplaced: Sequence[Block]


def read_split(source: Source, devices: Iterable[Device]) -> Split | None:
    """The split that the machine's CMOS memory tells; None where the stream has none that makes sense."""
    rtc = next((device for device in devices if device.layout.name == RTC), None)
    field = rtc.field("cmos_data") if rtc else None
    if rtc is None or field is None or field.size * field.count < CMOS_SIZE:
        return None
    return parse_cmos(source.peek(rtc.body + field.offset, CMOS_SIZE), f"CMOS memory in section {RTC}")


def guess_split(source: Source, start: int) -> Split | None:
    """The same without a description: the section is searched for behind `start`."""
    tail = source.view(start, min(source.size - start, MAX_TEXT))
    head = re.search(rb"\x04[\s\S]{4}\x0bmc146818rtc\x00{4}\x00{3}[\s\S]", tail)
    if head is None:
        return None
    return parse_cmos(bytes(tail[head.end() : head.end() + CMOS_SIZE]), "CMOS memory, found without a description")


def parse_cmos(cmos: bytes, evidence: str) -> Split | None:
    """Bytes 34 and 35 count 64 KiB above 16 MiB, 30 and 31 KiB above 1 MiB, 5B to 5D 64 KiB above 4 GiB."""
    if len(cmos) < CMOS_SIZE:
        return None
    high = int.from_bytes(cmos[0x34:0x36], "little") << 16
    low = int.from_bytes(cmos[0x30:0x32], "little") << 10
    below = high + 16 * MIB if high else low + MIB if low else 0
    return Split(below, int.from_bytes(cmos[0x5B:0x5E], "little") << 16, evidence) if below else None


def split_by_machine(machine: str, total: int) -> Split:
    """What the machine type does by itself with so much memory."""
    if "q35" in machine:
        limit, below = 0xB000_0000, 0x8000_0000
    elif machine.startswith(MICROVM):
        limit = below = 0xC000_0000
    elif re.search(r"-[01]\.\d+$", machine):
        limit = below = 0xE000_0000
    else:
        limit, below = 0xE000_0000, 0xC000_0000
    if total < limit or total <= below:
        below = total
    return Split(below, total - below, f"guessed from the machine type {machine or 'of unknown name'}")


def main_blocks(blocks: Sequence[Block], total: int | None) -> Sequence[Block]:
    """The blocks that make up main memory, in the order of their nodes: those whose lengths sum up to `total`."""
    candidates = sorted((block for block in blocks if may_be_main(block)), key=_natural)
    if total is None:
        named = [block for block in candidates if block.name == MAIN]
        return named or [block for block in candidates if not PLUGGED.fullmatch(block.name)] or candidates
    for block in candidates:
        if block.length == total:
            return [block]
    for count in range(len(candidates), 0, -1):
        if sum(block.length for block in candidates[:count]) == total:
            return candidates[:count]
    return ()


def may_be_main(block: Block) -> bool:
    """False for what devices and firmware have, by its name."""
    return not NOT_MAIN.fullmatch(block.name)


def place(blocks: Sequence[Block], split: Split | None, machine: str) -> Placement:
    """Main memory around the hole, the firmware below 4 GiB."""
    main = main_blocks(blocks, split.below + split.above if split else None)
    if split is None or not main:
        main = main_blocks(blocks, None)
        split = split_by_machine(machine, sum(block.length for block in main))
    pieces: list[Piece] = []
    at = 0
    for block in main:
        pieces += _split_block(block, at, split.below)
        at += block.length
    firmware = _firmware(blocks, split.below)
    if machine.startswith(MICROVM):
        pieces = _with_alias(pieces, firmware)
    pieces += firmware
    placed = {piece.page for piece in firmware} | {block.first for block in main}
    unplaced = [block for block in blocks if block.first not in placed]
    return Placement(sorted(pieces, key=lambda piece: piece.pfn), split, unplaced)


def _firmware(blocks: Sequence[Block], floor: int) -> Sequence[Piece]:
    by_name = {block.name: block for block in blocks}
    end = FOUR_GIB
    pieces: list[Piece] = []
    for name in FIRMWARE if FIRMWARE[0] in by_name else OLD_FIRMWARE:
        if name in by_name and by_name[name].length <= end - floor:
            block = by_name[name]
            end -= block.count << PAGE_SHIFT
            pieces.append(Piece(end >> PAGE_SHIFT, block.count, block.first))
    return pieces


def _with_alias(main: Sequence[Piece], firmware: Sequence[Piece]) -> list[Piece]:
    """Main memory with the end of the firmware below 1 MiB, where a microvm has it; a PC has memory there."""
    if not firmware or not main or main[0].count < MIB >> PAGE_SHIFT:
        return list(main)
    bios, low = firmware[0], main[0]
    count = min(bios.count, ALIAS >> PAGE_SHIFT)
    start, end = (MIB >> PAGE_SHIFT) - count, MIB >> PAGE_SHIFT
    return [
        Piece(low.pfn, start, low.page),
        Piece(start, count, bios.page + bios.count - count),
        Piece(end, low.count - end, low.page + end),
        *main[1:],
    ]


def _split_block(block: Block, at: int, below: int) -> Sequence[Piece]:
    """A block that begins `at` bytes into main memory, cut where the hole begins."""
    low = min(max(below - at, 0), block.length) >> PAGE_SHIFT
    pieces = []
    if low:
        pieces.append(Piece(at >> PAGE_SHIFT, low, block.first))
    if low < block.count:
        paddr = FOUR_GIB + max(at - below, 0)
        pieces.append(Piece(paddr >> PAGE_SHIFT, block.count - low, block.first + low))
    return pieces


def _natural(block: Block) -> list[tuple[int, str]]:
    """Sorts node 10 behind node 9."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d*)", block.name)]
