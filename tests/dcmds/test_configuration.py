"""Sections G.4, H and I: ::system ::showrev ::class ::zone ::project ::taskq ::taskq_entry ::vnode2path ::flipone."""

import pytest

ZONE0_HEAD = "            ADDR     ID STATUS        NAME                 PATH"
TASKQ_HEAD = "ADDR             NAME                             ACT/THDS Q'ED  MAXQ INST"
NAMES = ["system_taskq", "ufs_taskq", "zfs_taskq", "kmem_taskq", "callout_taskq0", "callout_taskq1"]
ENTRY = 0xFFFF_FFFE_C46A_C8D0


@pytest.fixture
def place(illumos):
    """The address of a member of a structure."""
    return lambda kind, address, name: address + illumos().guest.objects.offsetof(kind, name)


def test_prints_the_system_file(illumos):
    assert illumos().text("::system") == [
        'exclude "drv/audio810"',
        'forceload "drv/xnf"',
        'moddir "/kernel /usr/kernel"',
        "set moddebug=0x80000000 [0t2147483648]",
        "set nfs:nfs3_max_threads=0x10 [0t16]",
        "set ip:ip_debug|0x5 [0t5]",
        "set boothowto&0xff [0t255]",
    ]


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        *enumerate(("exclude", "include", "forceload", "rootdev", "rootfs", "swapdev", "swapfs", "moddir", "set")),
        *((9, "unknown"), (10, "set"), (11, "set")),
    ],
)
def test_knows_every_command_of_the_system_file(illumos, place, kind, command):
    first = illumos().rows("::system")[0].addr

    rows = illumos({place("struct sysparam", first, "sys_type"): bytes([kind])}).rows("::system")

    assert rows[0].command == command


def test_prints_revisions(illumos):
    assert illumos().text("::showrev") == [
        "Hostname: sxc16",
        "Release: 5.11",
        "Kernel architecture: i86pc",
        "Application architecture: amd64",
        "Kernel version: SunOS 5.11 i86pc onnv-johnlev",
        "Platform: i86xpv",
    ]


def test_revisions_that_cannot_be_read_are_unknown(illumos):
    lines = illumos(gone=[illumos().truth.address("utsname")]).text("::showrev")

    assert lines[0] == "Hostname: unknown"
    assert lines[4] == "Kernel version: unknown unknown unknown unknown"


def test_prints_what_modules_say_of_themselves(illumos):
    debug = illumos()
    described = [(row.name, row.info or "Unknown") for row in debug.rows("::modinfo")]

    lines = debug.text("::showrev -v")

    assert lines[:6] == debug.text("::showrev")
    assert lines[6:] == [f"{'OBJECT':<28} VERSION", *(f"{name:<28} {text}" for name, text in described)]


def test_finds_the_modules_that_came_with_a_patch(illumos, word):
    debug = illumos()
    modctl = next(row.modctl for row in debug.rows("::modinfo") if row.name == "ufs")
    (link,) = debug.rows(f"{modctl:x}::print struct modctl mod_linkage->ml_linkage[0]")
    text = debug.guest.target.read(link.value + 8, 8)
    place = int.from_bytes(text, "little")

    assert debug.text("::showrev -p")[6:] == [f"Patches: none of {len(debug.guest.found)} modules names one"]
    assert illumos({place: b"ufs 118833-36\0"}).text("::showrev -p")[6:] == [
        f"{'OBJECT':<28} VERSION",
        f"{'ufs':<28} ufs 118833-36",
    ]


def test_prints_scheduling_classes(illumos):
    assert [line.rstrip() for line in illumos().text("::class")] == [
        "SLOT NAME       INIT FCN                 CLASS FCN",
        "   0 SYS        sys_init                 sys_classfuncs",
        "   1 TS         ts_init                  ts_classfuncs",
    ]


def test_prints_zones(illumos):
    zone = illumos().truth.address("zone0")

    assert illumos().text("::zone") == [ZONE0_HEAD, f"{zone:x}      0 running       global               /"]
    assert illumos().text(f"{zone:x}::zone") == illumos().text("::walk zone | ::zone") == illumos().text("::zone")


ZONE_STATES = ("uninitialized", "initialized", "ready", "booting", "running", "shutting_down", "empty", "down", "dying")


@pytest.mark.parametrize("value", [*enumerate((*ZONE_STATES, "dead", "10"))])
def test_names_what_a_zone_does(illumos, place, value):
    number, name = value
    zone = illumos().truth.address("zone0")

    (row,) = illumos({place("zone_t", zone, "zone_status"): bytes([number])}).rows("::zone")

    assert row.status == name


def test_prints_task_queues(illumos):
    debug = illumos()
    addresses = [row.addr for row in debug.rows("::taskq")]

    assert debug.text("::taskq") == [
        TASKQ_HEAD,
        *(f"{addr:x} {name:<31}    0/   1    0     3    -" for addr, name in zip(addresses, NAMES, strict=True)),
    ]
    assert debug.text(f"{addresses[1]:x}::taskq")[1:] == debug.text("::taskq -n ufs")[1:]


