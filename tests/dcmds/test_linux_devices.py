"""What the dcmds for a Linux guest's devices, Xen and scheduling print for real images, and their rows."""

import re

import pytest

import vmdebug
from vmdebug.dcmd import REGISTRY, columns

COMMANDS = ("grants", "xenbus", "xenstore", "xenconsole", "virtio", "vring", "block", "net", "panicinfo", "runq")
OLD, NEW, CRASH = "linux-mini.elf.core", "linux-72.elf.core", "linux-crash.kdump-d31-zlib"
PV, PVH = "xen-pv.core", "xen-pvh.core"
LINES = {
    "::grants": (PVH, r"^    0 access     d0     fefff rw     rw$"),
    "8::grants": (PVH, r"^    8 access     d0      4ef6 rw     rw$"),
    "40b::grants": (PV, r"^  40b \?          -          - -      \?$"),
    "::xenbus": (PV, r"^ffff888004dc3400 vif-0 +frontend vif +connected +vif +device/vif/0 +d0 /local/"),
    "::xenstore": (PV, r"^ffff888003e014ec   136    0 read               4$"),
    "::xenconsole": (PV, r"^=====READY$"),
    "::virtio -v": (NEW, r"^ffff89d8058f5800 virtio1 +net +virtio_net +running .*\n    .* mac "),
    "::walk virtio | ::vring": (NEW, r"^ffff89d8059c5c00 virtio1 +0 input.0 +split +256 +1 +256 +1 +1 +255 +0$"),
    "ffff89d8059c5c00::vring -v": (NEW, r"^        1 ffff89d805c11600 5c11600\+a00w$"),
    "::walk disk | ::block -v": (OLD, r"^ffff88b005341800 vda +254:0 +131072 +64 +12 +12 +0 virtio_blk$"),
    "::walk netdev | ::net -v": (PV, r"^    txq ffff888004eecd40 qdisc ffff888006832c00 started 4294896238$"),
    "::panicinfo": (CRASH, r"^ +thread ffff8a3142c08000 774 omega_crasher\n +message sysrq trigger"),
    "::panicinfo | ::task": (CRASH, r"omega_crasher"),
    "1::runq": (CRASH, r"^  ffff8a3142c08000 +774 fair +120 +8328561059 running omega_crasher$"),
}  # fmt: skip


@pytest.mark.parametrize("command", LINES)
def test_lines_read_as_they_should(command, real):
    name, line = LINES[command]

    text = vmdebug.open(real(name)).run(command)

    assert re.search(line, text, re.M), text[:2000]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_column_is_explained(command):
    entry = REGISTRY.dcmd(command, "linux")

    assert entry.guests == ("linux",)
    assert all(meaning for _, meaning in columns(entry.row))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("::grants", "grants nothing to other domains"),
        ("::xenstore", "no ring of xenstore"),
        ("::xenconsole", "no console of the hypervisor"),
        ("1000::vring", "1000"),
        ("77::runq", "neither a valid CPU ID nor a valid run queue address"),
    ],
)
def test_what_the_guest_lacks_is_said(command, said, real):
    machine = vmdebug.open(real(OLD))

    assert said in machine.run(command)
