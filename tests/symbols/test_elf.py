import pytest

from fixtures.symtab import ABS, FUNC, GLOBAL, LOCAL, NOTYPE, OBJECT, WEAK, symbol_table
from fixtures.symtab import Symbol as Entry
from vmdebug.symbols.elf import ENTRY, ElfPart, MergedPart, Tables
from vmdebug.symbols.table import SymbolTable


def part(name, *entries):
    table = symbol_table(entries)
    return ElfPart(name, load=lambda: Tables(table.data, table.strings))


def entry(name, value, size=0x10, kind=FUNC, bind=GLOBAL, shndx=1):
    return Entry(name, value, size, kind, bind, shndx)


@pytest.fixture
def unix():
    return part(
        "unix",
        entry("helper", 0x1000, bind=LOCAL),
        entry("label", 0x1008, 0, NOTYPE, LOCAL),
        entry("file.c", 0, 0, 4, LOCAL, ABS),
        entry("start", 0x1100, 0x40),
        entry("_start_alias", 0x1100, 0x40, bind=WEAK),
        entry("data", 0x2000, 8, OBJECT),
        entry("imported", 0, 0, NOTYPE, GLOBAL, 0),
    )


def test_finds_a_symbol_by_its_name(unix):
    found = unix.find("data")

    assert (found.value, found.size, found.kind, found.bind, found.module) == (0x2000, 8, "OBJT", "GLOB", "unix")


@pytest.mark.parametrize("name", ["nothing", "", "dat", "ata", "imported"])
def test_finds_nothing_by_a_part_of_a_name_or_an_undefined_one(unix, name):
    assert unix.find(name) is None


def test_finds_a_name_that_is_the_tail_of_another():
    strings = b"\0restart\0"
    tables = Tables(bytes(24) + ENTRY.pack(3, 0x12, 0, 1, 0x500, 4) + ENTRY.pack(1, 0x12, 0, 1, 0x600, 4), strings)
    tail = ElfPart("m", load=lambda: tables)

    assert (tail.find("start").value, tail.find("restart").value) == (0x500, 0x600)


def test_prefers_the_global_of_two_symbols_with_one_name():
    both = part("m", entry("twin", 0x10, bind=LOCAL), entry("twin", 0x20))

    assert both.find("twin").value == 0x20


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0x0FFF, None),
        (0x1000, "helper"),
        (0x1009, "helper"),
        (0x1100, "start"),
        (0x1FFF, "start"),
        (0x9000, "data"),
    ],
)
def test_gives_the_closest_below_an_address(unix, address, name):
    found = unix.below(address)

    assert (found and found.name) == name


def test_keeps_the_number_of_a_symbol_in_its_table(unix):
    found = unix.find("data")

    assert unix.at(found.index) == found


def test_lists_every_named_symbol_in_the_order_of_the_table(unix):
    names = ["helper", "label", "file.c", "start", "_start_alias", "data", "imported"]

    assert [symbol.name for symbol in unix.all] == names


def test_reads_the_table_only_when_it_is_needed():
    def load():
        raise AssertionError("read too early")

    merged = MergedPart("", parts=[ElfPart("m", load=load)])

    assert SymbolTable(merged).private == {}


def test_merges_modules_with_locals_first(unix):
    other = part("nfs", entry("mount", 0x8000), entry("inner", 0x8100, bind=LOCAL))

    names = [symbol.name for symbol in MergedPart("", parts=[unix, other]).all]

    assert names[:4] == ["helper", "label", "file.c", "inner"]
    assert names[-1] == "mount"


def test_prefers_a_later_modules_global_to_a_local():
    first, second = part("a", entry("name", 0x10, bind=LOCAL)), part("b", entry("name", 0x20))

    assert MergedPart("", parts=[first, second]).find("name").module == "b"


def test_finds_the_closest_symbol_of_all_modules():
    outer = part("unix", entry("low", 0x1000, 0x10), entry("high", 0x9000, 0x10))
    inner = part("nfs", entry("mount", 0x4000, 0x100))
    table = SymbolTable(MergedPart("", parts=[outer, inner]), [outer, inner])

    assert [table.nearest(at) and table.nearest(at)[0].name for at in (0x1008, 0x4080, 0x9001, 0x5000, 0)] == [
        "low",
        "mount",
        "high",
        None,
        None,
    ]
    assert table.nearest(0x4080)[1] is False


def test_takes_the_closest_of_modules_that_end_below_the_address():
    parts = [part("a", entry("one", 0x100)), part("b", entry("two", 0x300)), part("c", entry("three", 0x200))]

    assert MergedPart("", parts=parts).below(0x1000).name == "two"


@pytest.mark.parametrize(
    "tables",
    [
        Tables(),
        Tables(b"\0" * 23, b""),
        Tables(ENTRY.pack(0xFFFF_FFFF, 0xFF, 0xFF, 0xFFFF, 1 << 63, 1 << 63), b"\0"),
        Tables(ENTRY.pack(1, 0x12, 0, 1, 0x1000, 1), b"\0unterminated"),
        Tables(ENTRY.pack(1, 0x12, 0, 1, 0x1000, 1), b"\0\xff\xfe\0"),
    ],
)
def test_answers_from_a_damaged_table(tables):
    damaged = ElfPart("m", load=lambda: tables)

    assert damaged.find("name") is None
    for symbol in [*damaged.all, *filter(None, [damaged.below(1 << 64)])]:
        assert len(symbol.name) <= 4096


def test_cuts_a_name_that_does_not_end():
    endless = ElfPart("m", load=lambda: Tables(ENTRY.pack(1, 0x12, 0, 1, 0x1000, 1), b"\0" + b"x" * 100_000))

    assert len(endless.all[0].name) == 1024


def test_ranks_symbols_of_one_address_across_modules():
    first = part("a", entry("zero", 0x100, 0), entry("far", 0x9000))
    second = part("b", entry("sized", 0x100))

    assert MergedPart("", parts=[first, second]).below(0x108).name == "sized"
    assert MergedPart("", parts=[second, first]).below(0x108).name == "sized"
