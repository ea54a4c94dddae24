"""Section F.3: ::typegraph ::whattype ::istype ::notype ::findlocks ::findfalse."""

import pytest

QUEUE_LOCK = 0x20  # of a taskq_t


@pytest.fixture
def graphed(illumos):
    """`graphed(changes)`: a session in which the graph was built."""

    def debug(changes=None):
        made = illumos(changes)
        made.rows("::typegraph")
        return made

    return debug


def pointer(debug, name):
    return int.from_bytes(debug.target.read(debug.truth.address(name), 8), "little")


@pytest.mark.parametrize("command", ["1::whattype", "1::istype taskq_t", "1::notype", "1::findlocks", "::findfalse"])
def test_needs_the_graph(illumos, command):
    assert illumos().errors(command) == ["vmdebug: must first run ::typegraph"]


def test_tells_how_far_each_pass_came(illumos):
    debug = illumos()
    rows = debug.rows("::typegraph")
    variables = {
        symbol.value
        for symbol in debug.guest.symbols.each()
        if symbol.kind == "OBJT" and debug.guest.types.type_of_symbol(symbol)
    }

    assert [row.step for row in rows] == ["initial", "1", "2"]
    assert {row.unmarked + row.known + row.conjectured + row.fragments for row in rows} == {rows[0].nodes}
    debug.rows("::findleaks")
    assert rows[0].nodes == len(variables) + debug.guest.kept["leaks"].buffers
    assert [(row.known - rows[0].known, row.conjectured) for row in rows] == [(0, 0), (1, 1), (1, 1)]
    lines = debug.text("::typegraph")
    assert lines[:3] == [
        "typegraph:                     pass => initial",
        f"typegraph:                    nodes => {rows[0].nodes}",
        f"typegraph:                 unmarked => {rows[0].unmarked:<8} ({100 * rows[0].unmarked / rows[0].nodes:.1f}%)",
    ]
    assert len(lines) == 27


def test_says_what_a_cache_is_for(graphed):
    debug = graphed()
    queue = pointer(debug, "streams_taskq")

    assert debug.text(f"{queue:x}::whattype") == [f"{queue:x} is {queue:x}+0, struct taskq"]
    assert debug.text(f"{queue + QUEUE_LOCK:x}::whattype") == [
        f"{queue + QUEUE_LOCK:x} is {queue:x}+20, struct taskq (tq_lock)"
    ]


def test_takes_what_a_pointer_leads_to_for_what_it_points_to(graphed):
    debug = graphed()
    lock = pointer(debug, "sample_lockp")
    table = next(row.base for row in debug.rows(f"{lock:x}::kgrep | ::whattype") if row.state == "unknown")

    assert debug.text(f"{lock:x}::whattype -v") == [
        f"{lock:x} is {lock:x}+0, struct mutex",
        "    0x8 bytes of kmem_alloc_8; known: by the pointers to it",
        f"    {table:x} points to +0, in unknown type",
        f"    {debug.truth.address('sample_lockp'):x} points to +0, in sample_lockp",
    ]


def test_takes_what_has_room_for_many_for_an_array(graphed):
    debug = graphed()
    queue = debug.guest.objects.at("taskq_t", pointer(debug, "streams_taskq"))
    tasks, size = int(queue.tq_freelist), debug.guest.objects.sizeof("taskq_ent_t")
    member = debug.guest.objects.offsetof("taskq_ent_t", "tqent_arg")
    address = tasks + 3 * size + member

    assert debug.text(f"{address:x}::whattype") == [
        f"{address:x} is {tasks:x}+{3 * size + member:x}, possibly struct taskq_ent [{4096 // size}] (tqent_arg)"
    ]


