"""Sections I and L: ::cycinfo ::cyclic ::cyctrace, the walkers cyccpu and cyctrace."""

import pytest

CYC_CPU = 0xFFFF_FFFF_ABFD_E000
STRIDE = 0x400
CYCLICS = CYC_CPU + 0x100
HEAD = "CPU          CYC_CPU   STATE NELEMS             ROOT            FIRE HANDLER"
NEVER = (1 << 63) - 1


def member(debug, name):
    return CYC_CPU + debug.guest.objects.offsetof("cyc_cpu_t", name)


def nth(debug, number):
    return CYCLICS + debug.guest.objects.sizeof("cyclic_t") * number


def test_shows_what_each_cpu_calls_next(illumos):
    debug = illumos()

    assert debug.text("::cycinfo") == [
        HEAD,
        f"  0 {CYC_CPU:016x}  online      4 {nth(debug, 1):016x}      2b5f18a900 clock",
    ]
    assert debug.text(f"{CYC_CPU:x}::cycinfo") == debug.text("::cycinfo")


def test_walks_the_cyclics_of_every_cpu(illumos):
    debug = illumos(vcpus=3, memory="64M")
    addresses = [CYC_CPU, CYC_CPU + STRIDE, CYC_CPU + 2 * STRIDE]

    assert [row.address for row in debug.rows("::walk cyccpu")] == addresses
    assert [(row.cpu, row.addr, row.nelems) for row in debug.rows("::cycinfo")] == [
        (0, addresses[0], 4),
        (1, addresses[1], 1),
        (2, addresses[2], 1),
    ]


@pytest.mark.parametrize(
    ("number", "state"), [(1, "offline"), (2, "expand"), (3, "remove"), (4, "suspend"), (5, "????")]
)
def test_shows_the_state_of_a_cpus_cyclics(illumos, number, state):
    debug = illumos()

    changed = illumos({member(debug, "cyp_state"): number.to_bytes(4, "little")})

    assert changed.text("::cycinfo")[1].split()[2] == state


def test_a_cpu_without_cyclics_calls_nothing(illumos):
    debug = illumos()

    idle = illumos({member(debug, "cyp_nelems"): bytes(4)})

    assert idle.text("::cycinfo")[1:] == [f"  0 {CYC_CPU:016x}  online      0 {'-':>16} {'-':>15} -"]


def test_a_cpu_that_keeps_none_is_left_out(illumos, word):
    debug = illumos()
    cpu = debug.truth.address("cpus") + debug.guest.objects.offsetof("cpu_t", "cpu_cyclic")

    assert illumos({cpu: word(0)}).rows("::cycinfo") == []


def test_refuses_a_heap_that_names_no_cyclic(illumos):
    damaged = illumos({CYC_CPU + 0x80: (0x99).to_bytes(4, "little")})

    assert damaged.errors("::cycinfo") == [f"vmdebug: cyc_cpu {CYC_CPU:x}: its heap begins with cyclic 0x99 of 8"]


def test_prints_a_line_a_cyclic(illumos):
    debug = illumos()

    lines = debug.text(f"{CYCLICS:x}::array cyclic_t 4 | ::cyclic")

    assert lines == [
        "            ADDR LEVL  PEND FLAGS            FIRE USECINT HANDLER",
        f"{nth(debug, 0):016x}  low     0  0000      2b5f204a00 1000000 cbe_softclock",
        f"{nth(debug, 1):016x} lock     0  0000      2b5f18a900   10000 clock",
        f"{nth(debug, 2):016x} high     0  0000 7fffffffffffffff {NEVER // 1000} cbe_low_level",
        f"{nth(debug, 3):016x} high     0  0000      2b5f190000  250000 softlevel1",
    ]


def test_shows_a_level_that_no_cyclic_has(illumos):
    debug = illumos()
    place = nth(debug, 0) + debug.guest.objects.offsetof("cyclic_t", "cy_level")

    assert illumos({place: b"\x07\x00"}).rows(f"{CYCLICS:x}::cyclic")[0].level == "????"


