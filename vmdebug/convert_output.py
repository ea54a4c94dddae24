"""The file that a conversion makes: all of it or nothing, and never over another one unasked.

It grows under a name of its own beside its place. Without leave to overwrite, the last step is a hard link, which
fails if the name was taken meanwhile; where a file system has no links, the name is looked at once more.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from formats.frames import PAGE_SHIFT
from vmdebug.convert_memory import Memory, Stretch
from vmdebug.errors import DebuggerError

Tick = Callable[[int], None]  # so many more bytes of memory are done
GRAIN = 1 << 16  # zeros of this size become holes
ZEROS = bytes(GRAIN)


class OutputExists(DebuggerError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists already: say --force to replace it, or choose another name")
        self.path = path


class OutputFailed(DebuggerError):
    def __init__(self, path: Path, err: OSError) -> None:
        super().__init__(f"failed to write {path}: {err.strerror or err}")
        self.path = path


@contextmanager
def new_file(path: Path, force: bool) -> Iterator[BinaryIO]:
    """A file to write; it appears under `path` when the block ends well, and is gone when it does not."""
    if not force and path.exists():
        raise OutputExists(path)
    if path.exists() and not path.is_file():
        raise OutputFailed(path, OSError(0, "not a regular file"))
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as err:
        raise OutputFailed(path, err) from err
    partial = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        _put(partial, path, force)
    except OSError as err:
        raise OutputFailed(path, err) from err
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def write_stretch(file: BinaryIO, start: int, memory: Memory, stretch: Stretch, tick: Tick) -> None:
    """The stretch's bytes at an offset of the file, large runs of zeros as holes."""
    for pfn, count, chunk in memory.each_chunk(stretch):
        at = start + (pfn - stretch.pfn << PAGE_SHIFT)
        for inner in range(0, len(chunk), GRAIN) if chunk else ():
            piece = chunk[inner : inner + GRAIN] if chunk else b""
            if piece != ZEROS[: len(piece)]:
                file.seek(at + inner)
                file.write(piece)
        tick(count << PAGE_SHIFT)


def _put(partial: Path, path: Path, force: bool) -> None:
    if force:
        partial.replace(path)
        return
    try:
        path.hardlink_to(partial)
    except FileExistsError as err:
        raise OutputExists(path) from err
    except OSError:
        if path.exists():
            raise OutputExists(path) from None
        partial.replace(path)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
