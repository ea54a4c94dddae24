"""A figure, its peer of the same run, and how both are taken."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One line of the report. `peer` is the same work done in the plainest way, in the same unit."""

    subject: str
    value: float
    unit: str
    peer_name: str = ""
    peer: float | None = None
    goal: str = ""

    def line(self) -> str:
        ratio = f"{self.value / self.peer:8.2f} x {self.peer_name} ({self.peer:.4g})" if self.peer else ""
        return f"{self.subject:<44} {self.value:>12.4g} {self.unit:<8} {ratio:<44} {self.goal}".rstrip()


@dataclass(frozen=True)
class Missing:
    """A line for what this run cannot measure."""

    subject: str
    reason: str

    def line(self) -> str:
        return f"{self.subject:<44} not measured: {self.reason}"


def seconds(work: Callable[[], object], runs: int = 7) -> float:
    """The median time of one call, after one that does not count."""
    work()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def command_seconds(commands: Sequence[Sequence[str]], runs: int = 15) -> list[float]:
    """The median time of each command as a whole process, taken in turn so that noise hits all alike."""
    # As an installed program runs: with its compiled modules kept.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(runs + 1):
        for command, taken in zip(commands, times, strict=True):
            begin = time.perf_counter()
            quiet = subprocess.DEVNULL
            subprocess.run(command, stdout=quiet, stderr=quiet, check=True, env=environment)
            if turn:
                taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in times]
