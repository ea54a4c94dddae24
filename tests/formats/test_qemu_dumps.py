"""Dumps that QEMU writes here and now, of a boot sector that turns on long mode, in every format it has.

The boot sector maps 2 MiB at 0, 2 MiB at 2 MiB and again at 8 MiB, and 8 MiB at 10 MiB, all of it once more in the
upper half; it writes a word at 2 MiB through the upper half, says so on the debug port, and halts.
"""

import itertools
import json
import shutil
import socket
import subprocess
import time

import pytest

from formats import open_image
from formats.image import PageState

BOOT = (
    bytes.fromhex(
        "fa31c08ed88ec08ed0bc007cbf00106631c066b900100000fc66f3ab66c70600100320000066c70600180320000066c70600200330000066"
        "c70600308300000066c70608308300200066c70620308300200066c70628308300800066b8a00000000f22e066b8001000000f22d866b980"
        "0000c00f32660d000100000f300f20c0660d010000800f22c00f0116e07cea937c080066b810008ed048bc007000000080ffff48b8887766"
        "554433221148bf000020000080ffff488907b05066bae900eef4ebfd0f1f40000000000000000000ffff0000009baf00ffff00000093cf00"
        "1700c87c"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)
MEMORY = 32 << 20
WORD = 0x1122334455667788


class Machine:
    """QEMU, stopped, and its monitor."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "boot").write_bytes(BOOT.ljust(1 << 20, b"\0"))
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-m", "32", "-smp", "2", "-display", "none", "-nodefaults",
            "-drive", f"file={folder}/boot,format=raw,if=ide", "-debugcon", f"file:{folder}/said",
            "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait(lambda: (folder / "said").exists() and (folder / "said").read_bytes().endswith(b"P"))
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(folder / "qmp"))
        self.answers = self.socket.makefile()
        self.ask("qmp_capabilities")
        self.ask("stop")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self.answers:
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                assert "return" in answer, answer
                return answer["return"]
        raise AssertionError("QEMU is gone")

    def dump(self, form, paging=False):
        known = self.ask("query-dump-guest-memory-capability")["formats"]
        if form not in known:
            pytest.skip(f"this QEMU writes {', '.join(known)}, not {form}")
        path = self.folder / f"{form}{'-paging' * paging}"
        extra = {} if form == "elf" else {"format": form}
        self.ask("dump-guest-memory", paging=paging, protocol=f"file:{path}", **extra)
        return path

    def close(self):
        self.ask("quit")
        self.process.wait(timeout=20)
        self.answers.close()
        self.socket.close()
        self.process.stderr.close()


def wait(done):
    for _ in range(600):
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("the boot sector did not run within 30 s")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is not installed")
    found = Machine(tmp_path_factory.mktemp("qemu"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def memory(machine):
    path = machine.folder / "memory"
    machine.ask("pmemsave", val=0, size=MEMORY, filename=str(path))
    return path.read_bytes()


CODECS = ("zlib", "lzo", "snappy")
FORMATS = ["elf", *(f"kdump-{codec}" for codec in CODECS), *(f"kdump-raw-{codec}" for codec in CODECS)]


@pytest.mark.parametrize("form", FORMATS)
def test_all_formats_hold_the_same_memory(machine, memory, form):
    image = open_image(machine.dump(form))

    for run in image.runs():
        start, end = run.pfn << 12, min((run.pfn + run.count) << 12, MEMORY)
        assert run.state in (PageState.PRESENT, PageState.ZERO)
        assert start >= MEMORY or image.read(start, end - start) == memory[start:end]
    assert image.read(0x20_0000, 8) == WORD.to_bytes(8, "little")
    assert image.about.warnings == []
    assert image.about.paging == "4-level"


@pytest.mark.parametrize("form", FORMATS)
def test_all_formats_hold_the_registers(machine, parse_monitor, form):
    said = parse_monitor(machine.ask("human-monitor-command", **{"command-line": "info registers -a"}))

    vcpus = open_image(machine.dump(form)).vcpus

    assert len(said) == len(vcpus) == 2
    for vcpu, registers in zip(vcpus, said, strict=True):
        known = {name: value for name, value in registers.items() if name in vcpu.registers}
        assert len(known) > 40
        assert {name: vcpu.registers[name] for name in known} == known
    assert vcpus[0].registers["rax"] == WORD & ~0xFF | 0x50
    assert (vcpus[0].root, vcpus[1].root) == (0x1000, None), "the second processor waits with paging off"


def test_a_dump_by_mappings_has_what_the_tables_map(machine, memory):
    image = open_image(machine.dump("elf", paging=True))

    assert next(fact.value for fact in image.about.facts if fact.name == "segments").endswith("by virtual address")
    assert image.read(0, 4 << 20) == memory[: 4 << 20]
    assert image.read(8 << 20, 2 << 20) == memory[8 << 20 : 10 << 20]
    assert image.read(0x20_0000, 8) == WORD.to_bytes(8, "little")
    for before, after in itertools.pairwise(image.runs()):
        assert before.pfn + before.count <= after.pfn
    assert image.state(MEMORY >> 12) == PageState.ABSENT


def test_the_tables_lead_to_the_same_page_from_both_halves(machine):
    from vmdebug.targets.modes import find_mode
    from vmdebug.targets.spaces import AddressSpace

    image = open_image(machine.dump("kdump-zlib"))
    vcpu = image.vcpus[0]
    space = AddressSpace(image, find_mode(image, vcpu), vcpu.root)

    for vaddr in (0x20_0000, 0x80_0000, 0xFFFF_8000_0020_0000, 0xFFFF_8000_0080_0000):
        assert space.read(vaddr, 8) == WORD.to_bytes(8, "little")
