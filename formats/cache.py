"""Indexes kept between runs, one file for each, under the identity of the image they were made from.

A file is a 32-byte head (magic, CRC-32 and size of the payload, CRC-32 of the key) and the payload. It is written
beside its place and renamed, so that a reader sees all of it or nothing; one that is damaged, cut short or of another
key is as good as none. Everything here may be deleted at any time.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from formats.source import FileSource, Source

HEAD = struct.Struct("<8sIIQ8x")
MAGIC = b"vmdbgidx"
ENDS = 1 << 16  # bytes at each end of a file that its identity covers


@runtime_checkable
class Identified(Protocol):
    """A source inside another that can say which bytes of which file it stands for."""

    def identity(self) -> str | None:
        """The same text for the same bytes, None if they cannot be told apart from others."""
        ...


class Cache:
    """A folder of indexes. Failing to write is no error: the index is made again next time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, kind: str, key: str) -> memoryview | None:
        """The payload stored under the key, mapped; None if there is none that is whole."""
        try:
            with self.path(kind, key).open("rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None
        if len(mapping) < HEAD.size:
            return None
        magic, crc, key_crc, size = HEAD.unpack_from(mapping)
        payload = memoryview(mapping)[HEAD.size :]
        whole = magic == MAGIC and size == len(payload) and key_crc == zlib.crc32(key.encode())
        return payload if whole and zlib.crc32(payload) == crc else None

    def store(self, kind: str, key: str, parts: Sequence[bytes | memoryview]) -> None:
        """Keeps the parts, one after the other, under the key."""
        crc = size = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
            size += memoryview(part).nbytes
        path = self.path(kind, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, [HEAD.pack(MAGIC, crc, zlib.crc32(key.encode()), size), *parts])
        except OSError:
            return

    def _write(self, path: Path, parts: Sequence[bytes | memoryview]) -> None:
        from tempfile import mkstemp

        handle, name = mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(parts)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    def path(self, kind: str, key: str) -> Path:
        """Where something stored under the key lies."""
        from hashlib import blake2b

        return self.folder / f"{kind}-{blake2b(key.encode(), digest_size=16).hexdigest()}"


def default_folder() -> Path:
    """Where the user's caches lie."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "vmdebug"


def identity_of(source: Source) -> str | None:
    """What tells the source's bytes from all others; None where nothing does, so that nothing is kept for it."""
    if isinstance(source, Identified):
        return source.identity()
    return _file_identity(source) if isinstance(source, FileSource) else None


def _file_identity(source: FileSource) -> str | None:
    from hashlib import blake2b

    try:
        stat = source.path.stat()
    except OSError:
        return None
    ends = blake2b(source.peek(0, ENDS), digest_size=16)
    ends.update(source.peek(max(source.size - ENDS, 0), ENDS))
    return f"{stat.st_size:x}.{stat.st_mtime_ns:x}.{stat.st_dev:x}.{stat.st_ino:x}.{ends.hexdigest()}"
