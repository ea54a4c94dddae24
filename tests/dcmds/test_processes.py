"""Sections D.1 and D.2: ::ps ::pgrep ::pflags ::ptree ::pid2proc ::as2proc."""

import pytest

from vmdebug.errors import DebuggerError

P0, INIT, SVC = 0xFFFF_FFFF_FBC2_BB20, 0xFFFF_FFFE_C0C3_E0C0, "svc.startd"
HEAD = "S PID    PPID   PGID   SID    UID    FLAGS      ADDR             NAME"
SCHED = "R 0      0      0      0      0      0x00000001 fffffffffbc2bb20 sched"


@pytest.fixture
def process(illumos):
    """The address of a process by its pid."""
    known = {each["pid"]: int(each["address"], 16) for each in illumos().truth["processes"]}
    return known.__getitem__


@pytest.fixture
def member(illumos):
    objects = illumos().guest.objects
    return lambda name, process: process + objects.offsetof("proc_t", name)


def tree(processes, pid=0):
    """The processes in the order of the tree: a process before its children, these in the generator's order."""
    yield next(each for each in processes if each["pid"] == pid)
    for each in processes:
        if each["pid"] and each["ppid"] == pid:
            yield from tree(processes, each["pid"])


def test_lists_every_process_in_the_order_of_the_tree(illumos):
    debug = illumos()

    lines = debug.text("::ps")

    assert lines[:3] == [HEAD, SCHED, "R 1      0      1      1      0      0x4a004000 fffffffec0c3e0c0 init"]
    assert lines[1:] == [
        f"{each['state']} {each['pid']:<6} {each['ppid']:<6} {each['pid']:<6} {each['pid']:<6} {each['uid']:<6} "
        f"0x{1 if each['pid'] in (0, 2, 3) else 0x4A004000:08x} {int(each['address'], 16):016x} {each['command']}"
        for each in tree(debug.truth["processes"])
    ]


def test_lists_command_lines(illumos):
    debug = illumos()

    assert [row.args for row in debug.rows("::ps")] == [each["arguments"] for each in tree(debug.truth["processes"])]
    assert debug.text(f"{INIT:x}::ps -f")[1].endswith(" fffffffec0c3e0c0 /sbin/init")


@pytest.mark.parametrize(
    ("options", "head", "row"),
    [
        ("", "", ""),
        ("-T", "TASK  ", "0     "),
        ("-P", "PROJ  ", "0     "),
        ("-z", "ZONE  ", "0     "),
        ("-TPz", "TASK  PROJ  ZONE  ", "0     0     0     "),
    ],
)
def test_columns_are_added_before_the_user(illumos, options, head, row):
    assert illumos().text(f"p0::ps {options}") == [
        f"S PID    PPID   PGID   SID    {head}UID    FLAGS      ADDR             NAME",
        f"R 0      0      0      0      {row}0      0x00000001 fffffffffbc2bb20 sched",
    ]


def test_numbers_tasks_and_projects(illumos, process):
    (row,) = illumos().rows(f"{process(1030):x}::ps -TPz")

    assert (row.task, row.project, row.zone) == (10, 3, 0)


def test_a_project_that_cannot_be_read_is_not_known(illumos, member, word):
    debug = illumos({member("p_task", INIT): word(0)})

    assert debug.text(f"{INIT:x}::ps -TP")[1].startswith("R 1      0      1      1      ?     ?     0      ")


def test_lists_threads_and_lwps(illumos, process):
    debug = illumos()
    java = process(620)
    truth = next(each for each in debug.truth["processes"] if each["pid"] == 620)
    lwps = [int(debug.guest.objects.at("kthread_t", int(each, 16)).t_lwp) for each in truth["threads"]]

    lines = debug.text(f"{java:x}::ps -tl")

    assert lines[2:] == [
        line
        for number, (thread, lwp) in enumerate(zip(truth["threads"], lwps, strict=True), start=1)
        for line in (f"        T  {thread} <TS_RUN>", f"        L  {lwp:#x} ID: {number}")
    ]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0, "TS_FREE"),
        (1, "TS_SLEEP"),
        (2, "TS_RUN"),
        (4, "TS_ONPROC"),
        (8, "TS_ZOMB"),
        (16, "TS_STOPPED"),
        (32, "TS_WAIT"),
        (64, "0x40"),
    ],
)
def test_names_the_states_of_threads(illumos, process, value, name):
    debug = illumos()
    thread = int(debug.guest.objects.at("proc_t", INIT).p_tlist)
    state = thread + debug.guest.objects.offsetof("kthread_t", "t_state")

    (row,) = illumos({state: bytes([value])}).rows(f"{INIT:x}::ps -t")

    assert [each.state for each in row.threads] == [name]


@pytest.mark.parametrize("value", [*enumerate("?SRZIOTW?")])
def test_a_letter_tells_the_state(illumos, member, value):
    number, letter = value

    (line,) = illumos({member("p_stat", INIT): bytes([number])}).text(f"{INIT:x}::ps")[1:]

    assert line[0] == letter


def test_passes_processes_on(illumos, process):
    assert illumos().text("0t403::pid2proc | ::ps")[1].endswith(f"{process(403):x} bash")


def test_reports_a_process_that_cannot_be_read(illumos, member, word, process):
    debug = illumos({member("p_cred", INIT): word(0x10)})

    rows, complaints = debug.rows("::ps"), debug.errors("::ps")

    assert INIT not in {row.addr for row in rows} and len(rows) > 40
    assert len(complaints) == 1
    assert complaints[0].startswith(f"vmdebug: failed to read the process at {INIT:x}: ")


