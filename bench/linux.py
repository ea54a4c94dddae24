"""A Linux guest with nothing but its image: processes, stacks, memory, and how much of the image that takes.

The image is a real one where there are any (VMDEBUG_SHARED names their folder's parent), else a small made-up guest.
crash and drgn are peers where they are installed and VMDEBUG_VMLINUX names the debug vmlinux of that kernel, which
both need.
"""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Measure

REAL = "linux-72.elf.core"
RUNS = 7
MIB = 1 << 20
LARGE = 2 << 30  # bytes of the guest of which no more than 5 % may be read
PROGRAM = """
import re, resource, sys
from vmdebug.library import open_machine
machine = open_machine(sys.argv[1])
said = machine.run(sys.argv[2])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
served = getattr(machine.target.image.source, "served", -1)
print(used.ru_utime + used.ru_stime, peak, served, said.count("\\n"))
"""
BARE = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, 0, 0, 1)
"""
ASKED = {
    "process list": ("::ps", "goal: at most 250 ms"),
    "one stack": ("0t1::pid2task | ::findstack", "goal: at most 50 ms more"),
    "status and process list": ("::status; ::ps", ""),
    "all stacks": ("::stacks", "goal: 500 stacks under 1 s"),
}


@dataclass(frozen=True)
class Run:
    """One process: CPU seconds, peak KiB, bytes taken out of the image (-1 if that is not known), lines."""

    seconds: float
    peak: int
    served: int
    lines: int


def measure(scratch: Path) -> Iterator[Measure]:
    """CPU time above the interpreter's own start, which is the peer: the clock would measure the machine's load."""
    image = find_image(scratch)
    bare = run([sys.executable, "-c", BARE])
    for name, (commands, goal) in ASKED.items():
        found = run([sys.executable, "-c", PROGRAM, str(image), commands])
        if not found.lines:
            raise SystemExit(f"bench: {commands} says nothing of {image}")
        taken = (found.seconds - bare.seconds) * 1e3
        yield Measure(f"Linux: {name}, CPU", taken, "ms", "python -c pass", bare.seconds * 1e3, goal)
        yield Measure(f"Linux: {name}, peak memory", found.peak / 1024, "MiB", goal="goal: under 120 MiB")
        if found.served >= 0:
            part = 100 * found.served / LARGE
            yield Measure(
                f"Linux: {name}, read from the image", found.served / MIB, "MiB", goal=f"{part:.2g} % of 2 GiB"
            )
    yield from peers(image)


def find_image(scratch: Path) -> Path:
    """A real image, unpacked, or a made one."""
    root = Path(os.environ.get("VMDEBUG_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
    packed = root / "images" / f"{REAL}.zst"
    if not packed.exists():
        from fixtures import make

        print(f"bench: {packed} is absent: a made-up guest is measured", file=sys.stderr)
        return make("linux-7.1", scratch / "linux.core").path
    import zstandard

    image = scratch / REAL
    with packed.open("rb") as source, image.open("wb") as out:
        zstandard.ZstdDecompressor(max_window_size=1 << 31).copy_stream(source, out)
    return image


def run(command: Sequence[str]) -> Run:
    """The median of some runs by CPU time, after one that does not count."""
    runs = []
    for turn in range(RUNS + 1):
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        if turn:
            runs.append(Run(float(words[0]), int(words[1]), int(words[2]), int(words[3])))
    middle = statistics.median_low(found.seconds for found in runs)
    return next(found for found in runs if found.seconds == middle)


def peers(image: Path) -> Iterator[Measure]:
    """The process list of other programs, with the debug files that they need."""
    vmlinux = os.environ.get("VMDEBUG_VMLINUX", "")
    commands = {
        "crash": (["crash", "-s", vmlinux, str(image)], "ps\nquit\n"),
        "drgn": (["drgn", "-c", str(image), "-s", vmlinux, "-e", "print(*for_each_task())"], ""),
    }
    for name, (command, typed) in commands.items():
        if not shutil.which(name) or not Path(vmlinux).is_file():
            why = "VMDEBUG_VMLINUX names no vmlinux" if shutil.which(name) else "it is not installed"
            print(f"bench: {name} is no peer of this run: {why}", file=sys.stderr)
            continue
        yield Measure(f"{name}: process list, CPU", child_seconds(command, typed) * 1e3, "ms")


def child_seconds(command: Sequence[str], typed: str) -> float:
    """The CPU time of one command, as the system counts it."""
    before = os.times()
    subprocess.run(command, input=typed, capture_output=True, text=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
