"""Sections D.2 and L: ::pmap, the walker anon."""

import pytest

from fixtures.illumos.anon import CHUNKS_AT, SWAP, SWAPPED
from fixtures.illumos.processes import USER_STACK, USER_TEXT

PAGE = 4096
HEAD = "             SEG             BASE     SIZE      RES PATH"
QUICK_HEAD = "             SEG             BASE     SIZE VNODE"


@pytest.fixture
def process(illumos):
    """The address of a process by its pid."""
    known = {each["pid"]: int(each["address"], 16) for each in illumos().truth["processes"]}
    return known.__getitem__


@pytest.fixture
def segments(illumos, process):
    """The segments of a process."""

    def walk(pid):
        return [row.address for row in illumos().rows(f"{process(pid):x}::print proc_t p_as | ::walk seg")]

    return walk


@pytest.fixture
def anon_map(illumos, segments):
    """The anon_map of the stack of a process."""

    def find(pid):
        data = illumos().guest.objects.at("struct seg", segments(pid)[0])["s_data"]
        return int(illumos().guest.objects.at("struct segvn_data", int(data))["amp"])

    return find


@pytest.fixture
def place(illumos):
    """The address of a member of a structure."""
    return lambda kind, address, name: address + illumos().guest.objects.offsetof(kind, name)


def test_prints_what_a_process_maps(illumos, process, segments):
    stack, text = segments(318)

    assert illumos().text(f"{process(318):x}::pmap") == [
        HEAD,
        f"{stack:016x} {USER_STACK:016x} {'4k':>8} {'4k':>8} [ anon ]",
        f"{text:016x} {USER_TEXT:016x} {'4k':>8} {'':>8} /usr/bin/ttymon",
    ]


def test_prints_vnodes_quickly(illumos, process, segments):
    debug = illumos()
    stack, text = segments(318)
    vnode = debug.rows(f"{process(318):x}::print proc_t p_exec")[0].value

    assert debug.text(f"{process(318):x}::pmap -q") == [
        QUICK_HEAD,
        f"{stack:016x} {USER_STACK:016x} {'4k':>8} [ anon ]",
        f"{text:016x} {USER_TEXT:016x} {'4k':>8} {vnode:016x}",
    ]
    assert debug.rows(f"{process(318):x}::pmap -q")[0].resident is None


def test_names_the_driver_of_other_segments(illumos):
    lines = illumos().text("p0::pmap")

    assert lines[1].endswith(f" 16384k {'?':>8} [ &segkp_ops ]")
    assert len(lines) == 6
    assert illumos().text("p0::pmap -q")[1].endswith(" 16384k")


def test_a_file_without_a_path_is_a_mark(illumos, process, word, place):
    vnode = illumos().rows(f"{process(318):x}::print proc_t p_exec")[0].value

    assert illumos({place("vnode_t", vnode, "v_path"): word(0)}).text(f"{process(318):x}::pmap")[2].endswith("     ??")


def test_counts_only_pages_that_are_in_memory(illumos, process, anon_map):
    debug = illumos()
    anons = [row.address for row in debug.rows(f"{anon_map(620):x}::walk anon")]

    names = [debug.guest.objects.at("struct anon", each) for each in anons]

    assert [(int(each["an_vp"]), int(each["an_off"]) >= SWAPPED) for each in names] == [
        (SWAP, False),
        (SWAP, True),
        (SWAP, True),
    ]
    assert debug.rows(f"{process(620):x}::pmap")[0].resident == PAGE


def test_a_page_that_was_taken_away_is_not_resident(illumos, process, anon_map, word, place):
    anon = illumos().rows(f"{anon_map(318):x}::walk anon")[0].address

    swapped = illumos({place("struct anon", anon, "an_off"): word(SWAPPED)})

    assert swapped.rows(f"{process(318):x}::pmap")[0].resident == 0


def test_one_array_holds_all_slots_where_the_header_says_so(illumos, anon_map, place):
    debug = illumos()
    header, walk = debug.guest.objects.at("struct anon_map", anon_map(620))["ahp"], f"{anon_map(620):x}::walk anon"
    first = debug.rows(walk)[0].address

    forced = illumos({place("struct anon_hdr", int(header), "flags"): b"\x02"})

    # What was the table of chunks is the array then, and the chunk behind it a part of that.
    assert [row.address for row in forced.rows(walk)] == [CHUNKS_AT + PAGE, CHUNKS_AT + 3 * PAGE, first]


def test_chunks_that_are_the_same_are_refused(illumos, anon_map, word):
    debug = illumos({CHUNKS_AT + 8: word(CHUNKS_AT + PAGE)})

    assert debug.errors(f"{anon_map(620):x}::walk anon") == [
        f"vmdebug: {CHUNKS_AT + PAGE:x}: two chunks of anon_map {anon_map(620):x} are this one"
    ]


def test_slots_that_cannot_be_read_leave_the_number_open(illumos, process, segments, word):
    debug = illumos({CHUNKS_AT + 8: word(0x1000)})

    assert debug.rows(f"{process(620):x}::pmap")[0].resident is None
    assert debug.errors(f"{process(620):x}::pmap")[0].startswith(
        f"vmdebug: what is resident of the segment at {segments(620)[0]:x} is not known: 1000: "
    )


def test_refuses_more_slots_than_any_kernel_has(illumos, anon_map, word, place):
    header = int(illumos().guest.objects.at("struct anon_map", anon_map(318))["ahp"])

    assert (
        "bytes are more than any kernel's"
        in illumos({place("struct anon_hdr", header, "size"): word(1 << 62)}).errors(f"{anon_map(318):x}::walk anon")[0]
    )


def test_prints_what_several_processes_map(illumos, process, segments):
    debug = illumos()
    pids = (318, 640, 620)

    lines = debug.text("::pgrep 'ttymon|defunct|java' | ::pmap")

    assert sorted(lines[1:]) == sorted(
        line for pid in pids if pid != 640 for line in debug.text(f"{process(pid):x}::pmap")[1:]
    )
    assert lines[0] == HEAD
    assert debug.errors("::pgrep 'ttymon|defunct|java' | ::pmap") == [
        f"vmdebug: the process at {process(640):x} has no address space"
    ]


def test_a_process_without_an_address_space_says_so(illumos, process):
    assert illumos().errors(f"{process(640):x}::pmap") == [
        f"vmdebug: the process at {process(640):x} has no address space"
    ]


def test_a_segment_that_cannot_be_read_is_reported(illumos, process, segments, word, place):
    debug = illumos({place("struct seg", segments(318)[0], "s_data"): word(0x1000)})

    assert [row.addr for row in debug.rows(f"{process(318):x}::pmap")] == segments(318)[1:]
    assert debug.errors(f"{process(318):x}::pmap")[0].startswith(
        f"vmdebug: failed to read the segment at {segments(318)[0]:x}: "
    )
