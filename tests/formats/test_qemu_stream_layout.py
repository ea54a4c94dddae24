"""Where RAM blocks lie: machine types, nodes, plugged memory, firmware."""

import pytest

from formats.qemu_stream_blocks import Block
from formats.qemu_stream_layout import Piece, Split, parse_cmos, place

MIB, GIB = 1 << 20, 1 << 30


def blocks_of(**lengths):
    found, first = [], 0
    for name, length in lengths.items():
        found.append(Block(name.replace("__", "/").replace("_", "."), length, first))
        first += found[-1].count
    return found


def spans(placement):
    """(from, to, first page) of each piece, in bytes and pages."""
    return [(piece.pfn << 12, piece.pfn + piece.count << 12, piece.page) for piece in placement.pieces]


@pytest.mark.parametrize(
    ("machine", "size", "below"),
    [
        ("pc-q35-10.0", 0xB000_0000, 0x8000_0000),
        ("pc-q35-10.0", 0xAFFF_F000, 0xAFFF_F000),
        ("pc-i440fx-7.2", 0xE000_0000, 0xC000_0000),
        ("pc-i440fx-7.2", 0xDFFF_F000, 0xDFFF_F000),
        ("pc-i440fx-1.6", 0xE800_0000, 0xE000_0000),
        ("microvm", 5 * GIB, 0xC000_0000),
    ],
)
def test_without_cmos_the_machine_type_tells_and_says_that_it_is_a_guess(machine, size, below):
    placement = place(blocks_of(pc_ram=size), None, machine)

    assert placement.split.below == below
    assert "guessed" in placement.split.evidence
    upper = [(4 * GIB, 4 * GIB + size - below, below >> 12)] if size > below else []
    assert spans(placement) == [(0, below, 0), *upper]


def test_what_cmos_tells_goes_before_the_machine_type():
    split = Split(128 * MIB, 32 * MIB, "CMOS")

    placement = place(blocks_of(pc_ram=160 * MIB, pc_bios=256 << 10), split, "pc-q35-7.2")

    assert spans(placement) == [
        (0, 128 * MIB, 0),
        (4 * GIB - (256 << 10), 4 * GIB, 160 * MIB >> 12),
        (4 * GIB, 4 * GIB + 32 * MIB, 128 * MIB >> 12),
    ]


def test_nodes_are_laid_end_to_end_in_their_own_order():
    blocks = blocks_of(**{"ram-node10": 64 * MIB, "ram-node2": 32 * MIB, "pc_rom": 128 << 10})

    placement = place(blocks, Split(80 * MIB, 16 * MIB, "CMOS"), "pc-q35-10.0")

    node10, node2 = blocks[0].first, blocks[1].first
    assert spans(placement) == [
        (0, 32 * MIB, node2),
        (32 * MIB, 80 * MIB, node10),
        (4 * GIB, 4 * GIB + 16 * MIB, node10 + (48 * MIB >> 12)),
    ]
    assert [block.name for block in placement.unplaced] == ["pc.rom"]


@pytest.mark.parametrize("prefix", ["", "__objects__"])
def test_memory_plugged_in_later_is_no_main_memory(prefix):
    blocks = blocks_of(**{f"{prefix}mem0": 32 * MIB, f"{prefix}mem1": 32 * MIB, f"{prefix}mem2": 128 * MIB})

    placement = place(blocks, Split(64 * MIB, 0, "CMOS"), "pc-q35-10.0")

    assert spans(placement) == [(0, 32 * MIB, 0), (32 * MIB, 64 * MIB, blocks[1].first)]
    assert placement.unplaced == [blocks[2]]


def test_flash_lies_below_4_gib_the_second_under_the_first():
    blocks = blocks_of(pc_ram=64 * MIB, system_flash0=2 * MIB, system_flash1=MIB)

    placement = place(blocks, Split(64 * MIB, 0, "CMOS"), "pc-q35-10.0")

    assert spans(placement)[1:] == [
        (4 * GIB - 3 * MIB, 4 * GIB - 2 * MIB, blocks[2].first),
        (4 * GIB - 2 * MIB, 4 * GIB, blocks[1].first),
    ]


def test_a_microvm_has_its_firmware_below_1_mib_too():
    blocks = blocks_of(pc_ram=64 * MIB, pc_bios=64 << 10)

    pieces = place(blocks, Split(64 * MIB, 0, "CMOS"), "microvm").pieces

    bios = blocks[1].first
    assert pieces[:3] == [Piece(0, 0xF0, 0), Piece(0xF0, 0x10, bios), Piece(0x100, 0x3F00, 0x100)]


def test_cmos_counts_64_kib_above_16_mib_and_above_4_gib():
    cmos = bytearray(128)
    cmos[0x34:0x36] = (0x0700).to_bytes(2, "little")
    cmos[0x5B:0x5E] = (0x0200).to_bytes(3, "little")

    assert parse_cmos(bytes(cmos), "here") == Split(128 * MIB, 32 * MIB, "here")
    assert parse_cmos(bytes(128), "here") is None
    assert parse_cmos(bytes(cmos[:100]), "here") is None


def test_memory_that_contradicts_cmos_falls_back_to_the_machine_type():
    placement = place(blocks_of(pc_ram=96 * MIB), Split(64 * MIB, 0, "CMOS"), "pc-i440fx-7.2")

    assert spans(placement) == [(0, 96 * MIB, 0)]
    assert "guessed" in placement.split.evidence
