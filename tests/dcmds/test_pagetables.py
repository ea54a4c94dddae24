"""Section C: ::htables ::report_maps ::ptable, by the kernel's own record of its page tables."""

import pytest

from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.hats import Hat, Htable

CPUS = 0xFFFF_FFFF_FBC4_B7F0


@pytest.fixture
def hat(illumos):
    """The kernel's own hat."""
    guest = illumos().guest
    return int(guest.objects.at("struct as", guest.symbol("kas").value).a_hat)


@pytest.fixture
def table(illumos, hat):
    """The htable of the lowest table that maps the first cpu."""
    return illumos().rows("cpus::vatopfn")[0].levels[0].htable


def entries(debug, pfn, shift, base):
    """The lines of a page table, read from physical memory."""
    data = debug.target.read_physical(pfn << 12, 4096)
    for index in range(512):
        entry = int.from_bytes(data[8 * index : 8 * index + 8], "little")
        if entry:
            vaddr = base + (index << shift)
            yield f"[{index:>3}] va={vaddr:#x} pte={entry:#x}: mfn={entry >> 12 & 0xFF_FFFF_FFFF:#x} "


def test_lists_the_htables_of_a_hat(illumos, hat):
    debug = illumos()

    rows = debug.rows(f"{hat:x}::htables")

    assert debug.text(f"{hat:x}::htables") == [f"{row.addr:x}" for row in rows]
    assert len({row.addr for row in rows}) == len(rows)
    assert [row.level for row in rows].count(3) == 1
    for vaddr in (CPUS, 0xFFFF_FF00_0159_3C80, 0xFFFF_FFFF_FB80_0000):
        (frame,) = debug.rows(f"{vaddr:x}::vatopfn")
        assert {each.htable for each in frame.levels} <= {row.addr for row in rows}


def test_lists_what_of_a_hash_can_be_followed(illumos, hat, word):
    whole = [row.addr for row in illumos().rows(f"{hat:x}::htables")]
    link = illumos().guest.objects.offsetof("htable_t", "ht_next")
    debug = illumos({whole[0] + link: word(0x10)})

    assert set(whole[:1]) < {row.addr for row in debug.rows(f"{hat:x}::htables")} <= set(whole)
    assert f"the htables of hat {hat:x} end here" in debug.errors(f"{hat:x}::htables")[0]


def test_prints_a_table_by_its_htable(illumos, table):
    debug = illumos()
    record = debug.guest.objects.at("htable_t", table)

    lines = debug.text(f"{record.ht_pfn:x}::ptable")

    assert lines[0] == f"htable={table:x}"
    wanted = list(entries(debug, record.ht_pfn, 12, record.ht_vaddr))
    assert [line[: len(want)] for line, want in zip(lines[1:], wanted, strict=True)] == wanted
    assert debug.text(f"{debug.target.image.mfn_of(record.ht_pfn):x}::ptable -m") == lines


def test_the_top_tables_upper_half_maps_high_addresses(illumos):
    lines = illumos().text("<cr3%1000::ptable -m")

    assert lines[0].startswith("htable=")
    assert lines[-1].startswith("[511] va=0xffffff8000000000 pte=")


def test_a_level_may_be_forced(illumos, table):
    debug = illumos()
    pfn = debug.guest.objects.at("htable_t", table).ht_pfn

    (first, *_) = debug.rows(f"{pfn:x}::ptable -l 1")

    assert debug.errors(f"{pfn:x}::ptable -l 1") == ["vmdebug: htable has level 0 but forcing level 1"]
    assert first.vaddr == (0xFFFF_FFFF_FBC0_0000 + (first.index << 21)) % (1 << 48) | 0xFFFF << 48


def test_a_table_without_an_htable_counts_from_0(illumos):
    debug = illumos()
    pfn = debug.target.translate(CPUS).pfn

    told = "vmdebug: couldn't find matching htable, using level=2, base address=0x0"
    assert debug.errors(f"{pfn:x}::ptable -l 2") == [told]
    assert [(row.vaddr, row.htable) for row in debug.rows(f"{pfn:x}::ptable -l 2")] == [
        (row.index << 30, None) for row in debug.rows(f"{pfn:x}::ptable -l 2")
    ]


