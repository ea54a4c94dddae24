"""Sections I and L: ::cpupart ::lgrp ::bitset; walkers of partitions, latency groups and their cpus."""

import pytest

from fixtures.illumos.partitions import GROUPS_AT, LOAD, QUEUES_AT

CPU0 = 0xFFFF_FFFF_FBC4_B7F0
PARTITION_HEAD = " ID             ADDR NRUN #CPU CPUS"
GROUP_HEAD = "   LGRPID             ADDR           PARENT         PLATHAND      #CPU      CPUS"


@pytest.fixture
def place(illumos):
    """The address of a member of a structure."""
    return lambda kind, address, name: address + illumos().guest.objects.offsetof(kind, name)


@pytest.fixture
def default(illumos):
    """The default partition."""
    return illumos().truth.address("cp_default")


def addresses(debug, command):
    return [row.address for row in debug.rows(command)]


def test_lists_the_partitions_of_the_cpus(illumos, default):
    debug = illumos()
    second = addresses(debug, "::walk cpupart_walk")[1]

    assert debug.text("::cpupart") == [PARTITION_HEAD, f"  0 {default:x}    0    1 0", f"  1 {second:x}    0    0 -"]
    assert debug.text(f"{second:x}::cpupart -v") == [PARTITION_HEAD, f"  1 {second:x}    0    0 -"]


def test_cpus_that_follow_each_other_are_a_range(illumos):
    debug = illumos(vcpus=3, memory="64M")

    assert [line.split()[-1] for line in debug.text("::cpupart")[1:]] == ["0-2", "-"]
    assert [row.cpus for row in debug.rows("::lgrp")] == [[0, 1, 2], []]


def test_a_gap_between_cpus_is_shown(illumos, place, word):
    debug = illumos(vcpus=3, memory="64M")
    first, _, third = addresses(debug, "cp_default::walk cpupart_cpulist")

    without = illumos({place("cpu_t", first, "cpu_next_part"): word(third)}, vcpus=3, memory="64M")

    assert without.text("::cpupart")[1].split()[-1] == "0,2"


def test_shows_the_threads_that_wait_for_any_cpu_of_a_partition(illumos, default, place, word):
    debug = illumos()
    thread = debug.rows("::stacks -c arp_worker")[0].thread
    queue = QUEUES_AT + debug.guest.objects.sizeof("dispq_t") * 109
    changes = {queue: word(thread), place("cpupart_t", default, "cp_kp_queue.disp_nrunnable"): b"\x01"}

    lines = illumos(changes).text("::cpupart -v")

    assert lines[1:-1] == [
        f"  0 {default:x}    1    1 0",
        f"{'':24}|",
        f"{'':24}+-->  PRI THREAD           PROC",
        f"{'':24}      109 {thread:x} sched",
    ]


def test_a_queue_that_cannot_be_read_is_reported(illumos, default, place):
    damaged = illumos({place("cpupart_t", default, "cp_kp_queue.disp_nrunnable"): b"\x01", QUEUES_AT: b"\x01\x02"})

    assert damaged.errors(f"{default:x}::cpupart -v")[0].startswith(
        f"vmdebug: failed to read the queue of the partition at {default:x}: "
    )


def test_partitions_that_cannot_be_read_are_reported(illumos, default, place, word):
    damaged = illumos({place("cpupart_t", default, "cp_cpulist"): word(0x123)})

    assert [row.id for row in damaged.rows("::cpupart")] == [1]
    assert damaged.errors("::cpupart")[0].startswith(f"vmdebug: failed to read the partition at {default:x}: ")


def test_lists_latency_groups(illumos):
    debug = illumos()
    root, leaf = addresses(debug, "::walk lgrptbl")

    assert root == GROUPS_AT
    assert debug.text("::lgrp") == [
        GROUP_HEAD,
        f"{0:>9} {root:x} {'0':>16} {'DEFAULT':>16} {1:>9} {0:>9}",
        f"{1:>9} {leaf:x} {root:x} {'7':>16} {0:>9} {'-':>9}",
    ]
    assert debug.text("::lgrp -q") == [f"{root:016x}", f"{leaf:016x}"]


def test_shows_what_of_the_load_is_of_each_partition(illumos, default):
    debug = illumos()

    assert debug.text("::lgrp -p") == [
        "   LGRPID  PSRSETID      LOAD      #CPU      CPUS",
        f"{0:>9} {0:>9} {LOAD:>9} {1:>9} {0:>9}",
    ]
    assert debug.text("::lgrp -P") == [
        "   LGRPID  PSRSETID           PSRSET      LOAD      #CPU      CPUS",
        f"{0:>9} {0:>9} {default:x} {LOAD:>9} {1:>9} {0:>9}",
    ]


def test_a_group_that_cannot_be_read_is_reported(illumos, place, word):
    damaged = illumos({place("lgrp_t", GROUPS_AT, "lgrp_cpu"): word(0x123)})

    assert [row.id for row in damaged.rows("::lgrp")] == [1]
    assert damaged.errors("::lgrp")[0].startswith(f"vmdebug: failed to read the lgroup at {GROUPS_AT:x}: ")


def test_walks_cpus_of_groups_and_groups_above(illumos):
    debug = illumos()
    root, leaf = addresses(debug, "::walk lgrptbl")

    assert addresses(debug, f"{root:x}::walk lgrp_cpulist") == [CPU0]
    assert addresses(debug, f"{leaf:x}::walk lgrp_cpulist") == []
    assert addresses(debug, f"{leaf:x}::walk lgrp_parents") == [leaf, root]
    assert addresses(debug, "::walk cpupart_walk | ::walk cpupart_cpulist") == [CPU0]


def test_groups_above_that_go_round_are_refused(illumos, place, word):
    leaf = addresses(illumos(), "::walk lgrptbl")[1]
    round_ = illumos({place("lgrp_t", GROUPS_AT, "lgrp_parent"): word(GROUPS_AT)})

    assert round_.errors(f"{leaf:x}::walk lgrp_parents") == [
        f"vmdebug: {GROUPS_AT:x}: the list comes back here and has no end"
    ]


def test_draws_a_bitset(illumos, default, place):
    debug = illumos(vcpus=3, memory="64M")
    address = place("cpupart_t", debug.truth.address("cp_default"), "cp_haltset")

    assert debug.text(f"{address:x}::bitset") == [
        f"{'':16}0         1         2         3         4         5         6",
        f"{'':16}{'0123456789' * 6}0123",
        f"{'':16}{'|----+----' * 6}|---",
        f"     0 - 63     .11{'.' * 61}",
        f"    64 - 127    {'.' * 64}",
    ]
    assert [row.members for row in debug.rows(f"{address:x}::bitset")] == [[1, 2], []]


def test_refuses_a_bitset_that_is_larger_than_any(illumos, default, place):
    address = place("cpupart_t", default, "cp_haltset")
    words = place("bitset_t", address, "bs_words")

    assert illumos({words: b"\xff\xff\xff\xff"}).errors(f"{address:x}::bitset") == [
        f"vmdebug: bitset {address:x}: 0xffffffff words are more than any kernel's (0x4000)"
    ]
