"""A Linux guest with nothing but its image: processes, stacks, memory, and how much of the image that takes.

The image is a real one where there are any (VMDEBUG_SHARED names their folder's parent), else a small made-up guest;
nothing of it is in the cache but where a line says so. Then crash and drgn beside vmdebug on one image: bench/peers.py
says how to have them.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import peers
from bench.images import real_image
from bench.measure import Measure, Missing

REAL = "linux-72.elf.core"
RUNS = 7
LARGE = 2 << 20  # KiB of a large guest
PART = 5  # of which no more than so many percent may be read
PROGRAM = """
import pathlib, re, resource, sys
from vmdebug.library import open_machine
machine = open_machine(sys.argv[1], cache_dir=pathlib.Path(sys.argv[3]) if sys.argv[3] else None)
said = machine.run(sys.argv[2])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
touched, inside = 0, False
for line in open("/proc/self/smaps"):
    if re.match("[0-9a-f]+-", line):
        inside = line.rstrip().endswith(sys.argv[1])
    elif inside and line.startswith("Rss:"):
        touched += int(line.split()[1])
print(used.ru_utime + used.ru_stime, peak, touched, said.count("\\n"))
"""
BARE = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, 0, 0, 1)
"""
KEPT = "process list of a kernel seen before"
ASKED = {
    "process list": ("::ps", "goal: at most 250 ms"),
    KEPT: ("::ps", "goal: at most 150 ms"),
    "process list and one stack": ("::ps; 0t1::pid2task | ::findstack", ""),
    "status and process list": ("::status; ::ps", ""),
    "all stacks": ("::stacks", ""),
}
MANY = 500  # stacks


@dataclass(frozen=True)
class Run:
    """One process: CPU seconds, peak KiB, KiB of the mapped image that were touched, lines.

    The system maps 64 KiB around each touch, so that less was read.
    """

    seconds: float
    peak: int
    touched: int
    lines: int


def measure(scratch: Path) -> Iterator[Measure | Missing]:
    """CPU time above the interpreter's own start, which is the peer: the clock would measure the machine's load."""
    image = find_image(scratch)
    folders = {KEPT: str(scratch / "kept")}
    commands = {
        name: [sys.executable, "-c", PROGRAM, str(image), typed, folders.get(name, "")]
        for name, (typed, _) in ASKED.items()
    }
    runs = in_turn({BARE: [sys.executable, "-c", BARE], **commands})
    for name, (typed, goal) in ASKED.items():
        if not runs[name][0].lines:
            raise SystemExit(f"bench: {typed} says nothing of {image}")
        yield from figures(name, median(runs[name]), median(runs[BARE]), goal)
    listed = runs["process list"]
    stack = beyond(listed, runs["process list and one stack"])
    yield Measure("Linux: one stack, beyond the process list", stack, "ms", goal="goal: at most 50 ms")
    each = beyond(listed, runs["all stacks"]) / max(listed[0].lines - 1, 1)
    yield Measure(f"Linux: {MANY} stacks at that rate", each * MANY, "ms", goal="goal: under 1 s")
    yield from peers.measure(scratch)


def figures(name: str, found: Run, bare: Run, goal: str) -> Iterator[Measure]:
    """The lines of one question."""
    taken = (found.seconds - bare.seconds) * 1e3
    yield Measure(f"Linux: {name}, CPU", taken, "ms", "python -c pass", bare.seconds * 1e3, goal)
    yield Measure(f"Linux: {name}, peak memory", found.peak / 1024, "MiB", goal="goal: under 120 MiB")
    part = 100 * found.touched / LARGE
    goal = f"{part:.2g} % of 2 GiB, goal: under {PART} %"
    yield Measure(f"Linux: {name}, touched of the image", found.touched / 1024, "MiB", goal=goal)


def find_image(scratch: Path) -> Path:
    """A real image, unpacked, or a made one."""
    image = real_image(REAL, scratch)
    if image:
        return image
    from fixtures import make

    print(f"bench: {REAL} is absent: a made-up guest is measured", file=sys.stderr)
    return make("linux-7.1", scratch / "linux.core").path


def in_turn(commands: Mapping[str, Sequence[str]]) -> dict[str, list[Run]]:
    """Some runs of each command, taken in turn so that noise hits all alike, after one that does not count."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(RUNS + 1):
        for name, command in commands.items():
            words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            if turn:
                runs[name].append(Run(float(words[0]), int(words[1]), int(words[2]), int(words[3])))
    return runs


def median(runs: Sequence[Run]) -> Run:
    """The run in the middle by CPU time."""
    return sorted(runs, key=lambda found: found.seconds)[len(runs) // 2]


def beyond(less: Sequence[Run], more: Sequence[Run]) -> float:
    """How many milliseconds more the second of two commands takes, turn by turn."""
    return statistics.median(after.seconds - before.seconds for before, after in zip(less, more, strict=True)) * 1e3
