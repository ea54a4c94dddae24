"""Sections I and L: ::callout ::callouttable ::calloutid, the walkers of callout tables."""

import pytest

from fixtures.illumos.callouts import CALLOUT_STRIDE, LIST_STRIDE, NOW

HEAD = "FUNCTION                 ARGUMENT         ID                           TIME"
VERBOSE = "CALLOUT          SEQ T XHAL "


class Places:
    """Where the demonstration kernel keeps its callouts."""

    def __init__(self, debug):
        self.objects = debug.guest.objects
        self.tables = [debug.guest.variable("callout_table")]
        self.tables.append(self.tables[0] + self.objects.sizeof("callout_table_t"))
        heaps = [debug.guest.objects.at("callout_table_t", table)["ct_heap"] for table in self.tables]
        self.lists = [int(heap) + 0x800 for heap in heaps]
        self.callouts = [int(heap) + 0x1000 for heap in heaps]

    def callout(self, table, number):
        return self.callouts[table] + CALLOUT_STRIDE * number

    def list(self, table, number):
        return self.lists[table] + LIST_STRIDE * number

    def member(self, address, kind, path):
        return address + self.objects.offsetof(kind, path)


@pytest.fixture
def places(illumos):
    return Places(illumos())


def names(rows):
    """What the callouts of some rows are, by the order in which they were planned."""
    return [(row.type[0] + str(row.addr % 0x1000 // CALLOUT_STRIDE)) for row in rows]


def test_lists_what_is_called_when(illumos):
    assert illumos().text("::callout") == [
        HEAD,
        f"setfrontdq               ffffff00010bfc80 0000000040000006 {NOW + 5_679_000:>16x}",
        f"cv_signal                fffffffec42d87b0 000000004000000a {NOW + 5_679_000:>16x}",
        f"setbackdq                ffffff0001593c80 0000000040000004 {NOW + 995_679_000:>16x}",
        f"cv_signal                0000000000000000 00000000c0000002 {NOW + 3_600_000_000_000:>16x}",
        f"stream_service           fffffffec42d87b0 400000004000000d {NOW - 4_321_000:>16x}",
        f"queue_service            fffffffec42cb658 000000024000000f {NOW + 25_679_000:>16x}",
    ]


def test_shows_where_a_callout_is_and_its_marks(illumos, places):
    lines = illumos().text("::callout -v")

    assert lines[0] == VERBOSE + HEAD
    assert [line.partition(" ")[2][: len("SEQ T XHAL")] for line in lines[1:]] == [
        *("  0 R ----", "  0 R ----", "  0 R --A-", "  0 R -HAL", "  0 N X---", "  0 N ----"),
    ]
    assert lines[1].startswith(f"{places.callout(0, 0):016x} ")


def test_shows_times_from_now(illumos):
    lines = illumos().text("::callout -n -D")

    assert lines == [
        "FUNCTION                 ARGUMENT         ID                           FROM NOW",
        f"stream_service           fffffffec42d87b0 400000004000000d {-4_321_000:>+20}",
        f"queue_service            fffffffec42cb658 000000024000000f {25_679_000:>+20}",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("-r", ["r0", "r1", "r2", "r3"]),
        ("-n", ["n1", "n0"]),
        ("-s", ["r0", "r1", "r2", "n1", "n0"]),
        ("-l", ["r3"]),
        ("-x", ["n1"]),
        ("-h", ["r3"]),
        ("-B", ["r2", "r3"]),
        ("-f cv_signal", ["r1", "r3"]),
        ("-f cv_signal -p 0", ["r3"]),
        ("-p ffffff0001593c80", ["r2"]),
        ("-S 0", ["r0", "r1", "r2", "r3", "n1", "n0"]),
        ("-S 1", []),
        ("-C $[cpus]", ["r0", "r1", "r2", "r3", "n1", "n0"]),
        ("-d -t 0t25679000", ["n0"]),
        ("-d -a 0", ["r0", "r1", "r2", "r3", "n0"]),
        ("-d -b 0", ["n1"]),
        ("-d -a 0t5679000 -b 0t25679000", ["r0", "r1", "n0"]),
        (f"-t 0t{NOW + 995_679_000}", ["r2"]),
        ("-d -k -a 0t100", ["r3"]),
        ("-i", ["r3", "r2", "r0", "r1", "n1", "n0"]),
        ("-i -B", ["r3", "r2"]),
        ("-F", ["r4", "n2"]),
        ("-F -B", []),
    ],
)
def test_chooses_among_callouts(illumos, options, found):
    assert names(illumos().rows(f"::callout {options}")) == found


def test_shows_lists_of_callouts(illumos, places):
    assert illumos().text("::callout -L -r") == [
        "LIST             SEQ T             TIME COUNT FLAGS",
        f"{places.list(0, 0):016x}   0 R {NOW + 5_679_000:>16x}     2 HEAPED",
        f"{places.list(0, 1):016x}   0 R {NOW + 995_679_000:>16x}     1 ABSOLUTE,NANO,HEAPED",
        f"{places.list(0, 2):016x}   0 R {NOW + 3_600_000_000_000:>16x}     1 ABSOLUTE,HRESTIME,QUEUED",
    ]


def test_shows_lists_that_nothing_uses(illumos, places):
    rows = illumos().rows("::callout -L -F")

    assert [(row.addr, row.flags) for row in rows] == [(places.list(0, 3), ["FREE"]), (places.list(1, 2), ["FREE"])]


def test_shows_empty_lists_when_asked(illumos, places, word):
    head = places.member(places.list(0, 1), "callout_list_t", "cl_callouts.ch_head")
    debug = illumos({head: word(0)})

    assert places.list(0, 1) not in [row.addr for row in debug.rows("::callout -L")]
    assert places.list(0, 1) in [row.addr for row in debug.rows("::callout -L -E")]


def test_shows_tables(illumos, places):
    debug = illumos(vcpus=2)

    rows = debug.rows("::callouttable")

    assert [(row.seqid, row.type, row.used, row.room) for row in rows] == [
        (0, "realtime", 2, 128),
        (0, "normal", 1, 128),
        (1, "realtime", 0, 128),
        (1, "normal", 0, 128),
    ]
    assert debug.rows("::callout -T -E") == rows
    assert debug.rows("::callout -T") == rows[:2]
    assert debug.rows(f"{places.tables[1]:x}::callouttable") == rows[1:2]
    assert debug.text("::callouttable")[:2] == [
        "TABLE            SEQ T SUSP CYCLIC           HEAP               USED   ROOM SHORT-ID         LONG-ID",
        f"{rows[0].addr:016x}   0 R    0 {rows[0].cyclic:016x} {rows[0].heap:016x}      2    128 "
        "0000000040000024 00000000c0000004",
    ]


def test_shows_each_level_before_what_hangs_in_it(illumos):
    kinds = [type(row).__name__ for row in illumos().rows("::callout -V -n")]

    assert kinds == ["TableRow", "ListRow", "CalloutRow", "ListRow", "CalloutRow"]


def test_shows_the_callouts_of_one_table(illumos, places):
    assert names(illumos().rows(f"{places.tables[1]:x}::callout")) == ["n1", "n0"]


def test_walks_tables_lists_and_callouts(illumos, places):
    debug = illumos()

    def walked(command):
        return [int(row.address) for row in debug.rows(command)]

    assert walked("::walk callout_table") == places.tables
    assert walked(f"{places.tables[0]:x}::walk callout_list") == [places.list(0, each) for each in range(3)]
    assert walked("::walk callouts_bytime") == [int(row.addr) for row in debug.rows("::callout")]
    assert walked("::walk callouts_byid") == [int(row.addr) for row in debug.rows("::callout -i")]
    assert debug.text("::callout -A") == [f"{address:x}" for address in walked("::walk callouts_bytime")]


@pytest.mark.parametrize("identity", ["40000006", "c000000040000006", "4000000040000006"])
def test_finds_a_callout_by_its_id(illumos, places, identity):
    debug = illumos()

    assert [row.addr for row in debug.rows(f"{identity}::calloutid")] == [places.callout(0, 0)]
    assert debug.text(f"::calloutid -v {identity}") == debug.text("::callout -v")[:2]


@pytest.mark.parametrize("identity", ["140000006", "40000008"])
def test_says_that_no_callout_has_an_id(illumos, places, identity):
    debug = illumos()

    assert debug.errors(f"{identity}::calloutid") == [
        f"vmdebug: no callout of table {places.tables[0]:x} has the id {identity}"
    ]


def test_takes_an_id_apart(illumos, places):
    debug = illumos()

    assert debug.text("c00000b2c0000ab1::calloutid -d") == [
        "ID               TABLE            SEQ T XLF GENERATION  COUNTER",
        f"c00000b2c0000ab1 {places.tables[1]:016x}   0 N XLF         b2      558",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-r -n", "-r and -n cannot be given together"),
        ("-TL", "-T and -L cannot be given together"),
        ("-d", "-d needs one of -t, -a, -b"),
        ("-E", "-E needs one of -T, -L, -V"),
        ("-T -x", "-x chooses among callouts, and -T shows tables"),
        ("all", "no word is expected: all"),
    ],
)
def test_refuses_options_that_mean_nothing(illumos, options, message):
    assert illumos().errors(f"::callout {options}")[0] == f"vmdebug: {message}"


@pytest.mark.parametrize("words", ["::calloutid", "1::calloutid 2"])
def test_needs_one_id(illumos, words):
    assert illumos().errors(words)[0] == "vmdebug: one id is wanted, before the command or behind it"


def test_refuses_an_address_that_is_no_table(illumos, places):
    address = places.tables[0] + 8

    assert illumos().errors(f"{address:x}::callout") == [f"vmdebug: {address:x} is none of the callout tables"]


def test_shows_a_callout_whose_list_cannot_be_read(illumos, places, word):
    debug = illumos({places.member(places.callout(0, 0), "callout_t", "c_list"): word(0x10)})

    assert [row.time for row in debug.rows("::callout -i -f setfrontdq")] == [None]
    assert debug.rows("::callout -i -B -f setfrontdq") == []


def test_says_what_cannot_be_followed_and_shows_the_rest(illumos, places, word):
    link = places.member(places.callout(0, 0), "callout_t", "c_clnext")
    debug = illumos({link: word(0xFFFF_FF00_DEAD_0000)})

    (complaint,) = debug.errors("::callout -r")

    assert complaint.startswith(f"vmdebug: callout table {places.tables[0]:x}: failed to follow callout_t from")
    assert names(debug.rows("::callout -r")) == ["r0", "r2", "r3"]


def test_a_list_that_bites_its_tail_ends(illumos, places, word):
    link = places.member(places.callout(0, 1), "callout_t", "c_clnext")
    debug = illumos({link: word(places.callout(0, 0))})

    assert names(debug.rows("::callout -r")) == ["r0", "r1", "r2", "r3"]


def test_a_callout_that_hangs_in_two_lists_is_refused(illumos, places, word):
    head = places.member(places.list(0, 1), "callout_list_t", "cl_callouts.ch_head")
    debug = illumos({head: word(places.callout(0, 0))})

    (complaint,) = debug.errors("::callout -r")

    assert complaint == (
        f"vmdebug: callout table {places.tables[0]:x}: callout {places.callout(0, 0):x} hangs in two lists"
    )


def test_a_hash_of_nonsense_is_given_up(illumos, places):
    table = illumos().guest.objects.at("callout_table_t", places.tables[0])
    nonsense = {int(table["ct_idhash"]) + 16 * each: b"\x10" + bytes(7) for each in range(100)}

    complaints = illumos(nonsense).errors("::callout -r -i")

    assert len(complaints) == 16
    assert "16 chains cannot be followed" in complaints[-1]


def test_counts_from_the_panic(illumos, word):
    debug = illumos()
    clock = debug.truth.address("hres_last_tick")

    (row,) = illumos({clock: word(NOW + 79_000)}).rows("::callout -x")

    assert row.left == -4_400_000


def test_counts_ticks_where_the_clock_is_not_known(illumos, word):
    debug = illumos()
    ticks = debug.guest.variable("lbolt") * 10_000_000

    (row,) = illumos({debug.truth.address("hres_last_tick"): word(0)}).rows("::callout -x")

    assert row.left == NOW - 4_321_000 - ticks
