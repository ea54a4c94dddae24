"""Section A.2: $r, ::regs and ::cpuregs, the whole layout."""

import pytest

from tests.fakes import Debug, FakeGuest, FakeTarget, symbol
from vmdebug.errors import DebuggerError

WIDE = """\
%rax = 0x0000000000000000                 %r9  = 0x1111111100000009\x20
%rbx = 0xfffffffffbc4b7f0            cpus %r10 = 0x222222220000000a\x20
%rcx = 0x000000000000007f                 %r11 = 0x333333330000000b\x20
%rdx = 0x000000000000000e                 %r12 = 0x444444440000000c\x20
%rsi = 0x000000000000000f                 %r13 = 0x555555550000000d\x20
%rdi = 0xfffffffffbc4b7f0            cpus %r14 = 0x666666660000000e\x20
%r8  = 0x0000000000000000                 %r15 = 0x777777770000000f\x20

%rip = 0xfffffffffb81807e cyclic_fire+0x6e
%rbp = 0xffffff000100bbf0
%rsp = 0xffffff000100bbd0
%rflags = 0x00000286
  id=0 vip=0 vif=0 ac=0 vm=0 rf=0 nt=0 iopl=0x0
  status=<of,df,IF,tf,SF,zf,af,PF,cf>

%cs = 0xe030    %ds = 0x0000    %es = 0x0000    %fs = 0x0000
%gs = 0x0000    %gsbase = 0xfffffffffbc4b7f0    %kgsbase = 0x0
%trapno = 0x0   %err = 0x0      %cr2 = 0x0      %cr3 = 0x1828ae000
"""


@pytest.mark.parametrize("command", ["$r", "$?", "::regs", "::cpuregs", "::cpuregs -c 0", "cpus::cpuregs"])
def test_lays_out_the_registers(illumos, command):
    assert illumos().text(command) == WIDE.splitlines()


def test_reads_the_number_of_a_cpu_in_the_current_radix(illumos):
    debug = illumos(vcpus=11, memory="64M")

    assert debug.text("::cpuregs -c a")[6] == debug.text("::cpuregs -c 0t10")[6] == debug.text("0t10::cpuregs")[6]
    assert debug.rows("::cpuregs -c a")[0].vcpu == 10


def test_says_that_there_is_no_such_cpu(illumos):
    with pytest.raises(DebuggerError, match="5"):
        illumos().rows("::cpuregs -c 5")


@pytest.mark.parametrize(
    ("bit", "names"),
    [(0, "CF"), (2, "PF"), (4, "AF"), (6, "ZF"), (7, "SF"), (8, "TF"), (9, "IF"), (10, "DF"), (11, "OF")],
)
def test_a_status_that_is_set_is_in_upper_case(bit, names):
    debug = Debug(FakeTarget(), FakeGuest(registers={"rip": 0, "rflags": 1 << bit}))

    shown = "of,df,if,tf,sf,zf,af,pf,cf".replace(names.lower(), names)
    assert f"  status=<{shown}>" in debug.printed("$r").splitlines()


@pytest.mark.parametrize(
    ("bit", "shown"),
    [
        (21, "id=1 vip=0 vif=0 ac=0 vm=0 rf=0 nt=0 iopl=0x0"),
        (20, "id=0 vip=1 vif=0 ac=0 vm=0 rf=0 nt=0 iopl=0x0"),
        (19, "id=0 vip=0 vif=1 ac=0 vm=0 rf=0 nt=0 iopl=0x0"),
        (18, "id=0 vip=0 vif=0 ac=1 vm=0 rf=0 nt=0 iopl=0x0"),
        (17, "id=0 vip=0 vif=0 ac=0 vm=1 rf=0 nt=0 iopl=0x0"),
        (16, "id=0 vip=0 vif=0 ac=0 vm=0 rf=1 nt=0 iopl=0x0"),
        (14, "id=0 vip=0 vif=0 ac=0 vm=0 rf=0 nt=1 iopl=0x0"),
        (13, "id=0 vip=0 vif=0 ac=0 vm=0 rf=0 nt=0 iopl=0x2"),
        (12, "id=0 vip=0 vif=0 ac=0 vm=0 rf=0 nt=0 iopl=0x1"),
    ],
)
def test_shows_each_other_flag(bit, shown):
    debug = Debug(FakeTarget(), FakeGuest(registers={"rip": 0, "rflags": 1 << bit}))

    assert f"  {shown}" in debug.printed("$r").splitlines()


def test_registers_of_32_bits_have_their_own_names():
    guest = FakeGuest([symbol("here", 0x1000)], registers={"rax": 1, "rip": 0x1004, "rsi": 2, "rflags": 2})
    debug = Debug(FakeTarget(word=4), guest)

    lines = debug.printed("$r").splitlines()

    assert lines[0] == "%eax = 0x00000001                 %esi = 0x00000002 "
    assert "%eip = 0x00001004 here+4" in lines
    assert "%eflags = 0x00000002" in lines
