"""The command: opens the image, runs what was asked, sets the exit status.

0 is a normal end; 1 a fatal error, or with -e a last dcmd that failed; 2 a command line that cannot be understood.
"""

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vmdebug import __version__
from vmdebug.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, DebuggerError, ImageError
from vmdebug.options import USAGE, BadUsage, Options, parse

if TYPE_CHECKING:
    from formats.cache import Cache
    from formats.image import Image
    from vmdebug.guests.base import Guest
    from vmdebug.session import Session
    from vmdebug.symbols.file import SymbolFile
    from vmdebug.targets.target import Target

RC_FILES = (".vmdebugrc", ".mdbrc")  # the first that is there


def run() -> None:
    """The console script: never a traceback, whatever happens."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EXIT_OK
    except KeyboardInterrupt:
        status = 128 + 2
    except Exception as err:
        if os.environ.get("VMDEBUG_TRACEBACK"):
            raise
        complain(f"internal error: {type(err).__name__}: {err} (VMDEBUG_TRACEBACK=1 shows where)")
        status = EXIT_FAILED
    sys.exit(status)


def main(words: Sequence[str]) -> int:
    """Run the command with these words; the exit status."""
    try:
        if words and words[0] in COMMANDS:
            return COMMANDS[words[0]](words[1:])
        options = parse(words)
        if options.action:
            return _tell(options.action)
        return _sit(options)
    except BadUsage as err:
        complain(str(err))
        if err.usage:
            print(USAGE, end="", file=sys.stderr)
        return EXIT_USAGE
    except (DebuggerError, ImageError) as err:
        complain(str(err))
        return EXIT_FAILED


def complain(text: str) -> None:
    """One line on stderr, free of control characters."""
    safe = "".join(c if c.isprintable() else "?" for c in text)
    print(f"vmdebug: {safe}", file=sys.stderr)


def show_progress(what: str, done: int, total: int) -> None:
    """One line on the terminal that is written over, and wiped at the end."""
    share = f"{100 * done // total:3d} %" if total else ""
    line = f"{what} {share}" if done < total else ""
    print(f"\r{line:<60}", end="" if line else "\r", file=sys.stderr, flush=True)


def silent(what: str, done: int, total: int) -> None:
    """No progress: stderr is no terminal."""


def _tell(action: str) -> int:
    if action == "version":
        print(f"vmdebug {__version__}")
    elif action == "man":
        return _call("vmdebug.manual")([])
    else:
        print(USAGE, end="", file=sys.stderr if action == "usage" else sys.stdout)
    return EXIT_OK


def _sit(options: Options) -> int:
    from vmdebug.plugins import load_plugins
    from vmdebug.session import Session

    if options.write:
        complain("warning: images are never written: opened read-only")
    load_plugins(complain, options.plugins)
    if number := _crash_dump(options.operands):
        if Path(f"vmdump.{number}").exists() and not Path(f"vmcore.{number}").exists():
            complain(f"cannot open compressed dump; decompress using savecore -f vmdump.{number}")
            return EXIT_OK
        options.operands = [f"vmcore.{number}"]
    target, guest = open_target(options) if options.operands else (None, None)
    terminal = options.evaluate is None and sys.stdin.isatty()
    session = Session(target, guest, out=sys.stdout, err=sys.stderr, json=options.json, terminal=terminal)
    if status := _prepare(session, options):
        return status
    if guest is not None:
        _forgo(session, guest)
        _preload(guest, options)
    for caution in guest.cautions() if guest else ():
        complain(f"warning: {caution}")
    _run_rc(session, options)
    if options.evaluate is not None:
        return session.run(options.evaluate)
    if not terminal:
        return _run_input(session, sys.stdin)
    from vmdebug import repl

    return repl.run(session, banner=guest.banner() if guest else ())


def _crash_dump(operands: Sequence[str]) -> str:
    """The number of the crash dump that a number alone names where there is no such file, or nothing."""
    word = operands[0] if len(operands) == 1 else ""
    return word if word.isascii() and word.isdigit() and not Path(word).exists() else ""


def open_target(options: Options) -> tuple["Target", "Guest"]:
    """The image that the operands name, as a target, and the guest found in it."""
    from vmdebug.guests import find_guest
    from vmdebug.targets.target import Target

    if options.disk:
        return _open_disk(options)
    if options.raw:
        return _open_raw(options)
    target = Target(_open_image(options), _cache(options))
    for warning in target.image.about.warnings:
        complain(f"warning: {warning}")
    names = _symbol_file(Path(options.symbols)) if options.symbols else None
    guest = find_guest(target, names)
    if names and not names.taken:
        complain(f"warning: {names.path} is not needed: the {guest.kind} guest has its own symbols and types")
    return target, guest


def _symbol_file(path: Path) -> "SymbolFile":
    from vmdebug.symbols.file import SymbolFile

    return SymbolFile(path, show_progress if sys.stderr.isatty() else silent)


def _open_image(options: Options) -> "Image":
    from formats.opener import open_image

    return open_image(
        *options.operands,
        allow_backing=options.allow_backing,
        cache_dir=_cache_folder(options),
        page_cache=options.page_cache << 20,
        progress=show_progress if sys.stderr.isatty() else silent,
    )


def _open_disk(options: Options) -> tuple["Target", "Guest"]:
    """The disk in a file as a target; there is no guest in it to be found."""
    from formats.opener import open_disk
    from vmdebug.guests.unknown import Unknown
    from vmdebug.targets.disk import DiskTarget

    if len(options.operands) != 1:
        raise BadUsage("--disk takes one file, or file@snapshot")
    disk = open_disk(options.operands[0], allow_backing=options.allow_backing, cache_dir=_cache_folder(options))
    target = DiskTarget(disk)
    return target, Unknown(target, ["the target is a disk, not a machine"])


def _open_raw(options: Options) -> tuple["Target", "Guest"]:
    """A file's own bytes as a target."""
    from vmdebug.guests.unknown import Unknown
    from vmdebug.targets.raw import RawTarget

    if len(options.operands) != 1:
        raise BadUsage("-f takes one file")
    target = RawTarget(Path(options.operands[0]))
    return target, Unknown(target, ["the target is a file, not a machine"])


