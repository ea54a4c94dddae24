"""The index of a QEMU stream's pages in the cache: what a scan found, as a short text and columns of numbers.

Layout of the payload: size of the text (u64), the text (JSON), then each column at the next multiple of 8. The columns
are used where they lie, so that a second opening reads nothing of them.
"""

import json
import struct
from array import array
from collections.abc import Iterable, Sequence

from formats.cache import Cache, identity_of
from formats.qemu_stream_blocks import Block, Mapped
from formats.qemu_stream_log import Runs
from formats.qemu_stream_walk import Scan
from formats.source import Source

KIND = "qemu-stream-1"
SIZE = struct.Struct("=Q")
COLUMNS = (("first", "Q"), ("count", "Q"), ("place", "Q"), ("kind", "B"), ("delta_page", "Q"), ("delta_place", "Q"))


def load(source: Source, cache: Cache | None) -> Scan | None:
    """What an earlier scan of the same source found; None where nothing is kept of it."""
    key = identity_of(source) if cache else None
    payload = cache.load(KIND, key) if cache and key else None
    return _unpack(payload) if payload else None


def store(source: Source, cache: Cache | None, found: Scan) -> None:
    """Keeps what a scan found, if the source can be told from others."""
    key = identity_of(source) if cache else None
    if cache and key:
        cache.store(KIND, key, list(_pack(found)))


def _pack(found: Scan) -> Iterable[bytes | memoryview]:
    columns = [_column(getattr(found.runs, name), code) for name, code in COLUMNS]
    text = json.dumps(
        {
            "machine": found.machine,
            "capabilities": list(found.capabilities),
            "blocks": [
                (
                    block.name,
                    block.length,
                    block.first,
                    *((block.mapped.bitmap, block.mapped.pages) if block.mapped else ()),
                )
                for block in found.blocks
            ],
            "tail": found.tail,
            "warnings": found.warnings,
            "sizes": [column.nbytes for column in columns],
        }
    ).encode()
    yield SIZE.pack(len(text))
    yield _padded(text)
    for column in columns:
        yield column
        yield b"\0" * (-column.nbytes % 8)


def _unpack(payload: memoryview) -> Scan:
    (size,) = SIZE.unpack_from(payload)
    text = json.loads(bytes(payload[SIZE.size : SIZE.size + size]))
    at = SIZE.size + size + -size % 8
    columns = {}
    for (name, code), length in zip(COLUMNS, text["sizes"], strict=True):
        part = payload[at : at + length]
        columns[name] = part.cast("Q") if code == "Q" else part
        at += length + -length % 8
    blocks = [
        Block(name, length, first, Mapped(*mapped) if mapped else None)
        for name, length, first, *mapped in text["blocks"]
    ]
    return Scan(text["machine"], text["capabilities"], blocks, Runs(**columns), text["tail"], text["warnings"])


def _column(values: Sequence[int], code: str) -> memoryview:
    return memoryview(values if isinstance(values, array | memoryview) else array(code, values)).cast("B")


def _padded(text: bytes) -> bytes:
    return text + b"\0" * (-len(text) % 8)
