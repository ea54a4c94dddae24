"""kallsyms in every order and scheme: written by fixtures, found by their structure, right in every entry."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.linux.kallsyms import LAYOUTS, encode
from vmdebug.errors import DebuggerError
from vmdebug.symbols.kallsyms import find_kallsyms

TEXT = 0xFFFF_FFFF_9A20_0000
RODATA = TEXT + 0xE0_0000
NARROW_TEXT, NARROW_RODATA = 0xC900_0000, 0xC950_0000
COUNT = 2500
LONG = "_R" + "NvCs" * 60  # as Rust's compiler names things: two bytes of length
MIDDLE = "x" * 3 + "Q9Zk7" * 30  # more than 127 codes, in one byte or two


def names(text, layout, count=COUNT, seed=1):
    """Symbols by rising address: per-CPU ones where the layout has them, aliases, one name more than once."""
    chance = random.Random(seed)
    per_cpu = layout.word == 8 and layout.scheme in ("absolute", "per-cpu")
    found = [("A", f"per_cpu_{n}", 64 * n) for n in range(40)] if per_cpu else []
    found += [("T", "_stext", text), ("T", "_text", text)]
    at = text
    while len(found) < count:
        at += chance.choice((0, 16, 48, 0x2000))
        found.append(
            (chance.choice("tTdDbr"), f"{chance.choice(('do', 'sys', '__x64', 'vfs'))}_{len(found) % 700}", at)
        )
    if layout.long_records:
        found[-700] = ("t", LONG, found[-700][2])
    found[-800] = ("t", MIDDLE, found[-800][2])
    return found


def junk(size, seed=3):
    """Bytes in front of the tables, with digits that are no tokens among them."""
    digits = b"".join(b"%d\0" % digit for digit in range(10))
    return random.Random(seed).randbytes(size) + digits + bytes(37)


CASES = {
    **{name: (layout, TEXT, RODATA) for name, layout in LAYOUTS.items()},
    **{f"{name}-32": (layout.narrow(), NARROW_TEXT, NARROW_RODATA) for name, layout in LAYOUTS.items()},
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    layout, text, rodata = CASES[request.param]
    symbols = names(text, layout)
    tables = encode(symbols, layout, rodata, junk(5003))
    return find_kallsyms(rodata, tables.data + bytes(4096), text, layout.word), symbols, layout


def test_every_symbol_is_found_with_its_letter_and_address(case):
    found, symbols, _ = case

    assert [(letter, name, address) for letter, name, address, _ in found.each()] == symbols


def test_names_lead_to_all_their_records(case):
    found, symbols, _ = case
    wanted = {name: [n for n, symbol in enumerate(symbols) if symbol[1] == name] for _, name, _ in symbols[::97]}

    assert {name: found.numbers(name) for name in wanted} == wanted
    assert found.numbers("no_such_symbol") == []


@pytest.mark.parametrize("name", CASES)
def test_every_name_leads_to_its_records_whatever_their_number_is(name):
    layout, text, rodata = CASES[name]
    for count in range(1200, 1208):  # what is aligned behind a table depends on how long it is
        symbols = names(text, layout, count)
        found = find_kallsyms(rodata, encode(symbols, layout, rodata).data + bytes(64), text, layout.word)
        records = {}
        for number, (_, each, _) in enumerate(symbols):
            records.setdefault(each, []).append(number)
        assert {each: found.numbers(each) for each in records} == records


def test_addresses_lead_to_all_their_names(case):
    found, symbols, _ = case

    for number in range(0, len(symbols), 97):
        address = symbols[number][2]
        said = [found.text(each) for each in found.below(address)]
        assert said == [(letter, name) for letter, name, at in symbols if at == address]


def test_a_sorted_list_of_names_is_used_where_there_is_one(case):
    found, _, layout = case

    found.numbers("_stext")

    assert ("_by_name" in vars(found)) == (layout.sequences == "none")


def test_tables_of_another_kernel_are_not_taken():
    layout = LAYOUTS["6.4"]
    tables = encode(names(TEXT, layout), layout, RODATA)

    assert find_kallsyms(RODATA, tables.data, TEXT - 0x20_0000) is None


def test_a_stale_copy_in_front_does_not_hide_the_tables():
    layout = LAYOUTS["6.2"]
    stale = encode(names(TEXT, layout, seed=5), layout, RODATA).data[:-600]
    symbols = names(TEXT, layout)

    found = find_kallsyms(RODATA, encode(symbols, layout, RODATA, stale).data + bytes(64), TEXT)

    assert [(letter, name, address) for letter, name, address, _ in found.each()] == symbols


EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12)


@pytest.mark.parametrize("name", ["2.6", "4.20", "6.2", "6.4", "7.0"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(edits=EDITS, cut=st.none() | st.floats(0, 1))
def test_damaged_tables_end_in_an_answer_or_one_error(name, edits, cut):
    layout = LAYOUTS[name]
    data = bytearray(original(name))
    for place, value in edits:
        data[int(place * len(data))] = value
    data = bytes(data if cut is None else data[: int(cut * len(data))])

    try:
        found = find_kallsyms(RODATA, data, TEXT, layout.word)
        if found:
            ask(found)
    except DebuggerError:
        return


def original(name, made={}):  # noqa: B006
    """The tables of a layout, written once."""
    if name not in made:
        made[name] = encode(names(TEXT, LAYOUTS[name], 1500), LAYOUTS[name], RODATA).data
    return made[name]


def ask(found):
    found.numbers("do_1")
    found.below(TEXT + 0x4000)
    found.text(len(found) - 1)
    found.size(len(found) // 2)
    sum(1 for _ in found.each())


@pytest.mark.parametrize("layout", ["6.2", "6.15", "7.0"])
@pytest.mark.parametrize("count", range(COUNT, COUNT + 4))
def test_a_name_is_found_however_the_tables_are_padded(layout, count):
    symbols = names(TEXT, LAYOUTS[layout], count)
    tables = encode(symbols, LAYOUTS[layout], RODATA, junk(5003))

    found = find_kallsyms(RODATA, tables.data + bytes(4096), TEXT)

    borne = {}
    for number, (_, name, _) in enumerate(symbols):
        borne.setdefault(name, []).append(number)
    assert {name: found.numbers(name) for name in borne} == borne