@pytest.fixture
def busy(illumos, place, word):
    """The demo whose ufs_taskq works and has the console's task and another in its queue."""
    queue = illumos().rows("::taskq -n ufs")[0].addr
    ring = place("taskq_t", queue, "tq_task")
    other = place("taskq_t", illumos().rows("::taskq -n zfs")[0].addr, "tq_task")
    link = illumos().guest.objects.offsetof("taskq_ent_t", "tqent_next")
    changes = {ring + link: word(ENTRY), ENTRY + link: word(other), other + link: word(ring)}
    changes[place("taskq_t", queue, "tq_active")] = (1).to_bytes(4, "little")
    changes[place("taskq_t", queue, "tq_flags")] = bytes(4)
    changes[place("taskq_t", queue, "tq_instance")] = (7).to_bytes(4, "little")
    return illumos(changes), queue


def test_counts_the_tasks_that_wait(busy):
    debug, queue = busy

    assert debug.text(f"{queue:x}::taskq")[1] == f"{queue:x} {'ufs_taskq':<31}    1/   1    2     3    7"


@pytest.mark.parametrize(
    ("options", "names"),
    [("-a", ["ufs_taskq"]), ("-m 3", NAMES), ("-m 4", []), ("-n callout", NAMES[4:]), ("-a -n zfs", [])],
)
def test_chooses_task_queues(busy, options, names):
    debug, _ = busy

    found = [row.name for row in debug.rows(f"::taskq {options}")]

    assert found == names


def test_dynamic_task_queues_are_never_too_short(illumos, place):
    flags = place("taskq_t", illumos().rows("::taskq -n ufs")[0].addr, "tq_flags")

    rows = illumos({flags: (4).to_bytes(4, "little")}).rows("::taskq -m 100")

    assert [row.name for row in rows] == ["ufs_taskq"]


def test_shows_the_stacks_of_a_queues_threads(illumos):
    debug = illumos()
    (queue,) = debug.rows("::taskq -n ufs")

    lines = debug.text(f"{queue.addr:x}::taskq -T")

    assert lines == [
        TASKQ_HEAD,
        f"{queue.addr:x} {'ufs_taskq':<31}    0/   1    0     3    -",
        *debug.text(f"{queue.addr:x}::walk taskq_thread | ::stacks"),
    ]
    assert "                 taskq_thread+0x1d2" in lines
    assert debug.text(f"{queue.addr:x}::taskq -t") == lines[:2]


def test_shows_the_stacks_of_threads_that_work_on_a_task(illumos, place, word):
    debug = illumos()
    queue = debug.rows("::taskq -n ufs")[0].addr
    working = debug.rows("::stacks -c arp_worker")[0].thread
    changed = illumos({place("kthread_t", working, "t_taskq"): word(queue)})

    (active,), (all_,) = (changed.rows(f"{queue:x}::taskq {option}") for option in ("-t", "-T"))

    assert [group.threads for group in active.stacks] == [[working]]
    assert sorted(group.count for group in all_.stacks) == [1, 1]


def test_walks_the_tasks_of_a_queue(busy):
    debug, queue = busy

    assert debug.text(f"{queue:x}::walk taskq_entry | ::taskq_entry")[:2] == [
        "ENTRY            ARG              FUNCTION",
        f"{ENTRY:x} fffffffec42d87b0 stream_service",
    ]


def test_walks_the_threads_of_a_queue(illumos):
    debug = illumos()

    for row in debug.rows("::taskq"):
        (worker,) = debug.rows(f"{row.addr:x}::walk taskq_thread")
        assert debug.guest.objects.at("kthread_t", worker.address).t_taskq == row.addr


def test_tells_the_path_of_a_vnode(illumos, place, word):
    exec_ = 0xFFFF_FFFE_C0D1_6500

    assert illumos().text(f"{exec_:x}::vnode2path") == ["/usr/bin/init"]
    assert illumos({place("vnode_t", exec_, "v_path"): word(0)}).text(f"{exec_:x}::vnode2path") == ["??"]


def test_flips_each_bit(illumos):
    assert illumos().text("0::flipone") == [f"{1 << bit:x}" for bit in range(64)]
    assert illumos().text("ff::flipone")[:2] == ["fe", "fd"]


def test_prints_projects(illumos):
    debug = illumos()
    first, second = (each.address for each in debug.rows("::walk projects"))

    assert debug.text("::project") == [
        "            ADDR PROJID ZONEID REFCNT",
        f"{first:016x}      0      0      2",
        f"{second:016x}      3      0      5",
    ]
    assert debug.text(f"{second:x}::project") == [debug.text("::project")[0], debug.text("::project")[2]]
    assert [each.address for each in debug.rows(f"{second:x}::walk projects")] == [second, first]
    assert {first, second} == {int(debug.rows(f"{task:x}::print task_t tk_proj")[0].value) for task in tasks(debug)}


def tasks(debug):
    return {row.value for row in debug.rows("::walk proc | ::print proc_t p_task")}


def test_projects_of_a_broken_ring_come_to_an_end(illumos, place, word):
    first, second = (each.address for each in illumos().rows("::walk projects"))

    debug = illumos({place("kproject_t", second, "kpj_next"): word(second)})

    assert debug.text("::walk projects") == [f"0x{first:x}", f"0x{second:x}"]
    assert "the list comes back here" in debug.errors("::project")[0]
