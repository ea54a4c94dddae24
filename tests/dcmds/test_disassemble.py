"""G.2: ::dis and the layout of instructions."""

import re

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from vmdebug.disasm import Names, decode
from vmdebug.lang.paint import painted_instruction

CODE = bytes.fromhex("554889e54883ec4090c9c3")
FUNCTION, TAIL, FAR = 0x1000, 0x1000 + len(CODE), 0x1200
MEMORY = {FUNCTION: CODE + b"\x90" * 0x80}


@pytest.fixture
def debug():
    guest = FakeGuest(
        [symbol("xspy_introduce_domain", FUNCTION, len(CODE), "FUNC"), symbol("sizeless", TAIL, 0, "FUNC")]
    )
    return Debug(FakeTarget(dict(MEMORY)), guest)


THREE = """\
xspy_introduce_domain:          pushq  %rbp
xspy_introduce_domain+1:        movq   %rsp,%rbp
xspy_introduce_domain+4:        subq   $0x40,%rsp
"""
REST = """\
xspy_introduce_domain+8:        nop
xspy_introduce_domain+9:        leave
xspy_introduce_domain+0xa:      ret
"""


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("xspy_introduce_domain::dis -n 2", THREE),
        ("xspy_introduce_domain::dis", THREE + REST),
        ("::dis xspy_introduce_domain", THREE + REST),
        ("::dis 1000", THREE + REST),
        ("::dis $[1000]", THREE + REST),
        ("1000; ::dis -n 2", THREE),
        ("1004::dis -n 1", "".join((THREE + REST).splitlines(keepends=True)[1:4])),
        ("1000::dis -w -n 2", THREE),
        ("1000,1::dis -n 2", THREE),
        ("1000::dis -a -n 0", "0x1000                          pushq  %rbp\n"),
        ("1000::dis -b -n 0", "0x1000            xspy_introduce_domain:                pushq  %rbp\n"),
        ("1000::dis -f -n 0", "xspy_introduce_domain:          pushq  %rbp\n"),
        ("1004::map .| ::dis -n 0", "xspy_introduce_domain+4:        subq   $0x40,%rsp\n"),
    ],
)
def test_lists(debug, text, printed):
    assert debug.printed(text) == printed


def test_a_window_has_ten_on_each_side(debug):
    lines = debug.printed("1008::dis").splitlines()

    assert [line.split(":")[0][-2:] for line in lines[:4]] == ["in", "+1", "+4", "+8"]
    assert len(lines) == 3 + 1 + 10


def test_without_an_address_eleven_go_forward_from_dot(debug):
    assert len(debug.printed("1004; ::dis").splitlines()) == 11
    assert len(debug.printed("100b::dis").splitlines()) == 11  # a function without a size


def test_a_loop_never_has_a_window(debug):
    lines = debug.printed("1004,2::dis -n 0").splitlines()

    assert [line.split()[1] for line in lines] == ["subq", "nop"]


def test_dot_is_behind_the_last(debug):
    debug.printed("1000::dis -n 1")

    assert debug.session.dot == 0x1004


def test_finds_instructions_before_an_address_without_a_symbol():
    debug = Debug(FakeTarget({0x2000: b"\x48\x89\xe5" * 40}), FakeGuest())

    lines = debug.printed("2030::dis -n 3").splitlines()

    assert [line.split(":")[0] for line in lines] == [f"0x{0x2027 + 3 * number:x}" for number in range(7)]


def test_the_instruction_in_the_middle_is_bold_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    debug = Debug(FakeTarget(dict(MEMORY)), FakeGuest(), terminal=True)

    lines = debug.printed("1004::dis -n 1").splitlines()

    assert [line.startswith("\x1b[1m") for line in lines] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("pushq  %rbp", "[1;34 pushq]  [33 %rbp]"),
        ("lock cmpxchgq %rcx,(%rdi)", "[1;34 lock cmpxchgq] [33 %rcx],([33 %rdi])"),
        ("call   -0x20   <foo+0x12>", "[1;34 call]   [36 -0x20]   [32 <foo+0x12>]"),
        ("movq   +0x1000(%rip),%r10d", "[1;34 movq]   [36 +0x1000]([33 %rip]),[33 %r10d]"),
        ("cmpq   $0xff,%rax", "[1;34 cmpq]   [36 $0xff],[33 %rax]"),
        ("***ERROR--unknown op code***", "[31 ***ERROR--unknown op code***]"),
        ("mov    rdi, qword ptr [rip + 0x10]", "[1;34 mov]    [33 rdi], qword ptr [[33 rip] + [36 0x10]]"),
    ],
)
def test_paints_the_pieces_of_an_instruction(text, pieces):
    painted = painted_instruction(text)

    assert re.sub(r"\x1b\[([0-9;]+)m(.*?)\x1b\[0m", r"[\1 \2]", painted) == pieces
    assert re.sub(r"\x1b\[[0-9;]+m", "", painted) == text


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": ""}, {"TERM": "xterm", "NO_COLOR": "1"}])
def test_a_terminal_that_wants_no_colours_gets_none(monkeypatch, environment):
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.setenv(name, environment.get(name, ""))
    debug = Debug(FakeTarget(dict(MEMORY)), FakeGuest(), terminal=True)

    assert "\x1b" not in debug.printed("1003::dis -w -n 1")


