"""A compressed file, unpacked so that any byte of it can be reached: into the cache, or into a file without a name.

Pages of zeros become holes. How much may come out is bounded by what went in: a bomb ends in an error, not in a full
disk. `pieces` gives what the codec does, a bounded piece at a time, behind how far it has come in the packed bytes.
"""

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from formats.cache import Cache, identity_of
from formats.errors import ImageDamaged, ImageError
from formats.options import Options
from formats.source import BufferSource, Source, map_file

PIECE = 1 << 20
HOLE = 1 << 16  # stretches of zeros of this size are left out of the file
RATIO = 1 << 12  # the most that memory may shrink to, beside what is always allowed
ALWAYS = 1 << 34
SPARE = 256 << 20  # bytes of the disk that are left to others
KIND = "unpacked-1"

Pieces = Iterator[tuple[int, bytes]]  # packed bytes used up so far, unpacked bytes


class Unpacked(BufferSource):
    """The unpacked bytes under the name of the packed file."""

    def __init__(self, packed: Source, buffer: bytes | mmap.mmap, codec: str) -> None:
        super().__init__(packed.name, buffer)
        self._packed = packed
        self._codec = codec

    def identity(self) -> str | None:
        """The packed file's own."""
        key = identity_of(self._packed)
        return f"{key}/{self._codec}" if key else None


def unpack(source: Source, options: Options, codec: str, pieces: Callable[[Source], Pieces], command: str) -> Source:
    """What the pieces make, from the cache if they were unpacked before; `command` does the same outside of here."""
    from tempfile import TemporaryFile

    key = identity_of(source) if options.cache else None
    if options.cache and key:
        buffer = _cached(
            source, options.cache, f"{key}/{codec}", lambda file: _write(source, file, pieces, options, command)
        )
        return Unpacked(source, buffer, codec)
    with TemporaryFile() as file:
        _write(source, file, pieces, options, command)
        size = file.seek(0, os.SEEK_END)
        return Unpacked(source, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b"", codec)


def _cached(source: Source, cache: Cache, key: str, write: Callable[[BinaryIO], None]) -> bytes | mmap.mmap:
    from tempfile import mkstemp

    path = cache.path(KIND, key)
    size = cache.load(f"{KIND}-size", key)
    if size is not None and path.exists() and path.stat().st_size == int.from_bytes(size, "little"):
        return map_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = mkstemp(dir=path.parent, prefix=path.name)
    except OSError as err:
        raise ImageError(f"{source.name}: cannot be unpacked into {path.parent}: {err.strerror}") from err
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    cache.store(f"{KIND}-size", key, [path.stat().st_size.to_bytes(8, "little")])
    return map_file(path)


def _write(source: Source, file: BinaryIO, pieces: Callable[[Source], Pieces], options: Options, command: str) -> None:
    limit = ALWAYS + RATIO * source.size
    size = 0
    zeros = bytes(HOLE)
    try:
        for used, piece in pieces(source):
            size += len(piece)
            if size > limit:
                raise ImageDamaged(
                    f"{source.name}: {source.size:#x} bytes unpack to more than {limit:#x}; if they are no bomb, unpack"
                    f" them with {command}"
                )
            if _free(file) < SPARE + len(piece):
                raise ImageError(f"{source.name}: no room to unpack it; where there is more, run {command}")
            for at in range(0, len(piece), HOLE):
                part = piece[at : at + HOLE]
                if part == zeros:
                    file.seek(HOLE, os.SEEK_CUR)
                else:
                    file.write(part)
            options.progress("unpacking", used, source.size)
        file.truncate(size)
    except OSError as err:
        raise ImageError(f"{source.name}: cannot be unpacked: {err.strerror}") from err


def _free(file: BinaryIO) -> int:
    """Bytes that the disk of an open file has left."""
    disk = os.fstatvfs(file.fileno())
    return disk.f_bavail * disk.f_frsize