def test_says_what_maps_a_frame(illumos, hat):
    debug = illumos()

    assert debug.text("cpus::vatopfn | ::report_maps") == [f"hat={hat:x} maps addr={CPUS & ~0xFFF:x}"]
    (frame,) = debug.rows("cpus::vatopfn")
    assert debug.text(f"{frame.mfn:x}::report_maps -m") == [f"hat={hat:x} maps addr={CPUS & ~0xFFF:x}"]


def test_knows_the_mappings_of_processes(illumos):
    debug = illumos()

    for page in debug.truth["user_memory"][:6]:
        hat = debug.guest.objects.at("struct as", int(page["as"], 16)).a_hat
        (row,) = debug.rows(f"{page['pfn']:x}::report_maps")
        assert (row.hat, row.vaddr, row.htable) == (hat, int(page["vaddr"], 16), None)


def test_says_that_a_page_table_lies_in_a_frame(illumos, hat, table):
    debug = illumos()
    pfn = debug.guest.objects.at("htable_t", table).ht_pfn

    assert debug.text(f"{pfn:x}::report_maps")[0] == f"Pagetable for hat={hat:x} htable={table:x}"


def test_counts_in_pfns_where_page_tables_hold_them(illumos):
    debug = illumos(recipe="demo-hvm")
    (frame,) = debug.rows("cpus::vatopfn")

    assert [row.vaddr for row in debug.rows(f"{frame.pfn:x}::report_maps")] == [CPUS & ~0xFFF]


@pytest.mark.parametrize("command", ["fffffff::report_maps", "fffffff::ptable"])
def test_refuses_a_frame_that_the_guest_does_not_have(illumos, command):
    with pytest.raises(DebuggerError, match="Invalid pfn fffffff"):
        illumos().rows(command)


@pytest.mark.parametrize("damage", ["loop-list=hat", "loop-list=htable"])
def test_finds_mappings_in_spite_of_a_list_without_end(illumos, damage):
    debug = illumos(damage=damage)

    assert f"maps addr={CPUS & ~0xFFF:x}" in "\n".join(debug.text("cpus::vatopfn | ::report_maps"))


@pytest.mark.parametrize("level", [4, 100, 255])
def test_an_htable_of_no_level_is_told(illumos, hat, table, level):
    place = table + illumos().guest.objects.offsetof("htable_t", "ht_level")
    debug = illumos({place: bytes([level])})

    assert "which the processor does not have" in debug.errors(f"{hat:x}::htables")[0]
    assert debug.rows("cpus::vtop")[0].paddr
    debug.text("<cr3%1000::ptable -m; 1::report_maps -m")


@pytest.mark.parametrize("shift", [0, 5, 200, 0xFFFF_FFFF])
def test_levels_of_no_size_do_no_harm(illumos, shift):
    truth, objects = illumos().truth, illumos().guest.objects
    place = truth.address("mmu") + objects.offsetof("struct hat_mmu_info", "level_shift")
    debug = illumos({place: shift.to_bytes(4, "little")})

    for command in (
        "cpus::vatopfn",
        "1::report_maps",
        "<cr3%1000::ptable -m",
        "kas::print struct as a_hat | ::htables",
    ):
        debug.session.run(command)


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (0x0020_00E3, [0xFFFF_8000_0063_4000]),
        (0x0020_1063, []),  # names a table
        (0x0020_00E2, []),  # is not present
        (0x0040_00E3, []),
    ],
)
def test_finds_a_page_inside_a_large_one(entry, found):
    hat = Hat.__new__(Hat)
    table = Htable(0x1000, 1, 0xFFFF_8000_0000_0000, 0, False)
    data = bytes(24) + entry.to_bytes(8, "little") + bytes(4096 - 32)
    hat.__dict__.update(shifts=[12, 21, 30, 39], per_table=512, tables={(1, table.vaddr): table})
    hat._read = lambda *_: data

    assert list(hat.each_mapping(0x234)) == found