def test_needs_an_address(illumos):
    assert illumos().errors("::cyclic")


def test_draws_the_heap_of_a_cpu(illumos):
    debug = illumos()

    assert debug.text("::cycinfo -v") == [
        HEAD,
        f"  0 {CYC_CPU:016x}  online      4 {nth(debug, 1):016x}      2b5f18a900 clock",
        "",
        "            [ 1 ]",
        "              |",
        "        +-----+-----+",
        "      [ 0 ]       [ 3 ]",
        "        |",
        "     +--+",
        "   [ 2 ]",
        "",
        "  NDX HEAP LEVL  PEND             FIRE USECINT HANDLER",
        "    0    1  low     0       2b5f204a00 1000000 cbe_softclock",
        "    1    0 lock     0       2b5f18a900   10000 clock",
        f"    2    3 high     0 {NEVER:>16x} {NEVER // 1000} cbe_low_level",
        "    3    2 high     0       2b5f190000  250000 softlevel1",
        "",
    ]


def test_draws_the_times_of_a_heap(illumos):
    drawing = illumos().text("::cycinfo -V")[3:14]

    assert drawing == [
        "                                  [ 1 ]",
        "                               2b5f18a900",
        "                                    |",
        "                   +----------------+----------------+",
        "                 [ 0 ]                             [ 3 ]",
        "              2b5f204a00                        2b5f190000",
        "                   |",
        "          +--------+",
        "        [ 2 ]",
        f"  {NEVER:x}",
        "",
    ]


def test_names_the_cyclics_of_a_heap_in_its_order(illumos):
    (row,) = illumos().rows("::cycinfo -v")

    assert [(each.ndx, each.heap) for each in row.heap] == [(1, 0), (0, 1), (3, 2), (2, 3)]
    assert illumos().rows("::cycinfo")[0].heap is None


def test_each_cpu_has_its_own_heap(illumos):
    lines = illumos(vcpus=3, memory="64M").text("::cycinfo -v")

    assert lines.count(HEAD) == 3
    assert lines.count("   [ 0 ]") == 2


def test_a_cpu_without_cyclics_has_an_empty_heap(illumos):
    debug = illumos()

    idle = illumos({member(debug, "cyp_nelems"): bytes(4)})

    assert idle.text("::cycinfo -v")[2:] == ["", "", "  NDX HEAP LEVL  PEND             FIRE USECINT HANDLER", ""]


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (CYC_CPU + 0x84, 8, "its heap has cyclic 0x8 of 8 at 1"),
        (CYC_CPU + 0x84, 0xFFFF_FFFF, "its heap has cyclic -0x1 of 8 at 1"),
        ("cyp_nelems", 9, "it has 9 cyclics in a heap for 8"),
        ("cyp_size", 0xFFFF_FFFF, "its heap begins with cyclic 0x1 of -1"),
    ],
)
def test_refuses_a_heap_of_nonsense_and_shows_the_other_cpus(illumos, place, value, reason):
    debug = illumos()
    address = member(debug, place) if isinstance(place, str) else place
    damaged = illumos({address: value.to_bytes(4, "little")}, vcpus=3, memory="64M")

    (complaint,) = damaged.errors("::cycinfo -v")

    assert complaint == f"vmdebug: cyc_cpu {CYC_CPU:x}: {reason}"
    assert [row.cpu for row in damaged.rows("::cycinfo -v")] == [1, 2]


def test_a_kernel_without_cyclic_trace_says_so(illumos):
    debug = illumos()
    sentence = ["vmdebug: cyc_cpu_t has no cyp_trace: the kernel was not built with CYCLIC_TRACE"]

    assert debug.errors("::cyctrace") == sentence
    assert debug.errors(f"{CYC_CPU:x}::cyctrace") == sentence
    assert debug.errors("::walk cyctrace") == sentence
