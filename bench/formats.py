"""Compressed dumps, streams and disks: how fast pages come out, beside the bare codec or the program that made them."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import Measure, command_seconds, seconds
from formats import open_image
from formats.codec import decompressor
from formats.frames import PAGE_SIZE
from formats.opener import open_disk
from vmdebug.targets.target import Target

CODECS = ("zlib", "lzo", "snappy", "zstd")
BASE = 0xFFFF_9000_0000_0000
PAGES = 8192
MIB = 1 << 20
OPENED = ("xen-elf-auto", "xen-304", "elf-core", "kdump", "vmcore", "qemu-stream", "libvirt-save", "xen-save")


def measure(scratch: Path) -> Iterator[Measure]:
    """A guest of 32 MiB whose pages compress as memory does."""
    guest = patterned_guest()
    for codec in CODECS:
        dump = scratch / f"{codec}.kdump"
        guest.save(dump, format="kdump", codec=codec)
        yield from kdump(dump, codec)
    yield from opening(guest, scratch)
    yield from disks(scratch)


def patterned_guest() -> Any:
    """Words with much in common, no two pages alike."""
    from fixtures import Guest

    numbers = random.Random(3)
    data = b"".join(
        numbers.randbytes(512) + number.to_bytes(8, "little") * 128 + b"vmdebug " * 320 for number in range(PAGES)
    )
    guest = Guest(paging="4-level", pv=False, seed=1, memory="64M")
    guest.map(BASE, data=data)
    guest.vcpu(rip=BASE, rsp=BASE)
    return guest


def kdump(dump: Path, codec: str) -> Iterator[Measure]:
    """Every page in order, beside the codec alone over the same blocks; then pages at random by virtual address."""
    space = Target(open_image(dump))
    pfns = [space.translate(BASE + number * PAGE_SIZE).pfn for number in range(PAGES)]
    blocks = compressed_blocks(codec)
    alone = decompressor(codec, PAGE_SIZE)
    bare = len(blocks) / seconds(lambda: [alone(block) for block in blocks], runs=3)

    def in_order() -> None:
        locate = open_image(dump, page_cache=MIB).locate
        for pfn in pfns:
            locate(pfn)

    rate = PAGES / seconds(in_order, runs=3)
    yield Measure(f"kdump {codec}: pages in order", rate, "/s", "bare codec", bare, "goal: at least 0.80")
    vaddrs = [BASE + number * PAGE_SIZE for number in random.Random(1).sample(range(PAGES), 2000)]
    read = Target(open_image(dump)).read
    yield Measure(
        f"kdump {codec}: reads by vaddr at random", 2000 / seconds(lambda: [read(v, 8) for v in vaddrs], 3), "/s"
    )


def compressed_blocks(codec: str) -> list[bytes]:
    """Pages like the guest's, compressed one by one."""
    import zlib

    import cramjam
    import lzallright
    import zstandard

    numbers = random.Random(3)
    pages = [numbers.randbytes(512) + n.to_bytes(8, "little") * 128 + b"vmdebug " * 320 for n in range(PAGES // 4)]
    lzo, zstd = lzallright.LZOCompressor(), zstandard.ZstdCompressor()
    compress: dict[str, Callable[[bytes], bytes]] = {
        "zlib": zlib.compress,
        "lzo": lzo.compress,
        "snappy": lambda page: bytes(cramjam.snappy.compress_raw(page)),
        "zstd": zstd.compress,
    }
    return [bytes(compress[codec](page)) for page in pages]


def opening(guest: Any, scratch: Path) -> Iterator[Measure]:
    """From the command to the registers, for each format that the generator writes; streams a second time, indexed."""
    paths = {}
    for format_ in OPENED:
        paths[format_] = scratch / f"opening.{format_}"
        guest.save(paths[format_], format=format_)
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    program = [sys.executable, "-m", "vmdebug", "-S", "-e", "::cpuregs"]
    bare, *taken = command_seconds(
        [[sys.executable, "-c", "pass"], *([*program, str(path)] for path in paths.values())], 7
    )
    for format_, value in zip(paths, taken, strict=True):
        above = (value - bare) * 1e3
        yield Measure(f"start to registers, {format_}", above, "ms", goal="goal: at most 100 above the interpreter")


def disks(scratch: Path) -> Iterator[Measure]:
    """A qcow2 disk read from end to end, beside qemu-img copying it to nowhere."""
    if not shutil.which("qemu-img"):
        print("bench: qemu-img is not installed: disks are not measured", file=sys.stderr)
        return
    raw, disk = scratch / "disk.raw", scratch / "disk.qcow2"
    raw.write_bytes(random.Random(1).randbytes(MIB) * 256)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)

    def read_all() -> None:
        source = open_disk(disk)
        for offset in range(0, source.size, 4 * MIB):
            source.view(offset, min(4 * MIB, source.size - offset)).tobytes()

    octets = raw.stat().st_size
    size = octets / 1e6
    ours = size / seconds(read_all, runs=3)
    nowhere = f"driver=null-co,size={octets}"
    convert = ["qemu-img", "convert", "-n", "--target-image-opts", str(disk), nowhere]
    theirs = size / command_seconds([convert], 3)[0]
    yield Measure("qcow2: whole disk in order", ours, "MB/s", "qemu-img convert", theirs, "goal: at least 0.5")
