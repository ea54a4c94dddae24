"""Sections D.2 and L: ::pfiles ::fd ::whereopen, the walkers file, allfile and port."""

import pytest

from tests.fakes import FakeTarget
from tests.typed_memory import BASE, TypedMemory
from vmdebug.errors import DebuggerError
from vmdebug.guests.illumos.kernel import Illumos
from vmdebug.guests.illumos.sockets import describe_socket


@pytest.fixture
def bash(illumos):
    """The address of bash's proc_t."""
    return int(next(each["address"] for each in illumos().truth["processes"] if each["command"] == "bash"), 16)


@pytest.fixture
def rows(illumos, bash):
    return illumos().rows(f"{bash:x}::pfiles")


def test_lists_open_files(illumos, bash, rows):
    assert illumos().text(f"{bash:x}::pfiles") == [
        "FD   TYPE            VNODE INFO",
        f"   0  CHR {rows[0].addr:016x} /devices/pseudo/mm@0:null",
        f"   1  CHR {rows[0].addr:016x} /devices/pseudo/mm@0:null",
        f"   2  REG {rows[2].addr:016x} /var/log/bash.403",
        f"   4 FIFO {rows[3].addr:016x} ",
    ]
    assert [(row.fd, row.path) for row in rows][-1] == (4, None)


def test_finds_the_file_of_a_descriptor(illumos, bash, rows):
    debug = illumos()

    assert debug.text(f"{bash:x}::fd 2") == [f"{rows[2].file:x}"]
    assert debug.text(f"{bash:x}::fd 2 | ::print file_t f_vnode | ::vnode2path") == ["/var/log/bash.403"]
    assert [row.address for row in debug.rows(f"{bash:x}::walk file")] == [row.file for row in rows]


@pytest.mark.parametrize("number", ["3", "0t10", "1000"])
def test_says_that_a_descriptor_is_not_open(illumos, bash, number):
    with pytest.raises(DebuggerError, match=f"process {bash:x} has no file descriptor"):
        illumos().rows(f"{bash:x}::fd {number}")


def test_takes_one_descriptor(illumos, bash):
    assert any("Usage: address::fd fd" in line for line in illumos().errors(f"{bash:x}::fd"))


def test_a_process_without_files_has_none(illumos):
    assert illumos().rows("p0::pfiles") == []


KINDS = ("NON", "REG", "DIR", "BLK", "CHR", "LNK", "FIFO", "DOOR", "PROC", "SOCK", "PORT", "BAD", "12")


@pytest.mark.parametrize("kind", [*enumerate(KINDS)])
def test_names_what_a_vnode_is(illumos, bash, rows, kind):
    number, name = kind
    place = rows[2].addr + illumos().guest.objects.offsetof("vnode_t", "v_type")

    assert illumos({place: bytes([number])}).rows(f"{bash:x}::pfiles")[2].type == name


def test_reports_a_file_that_cannot_be_read(illumos, bash, rows, word):
    place = rows[2].file + illumos().guest.objects.offsetof("file_t", "f_vnode")
    debug = illumos({place: word(0x10)})

    assert [row.fd for row in debug.rows(f"{bash:x}::pfiles")] == [0, 1, 4]
    assert debug.errors(f"{bash:x}::pfiles")[0].startswith("vmdebug: failed to read the file of descriptor 2: ")


def test_lists_who_has_a_vnode_open(illumos, bash, rows):
    debug = illumos()
    null = rows[0].addr
    holders = [(each, debug.rows(f"{each:x}::pfiles")) for each in addresses(debug.rows("::walk proc"))]
    first = [(each, files[0].file) for each, files in holders if files and files[0].addr == null]

    lines = debug.text(f"{null:x}::whereopen")

    assert lines == [line for process, file in first for line in (f"file {file:x}", f"{process:x}")]
    assert len(first) > 3 and f"{bash:x}" in lines
    assert [(row.addr, row.fd) for row in debug.rows(f"{rows[2].addr:x}::whereopen")] == [(bash, 2)]
    assert debug.text(f"{rows[2].addr:x}::whereopen | ::ps")[1].endswith(" bash")
    assert debug.text("1234::whereopen") == []


def addresses(rows):
    return [row.address for row in rows]


def test_reports_a_process_whose_files_cannot_be_searched(illumos, bash, rows, word):
    table = bash + illumos().guest.objects.offsetof("proc_t", "p_user.u_finfo.fi_list")
    debug = illumos({table: word(0x10)})

    found = debug.rows(f"{rows[0].addr:x}::whereopen")

    assert bash not in [row.addr for row in found] and len(found) > 2
    assert debug.errors(f"{rows[0].addr:x}::whereopen")[0].startswith(
        f"vmdebug: failed to read the files of the process at {bash:x}: "
    )


@pytest.fixture
def process(illumos):
    """The address of the proc_t of a command."""
    known = {each["command"]: int(each["address"], 16) for each in illumos().truth["processes"]}
    return known.__getitem__


def test_tells_where_doors_and_event_ports_are(illumos, process):
    debug = illumos()
    (port,) = (row.address for row in debug.rows(f"{process('nscd'):x}::walk port"))

    def last(command):
        return debug.text(f"{process(command):x}::pfiles")[-1].partition("fffffffe")[2][9:]

    assert last("nscd") == f"[event port (port={port:x})]"
    assert last("syslogd") == f"[door to 'nscd' (proc={process('nscd'):x})]"
    assert last("cron") == "[door, revoked]"
    assert debug.rows(f"{port:x}::print port_t port_max_events")[0].value == 64
    assert debug.rows(f"{process('cron'):x}::walk port") == []


