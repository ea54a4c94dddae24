import pytest

from vmdebug.errors import DebuggerError
from vmdebug.guests import whatis
from vmdebug.guests.whatis import Belonging, Record, source

CPU = 0xFFFF_FFFF_FBC4_B7F0
THREAD = 0xFFFF_FF00_0159_3C80


@pytest.fixture
def sources():
    """The registry of sources, put back after the test."""
    kept = list(whatis.SOURCES)
    yield
    whatis.SOURCES[:] = kept


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (CPU, "cpus, in unix's data segment"),
        (CPU + 0x10, "cpus+0x10, in unix's data segment"),
        (THREAD, "allocated as a thread structure"),
        (THREAD + 8, "ffffff0001593c80+8, allocated as a thread structure"),
        (0x1000, "unknown"),
    ],
)
def test_says_what_an_address_is(illumos, address, text):
    assert illumos().text(f"{address:x}::whatis") == [f"{address:x} is {text}"]


@pytest.mark.parametrize(("offset", "place"), [(0, ""), (8, "{0:x}+8, "), (31, "{0:x}+1f, ")])
def test_knows_the_structures_of_pages(illumos, offset, place):
    debug = illumos()
    size = debug.guest.objects.sizeof("page_t")
    page = debug.rows("::memseg_list")[1].pages + 5 * size

    assert debug.text(f"{page + offset:x}::whatis") == [
        f"{page + offset:x} is {place.format(page)}allocated as a page structure"
    ]


def test_knows_the_mappings_of_the_kernel_last(illumos):
    debug = illumos()
    address = 0xFFFF_FFFE_C000_0000
    segment = debug.rows("kas::walk seg")[1].address

    assert debug.text(f"{address:x}::whatis") == [f"{address:x} is in {segment:x} [fffffffec0000000,fffffffed0000000)"]
    assert debug.text(f"{CPU:x}::whatis -a")[-1].endswith(" [fffffffffbc00000,fffffffffbd30000)")


OVERSIZE = 0xFFFF_FFFE_CB04_0000  # what kmem_oversize spans: 8000 bytes that are given out, 5000 more, and free ones
FREE = OVERSIZE + 0xD000


def segment_at(debug, start):
    rows = debug.rows("::walk vmem | ::walk vmem_seg | ::vmem_seg")
    return [row.addr for row in rows if row.start == start and row.type in ("ALLC", "FREE")]


def test_says_which_arena_an_address_came_from_and_what_is_recorded_of_that(illumos):
    debug = illumos()
    (segment,) = segment_at(debug, OVERSIZE + 0x8000)

    lines = debug.text(f"{OVERSIZE + 0x8010:x}::whatis")

    assert lines[0] == (
        f"{OVERSIZE + 0x8010:x} is {OVERSIZE + 0x8000:x}+10, allocated from the kmem_oversize vmem arena:"
    )
    assert lines[1:] == debug.text(f"{segment:x}::vmem_seg -v")


@pytest.mark.parametrize(
    ("address", "options", "before"),
    [
        (OVERSIZE + 0x8000, "-q", True),
        (OVERSIZE + 0x8000, "-b", True),
        (FREE, "-q", True),
        (FREE, "-b", False),
    ],
)
def test_tells_only_where_a_record_is(illumos, address, options, before):
    debug = illumos()
    (segment,) = segment_at(debug, address)

    (line,) = debug.text(f"{address:x}::whatis {options}")

    where = f"vmem_seg {segment:x} " if before else ""
    done = "freed" if address == FREE else "allocated"
    assert line == f"{address:x} is {where}{done} from the kmem_oversize vmem arena"


def test_an_arena_comes_before_the_one_that_it_took_memory_from(illumos):
    rows = illumos().rows(f"{FREE:x}::whatis -a")

    assert [(row.source, row.what) for row in rows[:2]] == [
        ("vmem", "freed from the kmem_oversize vmem arena"),
        ("vmem", "allocated from the heap vmem arena"),
    ]
    assert [row.source for row in rows[2:]] == ["mappings"]


def test_a_buffer_is_its_caches_before_it_is_an_arenas(illumos):
    debug = illumos()

    assert [row.source for row in debug.rows("fffffffec8003000::whatis")] == ["kmem"]
    assert [row.source for row in debug.rows("fffffffec8003000::whatis -a")] == ["kmem", "vmem", "vmem", "mappings"]


@pytest.mark.parametrize(
    ("number", "what"),
    [(3, "allocated from the taskq_id_arena vmem arena"), (7, "freed from the taskq_id_arena vmem arena")],
)
def test_knows_what_numbers_are_that_are_no_addresses(illumos, number, what):
    debug = illumos()

    assert [row.what for row in debug.rows(f"{number:x}::whatis -i")] == [what]
    assert [row.what for row in debug.rows(f"{number:x}::whatis")] == ["unknown"]
    assert [row.what for row in debug.rows(f"{CPU:x}::whatis -i")] == ["unknown"]


def test_tells_which_source_is_searched(illumos):
    assert illumos().errors(f"{CPU:x}::whatis -v") == ["vmdebug: Searching genunix`modules..."]
    assert illumos().errors("3::whatis -iv") == ["vmdebug: Searching genunix`vmem..."]


