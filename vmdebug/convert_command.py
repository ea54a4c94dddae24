"""The command line of `vmdebug convert`: its options, its progress bar, what it says at the end."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from formats import ImageError
from formats.names import parse_name
from formats.options import silent
from vmdebug.convert import KINDS, convert
from vmdebug.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, DebuggerError

BAR = 30
BAR_EVERY = 0.1  # seconds
HELP = "Write an image in another format: for crash, drgn, gdb, makedumpfile (elf, kdump-*), or its memory alone."


class InputIsOutput(DebuggerError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is the image itself: choose another name for the output")
        self.path = path


class Parser(argparse.ArgumentParser):
    """One line for a mistake, as everywhere in the program."""

    def error(self, message: str) -> NoReturn:
        complain(f"convert: {message}")
        self.print_usage(sys.stderr)
        raise SystemExit(EXIT_USAGE)


def main(argv: Sequence[str]) -> int:
    """Runs the command; the exit status."""
    try:
        words = parser().parse_args(argv)
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    try:
        with stopped_by_signals():
            return run(words)
    except (DebuggerError, ImageError) as err:
        complain(str(err))
        return EXIT_FAILED


def run(words: argparse.Namespace) -> int:
    """Opens the image and writes the file."""
    from formats.cache import default_folder
    from formats.opener import open_image
    from vmdebug.plugins import FORMATS, load_plugins

    load_plugins(complain, words.plugins, [FORMATS])
    keep_apart(words.image, words.output)
    show = not words.quiet and sys.stderr.isatty()
    progress = Bar() if show else silent
    folder = None if words.no_cache else default_folder()
    image = open_image(*words.image, allow_backing=words.allow_backing, cache_dir=folder, progress=progress)
    for warning in image.about.warnings:
        complain(f"warning: {warning}")
    report = convert(image, words.output, words.format, progress, force=words.force)
    for warning in report.warnings:
        complain(f"warning: {warning}")
    if not words.quiet:
        print(f"{report.path}: {words.format}, {report.pages} pages, {report.vcpus} vcpus")
    return EXIT_OK


def parser() -> argparse.ArgumentParser:
    found = Parser(prog="vmdebug convert", description=HELP, allow_abbrev=False)
    found.add_argument("image", nargs="+", metavar="IN", help="the image: FILE, FILE@SNAPSHOT or FILE@0xADDRESS ...")
    found.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="the file to write")
    found.add_argument("--format", choices=KINDS, default="elf", help="what to write (elf)")
    found.add_argument("--force", action="store_true", help="replace OUT if it exists")
    found.add_argument("--allow-backing", action="append", default=[], metavar="PATH", help="file or folder to trust")
    found.add_argument("-L", dest="plugins", action="append", default=[], metavar="PATH", help="a plug-in to load")
    found.add_argument("--no-cache", action="store_true", help="keep nothing in the cache directory")
    found.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no closing line")
    return found


class Bar:
    """A progress bar on a terminal's last line; gone when its work is done."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now < self._next:
            return
        self._next = now + BAR_EVERY
        share = min(done / total, 1.0) if total else 1.0
        filled = "#" * round(share * BAR)
        text = f"{what} [{filled:<{BAR}}] {share:4.0%} of {total >> 20} MiB" if done < total else ""
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def keep_apart(names: Sequence[str], output: Path) -> None:
    """InputIsOutput if the output is one of the files that are read."""
    for name in names:
        path = parse_name(name).path
        if path.exists() and output.exists() and path.samefile(output):
            raise InputIsOutput(output)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the work as an exception does, so that the unfinished file is removed."""
    kinds = (signal.SIGTERM, signal.SIGHUP)
    before = {kind: signal.signal(kind, _stop) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def complain(text: str) -> None:
    """One line on stderr, free of control characters."""
    print(f"vmdebug: {''.join(c if c.isprintable() else '?' for c in text)}", file=sys.stderr)
