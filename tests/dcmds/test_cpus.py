from types import SimpleNamespace

import pytest

from dcmds.cpus import CpuRow, PinnedThread, cpu_lines
from formats.frames import Vaddr
from tests.fakes import FakeTarget
from tests.typed_memory import BASE, TypedMemory
from vmdebug.dcmd import Hex
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.cpus import find_lbolt
from vmdebug.types.typed import Objects

CPU = 0xFFFF_FFFF_FBC4_B7F0
THREAD = 0xFFFF_FF00_010B_FC80
PINNED = 0xFFFF_FF00_0159_3C80


@pytest.fixture
def member(illumos):
    """Where a member of a structure lies."""
    objects = illumos().guest.objects
    return lambda kind, name, address: address + objects.offsetof(kind, name)


def test_shows_a_cpu_as_a_row(illumos):
    (row,) = illumos().rows("::cpuinfo")

    assert (row.addr, row.id, row.flags, row.nrun, row.bspl, row.pri) == (CPU, 0, 0x1B, 40, 9, 169)
    assert (row.rnrn, row.krnrn, row.switch, row.thread, row.proc) == (True, True, 1408926, THREAD, "sched")
    assert row.states == ["RUNNING", "READY", "EXISTS", "ENABLE"]
    assert (row.interrupts, row.queue) == (None, None)


def test_draws_what_a_cpu_does(illumos):
    debug = illumos()

    lines = debug.text("::cpuinfo -v")

    queue = [
        f"{'':28}      {pri:>3} {int(at, 16):016x} {name}" for pri, at, name in debug.truth["cpus"][0]["run_queue"]
    ]
    assert lines[2:9] == [
        "                       |    |    |",
        "            RUNNING <--+    |    +--> PIL THREAD",
        "              READY         |           9 ffffff00010bfc80",
        "             EXISTS         |           - ffffff0001593c80 sched",
        "             ENABLE         |",
        "                            +-->  PRI THREAD           PROC",
        queue[0],
    ]
    assert lines[8:] == [*queue, ""]


def test_draws_a_cpu_that_does_nothing(illumos):
    lines = illumos(vcpus=2).text("1::cpuinfo -v")

    assert lines[1].split()[3:5] == ["0", "0"]
    assert lines[1].endswith("(idle)")
    assert lines[2:] == [
        "                       |",
        "            RUNNING <--+",
        "              READY",
        "             EXISTS",
        "             ENABLE",
        "",
    ]


def test_lists_cpus_by_their_numbers_with_one_head(illumos):
    lines = illumos(vcpus=2).text("::cpuinfo")

    assert [line.split()[0] for line in lines] == ["ID", "0", "1"]


@pytest.mark.parametrize("address", ["0", f"{CPU:x}"])
def test_takes_a_number_or_a_cpu_structure(illumos, address):
    (row,) = illumos(vcpus=2).rows(f"{address}::cpuinfo")

    assert row.addr == CPU


def test_refuses_what_is_no_cpu(illumos):
    with pytest.raises(DebuggerError, match=r"^1234 is neither a valid CPU ID nor a valid cpu_t address$"):
        illumos().rows("1234::cpuinfo")


def test_passes_the_cpu_structure_on(illumos):
    assert illumos().text("::cpuinfo | ::eval .=K") == [f"{'':16}{CPU:x} "]


def test_walks_cpus(illumos):
    first, second = illumos(vcpus=2).rows("::walk cpu")

    assert first.address == CPU
    assert second.address != CPU


def test_shows_the_copy_of_the_cpu_that_panicked(illumos, word):
    truth = illumos().truth
    copy = illumos().target.read(CPU, 0x14F0)

    debug = illumos({truth.address("panicstr"): word(CPU), truth.address("panic_cpu"): copy})

    assert [row.addr for row in debug.rows("::cpuinfo")] == [truth.address("panic_cpu")]


def test_shows_no_switch_of_a_cpu_that_never_switched(illumos, member, word):
    lines = illumos({member("cpu_t", "cpu_last_swtch", CPU): word(0)}).text("::cpuinfo")

    assert lines[1] == "  0 fffffffffbc4b7f0  1b   40    9 169  yes   yes -      ffffff00010bfc80 sched"


def test_prefers_the_ticks_that_a_panic_recorded(illumos, word):
    truth = illumos().truth

    (row,) = illumos({truth.address("panic_lbolt64"): word(1_523_411 + 7)}).rows("::cpuinfo")

    assert row.switch == 1408926 + 7


def test_shows_a_thread_that_cannot_be_read(illumos):
    lines = illumos(gone=[THREAD]).text("::cpuinfo")

    assert lines[1] == "  0 fffffffffbc4b7f0  1b   40    9   -  yes   yes t-1408926 ffffff00010bfc80 ?"


def test_shows_a_cpu_without_a_thread(illumos, member, word):
    (row,) = illumos({member("cpu_t", "cpu_thread", CPU): word(0)}).rows("::cpuinfo")

    assert (row.pri, row.thread, row.proc) == (None, 0, "-")


def test_shows_the_cpus_of_a_ring_that_leads_nowhere(illumos, member, word):
    debug = illumos({member("cpu_t", "cpu_next", CPU): word(0xFFFF_FF00_DEAD_0000)})

    assert len(debug.text("::cpuinfo")) == 2
    assert "ffffff00dead0000" in debug.errors("::cpuinfo")[0]