def test_goes_on_behind_an_arena_that_is_damaged(illumos, word):
    debug = illumos()
    (broken,) = segment_at(debug, FREE)
    link = broken + debug.guest.objects.offsetof("vmem_seg_t", "vs_anext")

    damaged = illumos({link: word(1)})

    assert [row.what for row in damaged.rows(f"{0xFFFF_FFFE_C200_0000:x}::whatis")] == [
        "allocated from the heap vmem arena"
    ]
    assert damaged.errors(f"{0xFFFF_FFFE_C200_0000:x}::whatis")[0].startswith("vmdebug: whatis: vmem: ")


def test_names_the_function_around_an_address(illumos):
    debug = illumos()
    address = debug.truth.address("putnext") + 0x20

    assert debug.text(f"{address:x}::whatis") == [f"{address:x} is putnext+0x20, in genunix's text segment"]


def test_names_no_symbol_where_none_covers_the_address(illumos):
    debug = illumos()
    address = int(debug.truth["modules"][0]["text"], 16) + 0x17FF0

    assert debug.text(f"{address:x}::whatis") == [f"{address:x} is in unix's text segment"]


def test_knows_bss_and_symbol_tables(illumos):
    debug = illumos()
    unix = debug.guest.found[0]

    assert debug.text(f"{unix.bss.base + 0x2FFF0:x}::whatis")[0].endswith("in unix's bss segment")
    assert debug.text(f"{unix.symbols.base:x}::whatis") == [f"{unix.symbols.base:x} is in unix's symtab"]
    assert debug.text(f"{unix.strings.base:x}::whatis") == [f"{unix.strings.base:x} is in unix's symtab"]


def test_says_whose_stack_an_address_is_on(illumos):
    debug = illumos()
    sleeper = next(each for each in debug.truth["threads"] if each["state"] == "sleep")
    sp = int(sleeper["stack_pointer"], 16)
    stack = f"in thread {int(sleeper['address'], 16):x}'s stack"

    assert debug.text(f"{sp:x}::whatis") == [f"{sp:x} is {stack}"]
    assert debug.text(f"{sp - 8:x}::whatis") == [f"{sp - 8:x} is {stack} (below sp)"]


def test_says_that_a_stack_is_perhaps_not_in_use(illumos):
    debug = illumos()
    running = next(each for each in debug.truth["threads"] if each["state"] == "onproc")
    free = next(each for each in debug.truth["threads"] if each["state"] == "free")
    below = int(running["stack_pointer"], 16) - 8
    base = int(debug.guest.objects.at("kthread_t", int(free["address"], 16)).t_stkbase)

    assert debug.text(f"{below:x}::whatis")[0].endswith(" (possibly below sp)")
    assert debug.text(f"{base:x}::whatis")[0].endswith(" (inactive interrupt thread)")


def test_stops_at_the_first_that_knows_unless_all_are_wanted(illumos):
    debug = illumos()

    assert [row.source for row in debug.rows(f"{CPU:x}::whatis")] == ["modules"]
    assert [row.source for row in debug.rows(f"{CPU:x}::whatis -a")] == ["modules", "cpus", "mappings"]
    assert debug.rows(f"{CPU:x}::whatis -a")[1].base == CPU


def test_reports_many_addresses_in_the_order_of_what_knows_them(illumos):
    debug = illumos()
    piped = f"{THREAD:x}::eval '.=K;{CPU:x}=K' | ::whatis"

    rows = debug.rows(piped)

    assert [row.address for row in rows] == [CPU, THREAD]
    assert [row.address for row in debug.rows(f"{piped} -k")] == [THREAD, CPU]


def test_cannot_go_into_a_pipe(illumos):
    with pytest.raises(DebuggerError, match=r"^whatis: cannot be output into a pipe$"):
        illumos().rows(f"{CPU:x}::whatis | ::cpuinfo")


def test_asks_sources_that_others_register(illumos, sources):
    @source("answers", rank=15, guests=("illumos",))
    def answers(guest, addresses):
        yield from (Belonging(address, "the answer", 0x40) for address in addresses if address == 0x42)

    @source("others", rank=1, guests=("linux",))
    def others(guest, addresses):
        yield from (Belonging(address, "of another guest") for address in addresses)

    assert illumos().text("42::whatis") == ["42 is 40+2, the answer"]


def test_what_an_allocator_recorded_follows_the_object(illumos, sources):
    debug = illumos()

    @source("answers", rank=15, guests=("illumos",))
    def answers(guest, addresses):
        record = Record("note 40", lambda name: ["by", name(CPU)])
        yield from (Belonging(address, "the answer", 0x40, record=record) for address in addresses)

    assert debug.text("42::whatis") == ["42 is 40+2, the answer:", "by", "cpus"]
    assert debug.rows("42::whatis")[0].record == ["by", "cpus"]


def test_names_a_record_that_cannot_be_read(illumos, sources):
    debug = illumos()

    @source("answers", rank=15, guests=("illumos",))
    def answers(guest, addresses):
        lost = Record("note 40", lambda name: [str(debug.target.read(0x40, 8))])
        yield from (Belonging(address, "the answer", record=lost) for address in addresses)

    assert debug.text("42::whatis") == ["42 is note 40 the answer"]
    assert debug.errors("42::whatis")[0].startswith("vmdebug: whatis: ")


def test_goes_on_where_one_source_fails(illumos):
    debug = illumos(damage="loop-list=allthreads")

    assert debug.text("1000::whatis") == ["1000 is unknown"]
    assert "whatis: threads: " in debug.errors("1000::whatis")[0]
