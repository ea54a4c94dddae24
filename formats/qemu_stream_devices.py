"""The devices of a QEMU stream: what the JSON description at its end says of their fields, and where their bytes lie.

A device's section has no length of its own. The description lists every field in stream order with name, size and
array_len, so that sizes add up to offsets. Specified in: migration/vmstate.c of QEMU (vmsd_desc_*), and
docs/devel/migration/main.rst. The description is as untrusted as the rest: its size, depth and numbers are bounded.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from formats.errors import ImageDamaged, SourceEnd
from formats.lazy import dataclass
from formats.qemu_stream_cursor import U32, Cursor
from formats.qemu_stream_walk import DESCRIPTION, FOOTER, FULL
from formats.source import Source

MAX_TEXT = 64 << 20
MAX_DEVICES = 1 << 14
MAX_BODY = 1 << 40
TAIL_STEPS = (1 << 18, 1 << 22, MAX_TEXT + 5)  # how much of the end is searched, ever more
DEPTH = 64
MAX_MISSES = 64  # described devices that are not found, before the search is given up
SECTION_HEAD = 5  # tag and number, before the name
DESCRIPTION_HEAD = re.compile(rb"\x06([\x00-\x04][\s\S]{3})\{")

Json = Any  # whatever json.loads gives; every use is checked


@dataclass(frozen=True)
class Field:
    """`count` elements of `size` bytes from `offset` of the device's body on; `inner` are the fields of a struct."""

    name: str
    offset: int
    size: int
    count: int
    inner: Sequence["Field"] = ()


@dataclass(frozen=True)
class Layout:
    """A device as the description has it; `size` is that of its body."""

    name: str
    instance: int
    size: int
    fields: Sequence[Field]


@dataclass(frozen=True)
class Device:
    """A device in the stream: its layout and where its body begins."""

    layout: Layout
    body: int

    def field(self, name: str) -> Field | None:
        """The field of that name; where several had it, the writer numbered them, and the first is meant."""
        return find_field(self.layout.fields, name)


def find_field(fields: Sequence[Field], name: str) -> Field | None:
    """The field by its exact name, else the first of those that were numbered because they share it."""
    by_name = {field.name: field for field in reversed(fields)}
    return by_name.get(name) or by_name.get(f"{name}[0]")


def find_description(source: Source) -> tuple[int, Sequence[Layout]] | None:
    """Where the description's section begins, and the devices in it; None where the stream ends without one."""
    for size in TAIL_STEPS:
        start = max(source.size - size, 0)
        tail = source.read(start, source.size - start)
        end = len(tail.rstrip(b"\0"))  # behind the stream, a container may have padding
        for head in DESCRIPTION_HEAD.finditer(tail):
            if head.end() - 1 + int.from_bytes(head[1], "big") == end:
                return start + head.start(), parse(tail[head.end() - 1 : end], source.name)
        if not start:
            break
    return None


def parse(text: bytes, name: str) -> Sequence[Layout]:
    """The devices of a description."""
    try:
        described = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise ImageDamaged(f"{name}: the description of the devices is no JSON: {err}") from err
    devices = described.get("devices") if isinstance(described, dict) else None
    if not isinstance(devices, list) or len(devices) > MAX_DEVICES:
        raise ImageDamaged(f"{name}: the description of the devices has no list of them")
    return [_layout(device, name) for device in devices]


def _layout(device: Json, name: str) -> Layout:
    if not isinstance(device, dict) or not isinstance(device.get("name"), str):
        raise ImageDamaged(f"{name}: the description of the devices has one without a name")
    said = f"{name}: description of device {device['name']!r}"
    instance = _number(device, "instance_id", said)
    fields, end = _fields(device, 0, said, DEPTH)
    return Layout(device["name"], instance, end + _subsections(device, said), fields)


