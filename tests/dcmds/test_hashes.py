"""Sections I and L: ::modhash ::modent, the walkers modhash and modent."""

import pytest

from vmdebug.errors import DebuggerError

HEAD = "ADDR             CHAINS  ELEMS MAXLEN MAXIDX NAME"
ENTRIES = "         CHAIN ADDR             VAL              KEY"


@pytest.fixture
def tables(illumos):
    """The hash tables by their names."""
    return {row.name: row for row in illumos().rows("::modhash -e")}


@pytest.fixture
def place(illumos):
    """The address of a member of a structure."""
    return lambda kind, address, name: address + illumos().guest.objects.offsetof(kind, name)


def test_lists_hash_tables(illumos, tables):
    debug = illumos()
    tasks, numbers, names = tables.values()

    assert debug.text("::modhash") == [
        HEAD,
        f"{tasks.addr:016x}      4      6      3      2 task_hash",
        f"{numbers.addr:016x}      2      1      1      0 zone_by_id",
        f"{names.addr:016x}      2      1      1      0 zone_by_name",
    ]
    assert [row.address for row in debug.rows("::walk modhash")] == [tasks.addr, numbers.addr, names.addr]
    assert debug.text(f"{names.addr:x}::modhash")[1:] == debug.text("::modhash")[3:]


def test_tells_how_long_the_chains_are(illumos, tables):
    tasks = tables["task_hash"]
    counted = {chain: [each.chain for each in tasks.entries].count(chain) for chain in (0, 2, 3)}

    assert illumos().text(f"{tasks.addr:x}::modhash -c")[2:] == [
        "         CHAIN LENGTH",
        *(f"        {chain:>6} {length:>6}" for chain, length in counted.items()),
    ]
    assert illumos().rows("::modhash -c")[0].lengths == counted == {0: 2, 2: 3, 3: 1}


def test_shows_keys_that_are_texts(illumos, tables):
    debug = illumos()
    (entry,) = tables["zone_by_name"].entries

    assert debug.text("::modhash -k global") == [
        HEAD,
        f"{tables['zone_by_name'].addr:016x}      2      1      1      0 zone_by_name",
        ENTRIES,
        f"             0 {entry.addr:016x} {debug.truth.address('zone0'):016x} global",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("-k 3", [("task_hash", [3])]),
        ("-k 0t10", [("task_hash", [10])]),
        ("-k 0", [("task_hash", [0]), ("zone_by_id", [0])]),
        ("-k nobody", []),
        ("-v zone0", [("zone_by_id", [0]), ("zone_by_name", None)]),
        ("-k 0 -v zone0", [("zone_by_id", [0])]),
        ("-k 3 -v zone0", []),
    ],
)
def test_finds_entries_by_key_and_value(illumos, options, found):
    rows = illumos().rows(f"::modhash {options}")

    assert [(row.name, None if row.entries[0].text else [each.key for each in row.entries]) for row in rows] == found


def test_looks_at_one_chain(illumos, tables):
    tasks = tables["task_hash"]

    (row,) = illumos().rows(f"{tasks.addr:x}::modhash -e 3")

    assert row.entries == [each for each in tasks.entries if each.chain == 3]
    assert (row.maxlen, row.maxidx) == (1, 3)


def test_refuses_a_chain_that_a_table_does_not_have(illumos, tables):
    with pytest.raises(DebuggerError, match="has no chain 0x4: it has 0x4"):
        illumos().rows(f"{tables['task_hash'].addr:x}::modhash 4")


@pytest.mark.parametrize("call", ["::modhash 3", "*mh_head::modhash 3 4", "*mh_head::walk modent | ::modent -kv"])
def test_tells_how_it_is_called(illumos, call):
    assert any("Usage: " in line for line in illumos().errors(call))


def test_walks_the_entries_of_a_table(illumos, tables):
    debug = illumos()
    walk = f"{tables['task_hash'].addr:x}::walk modent"
    entries = tables["task_hash"].entries

    assert debug.text(f"{walk} | ::modent") == [
        "ADDR             VAL              KEY",
        *(f"{each.addr:016x} {each.value:016x} {each.key:016x}" for each in entries),
    ]
    assert debug.text(f"{walk} | ::modent -k") == [f"{each.key:x}" for each in entries]
    assert [row.value for row in debug.rows(f"{walk} | ::modent -v | ::print task_t tk_tkid")] == [
        each.key for each in entries
    ]


def test_a_chain_that_has_no_end_is_told(illumos, tables, place, word):
    first, second = [each for each in tables["task_hash"].entries if each.chain == 2][:2]

    debug = illumos({place("struct mod_hash_entry", second.addr, "mhe_next"): word(second.addr)})

    assert first.addr != second.addr
    assert [(row.name, row.maxlen) for row in debug.rows("::modhash")] == [
        ("task_hash", None),
        ("zone_by_id", 1),
        ("zone_by_name", 1),
    ]
    assert debug.errors("::modhash")[0].startswith("vmdebug: failed to read the entries of task_hash: ")
    assert debug.text("::modhash")[1].endswith("      4      6      ?      ? task_hash")


def test_refuses_more_chains_than_a_table_has(illumos, tables, place, word):
    debug = illumos({place("mod_hash_t", tables["zone_by_id"].addr, "mh_nchains"): word(1 << 40)})

    assert debug.errors("::modhash") == [
        "vmdebug: failed to read the entries of zone_by_id: the hash table at "
        f"{tables['zone_by_id'].addr:x} says that it has {1 << 40} chains"
    ]
