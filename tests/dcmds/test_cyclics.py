"""Sections I and L: ::cycinfo ::cyclic, the walker cyccpu."""

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
