"""Searching 2 GiB, beside numpy comparing the same bytes where they lie in the file."""

import mmap
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.measure import Measure, seconds
from formats import open_image
from vmdebug.targets.search import Pattern, Scope, Values, kernel_scope, physical_scope
from vmdebug.targets.target import Target

BASE = 0xFFFF_9000_0000_0000
MIB = 1 << 20
STEP = 4 * MIB  # what the bare comparison takes at once
REAL = 256 * MIB  # of the guest is random, the rest zeros that are in the file all the same
WANTED = 0xFFFF_9000_1234_5678
GOAL = "goal: at least 0.60"


def measure(scratch: Path) -> Iterator[Measure]:
    """Guests of 2 GiB: one that the tables map with large pages, and a PV domain whose frames are scattered."""
    dump = scratch / "search.elf"
    guest = mapped_guest("2M", False)
    guest.save(dump, format="elf-core")
    scope = kernel_scope(Target(open_image(dump)).kernel)
    size, alone = bare(dump)
    yield compared("kgrep of 2 GiB, large pages", size, scope, alone)
    yield compared("kgrep of 2 GiB, physical", size, physical_scope(scope.image), alone)
    yield Measure(
        "find text in 2 GiB", size / seconds(lambda: list(Pattern("no such text").each_match(scope)), 1) / 1e6, "MB/s"
    )
    dump.unlink()
    dump = scratch / "search.core"
    guest = mapped_guest("4K", True)
    guest.save(dump)
    scope = kernel_scope(Target(open_image(dump)).kernel)
    size, alone = bare(dump)
    yield compared("kgrep of 2 GiB, PV, scattered 4K pages", size, scope, alone)


def compared(name: str, size: int, scope: Scope, alone: float) -> Measure:
    """The rate of a search for a pointer, beside the comparison alone."""
    found = seconds(lambda: list(Values(WANTED).each_match(scope)), runs=3)
    return Measure(name, size / found / 1e6, "MB/s", "bare numpy", alone, GOAL)


def bare(dump: Path) -> tuple[int, float]:
    """The file's size, and the rate at which numpy compares its words."""
    import numpy as np

    with dump.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = len(data) // 8 * 8

    def compare() -> None:
        for at in range(0, size, STEP):
            words = np.frombuffer(data, dtype="<u8", count=min(STEP, size - at) // 8, offset=at)
            np.flatnonzero(words == np.uint64(WANTED))

    return size, size / seconds(compare, runs=3) / 1e6


def mapped_guest(page: str, pv: bool) -> Any:
    """A guest of 2 GiB and a little for its tables, nearly all of it mapped."""
    from fixtures import Guest

    guest = Guest(paging="4-level", pv=pv, seed=1, memory="2G")
    size = 2040 * MIB
    first = guest.map(BASE, size=page, count=size // (2 * MIB if page == "2M" else 4096))
    guest.poke(first * 4096, random.Random(1).randbytes(MIB) * (REAL // MIB))
    guest.vcpu(rip=BASE, rsp=BASE)
    return guest