def test_shows_the_cpus_of_a_ring_that_does_not_close(illumos):
    debug = illumos(vcpus=2, damage="loop-list=cpu_list")

    assert len(debug.text("::cpuinfo")) >= 3
    assert debug.errors("::cpuinfo") != []


def test_shows_a_run_queue_that_does_not_end(illumos):
    debug = illumos(damage="loop-list=dispq")

    (row,) = debug.rows("::cpuinfo -v")

    assert len(row.queue) == len({each.thread for each in row.queue}) > 30


def test_says_that_the_kernel_has_no_list_of_cpus(illumos):
    debug = illumos(damage="bad-ctf=magic")

    assert debug.text("::cpuinfo") == []
    assert "cpu_t" in debug.errors("::cpuinfo")[0]


FLAGS = ("RUNNING", "READY", "QUIESCED", "EXISTS", "ENABLE", "OFFLINE", "POWEROFF", "FROZEN", "SPARE", "FAULTED")


@pytest.mark.parametrize("flag", [*enumerate((*FLAGS, "DISABLED"))])
def test_names_each_flag_of_a_cpu(illumos, flag):
    bit, name = flag
    member = CPU + illumos().guest.objects.offsetof("cpu_t", "cpu_flags")

    lines = illumos({member: (1 << bit).to_bytes(4, "little")}).text("::cpuinfo -v")

    assert lines[1].split()[2] == f"{1 << bit:x}"
    assert lines[3].startswith(f"{name:>19} <--+")
    assert lines[4] == f"{'':28}|           9 {THREAD:x}"


def drawn(**lists):
    """The lines below a cpu's own."""
    row = CpuRow(Vaddr(CPU), 0, Hex(3), 1, 0, 0, False, False, None, Vaddr(0), "-", ["RUNNING", "READY"], **lists)
    return list(cpu_lines([row], None))[2:]


HIGH, LOW, UNDER = PinnedThread(0x10, 12, None), PinnedThread(0x20, 9, None), PinnedThread(0x30, None, "sched")
FIRST, SECOND = PinnedThread(0x40, 169, "sched"), PinnedThread(0x50, 60, "bash")


@pytest.mark.parametrize(
    ("interrupts", "queue", "lines"),
    [
        (
            [HIGH, LOW, UNDER],
            [],
            [
                "                       |         |",
                "            RUNNING <--+         +--> PIL THREAD",
                "              READY                    12 0000000000000010",
                "                                        9 0000000000000020",
                "                                        - 0000000000000030 sched",
                "",
            ],
        ),
        (
            [],
            [FIRST, SECOND],
            [
                "                       |    |",
                "            RUNNING <--+    +-->  PRI THREAD           PROC",
                "              READY               169 0000000000000040 sched",
                "                                   60 0000000000000050 bash",
                "",
            ],
        ),
        (
            [LOW],
            [SECOND],
            [
                "                       |    |    |",
                "            RUNNING <--+    |    +--> PIL THREAD",
                "              READY         |           9 0000000000000020",
                "                            |",
                "                            +-->  PRI THREAD           PROC",
                "                                   60 0000000000000050 bash",
                "",
            ],
        ),
    ],
)
def test_draws_what_there_is_beside_the_flags(interrupts, queue, lines):
    assert drawn(interrupts=interrupts, queue=queue) == lines


def test_lists_interrupt_threads_from_the_highest_level_down(illumos, member, word):
    objects = illumos().guest.objects
    thread = 0xFFFF_FF00_0159_3C80
    changes = {
        member("kthread_t", "t_flag", thread): (1).to_bytes(2, "little"),
        member("kthread_t", "t_pil", thread): b"\x0c",
        member("kthread_t", "t_bound_cpu", thread): word(CPU),
    }

    (row,) = illumos(changes).rows("::cpuinfo -v")

    assert [(each.thread, each.priority) for each in row.interrupts] == [(thread, 12), (THREAD, 9), (PINNED, None)]
    assert objects.at("kthread_t", THREAD).t_intr == PINNED


def test_later_kernels_count_ticks_from_the_time_of_the_last_one():
    memory = TypedMemory("typedef struct lbolt_info { long lbi_debug_time; } lbolt_info_t;")
    variables = {"hres_last_tick": 500 * 10_000_000, "nsec_per_tick": 10_000_000, "lb_info": BASE, "lbolt": 77}
    memory.object("lbolt_info_t", BASE, {"lbi_debug_time": 20})
    guest = SimpleNamespace(find_variable=lambda name, signed=False: variables.get(name),
                            objects=Objects(memory.kernel, FakeTarget(memory.memory).read))  # fmt: skip

    assert find_lbolt(guest) == 77
    assert (variables.pop("lbolt"), find_lbolt(guest)) == (77, 480)
    assert (variables.pop("lb_info"), find_lbolt(guest)) == (BASE, None)


def test_says_that_the_cpus_cannot_be_walked(illumos, without):
    assert without(illumos(), "cpu_list").errors("::cpuinfo") == [
        "vmdebug: can't walk cpus: failed to read 'cpu_list': unknown symbol name"
    ]