def test_names_all_types_that_pointers_say(graphed, illumos, word):
    lock = pointer(illumos(), "sample_lockp")
    debug = graphed({illumos().truth.address("sample_sleepq"): word(lock)})

    first, *others = debug.text(f"{lock:x}::whattype")

    assert first == f"{lock:x} is {lock:x}+0, possibly one of the following:"
    assert sorted(others) == ["    struct mutex", "    struct sleepq"]
    assert debug.rows("::typegraph")[-1].conflicts == 1


def test_names_parts_of_what_pointers_lead_into(graphed, illumos, word):
    debug = illumos()
    queue = debug.guest.objects.at("taskq_t", pointer(debug, "streams_taskq"))
    page = int(debug.guest.objects.at("taskq_ent_t", int(queue.tq_freelist)).tqent_arg)
    changed = graphed({debug.truth.address("sample_sleepq"): word(page + 0x100)})

    assert changed.text(f"{page + 8:x}::whattype") == [
        f"{page + 8:x} is {page:x}+8, unknown, but with parts in it:",
        f"    {page + 0x100:x}: struct sleepq",
    ]


def test_knows_variables(graphed):
    debug = graphed()
    place = debug.truth.address("kas")

    assert debug.rows(f"{place:x}::whattype")[0].types == ["struct as"]
    assert debug.text(f"{place:x}::whattype -v")[1].endswith(" bytes of kas; known: given")


def test_says_that_nothing_is_known(graphed):
    debug = graphed()
    unknown = pointer(debug, "sample_lockp") + 8

    assert debug.text(f"{unknown:x}::whattype") == [f"{unknown:x} is {unknown:x}+0, unknown type"]
    assert debug.errors("1::whattype") == [
        "vmdebug: 1 is in no variable of a known type and in no buffer that is given out"
    ]


def test_the_user_may_say_what_something_is_and_take_it_back(graphed):
    debug = graphed()
    other = pointer(debug, "sample_lockp") + 8

    debug.text(f"{other:x}::istype krwlock_t")
    assert debug.text(f"{other:x}::whattype") == [f"{other:x} is {other:x}+0, struct _krwlock"]
    debug.text(f"{other:x}::notype")
    assert debug.text(f"{other:x}::whattype") == [f"{other:x} is {other:x}+0, unknown type"]
    assert debug.errors(f"{other:x}::istype proc_t")[0].startswith("vmdebug: proc_t has 0x")
    assert debug.errors(f"{other:x}::istype")


def test_finds_the_mutexes_that_a_thread_holds(graphed):
    debug = graphed()
    queue, lock = pointer(debug, "streams_taskq"), pointer(debug, "sample_lockp")
    owner = int.from_bytes(debug.target.read(lock, 8), "little")

    assert debug.text(f"{owner:x}::findlocks") == [
        f"found {lock:x} of type struct mutex, owned by {owner:x}",
        f"found {queue + QUEUE_LOCK:x} of type struct taskq (tq_lock), owned by {owner:x}",
    ]
    assert [row.addr for row in debug.rows(f"{owner:x}::findlocks | ::mutex")] == [lock, queue + QUEUE_LOCK]
    assert debug.rows(f"{owner + 0x1000:x}::findlocks") == []


def test_a_mutex_that_others_wait_for_is_held(graphed, illumos, word):
    lock = pointer(illumos(), "sample_lockp")
    owner = int.from_bytes(illumos().target.read(lock, 8), "little")
    debug = graphed({lock: word(owner | 1)})

    assert lock in [row.addr for row in debug.rows(f"{owner:x}::findlocks")]


def test_finds_arrays_of_mutexes_in_one_cache_line(graphed):
    debug = graphed()
    place = debug.truth.address("vph_mutex")

    assert [row.addr for row in debug.rows("::findfalse")] == [place]
    assert debug.text("::findfalse -v") == [
        "            ADDR SYMBOL                       TYPE                       SZ  TOTSIZE",
        f"{place:x} vph_mutex                    struct mutex                8      128",
        "    8 elements share a line of 64 bytes, each with a mutex at +0",
    ]
