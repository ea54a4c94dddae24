"""::kgrep and ::find at the prompt: options, errors, pipes, and a real kernel's own pointers."""

import io

import pytest

from fixtures import Guest
from formats import open_image
from formats.opener import open_source
from formats.source import BufferSource
from vmdebug.errors import DebuggerError
from vmdebug.guests import find_guest
from vmdebug.load import load_dcmds
from vmdebug.session import Session
from vmdebug.targets import search
from vmdebug.targets.target import Target

BASE = 0xFFFF_9000_0000_0000
VALUE = 0xFFFF_9000_1234_5678


class Prompt:
    """A session over a target."""

    def __init__(self, target):
        self.out, self.err = io.StringIO(), io.StringIO()
        self.session = Session(target, find_guest(target), out=self.out, err=self.err)
        load_dcmds(self.session.warn)

    def run(self, command):
        """The lines of output and of complaints."""
        self.out.truncate(self.out.seek(0))
        self.err.truncate(self.err.seek(0))
        self.session.run(command)
        return self.out.getvalue().splitlines(), self.err.getvalue().splitlines()

    def text(self, command):
        return self.run(command)[0]

    def errors(self, command):
        return self.run(command)[1]


def word(value, size=8):
    return value.to_bytes(size, "little")


@pytest.fixture
def guest():
    """A guest with a value at both ends of a page, neighbours of it, and text across two pages."""
    guest = Guest(paging="4-level", pv=True, seed=2, memory="4M")
    guest.vcpu(rip=BASE, rsp=BASE)
    guest.map(BASE, count=2)
    guest.map(BASE + 0x4000)
    for at, value in (
        (0, VALUE),
        (0xFF8, VALUE),
        (0x1010, VALUE + 1),
        (0x1020, VALUE + 8),
        (0x4008, VALUE),
        (0x4020, BASE + 0x1020),
    ):
        guest.write(BASE + at, word(value))
    guest.write(BASE + 0x104, word(VALUE))
    guest.write(BASE + 0xFF0, b"Hello pa")
    guest.write(BASE + 0x1000, b"ge")
    return guest


@pytest.fixture
def prompt(guest):
    return Prompt(Target(open_source(BufferSource("made", guest.to_bytes()))))


def test_kgrep_prints_where_a_pointer_is(prompt):
    assert prompt.run(f"{VALUE:x}::kgrep") == (
        [f"{BASE:x}", f"{BASE + 0xFF8:x}", f"{BASE + 0x4008:x}"],
        [],
    )


@pytest.mark.parametrize(
    ("options", "offsets"),
    [
        ("-a ffff900000000001 -A ffff900000004000", [0xFF8]),
        ("-A ffff900000000008", [0]),
        ("-d 2", [0, 0xFF8, 0x1010, 0x4008]),
        ("-d 9", [0, 0xFF8, 0x1010, 0x1020, 0x4008]),
        ("-m fffffffffffffffe", [0, 0xFF8, 0x1010, 0x4008]),
        ("-M 1", [0, 0xFF8, 0x1010, 0x4008]),
        ("-d 0 -m 0 -M 0", [0, 0xFF8, 0x4008]),
    ],
)
def test_kgrep_takes_limits_masks_and_distances(options, offsets, prompt):
    assert prompt.text(f"{VALUE:x}::kgrep {options}") == [f"{BASE + at:x}" for at in offsets]


def test_kgrep_shows_values(prompt):
    assert prompt.text(f"{VALUE:x}::kgrep -v -d 2 -a {BASE + 0x1000:x}") == [
        f"{BASE + 0x1010:x}:".expandtabs(8).ljust(24) + f"{VALUE + 1:x}",
        f"{BASE + 0x4008:x}:".ljust(24) + f"{VALUE:x}",
    ]


def test_kgrep_looks_for_smaller_values(prompt):
    low = VALUE & 0xFFFF_FFFF

    assert prompt.text(f"{low:x}::kgrep -s 4") == [f"{BASE + at:x}" for at in (0, 0x104, 0xFF8, 0x4008)]
    assert prompt.text("78::kgrep -s 1 -A ffff900000000200") == [f"{BASE:x}", f"{BASE + 0x104:x}"]


def test_kgreps_first_field_goes_down_a_pipe(prompt):
    assert prompt.text(f"{VALUE:x}::kgrep -v | ::eval .=K") == [
        f"                {BASE + at:x} " for at in (0, 0xFF8, 0x4008)
    ]


def test_kgrep_takes_addresses_from_a_pipe(prompt):
    assert prompt.text(f"{VALUE + 8:x}::kgrep | ::kgrep") == [f"{BASE + 0x4020:x}"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("-d 1 -m 1", "vmdebug: only one of -d, -m and -M may be specified"),
        ("-m 1 -M 1", "vmdebug: only one of -d, -m and -M may be specified"),
        ("-s 3", "vmdebug: size must be a power of 2"),
        ("-s 0", "vmdebug: size must be a power of 2"),
        ("-s 10", "vmdebug: size must be 1, 2, 4 or 8, not 0x10"),
        ("-s 1", f"vmdebug: warning: {VALUE:#x} has more than 1 bytes: the lowest are searched for"),
        ("-m fff0", f"vmdebug: warning: {VALUE:#x} has bits outside of the mask: they are not compared"),
        (
            "-d ffffffffffffffff",
            f"vmdebug: {VALUE:#x} and a distance of 0xffffffffffffffff pass the largest value of 8 bytes",
        ),
        ("-a 1000 -A 2000", "vmdebug: warning: nothing searched"),
    ],
)
def test_kgrep_says_what_is_wrong(options, line, prompt):
    assert prompt.errors(f"{VALUE:x}::kgrep {options}")[0] == line


