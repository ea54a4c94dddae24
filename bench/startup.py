"""From the command to the first answer, beside the interpreter's own start."""

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Measure, command_seconds


def measure(scratch: Path) -> Iterator[Measure]:
    """One-shot commands on the demo dump."""
    from fixtures import make

    dump = scratch / "core.domu"
    make("demo", dump)
    bare = [sys.executable, "-c", "pass"]
    asks = {
        "one-shot ::status": "::status",
        "one-shot ::cpuinfo": "::cpuinfo",
        "one-shot ::evtchns": "::evtchns",
        "one-shot ::cpustack -c 0": "::cpustack -c 0",
    }
    commands = [bare, *([sys.executable, "-m", "vmdebug", "-e", text, str(dump)] for text in asks.values())]
    start, *taken = command_seconds(commands)
    for name, value in zip(asks, taken, strict=True):
        goal = "goal: at most 80 ms more than the interpreter" if name.endswith("::status") else ""
        yield Measure(name, value * 1e3, "ms", "python -c pass", start * 1e3, goal)
        yield Measure(f"{name}, above the interpreter", (value - start) * 1e3, "ms")
