"""Reads by virtual address: random and small, sequential and large."""

import random
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Measure, seconds
from formats import open_image
from vmdebug.targets.target import Target

BASE = 0xFFFF_8000_0000_0000 + (1 << 44)
MIB = 1 << 20
READS = 50_000


def measure(scratch: Path) -> Iterator[Measure]:
    """A 64 MiB PV guest, its frames scattered."""
    dump = scratch / "reads.core"
    base, size = mapped_guest(dump)
    target = Target(open_image(dump))
    near = [base + random.Random(1).randrange(MIB // 8) * 8 for _ in range(READS)]
    far = [base + at for at in random.Random(2).sample(range(0, size - 8, 4096), min(READS, size // 4096 - 1))]
    warm = seconds(lambda: [target.read(vaddr, 8) for vaddr in near])
    yield Measure("warm 8-byte reads by vaddr", READS / warm, "/s", goal="goal: at least 500,000")
    yield Measure("cold 8-byte reads by vaddr", len(far) / seconds(lambda: cold(dump, far)), "/s")
    whole = seconds(lambda: target.read(base, size), runs=5)
    data = bytearray(target.read(base, size))
    plain = seconds(lambda: bytes(data), runs=5)
    yield Measure("sequential read by vaddr", size / whole / 1e6, "MB/s", "plain copy", size / plain / 1e6)


def cold(dump: Path, vaddrs: list[int]) -> list[bytes]:
    """Each page once, with nothing cached."""
    read = Target(open_image(dump)).read
    return [read(vaddr, 8) for vaddr in vaddrs]


def mapped_guest(dump: Path) -> tuple[int, int]:
    """A guest with one large mapping; where it is and its size."""
    from fixtures import Guest

    guest = Guest(paging="4-level", pv=True, seed=1, memory="64M")
    size = 48 * MIB
    guest.map(BASE, count=size // 4096)
    guest.vcpu(rip=BASE, rsp=BASE)
    guest.save(dump, format="xen-elf")
    return BASE, size