def _fields(parent: Json, offset: int, said: str, depth: int) -> tuple[Sequence[Field], int]:
    """The fields from an offset on, and the offset behind them."""
    entries = parent.get("fields", []) if depth else None
    if not isinstance(entries, list):
        raise ImageDamaged(f"{said}: its fields are no list, or nested deeper than {DEPTH}")
    fields = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ImageDamaged(f"{said}: a field without a name")
        size, count = _number(entry, "size", said), _number(entry, "array_len", said, 1)
        inner: Sequence[Field] = ()
        if isinstance(entry.get("struct"), dict):
            inner = _fields(entry["struct"], 0, said, depth - 1)[0]
        fields.append(Field(entry["name"], offset, size, count, inner))
        offset += size * count
        if offset > MAX_BODY:
            raise ImageDamaged(f"{said}: its fields have more than {MAX_BODY:#x} bytes")
    return fields, offset


def _subsections(parent: Json, said: str) -> int:
    """The bytes of what follows the fields: a tag, the name behind its length, a version, fields."""
    size, waiting = 0, [parent]
    while waiting:
        entries = waiting.pop().get("subsections", [])
        if not isinstance(entries, list) or len(waiting) > MAX_DEVICES:
            raise ImageDamaged(f"{said}: its subsections are no list")
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("vmsd_name"), str):
                raise ImageDamaged(f"{said}: a subsection without a name")
            size += 1 + 1 + len(entry["vmsd_name"].encode()) + 4 + _fields(entry, 0, said, DEPTH)[1]
            waiting.append(entry)
    return size


def _number(entry: Mapping[str, Json], key: str, said: str, default: int | None = None) -> int:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_BODY:
        raise ImageDamaged(f"{said}: {key} is {str(value)[:40]!r}, not a number of sensible size")
    return value


def each_device(source: Source, start: int, end: int, layouts: Sequence[Layout]) -> Iterator[Device]:
    """The described devices whose sections lie between two places of the stream, in the order of both.

    Each section is checked by its head, and by its footer where it has one. From one that does not agree on, the next
    head is searched for.
    """
    at, misses = start, 0
    for layout in layouts:
        head = _head(layout)
        found = _match(source, at, min(end, at + MAX_TEXT), head)
        if found is None:
            misses += 1
            if misses > MAX_MISSES:
                return
            continue
        body = found + SECTION_HEAD + len(head) + 4
        yield Device(layout, body)
        at = _behind(source, found, body, layout)


def skip_device(source: Source, at: int, layouts: Sequence[Layout]) -> int | None:
    """The place behind the device section at `at`, None if the description does not know it."""
    peeked = source.peek(at, 300)
    for layout in layouts:
        head = _head(layout)
        if peeked[:1] == bytes([FULL]) and peeked[SECTION_HEAD : SECTION_HEAD + len(head)] == head:
            body = at + SECTION_HEAD + len(head) + 4
            behind = _behind(source, at, body, layout)
            return None if behind == body else behind
    return None


def _head(layout: Layout) -> bytes:
    """What follows tag and number of its section and is followed by its version: name and instance."""
    name = layout.name.encode()[:255]
    return bytes([len(name)]) + name + U32.pack(layout.instance & 0xFFFF_FFFF)


def _match(source: Source, at: int, end: int, head: bytes) -> int | None:
    """Where the section with this head begins: here, or the first such place after it."""
    if source.peek(at, 1) == bytes([FULL]) and source.peek(at + SECTION_HEAD, len(head)) == head:
        return at
    pattern = re.compile(rb"\x04[\s\S]{4}" + re.escape(head))
    found = pattern.search(source.view(at, max(end - at, 0)))
    return at + found.start() if found else None


def _behind(source: Source, start: int, body: int, layout: Layout) -> int:
    """The place behind the section, footer included; its body's start where the sizes do not lead to its footer."""
    cursor = Cursor(source, start + 1)
    try:
        number = cursor.u32()
        cursor.at = body + layout.size
        tag = cursor.u8()
        if tag == FOOTER and cursor.u32() == number:
            return cursor.at
    except SourceEnd:
        return body
    return body + layout.size if tag in (FULL, DESCRIPTION, 0) else body
