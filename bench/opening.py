"""Opening a dump: time and memory must not grow with its size."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Measure

SIZES = ("64M", "2G", "64G")
PROGRAM = """
import re, sys, time
from formats import open_image
from vmdebug.targets.target import Target
open_image(sys.argv[2])
begin = time.perf_counter()
Target(open_image(sys.argv[1]))
taken = time.perf_counter() - begin
print(taken, re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def measure(scratch: Path) -> Iterator[Measure]:
    """Sparse domain dumps of three sizes, the smallest one being the peer of the others."""
    from fixtures import make

    dumps = {size: scratch / f"sparse-{size}.core" for size in SIZES}
    for size, dump in dumps.items():
        make("sparse", dump, memory=size)
    found = {size: opened(dump, dumps[SIZES[0]]) for size, dump in dumps.items()}
    small = found[SIZES[0]]
    for size, (taken, memory) in found.items():
        yield Measure(f"open a {size} dump", taken * 1e3, "ms", SIZES[0], small[0] * 1e3, "goal: flat")
        yield Measure(
            f"resident memory, {size} dump open", memory / 1024, "MiB", SIZES[0], small[1] / 1024, "goal: flat"
        )


def opened(dump: Path, first: Path) -> tuple[float, float]:
    """The best of five: seconds to open, and the peak memory in KiB. `first` is opened before, to import everything."""
    runs = []
    for _ in range(5):
        command = [sys.executable, "-c", PROGRAM, str(dump), str(first)]
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        runs.append((float(words[0]), float(words[1])))
    return min(runs)
