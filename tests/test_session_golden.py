"""The session that vmdebug exists for, on dumps made by the documented command: at a terminal, and in one line."""

import json
import re
import subprocess
import sys

import pytest

START = """\
$ vmdebug core.domu
vmdebug: warning: dump is from SunOS 5.11 onnv-johnlev; dcmds and macros may not match kernel implementation
"""
LOADING = "unix genunix specfs dtrace xpv_psm scsi_vhci ufs .* sppp ptm crypto md fcip logindmux nfs"
STATUS = """\
debugging domain crash dump core.domu (64-bit) from sxc16
operating system: 5.11 onnv-johnlev (i86pc)
"""
CPUINFO = """\
 ID ADDR             FLG NRUN BSPL PRI RNRN KRNRN SWITCH THREAD           PROC
  0 fffffffffbc4b7f0  1b   40    9 169  yes   yes t-1408926 ffffff00010bfc80 sched
"""
EVTCHNS = """\
Type          Evtchn IRQ IPL CPU ISR(s)
evtchn        1      257 1   0   xenbus_intr
evtchn        2      260 9   0   xenconsintr
virq:debug    3      256 15  0   xen_debug_handler
virq:timer    4      258 14  0   cbe_fire
evtchn        5      259 5   0   xdf_intr
evtchn        6      261 6   0   xnf_intr
evtchn        7      262 6   0   xnf_intr
"""
CPUSTACK = """\
cbe_fire+0x5c()
av_dispatch_autovect+0x8c(102)
dispatch_hilevel+0x1f(102, 0)
switch_sp_and_call+0x13()
do_interrupt+0x11d(ffffff00010bfaf0, fffffffffbc86f98)
xen_callback_handler+0x42b(ffffff00010bfaf0, fffffffffbc86f98)
xen_callback+0x194()
av_dispatch_softvect+0x79(a)
dispatch_softint+0x38(9, 0)
switch_sp_and_call+0x13()
dosoftint+0x59(ffffff0001593520)
do_interrupt+0x140(ffffff0001593520, fffffffffbc86048)
xen_callback_handler+0x42b(ffffff0001593520, fffffffffbc86048)
xen_callback+0x194()
sti+0x86()
_sys_rtt_ints_disabled+8()
intr_restore+0xf1()
disp_lock_exit+0x78(fffffffffbd1b358)
turnstile_wakeup+0x16e(fffffffec33a64d8, 0, 1, 0)
mutex_vector_exit+0x6a(fffffffec13b7ad0)
xenconswput+0x64(fffffffec42cb658, fffffffecd6935a0)
putnext+0x2f1(fffffffec42cb3b0, fffffffecd6935a0)
ldtermrmsg+0x235(fffffffec42cb2b8, fffffffec3480300)
ldtermrput+0x43c(fffffffec42cb2b8, fffffffec3480300)
putnext+0x2f1(fffffffec42cb560, fffffffec3480300)
xenconsrsrv+0x32(fffffffec42cb560)
runservice+0x59(fffffffec42cb560)
queue_service+0x57(fffffffec42cb560)
stream_service+0xdc(fffffffec42d87b0)
taskq_d_thread+0xc6(fffffffec46ac8d0)
thread_start+8()
"""
ANSWERS = {"::status": STATUS, "::cpuinfo": CPUINFO, "::evtchns": EVTCHNS, "::cpustack -c 0": CPUSTACK}
WAYS = [("demo",), ("demo", "--seed", "9"), ("demo-304",), ("demo-304", "--variant", "upstream")]


def vmdebug(folder, *words):
    """Run the command in a folder; what it said."""
    return subprocess.run([sys.executable, "-m", "vmdebug", *words], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def folder(request, tmp_path_factory):
    """A folder with the demo in core.domu, and its truth."""
    path = tmp_path_factory.mktemp("golden")
    recipe, *options = request.param
    made = vmdebug(path, "fixture", "make", recipe, "-o", "core.domu", *options)
    assert made.returncode == 0, made.stderr
    return path


@pytest.fixture
def truth(folder):
    return json.loads((folder / "core.domu.truth.json").read_text())


def test_the_session_at_a_terminal(folder, monkeypatch):
    from bench.transcript import record

    monkeypatch.chdir(folder)

    shown = record(["core.domu"], list(ANSWERS))

    assert shown.startswith(START)
    loading, rest = shown.removeprefix(START).split("\n", 1)
    assert re.fullmatch(rf"Loading modules: \[ {LOADING} \]", loading)
    assert rest == "".join(f"> {command}\n{answer}" for command, answer in ANSWERS.items())


def test_the_session_in_one_line(folder):
    done = vmdebug(folder, "-e", "; ".join(ANSWERS), "core.domu")

    assert (done.returncode, done.stderr) == (0, START.split("\n")[1] + "\n")
    assert [line.rstrip() for line in done.stdout.splitlines()] == "".join(ANSWERS.values()).splitlines()


def test_the_modules_are_those_that_mdb_knows(folder, truth, monkeypatch):
    from bench.transcript import record

    monkeypatch.chdir(folder)

    loading = record(["core.domu"], []).splitlines()[2]

    assert loading == f"Loading modules: [ {' '.join(truth['loading_modules'])} ]"


def test_the_frame_behind_a_cpu(folder, truth):
    done = vmdebug(folder, "-e", "fffffffffbc4b7f0::vatopfn", "core.domu")

    page = next(each for each in truth["translations"] if each["vaddr"] == "0xfffffffffbc4b000")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-1] == f"Virtual address 0xfffffffffbc4b7f0 maps pfn {page['pfn']:#x} (mfn {page['mfn']:#x})"
    assert lines == [line.expandtabs(8) for line in truth["session"]["fffffffffbc4b7f0::vatopfn"]]
    assert lines[0].endswith(f" pte={page['entry']}")