def test_names_of_the_guest_cannot_reach_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    guest = FakeGuest([symbol("bad\x1b]0;title\x07", 0x1000, 0x40, "FUNC")])
    debug = Debug(FakeTarget(dict(MEMORY)), guest, terminal=True)

    assert "\x1b]" not in debug.printed("1003::dis -w -n 1")


def test_memory_that_ends_ends_the_listing(debug):
    debug.session.target.memory = {0x1FFE: b"\x90\x90"}

    out, err, status = debug("1ffe::dis -w -n 3")

    assert len(out.splitlines()) == 2
    assert (err, status) == ("vmdebug: failed to read instruction at 0x2000: no mapping for address\n", 1)


def test_intel_syntax(debug):
    debug.printed("::set -o intel")

    assert debug.printed("1001::dis -n 0") == "xspy_introduce_domain+1:        mov    rbp, rsp\n"


HERE = 0xFFFFFFFFFB801000
NAMES = Names(
    lambda value: {HERE + 0x3417: "foo", HERE + 1: "here+1"}.get(value, f"0x{value:x}"),
    lambda value: {0xFFFFFFFFFBC4B7F0: "cpus", 0xFFFFFFFFFB804419: "rip_of"}.get(value, ""),
)
LAYOUT = [
    ("55", "pushq  %rbp"),
    ("4889e5", "movq   %rsp,%rbp"),
    ("4883ec08", "subq   $0x8,%rsp"),
    ("e812340000", "call   +0x3412\t<foo>"),
    ("e8fcffffff", "call   -0x4\t<here+1>"),
    ("0f8500010000", f"jne    +0x100\t<0x{HERE + 0x106:x}>"),
    ("488b0512340000", "movq   +0x3412(%rip),%rax\t<0xfffffffffb804419>"),
    ("ff1512340000", "call   *+0x3412(%rip)\t<0xfffffffffb804418>"),
    ("48c7c7f0b7c4fb", "movq   $0xfffffffffbc4b7f0,%rdi\t<cpus>"),
    ("48b8f0b7c4fbffffffff", "movq   $0xfffffffffbc4b7f0,%rax\t<cpus>"),
    ("83c0ff", "addl   $-0x1,%eax\t<0xffffffff>"),
    ("6aff", "pushq  $-0x1\t<0xffffffffffffffff>"),
    ("05 00 ff ff ff", "addl   $0xffffff00,%eax"),
    ("05 01 ff ff ff", "addl   $-0xff,%eax\t<0xffffff01>"),
    ("83c8ff", "orl    $0xffffffff,%eax"),
    ("83e0f0", "andl   $0xfffffff0,%eax"),
    ("83f0ff", "xorl   $0xffffffff,%eax"),
    ("a8ff", "testb  $0xff,%al"),
    ("e4ff", "inb    $0xff,%al"),
    ("e6ff", "outb   %al,$0xff"),
    ("c1e8ff", "shrl   $0xff,%eax"),
    ("c1c0ff", "roll   $0xff,%eax"),
    ("f00fb10b", "lock cmpxchgl %ecx,(%rbx)"),
    ("f3a4", "repz movsb (%rsi),(%rdi)"),
    ("f2ae", "repnz scasb (%rdi),%al"),
    ("488b45f8", "movq   -0x8(%rbp),%rax"),
    ("488b4308", "movq   0x8(%rbx),%rax"),
    ("0f1f4000", "nopl   0x0(%rax)"),
    ("488d0480", "leaq   (%rax,%rax,4),%rax"),
    ("65488b042518000000", "movq   %gs:0x18,%rax"),
    ("ffe0", "jmp    *%rax"),
    ("c3", "ret"),
    ("c9", "leave"),
    ("d1e0", "shll   %eax"),
    ("0f05", "syscall"),
    ("06", "***ERROR--unknown op code***"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text"), LAYOUT, ids=[text for _, text in LAYOUT])
def test_lays_out_an_instruction(code, text):
    assert decode("amd64", bytes.fromhex(code), HERE, NAMES).text == text


def test_other_modes():
    assert decode("ia32", bytes.fromhex("5589e5"), 0).text == "pushl  %ebp"
    assert decode("ia16", bytes.fromhex("55"), 0).text == "pushw  %bp"
    assert decode("default", bytes.fromhex("55"), 0).text == "***ERROR--unknown op code***"


@pytest.mark.parametrize(("length", "column"), [(28, 32), (29, 32), (30, 40), (31, 40), (36, 40), (37, 40), (38, 48)])
def test_a_long_location_goes_on_to_the_next_tab_stop(length, column):
    name = "f" * length
    debug = Debug(FakeTarget(dict(MEMORY)), FakeGuest([symbol(name, FUNCTION, len(CODE), "FUNC")]))

    assert debug.printed("1001::dis -n 0") == f"{f'{name}+1:':{column}}movq   %rsp,%rbp\n"
