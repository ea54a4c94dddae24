"""Searching 2 GiB beside numpy comparing the same bytes where they lie, and a real kernel beside crash and drgn."""

import mmap
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import Measure, Missing, seconds
from bench.peers import NOTHING, Peers, searches
from formats import open_image
from vmdebug.targets.search import Pattern, Scope, Values, kernel_scope, physical_scope
from vmdebug.targets.target import Target

BASE = 0xFFFF_9000_0000_0000
MIB = 1 << 20
STEP = 4 * MIB  # what the bare comparison takes at once
REAL = 256 * MIB  # of the guest is random, the rest zeros that are in the file all the same
WANTED = 0xFFFF_9000_1234_5678
RUNS = 5
TIMES = 20  # searches in one process: a start of many seconds is not the same each time
GOAL = "goal: at least 0.60"


def measure(scratch: Path) -> Iterator[Measure | Missing]:
    """Guests of 2 GiB: mapped with large pages, and a PV domain, whose machine frames are scattered."""
    dump = scratch / "search.elf"
    mapped_guest("2M", False).save(dump, format="elf-core")
    scope = kernel_scope(Target(open_image(dump)).kernel)
    yield compared("kgrep of 2 GiB, large pages", dump, scope)
    yield compared("kgrep of 2 GiB, physical", dump, physical_scope(scope.image))
    rate = dump.stat().st_size / seconds(lambda: list(Pattern("no such text").each_match(scope)), 1)
    yield Measure("find text in 2 GiB", rate / 1e6, "MB/s")
    dump.unlink()
    dump = scratch / "search.core"
    mapped_guest("4K", True).save(dump)
    yield compared("kgrep of 2 GiB, PV, 4K pages", dump, kernel_scope(Target(open_image(dump)).kernel))
    dump.unlink()
    shuffled_guest().save(dump)
    scope = kernel_scope(Target(open_image(dump)).kernel)
    yield compared("kgrep of 240 MiB, PV, no page after another", dump, scope, "what is copied page by page")
    yield from programs(scratch)


def compared(name: str, dump: Path, scope: Scope, goal: str = GOAL) -> Measure:
    """The rate of a search for a pointer, beside numpy comparing the words of the file; CPU time, taken in turn."""
    import numpy as np

    with dump.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = len(data) // 8 * 8

    def bare() -> None:
        for at in range(0, size, STEP):
            words = np.frombuffer(data, dtype="<u8", count=min(STEP, size - at) // 8, offset=at)
            np.flatnonzero(words == np.uint64(WANTED))

    def search() -> None:
        list(Values(WANTED).each_match(scope))

    rates: dict[Callable[[], None], list[float]] = {search: [], bare: []}
    for _ in range(RUNS + 1):
        for work, taken in rates.items():
            begin = time.process_time()
            work()
            taken.append(size / (time.process_time() - begin) / 1e6)
    found, alone = (statistics.median(taken[1:]) for taken in rates.values())
    return Measure(name, found, "MB/s", "bare numpy", alone, goal)


def programs(scratch: Path) -> Iterator[Measure | Missing]:
    """One search of a real kernel's memory for a pointer, above what the program takes to start."""
    peers = Peers(scratch)
    if peers.image:
        from vmdebug.library import open_machine

        value = int(open_machine(peers.image).run("init_task=J"), 16)
        started, asked = peers.answers(NOTHING), peers.answers(searches(value, TIMES))
        taken = {name: (asked[name].seconds - started[name].seconds) / TIMES * 1e3 for name in asked}
        for name, answer in asked.items():
            beside = "" if name == "vmdebug" else "vmdebug"
            own, hits = taken["vmdebug"] if beside else None, f"{answer.lines} hits"
            yield Measure(f"search of a real kernel, {name}, CPU", taken[name], "ms", beside, own, hits)
    for name, reason in peers.absent.items():
        yield Missing(f"search of a real kernel, {name}", reason)


def mapped_guest(page: str, pv: bool) -> Any:
    """A guest of 2 GiB and a little for its tables, nearly all of it mapped."""
    from fixtures import Guest

    guest = Guest(paging="4-level", pv=pv, seed=1, memory="2G")
    size = 2040 * MIB
    first = guest.map(BASE, size=page, count=size // (2 * MIB if page == "2M" else 4096))
    guest.poke(first * 4096, random.Random(1).randbytes(MIB) * (REAL // MIB))
    guest.vcpu(rip=BASE, rsp=BASE)
    return guest


def shuffled_guest() -> Any:
    """A PV guest whose pages lie in no order of their addresses, neither in the machine nor in the file."""
    from fixtures import Guest

    guest = Guest(paging="4-level", pv=True, seed=1, memory="256M")
    for at in random.Random(3).sample(range(61440), 61440):
        guest.map(BASE + at * 4096)
    guest.vcpu(rip=BASE, rsp=BASE)
    return guest
