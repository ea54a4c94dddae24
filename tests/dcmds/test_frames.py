"""Section C: ::vtop ::pfntomfn ::mfntopfn ::pte ::ptable, each row of the table."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget
from vmdebug.errors import DebuggerError

CPUS = 0xFFFF_FFFF_FBC4_B7F0


@pytest.fixture
def frame(illumos):
    """The pfn and mfn behind the first cpu."""
    mapping = illumos().target.translate(CPUS)
    return mapping.pfn, mapping.gfn


def test_prints_the_physical_address(illumos, frame):
    assert illumos().text("cpus::vtop") == [f"virtual {CPUS:x} mapped to physical {frame[0] << 12 | CPUS & 0xFFF:x}"]
    assert illumos().text("cpus::vtop | ::eval .=K") == [f"                {frame[0] << 12 | CPUS & 0xFFF:<16x}"]


def test_physical_addresses_are_in_the_current_radix(illumos, frame):
    assert illumos().text("0t10$d; cpus::vtop")[1] == f"virtual {CPUS} mapped to physical {frame[0] << 12 | 0x7F0}"


def test_says_that_nothing_is_mapped(illumos):
    (line,) = illumos().errors("1234::vtop")

    assert line.startswith("vmdebug: failed to get physical mapping: no mapping for address (level 4 entry at ")


@pytest.mark.parametrize("recipe", ["demo", "demo-hvm"])
def test_looks_into_an_address_space(illumos, recipe):
    debug = illumos(recipe=recipe)
    pages = debug.truth["user_memory"][:8]

    assert [debug.rows(f"{page['vaddr']}::vtop -a {page['as']}")[0].paddr for page in pages] == [
        page["pfn"] << 12 for page in pages
    ]
    assert debug.rows(f"cpus::vtop -a {debug.truth.address('kas'):x}") == debug.rows("cpus::vtop")
    assert debug.errors(f"{pages[0]['vaddr']}::vtop")[0].startswith("vmdebug: failed to get physical mapping: ")


def test_says_why_an_address_space_cannot_be_looked_into(illumos):
    assert illumos().errors("cpus::vtop -a 10")[0].startswith("vmdebug: 20: no mapping for address")
    assert "only one of -a and -p may be specified" in illumos().errors("cpus::vtop -a 10 -p 1")[0]
    assert Debug(FakeTarget(), FakeGuest()).refused("1000::vtop -a 10") == (
        "vmdebug: address spaces are not known by their structures in a guest of kind fake\n"
    )


def test_converts_frame_numbers_both_ways(illumos, frame):
    pfn, mfn = frame

    assert illumos().text(f"{pfn:x}::pfntomfn") == [f"{mfn:x}"]
    assert illumos().text(f"{mfn:x}::mfntopfn") == [f"{pfn:x}"]
    assert illumos().text(f"{pfn:x}::pfntomfn | ::mfntopfn") == [f"{pfn:x}"]


def test_a_loop_goes_on_to_the_next_pfn(illumos, frame):
    image = illumos().target.image

    assert illumos().text(f"{frame[0]:x},3::pfntomfn") == [f"{image.mfn_of(frame[0] + n):x}" for n in range(3)]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("::pfntomfn", "PFN missing"),
        ("::mfntopfn", "MFN missing"),
        ("fffffff::pfntomfn", "Invalid pfn fffffff"),
        ("1::mfntopfn", "Invalid mfn 1"),
    ],
)
def test_says_what_is_wrong_with_a_frame_number(illumos, command, told):
    assert told in "\n".join(illumos().errors(command))


@pytest.mark.parametrize(
    ("entry", "level", "line"),
    [
        (0x100061, 0, "pte=0x100061: mfn=0x100 "),
        (0x8000000000100067, 0, "pte=0x8000000000100067: mfn=0x100 noexec user write "),
        (0x8000000000100F67, 0, "pte=0x8000000000100f67: mfn=0x100 noexec noconsist nosync global user write "),
        (0x2000E3, 1, "pte=0x2000e3: mfn=0x200 largepage mod ref write "),
        (0x2010E3, 1, "pte=0x2010e3: mfn=0x200 largepage mod ref write "),
        (0x100063, 1, "pte=0x100063: mfn=0x100 mod ref write "),
        (0x100069, 0, "pte=0x100069: mfn=0x100 wrthru "),
        (0x100079, 0, "pte=0x100079: mfn=0x100 uncached "),
        (0x100060, 0, "pte=0x100060: mfn=0x100  !VALID "),
    ],
)
def test_puts_the_bits_of_an_entry_into_words(illumos, entry, level, line):
    assert illumos().text(f"{entry:x}::pte -l {level}") == [line]


def test_counts_in_pfns_where_page_tables_hold_them(illumos):
    assert illumos(recipe="demo-hvm").text("100061::pte") == ["pte=0x100061: pfn=0x100 "]


def test_an_entry_of_zero_prints_nothing(illumos):
    assert illumos().text("0::pte") == []


def test_refuses_a_level_that_there_is_not(illumos):
    with pytest.raises(DebuggerError, match="invalid level 4"):
        illumos().rows("100061::pte -l 4")
