"""`vmdebug convert`: any image as an ELF core, a kdump, raw memory or LiME, for other programs.

    elf           ELF core as QEMU's dump-guest-memory writes it: crash, drgn, gdb, makedumpfile, volatility
    kdump-zstd    kdump-compressed, small and quick: crash, drgn with libkdumpfile, makedumpfile 1.7 and later
    kdump-zlib    the same for older programs
    raw, lime     memory alone

To add a format: write its module, name it in KINDS and `_write`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from formats.frames import PAGE_SHIFT
from formats.image import Image
from formats.lazy import dataclass
from formats.options import Progress, silent
from vmdebug.convert_guest import Guest, describe, find_vmcoreinfo, kernel_roots
from vmdebug.convert_memory import Memory
from vmdebug.convert_output import Tick, new_file
from vmdebug.errors import DebuggerError
from vmdebug.targets.target import Target

KINDS = ("elf", "kdump-zstd", "kdump-zlib", "raw", "lime")
WITH_NOTES = ("elf", "kdump-zstd", "kdump-zlib")


class UnknownFormat(DebuggerError):
    def __init__(self, kind: str) -> None:
        super().__init__(f"no format {kind} to convert to; there are: {', '.join(KINDS)}")


class NothingStored(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: the image holds no pages to convert")


@dataclass(frozen=True)
class Report:
    """What was written, in pages, and what got lost on the way."""

    path: Path
    pages: int
    vcpus: int
    left_out: int
    unreadable: int
    warnings: Sequence[str]


def convert(
    image: Image,
    path: Path | str,
    format: str = "elf",  # noqa: A002 the word that users know
    progress: Progress = silent,
    *,
    force: bool = False,
) -> Report:
    """Write the image in another format; the file is there whole or not at all."""
    if format not in KINDS:
        raise UnknownFormat(format)
    out, target, memory = Path(path), Target(image), Memory(image)
    if not memory.stretches:
        raise NothingStored(image.name)
    warnings = list(_losses(memory, format))
    with new_file(out, force) as file:
        text = find_vmcoreinfo(image, memory) if format in WITH_NOTES or not image.about.translated else b""
        memory.unreadable = 0  # the search for the text may have met such pages already
        cr3s = _rewrite_tables(target, memory, text, warnings)
        guest = describe(target, text, cr3s) if format in WITH_NOTES else None
        _write(file, memory, guest, format, _ticker(progress, memory.size))
    if memory.unreadable:
        warnings.append(f"{memory.unreadable} pages could not be read and are zeros in the output")
    vcpus = len(image.vcpus) if guest else 0
    return Report(out, memory.size >> PAGE_SHIFT, vcpus, memory.left_out, memory.unreadable, warnings)


def _losses(memory: Memory, kind: str) -> Iterator[str]:
    if memory.left_out and not kind.startswith("kdump"):
        kept = "read as zeros" if kind == "raw" else "are not in the output"
        yield f"{memory.left_out} pages that were left out of the image {kept}"


def _rewrite_tables(target: Target, memory: Memory, text: bytes, warnings: list[str]) -> Mapping[int, int]:
    """Page tables that hold machine frames are rewritten on the way; each vcpu's cr3 in the new terms."""
    if target.image.about.translated:
        return {}
    from vmdebug.convert_tables import Tables

    if target.mode is None:
        warnings.append("the guest's page tables hold machine frames, and still do in the output")
        return {}
    tables = Tables(target.image, target.mode, kernel_roots(target, text))
    memory.patch = tables
    found = f"{tables.walked} below known roots, {len(tables.pfns) - tables.walked} by their read-only mappings"
    warnings.append(f"page tables were rewritten from machine frames to pfns: {found}")
    return tables.roots


def _write(file: BinaryIO, memory: Memory, guest: Guest | None, kind: str, tick: Tick) -> None:
    from vmdebug import convert_elf, convert_kdump, convert_plain

    if guest is None:
        (convert_plain.write_raw if kind == "raw" else convert_plain.write_lime)(file, memory, tick)
    elif kind == "elf":
        convert_elf.write(file, memory, guest.notes, guest.long_mode, tick)
    else:
        codec = convert_kdump.zstd_codec() if kind == "kdump-zstd" else convert_kdump.zlib_codec()
        convert_kdump.write(file, memory, guest, codec, tick)


def _ticker(progress: Progress, total: int) -> Tick:
    done = 0

    def tick(size: int) -> None:
        nonlocal done
        done += size
        progress("converting", done, total)

    return tick


def main(argv: Sequence[str]) -> int:
    """The subcommand; the exit status."""
    from vmdebug.convert_command import main as command

    return command(argv)