@pytest.mark.parametrize(
    ("pid", "text"),
    [
        (312, "socket: AF_INET6 :: 22"),
        (401, "socket: AF_INET 10.0.0.5 22 remote: AF_INET 10.0.0.9 50123"),
        (260, "socket: AF_UNIX /var/run/.inetd.uds"),
        (9, "socket: AF_ROUTE"),
    ],
)
def test_tells_the_addresses_of_sockets(illumos, pid, text):
    row = illumos().rows(f"0t{pid}::pid2proc | ::pfiles")[-1]

    assert (row.type, row.about) == ("SOCK", text)
    assert illumos().text(f"0t{pid}::pid2proc | ::pfiles")[-1] == f"   5 SOCK {row.addr:016x} {text}"


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("so_faddr.soa_sa", 0x10, "socket: AF_INET 10.0.0.5 22 remote: ?"),
        ("so_faddr.soa_len", 1 << 31, "socket: AF_INET 10.0.0.5 22"),
        ("so_faddr.soa_len", 6, "socket: AF_INET 10.0.0.5 22 remote: AF_INET"),
        ("so_laddr.soa_len", 0, "socket: AF_INET remote: AF_INET 10.0.0.9 50123"),
    ],
)
def test_tells_what_can_be_read_of_a_socket(illumos, member, value, text):
    debug = illumos()
    (socket,) = debug.rows("0t401::pid2proc | ::fd 5 | ::print file_t f_vnode->v_data")
    size = 4 if member.endswith("len") else 8
    place = socket.value + debug.guest.objects.offsetof("struct sonode", member)

    changed = illumos({place: value.to_bytes(size, "little")})

    assert changed.rows("0t401::pid2proc | ::pfiles")[-1].about == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"so_priv": BASE + 0x100}, "socket: AF_UNIX /tmp/s remote: AF_UNIX "),
        ({"so_priv": BASE + 0x100, "so_not_str": 1}, "socket: AF_UNIX"),
        ({}, "socket: AF_UNIX"),
        ({"so_family": 99}, "socket: family 99"),
    ],
)
def test_sockets_of_later_kernels_keep_addresses_only_over_streams(values, text):
    memory = TypedMemory(
        "struct soaddr { void *soa_sa; unsigned soa_len; unsigned soa_maxlen; };"
        "typedef struct sotpi_info { long sti_dev; struct soaddr sti_laddr; struct soaddr sti_faddr; } sotpi_info_t;"
        "struct sonode { void *so_vnode; void *so_priv; short so_family; unsigned so_snd_qfull :1, so_not_str :1; };"
    )
    memory.object("struct sonode", BASE, {"so_family": 1, **values})
    near = {"sti_laddr.soa_sa": BASE + 0x200, "sti_laddr.soa_len": 9}
    far = {"sti_faddr.soa_sa": BASE + 0x300, "sti_faddr.soa_len": 2}
    memory.object("sotpi_info_t", BASE + 0x100, {**near, **far})
    memory.put(BASE + 0x200, b"\1\0/tmp/s\0")
    memory.put(BASE + 0x300, b"\1\0")
    guest = Illumos.__new__(Illumos)
    guest.target = FakeTarget(memory.memory)
    guest.__dict__["types"] = memory.kernel

    assert describe_socket(guest, BASE) == text


def test_a_door_that_cannot_be_read_has_no_more_to_it(illumos, process, word):
    debug = illumos()
    door = debug.rows(f"{process('syslogd'):x}::pfiles")[-1].addr + debug.guest.objects.offsetof("vnode_t", "v_data")

    (row,) = [each for each in illumos({door: word(0x10)}).rows(f"{process('syslogd'):x}::pfiles") if each.fd == 5]

    assert (row.type, row.about, row.path) == ("DOOR", None, None)


def test_shows_paths_only(illumos, bash, process):
    debug = illumos()

    assert debug.text(f"{bash:x}::pfiles -p")[0] == "FD   TYPE            VNODE PATH"
    assert debug.text(f"{bash:x}::pfiles -p")[1:] == debug.text(f"{bash:x}::pfiles")[1:]
    assert debug.text(f"{process('cron'):x}::pfiles -p")[-1].endswith(" ")


def test_shows_how_files_are_open(illumos, bash, rows, process):
    debug = illumos()
    cred = debug.rows(f"{bash:x}::print proc_t p_cred")[0].value

    lines = debug.text(f"{bash:x}::pfiles -f")

    assert lines[0] == ("FD               FILE     FLAG  CNT             CRED           OFFSET            VNODE")
    assert lines[1:] == [
        f"{row.fd:>4} {row.file:016x}        3    1 {cred:016x}                0 {row.addr:016x}" for row in rows
    ]
    assert debug.rows(f"{process('nscd'):x}::pfiles -f")[-1].offset == 0x40


def test_walks_every_descriptor(illumos, bash, rows):
    open_, walked = {row.fd: row.file for row in rows}, illumos().rows(f"{bash:x}::walk allfile")

    assert [row.address for row in walked] == [open_.get(number, 0) for number in range(8)]