def test_kgrep_needs_a_value(prompt):
    assert any(line.startswith("Usage: address::kgrep [-v] [-d dist|-m mask") for line in prompt.errors("::kgrep"))


def test_find_shows_the_memory_around(prompt):
    (line,) = prompt.text("::find 'Hello'")
    assert line.startswith(f"{BASE + 0xFF0:x}  ") and "Hello pa" in line


def test_find_crosses_pages(guest):
    guest.write(BASE + 0xFFA, b"across")
    prompt = Prompt(Target(open_source(BufferSource("made", guest.to_bytes()))))

    rows = prompt.session.rows("::find -r 'acr.ss'")

    assert [(row.addr, row.match) for row in rows] == [(BASE + 0xFFA, "across")]


@pytest.mark.parametrize(
    ("command", "offsets"),
    [
        ("::find hello", []),
        ("::find -i hELLO", [0xFF0]),
        ("::find -r 'H[a-z]+o'", [0xFF0]),
        ("::find -ir 'h[A-Z]+O'", [0xFF0]),
        ("::find -A ffff900000000ff4 Hello", []),
        ("::find -a ffff900000000ff1 Hello", []),
        (r"::find -r '\x78\x56\x34\x12'", [0, 0x104, 0xFF8, 0x4008]),
    ],
)
def test_find_takes_options(command, offsets, prompt):
    assert [row.addr for row in prompt.session.rows(command)] == [BASE + at for at in offsets]


def test_find_searches_physical_memory(guest, prompt):
    (row,) = prompt.session.rows("::find -p Hello")

    assert row.addr == guest.translate(BASE + 0xFF0)


@pytest.mark.parametrize("command", ["::find", "::find ''", "::find a b", "::find -p -P 1 a"])
def test_find_called_wrongly_shows_its_usage(command, prompt):
    assert any(line.startswith("Usage: ::find [-ir] [-p|-P pid]") for line in prompt.errors(command))


def test_find_says_why_a_process_cannot_be_searched(prompt):
    assert prompt.errors("::find -P 1 text") == [
        "vmdebug: the page tables of processes are not known in a guest of kind unknown"
    ]


def test_find_refuses_what_is_no_expression(prompt):
    assert prompt.errors("::find -r '('")[0].startswith("vmdebug: (: not a regular expression to search for")


def test_matches_come_before_the_search_is_over(prompt, monkeypatch):
    """Ctrl-C in the middle keeps what was printed."""
    whole = search.Scope.pieces

    def interrupted(scope, zeros=True):
        yield next(whole(scope, zeros))
        raise KeyboardInterrupt

    monkeypatch.setattr(search.Scope, "pieces", interrupted)

    assert prompt.text(f"{VALUE:x}::kgrep")[:2] == [f"{BASE:x}", f"{BASE + 0xFF8:x}"]
    assert prompt.text("::find Hello")[0].startswith(f"{BASE + 0xFF0:x}")


def test_no_progress_is_shown_where_nobody_reads_along(prompt, monkeypatch):
    monkeypatch.setattr("dcmds.search.PATIENCE", -1)

    assert prompt.run(f"{VALUE:x}::kgrep")[1] == []


def test_progress_is_wiped_before_a_row_and_at_the_end(prompt, monkeypatch):
    said = []
    monkeypatch.setattr("dcmds.search.PATIENCE", -1)
    monkeypatch.setattr("dcmds.search._shown_on", lambda call: lambda *words: said.append(words))

    prompt.session.rows(f"{VALUE:x}::kgrep")

    shown = [words for words in said if words[0]]
    assert shown[0] == (f"searching at {BASE:x}", 2, 1024)
    assert all(done < total for _, done, total in shown)
    assert said[said.index(shown[0]) + 1] == said[-1] == ("", 1, 1)


# A real kernel.


@pytest.fixture(scope="module")
def linux(real):
    return Prompt(Target(open_image(real("linux-mini.elf.core"))))


def test_init_task_is_found_where_the_task_lists_point_to_it(linux):
    objects, guest = linux.session.guest.objects, linux.session.guest
    init = guest.address("init_task")
    offset = objects.offsetof("struct task_struct", "tasks")
    first = objects.at("struct task_struct", init)["tasks"]
    before, after = int(first["prev"]), int(first["next"])

    found = {row.addr for row in linux.session.rows(f"{init + offset:x}::kgrep")}

    assert {before, after + 8} <= found


def test_every_process_knows_its_parent(linux):
    init = linux.session.guest.address("init_task")
    parent = linux.session.guest.objects.offsetof("struct task_struct", "real_parent")
    children = {row.addr + parent for row in linux.session.rows("::ps") if row.ppid == 0}

    found = {row.addr for row in linux.session.rows(f"{init:x}::kgrep")}

    assert children <= found
    assert len(children) >= 2


def test_the_banner_is_found_in_the_kernel_and_in_physical_memory(linux):
    banner = linux.session.guest.address("linux_banner")
    paddr = linux.session.target.translate(banner).paddr

    assert banner in {row.addr for row in linux.session.rows("::find 'Linux version'")}
    assert paddr in {row.addr for row in linux.session.rows("::find -p 'Linux version'")}


def test_a_process_own_text_is_found_in_its_memory(linux):
    rows = linux.session.rows(r"::find -P 1 -r '\x7fELF'")

    space = linux.session.guest.space_of_process(1)
    assert rows
    assert {space.read(row.addr, 4) for row in rows} == {b"\x7fELF"}


def test_a_process_that_is_not_there_is_an_error(linux):
    with pytest.raises(DebuggerError):
        linux.session.rows("::find -P 0t99999 text")
