"""Section D.3: each set of values of ::thread."""

import pytest

CONSOLE, INTERRUPT = 0xFFFF_FF00_0159_3C80, 0xFFFF_FF00_010B_FC80
STATE = "STATE    FLG PFLG SFLG   PRI  EPRI PIL             INTR"
PROC = "            PROC              LWP             CRED"
BLOCK = "           WCHAN               TS             PITS    SOBJ OPS"
SIGNAL = "        SIGQUEUE         SIG PEND         SIG HELD"
DISPATCH = "        DISPTIME BOUND PR SWITCH"


@pytest.fixture
def init(illumos):
    """The thread of init, which sleeps."""
    objects = illumos().guest.objects
    return objects.at("kthread_t", int(objects.at("proc_t", 0xFFFF_FFFE_C0C3_E0C0).p_tlist))


@pytest.fixture
def changed(illumos, init, word):
    """The demo with a member of init's thread changed."""
    objects = illumos().guest.objects
    return lambda name, value: illumos({int(init) + objects.offsetof("kthread_t", name): word(value)})


def sets(init):
    since = 1_523_411 - init.t_disp_time
    return {
        "i": (STATE, "sleep      8    0    1    59     0   0              n/a"),
        "p": (PROC, f"{int(init.t_procp):x} {int(init.t_lwp):x} {int(init.t_cred):x}"),
        "b": (BLOCK, f"{int(init.t_wchan):x} {'0':>16} {'0':>16} cv_sobj_ops"),
        "s": (SIGNAL, f"{'0':>16} {'0':>16} {'0':>16}"),
        "d": (DISPATCH, f"{init.t_disp_time:>16x} {'-1':>5}  0 {f't-{since}':<6}"),
    }


@pytest.mark.parametrize("letter", ["i", "p", "b", "s", "d"])
def test_prints_a_set(illumos, init, letter):
    head, row = sets(init)[letter]

    assert illumos().text(f"{int(init):x}::thread -{letter}") == [f"{'ADDR':<16} {head}", f"{int(init):x} {row}"]


def test_the_first_set_is_printed_unless_others_are_wanted(illumos, init):
    assert illumos().text(f"{int(init):x}::thread") == illumos().text(f"{int(init):x}::thread -i")


def test_several_sets_are_on_lines_of_their_own(illumos, init):
    (state_head, state), (proc_head, proc) = sets(init)["i"], sets(init)["p"]

    assert illumos().text(f"{int(init):x}::thread -ip") == [
        f"{'ADDR':<16} {state_head}",
        f"{'':16} {proc_head}",
        f"{int(init):x} {state}",
        f"{'':16} {proc}",
    ]


def test_several_sets_may_share_a_line(illumos, init):
    wanted = [sets(init)[letter] for letter in "ipbsd"]

    assert illumos().text(f"{int(init):x}::thread -bdimps") == [
        " ".join([f"{'ADDR':<16}", *(head for head, _ in wanted)]),
        " ".join([f"{int(init):x}", *(row for _, row in wanted)]),
    ]


@pytest.mark.parametrize(
    ("name", "letter", "column"),
    [
        ("t_procp", "p", 0),
        ("t_lwp", "p", 1),
        ("t_cred", "p", 2),
        ("t_wchan", "b", 0),
        ("t_ts", "b", 1),
        ("t_prioinv", "b", 2),
        ("t_sigqueue", "s", 0),
        ("t_sig", "s", 1),
        ("t_hold", "s", 2),
        ("t_disp_time", "d", 0),
    ],
)
def test_each_column_is_its_member(changed, init, name, letter, column):
    lines = changed(name, 0x1234_5678).text(f"{int(init):x}::thread -{letter}")

    assert lines[1].split()[1:][column] == "12345678"


def test_a_clock_that_is_not_known_is_a_dash(illumos, init):
    truth = illumos().truth
    debug = illumos({truth.address(name): bytes(8) for name in ("lbolt", "lbolt64")})

    assert debug.text(f"{int(init):x}::thread -d")[1].endswith(" -     ")


def test_a_row_has_every_value_whatever_is_printed(illumos):
    (row,) = illumos().rows(f"{INTERRUPT:x}::thread -f")

    assert (row.addr, row.intr, row.pil, row.bound, row.wchan) == (INTERRUPT, CONSOLE, 9, -1, 0)
