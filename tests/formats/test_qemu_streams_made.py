"""Streams that QEMU writes here and now, beside its own ELF dump of the same instant: machine types, splits, nodes.

A live stream is judged by a second QEMU that takes it in: what that one then dumps is what the stream says.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import time

import pytest

from formats import open_image
from formats.frames import Paddr
from formats.image import PageState

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64") or not shutil.which("qemu-img"), reason="QEMU is absent"
)

# Real mode: counts up one byte of every page from 0x20000 to 0x2ffff, forever, flushing the TLB after each round.
BOOT = bytes.fromhex("b800208ed831dbfe0781c3000175f80f20d80f22d8ebf0").ljust(510, b"\0") + b"\x55\xaa"
NODES = ["-object", "memory-backend-ram,id=n0,size=24M", "-object", "memory-backend-ram,id=n1,size=40M",
         "-numa", "node,memdev=n0", "-numa", "node,memdev=n1"]  # fmt: skip
MACHINES = {
    "pc": ["-machine", "pc", "-m", "48M"],
    "q35 split": ["-machine", "q35,max-ram-below-4g=128M", "-m", "160M"],
    "nodes": ["-machine", "q35,max-ram-below-4g=32M", "-m", "64M", *NODES],
    "microvm": ["-machine", "microvm", "-m", "64M"],
    "before descriptions": ["-machine", "pc-i440fx-2.2", "-m", "32M"],
    "three cpus": ["-machine", "q35", "-m", "32M", "-smp", "3"],
}


class Machine:
    """QEMU and its monitor."""

    def __init__(self, folder, words, name="qmp"):
        self.folder = folder
        boot = folder / "boot"
        boot.write_bytes(BOOT.ljust(1 << 20, b"\0"))
        drive = [] if "microvm" in words else ["-drive", f"file={boot},format=raw,if=ide,snapshot=on"]
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-nodefaults", *words, *drive,
             "-qmp", f"unix:{folder}/{name},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.socket = socket.socket(socket.AF_UNIX)
        wait(lambda: not self.socket.connect_ex(str(folder / name)))
        self.answers = self.socket.makefile()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self.answers:
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                assert "return" in answer, answer
                return answer["return"]
        raise AssertionError("QEMU is gone")

    def capable(self, *names):
        self.ask("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in names])

    def migrate(self, path):
        self.ask("migrate", uri=f"exec:cat > {path}")
        wait(lambda: self.ask("query-migrate")["status"] == "completed")
        return path

    def dump(self, path):
        self.ask("dump-guest-memory", paging=False, protocol=f"file:{path}")
        return path

    def close(self):
        with contextlib.suppress(AssertionError, OSError):
            self.ask("quit")
        self.process.wait(timeout=30)
        self.answers.close()
        self.socket.close()


def wait(ready, seconds=60):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "QEMU takes too long"
        time.sleep(0.05)


@pytest.fixture
def machine(tmp_path):
    made = []

    def start(words, name="qmp"):
        made.append(Machine(tmp_path, words, name))
        return made[-1]

    yield start
    for one in made:
        one.close()


def assert_same(stream, dump):
    """The same memory and the same registers, as far as both have them."""
    for run in dump.runs():
        paddr, size = Paddr(run.pfn << 12), run.count << 12
        assert stream.read(paddr, size) == dump.read(paddr, size), f"memory at {paddr:#x} differs"
    saved = [{name: vcpu.registers[name] for name in vcpu.registers if name in full.registers}
             for vcpu, full in zip(stream.vcpus, dump.vcpus, strict=True)]  # fmt: skip
    said = [{name: vcpu.registers[name] for name in mine} for vcpu, mine in zip(dump.vcpus, saved, strict=True)]
    assert saved == said
    assert all(len(mine) > 40 for mine in saved)


@pytest.mark.parametrize("words", MACHINES.values(), ids=MACHINES)
def test_a_stopped_machine_s_stream_is_its_dump(machine, tmp_path, words):
    qemu = machine(words)
    time.sleep(1)
    qemu.ask("stop")

    stream = open_image(qemu.migrate(tmp_path / "stream"))

    assert_same(stream, open_image(qemu.dump(tmp_path / "core")))
    states = {run.state for run in stream.runs()}
    assert states == {PageState.PRESENT, PageState.ZERO}


@pytest.mark.parametrize("capability", ["xbzrle", "compress", "events"])
def test_a_live_stream_is_what_another_qemu_makes_of_it(machine, tmp_path, capability):
    words = MACHINES["pc"]
    qemu = machine(words)
    known = [one["capability"] for one in qemu.ask("query-migrate-capabilities")]
    if capability not in known:
        pytest.skip(f"this QEMU has no {capability}")
    time.sleep(2)
    qemu.capable(capability)
    qemu.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 17, "downtime-limit": 1})
    path = qemu.migrate(tmp_path / "stream")
    other = machine([*words, "-S", "-incoming", "defer"], "qmp-in")
    other.capable(capability)
    other.ask("migrate-incoming", uri=f"exec:cat {path}")
    wait(lambda: other.ask("query-migrate").get("status") == "completed")

    stream = open_image(path)

    assert_same(stream, open_image(other.dump(tmp_path / "core")))


def test_a_snapshot_of_a_machine_is_its_dump(machine, tmp_path):
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", disk, "20M"], check=True)
    qemu = machine([*MACHINES["q35 split"], "-drive", f"file={disk},if=virtio,format=qcow2"])
    time.sleep(1)
    qemu.ask("stop")
    qemu.ask("human-monitor-command", **{"command-line": "savevm first"})
    dump = qemu.dump(tmp_path / "core")
    qemu.close()

    assert_same(open_image(f"{disk}@first"), open_image(dump))
