"""Section B.4: ::ttrace, the walker ttrace."""

import pytest

from fixtures.illumos.trace import CONSOLE_THREAD, FIRST_RECORD, INTERRUPT_THREAD
from fixtures.illumos.traptrace import FAULT, RING

HEAD = "CPU       TIMESTAMP TYPE Vec HANDLER           EIP"
LINES = [
    "  0      e8d4a5100a evnt 102 cbe_fire          av_dispatch_softvect+0x79",
    "  0      e8d4a51009 intr 12c -                 idle+0xae",
    "  0      e8d4a51008 ??     0 -                 clock",
    "  0      e8d4a51007 intt   3 #bp               panic+0x20",
    "  0      e8d4a51006 trap  80 sys_syscall       trap+0x40",
    "  0      e8d4a51005 intr 105 xnf_intr          idle+0xae",
    "  0      e8d4a51004 syse   - pollsys           0xfef01b57",
    "  0      e8d4a51003 sc64   - system call 99    0x7fffbf3a1c2a",
    "  0      e8d4a51002 trap   e #pf               bcopy+0x10",
    "  0      e8d4a51001 sc64   - read              0x7fffbf3a1c2a",
    "  0      e8d4a51000 evnt 104 xenconsintr       sti+0x86",
]


@pytest.fixture
def traced(illumos):
    """`traced(changes)`: a session over a kernel that keeps records of traps."""
    return lambda changes=None, gone=(), **options: illumos(changes, gone, traptrace="yes", **options)


def control(debug, name, cpu=0):
    objects = debug.guest.objects
    start = debug.truth.address("trap_trace_ctl") + cpu * objects.sizeof("trap_trace_ctl_t")
    return start + objects.offsetof("trap_trace_ctl_t", name)


def nth(debug, number):
    return FIRST_RECORD + number * debug.guest.objects.sizeof("trap_trace_rec_t")


def test_a_kernel_without_traptrace_says_so(illumos):
    sentence = ["vmdebug: symbol 'trap_trace_ctl' not found; non-TRAPTRACE kernel?"]

    assert illumos().errors("::ttrace") == sentence
    assert illumos().errors("::walk ttrace") == sentence


def test_shows_what_came_latest_first(traced):
    assert traced().text("::ttrace") == [HEAD, *LINES]


def test_a_ring_goes_on_at_its_end(traced, word):
    debug = traced()

    lines = traced({control(debug, "ttc_next"): word(nth(debug, 5))}).text("::ttrace")

    assert lines[0] == HEAD
    assert sorted(lines[1:]) == sorted(LINES)
    assert traced({control(debug, "ttc_next"): word(nth(debug, 0))}).text("::ttrace") == [HEAD, *LINES]
    assert traced({control(debug, "ttc_next"): word(nth(debug, RING))}).text("::ttrace") == [HEAD, *LINES]


def test_mixes_the_records_of_cpus_by_their_times(traced, word):
    debug = traced(vcpus=2)
    changes = {
        control(debug, "ttc_limit"): word(nth(debug, 5)),
        control(debug, "ttc_next"): word(nth(debug, 5)),
        control(debug, "ttc_first", cpu=1): word(nth(debug, 5)),
        control(debug, "ttc_limit", cpu=1): word(nth(debug, RING)),
        control(debug, "ttc_next", cpu=1): word(nth(debug, 11)),
        nth(debug, 2) + debug.guest.objects.offsetof("trap_trace_rec_t", "ttr_stamp"): word(10**12 + 7),
    }

    changed = traced(changes, vcpus=2)

    assert [row.cpu for row in changed.rows("::ttrace")] == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert {row.cpu for row in changed.rows("1::ttrace")} == {1}
    assert len(changed.rows("0::ttrace")) == 5


def test_walks_the_records(traced):
    debug = traced()

    addresses = [row.address for row in debug.rows("::walk ttrace")]

    assert addresses == [nth(debug, number) for number in reversed(range(11))]
    assert debug.text(f"{addresses[2]:x}::ttrace") == [HEAD, LINES[2]]


def test_a_record_of_no_cpus_ring_has_no_cpu(traced, word):
    debug = traced()

    lines = traced({control(debug, "ttc_limit"): word(0)}).text(f"{nth(debug, 2):x}::ttrace")

    assert lines[1] == LINES[8].replace("  0 ", "  - ", 1)


def test_shows_only_what_came_while_a_thread_ran(traced):
    debug = traced()

    assert debug.text(f"::ttrace -t {INTERRUPT_THREAD:x}") == [HEAD, LINES[0], LINES[10]]
    assert len(debug.rows(f"::ttrace -t {CONSOLE_THREAD:x}")) == 9


def test_shows_all_that_a_record_holds(traced):
    debug = traced()
    (row,) = debug.rows(f"{nth(debug, 2):x}::ttrace -x")

    lines = debug.text(f"{nth(debug, 2):x}::ttrace -x")

    assert lines[:3] == [
        HEAD,
        LINES[8],
        "    savfp  0000000000000000  savpc  0000000000000000  rdi    0000000000000002",
    ]
    assert lines[-4:] == [
        f"    cr2    {FAULT:016x}  thread {CONSOLE_THREAD:016x}",
        "    spl 0  ipl 0  pri 0",
        "      bcopy+0x10",
        "",
    ]
    assert (row.cr2, row.registers["rip"], list(row.stack)) == (FAULT, row.eip, [row.eip])


def test_shows_no_levels_of_a_system_call(traced):
    debug = traced()

    (row,) = debug.rows(f"{nth(debug, 1):x}::ttrace -x")

    assert (row.vec, row.spl, row.ipl, row.pri) == (None, None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ttc_limit", 0), ("ttc_limit", (1 << 64) - 1), ("ttc_next", 8), ("ttc_next", 1 << 63), ("ttc_first", 8)],
)
def test_says_which_cpu_has_no_ring(traced, name, value, word):
    damaged = traced({control(traced(), name): word(value)})

    (complaint,) = damaged.errors("::ttrace")

    assert complaint.startswith(
        "vmdebug: failed to read the trap records of cpu 0: trap_trace_ctl[0]: no ring of records"
    )
    assert damaged.rows("::ttrace") == []


def test_says_that_a_ring_is_not_in_the_image(traced):
    page = FIRST_RECORD & ~0xFFF

    (complaint,) = traced(gone=[page]).errors("::ttrace")

    assert complaint.startswith("vmdebug: failed to read the trap records of cpu 0: ")