def _cache_folder(options: Options) -> Path | None:
    from formats.cache import default_folder

    return default_folder() if options.cache else None


def _cache(options: Options) -> "Cache | None":
    from formats.cache import Cache

    folder = _cache_folder(options)
    return Cache(folder) if folder else None


def _prepare(session: "Session", options: Options) -> int:
    """Dcmds loaded, settings made; a status other than 0 ends the program."""
    from vmdebug.load import load_dcmds

    load_dcmds(complain)
    for words, on in options.settings:
        try:
            session.set_option(words, on=on)
        except DebuggerError as err:
            complain(str(err))
            return EXIT_USAGE
    session.settings.distance = options.distance
    if options.prompt is not None:
        session.settings.prompt = options.prompt
    if options.macro_path is not None:
        session.settings.macro_path = options.macro_path
    session.settings.root = options.root
    if options.root and session.terminal:
        print(f"Using proto area {options.root}")
    if options.disassembler is not None and not session.use_disassembler(options.disassembler):
        complain(f"invalid disassembler mode -- {options.disassembler}")
    return EXIT_OK


def _forgo(session: "Session", guest: "Guest") -> None:
    """Ignore the guest's types where noctf was set: the attribute that holds them once they are known gets none."""
    if session.settings.noctf:
        from vmdebug.types.source import EmptyTypes

        vars(guest)["types"] = EmptyTypes("they are ignored: noctf is set")


def _preload(guest: "Guest", options: Options) -> None:
    """Read the symbols of all modules now, for -M."""
    if options.preload:
        print("Preloading module symbols: [", *guest.modules, "]")
        guest.symbols.nearest(0, 0)


def _run_rc(session: "Session", options: Options) -> None:
    home = Path(os.environ.get("HOME", "/nonexistent"))
    path = next((home / name for name in RC_FILES if (home / name).is_file()), None)
    if options.no_rc or path is None:
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            session.run_file(stream, str(path))
    except OSError as err:
        complain(f"warning: failed to read {path}: {err.strerror}")


def _run_input(session: "Session", stream: TextIO) -> int:
    session.run_file(stream, "(stdin)")
    return EXIT_OK


def _call(module: str, function: str = "main") -> Callable[[Sequence[str]], int]:
    """A command that another room carries out: its function, found by name when it is needed."""

    def command(words: Sequence[str]) -> int:
        status: int = getattr(importlib.import_module(module), function)(list(words))
        return status

    return command


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "fixture": _call("fixtures.__main__"),
    "convert": _call("vmdebug.convert"),
    "info": _call("vmdebug.info"),
    "formats": _call("vmdebug.info", "formats"),
}