@pytest.mark.parametrize(
    ("words", "pids"),
    [
        ("sshd", [312, 401]),
        ("svc", [7, 9]),
        ("-x svc", []),
        ("-x 'svc.*d'", [7, 9]),
        ("-n '^cc1$'", [1030]),
        ("-o '^cc1$'", [1000]),
        ("nosuch", []),
    ],
)
def test_finds_processes_by_their_names(illumos, words, pids):
    assert [row.pid for row in illumos().rows(f"::pgrep {words}")] == pids


def test_prints_what_it_finds_as_ps_does(illumos, process):
    assert illumos().text("::pgrep nscd") == [
        HEAD,
        f"R 95     1      95     95     0      0x4a004000 {process(95):x} nscd",
    ]
    assert illumos().text("::pgrep nscd | ::ps ! tail -1")[0].endswith(" nscd")


@pytest.mark.parametrize("words", ["", "a b", "-no a"])
def test_pgrep_takes_one_pattern(illumos, words):
    assert any("Usage: ::pgrep" in line for line in illumos().errors(f"::pgrep {words}"))


def test_pgrep_says_what_is_no_pattern(illumos):
    with pytest.raises(DebuggerError, match="not a regular expression"):
        illumos().rows("::pgrep '('")


def test_spells_flags(illumos):
    assert illumos().text(f"{INIT:x}::pflags") == [
        "fffffffec0c3e0c0 [pid 1]:",
        "        p_flag:      4a004000 <SEXECED,SMSACCT,SAUTOLPG,SMSFORK>",
        "        p_pidflag:   00000000 <>",
        "        p_proc_flag: 00000000 <>",
    ]


def test_spells_every_flag(illumos, member):
    changes = {member("p_flag", INIT): b"\xff" * 4, member("p_pidflag", INIT): b"\x0f\0"}

    (row,) = illumos({**changes, member("p_proc_flag", INIT): b"\xff\x03\0\0"}).rows(f"{INIT:x}::pflags")

    assert row.flag_names[:3] == ["SSYS", "SEXITING", "SITBUSY"]
    assert row.flag_names[-2:] == ["SDOCORE", "0x4090e0"]
    assert row.pidflag_names == ["CLDPEND", "CLDCONT", "CLDNOSIGCHLD", "CLDWAITPID"]
    assert row.proc_flag_names[-3:] == ["P_PR_RUNLCL", "P_PR_KILLCL", "0x200"]


def test_draws_the_tree(illumos):
    debug = illumos()
    processes = debug.truth["processes"]
    depths = {0: 0}

    lines = debug.text("::ptree")

    for each in tree(processes):
        depths.setdefault(each["pid"], depths[each["ppid"]] + 1)
    assert lines == [
        f"{' ' * 5 * depths[each['pid']]}{int(each['address'], 16):016x}  {each['command']}" for each in tree(processes)
    ]


def test_draws_the_ancestors_and_descendants_of_one(illumos, process):
    lines = illumos().text(f"{process(401):x}::ptree")

    assert lines[:6] == [
        "fffffffffbc2bb20  sched",
        "     fffffffec0c3e0c0  init",
        f"          {process(312):x}  sshd",
        f"               {process(401):x}  sshd",
        f"                    {process(403):x}  bash",
        f"                         {process(611):x}  dmake",
    ]
    assert sum(line.endswith("cc1") for line in lines) == 16
    assert not any(SVC in line for line in lines)


@pytest.mark.parametrize("damage", ["loop-list=p_sibling", "loop-list=p_child"])
def test_trees_that_lead_into_themselves_end(illumos, damage):
    debug = illumos(damage=damage)

    for command in ("::ps", "::ptree"):
        addresses = [row.addr for row in debug.rows(command)]
        assert 0 < len(set(addresses)) == len(addresses)


def test_an_ancestor_of_itself_ends_the_line_of_ancestors(illumos, member, word, process):
    rows = illumos({member("p_parent", INIT): word(process(401))}).rows(f"{process(401):x}::ptree")

    assert [row.comm for row in rows][:3] == ["init", "sshd", "sshd"]


def test_finds_every_process_by_its_number(illumos):
    debug = illumos()

    for each in debug.truth["processes"]:
        assert debug.text(f"0t{each['pid']}::pid2proc") == [each["address"].removeprefix("0x")]


def test_says_that_a_number_is_no_process(illumos):
    with pytest.raises(DebuggerError, match="PID 0t123 not found"):
        illumos().rows("0t123::pid2proc")


def test_finds_the_process_of_an_address_space(illumos):
    debug = illumos()

    assert {debug.text(f"{each['as']}::as2proc")[0] for each in debug.truth["user_memory"]} == {
        each["address"].removeprefix("0x")
        for each in debug.truth["processes"]
        if each["pid"] not in (0, 2, 3) and each["state"] != "Z"
    }
    assert debug.text("kas::as2proc") == [f"{P0:x}"]


@pytest.mark.parametrize("space", ["0", "fffffffec2000000"])
def test_says_that_no_process_uses_an_address_space(illumos, space):
    with pytest.raises(DebuggerError, match=f"no process uses the address space at {space}"):
        illumos().rows(f"{space}::as2proc")


@pytest.mark.parametrize("command", ["::ps", "::pgrep init"])
def test_says_that_the_processes_cannot_be_walked(illumos, without, command):
    cause = "failed to read 'practive': unknown symbol name (there is no p0)"

    assert without(illumos(), "p0").errors(command) == [f"vmdebug: can't walk 'proc': {cause}"]
    assert without(illumos(), "p0").errors("::walk proc") == [f"vmdebug: {cause}"]


def test_says_that_the_threads_cannot_be_walked(illumos, without):
    assert without(illumos(), "allthreads").errors("::walk thread") == [
        "vmdebug: failed to read 'allthreads': unknown symbol name"
    ]
