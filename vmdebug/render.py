"""Rows as text, as JSON, and as addresses for the next stage: all three from the row's own definition."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from itertools import chain
from typing import Any, Union, get_args, get_origin, get_type_hints

from formats.frames import Maddr, Paddr, Vaddr
from vmdebug.dcmd import Dcmd, Hex, Lines, Row, Show, Text

IN_HEX = frozenset((Vaddr, Paddr, Maddr, Hex))
FIELD = re.compile(r"\{\{|\}\}|\{(\w+)(?::([^{}]*))?\}")
SPEC = re.compile(r"([<>^]?)(\d*)([aArR])")
CONTROLS = {code: f"\\{code:03o}" for code in (*range(9), *range(11, 32), *range(127, 160))}
CONTROLS |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
CONTROLS |= {code: f"\\{code & 0xFF:03o}" for code in range(0xDC80, 0xDD00)}  # bytes that were no UTF-8
FIRST_NAMES: dict[type[Any], str] = {}
HINTS: dict[type[Any], Mapping[str, Any]] = {}


class Trusted(str):
    """A line that may hold control characters: our own colours, or what the user asked for raw."""

    __slots__ = ()


def safe(line: str) -> str:
    """A line without control characters; tabs become blanks."""
    if isinstance(line, Trusted) or (line.isascii() and line.isprintable()):
        return line
    return line.expandtabs(8).translate(CONTROLS)


def first_field(row: Row) -> Any:
    """What goes down a pipe."""
    if is_dataclass(row):
        return getattr(row, _first_name(type(row)))
    return row


def _first_name(row: type[Any]) -> str:
    if row not in FIRST_NAMES:
        FIRST_NAMES[row] = fields(row)[0].name
    return FIRST_NAMES[row]


def lines(
    entry: Dcmd, rows: Iterator[Row], show: Show, chosen: Callable[[], Text | Lines | None] = lambda: None
) -> Iterator[str]:
    """The text of rows: as the call chose at its first row, else as the dcmd is declared, else a plain table."""
    for first in rows:
        rows = chain((first,), rows)
        break
    text = chosen() or entry.text
    if isinstance(text, Text):
        return _template(text, rows, show)
    return text(rows, show) if text else _table(rows, show)


def _template(text: Text, rows: Iterable[Row], show: Show) -> Iterator[str]:
    first = True
    form = compiled(text.line, text.missing)
    for row in rows:
        if first and text.head:
            yield text.head
        first = False
        yield form(row, show)


@cache
def compiled(line: str, missing: str) -> Callable[[Row, Show], str]:
    """A line template as a function of a row."""
    parts: list[str | tuple[str, Callable[[Any, Show], str]]] = []
    at = 0
    for match in FIELD.finditer(line):
        parts.append(line[at : match.start()])
        at = match.end()
        if match[1] is None:
            parts.append(match[0][0])
        else:
            parts.append((match[1], _formatter(match[2] or "", missing)))
    parts.append(line[at:])
    kept = [part for part in parts if part]

    def form(row: Row, show: Show) -> str:
        return "".join(part if isinstance(part, str) else part[1](getattr(row, part[0]), show) for part in kept)

    return form


def _formatter(spec: str, missing: str) -> Callable[[Any, Show], str]:
    own = SPEC.fullmatch(spec)
    width = re.sub(r"[^<>^\d]|(?<=\d)\.\d+", "", spec) if not own else own[1] + own[2]
    blank = re.sub(r"^0+", "", width)

    def form(value: Any, show: Show) -> str:
        if value is None:
            return format(missing, blank)
        if own:
            return format(_shown(own[3], value, show), own[1] + own[2])
        return format(value, spec)

    return form


def _shown(kind: str, value: int, show: Show) -> str:
    match kind:
        case "a":
            return show.symbol(value)
        case "A":
            return show.symbol_or_empty(value)
        case _:
            return show.number(value, signed=kind == "R")


def _table(rows: Iterable[Row], show: Show) -> Iterator[str]:
    """Every field in a column of 16, under a head of the fields' names."""
    first = True
    for row in rows:
        if not is_dataclass(row):
            yield str(row)
            continue
        names = shown_names(row)
        if first:
            yield " ".join(f"{name.upper():<16}" for name in names).rstrip()
        first = False
        yield " ".join(f"{cell(row, name):<16}" for name in names).rstrip()


def cell(row: Row, name: str) -> str:
    """One field as plain text: addresses in hex, nothing as `-`."""
    value = to_json(getattr(row, name), hints(type(row)).get(name))
    return "-" if value is None else value if isinstance(value, str) else dumped(value)


def shown_names(row: Row) -> Sequence[str]:
    """The fields of a row that are its own; a name that begins with `_` is for its text only."""
    return [each.name for each in fields(row) if not each.name.startswith("_")]


def hints(row: type[Any]) -> Mapping[str, Any]:
    """The types of a row's fields."""
    if row not in HINTS:
        HINTS[row] = get_type_hints(row)
    return HINTS[row]


def row_json(row: Row) -> Any:
    """A row as JSON: an object of its fields."""
    if not is_dataclass(row):
        return to_json(row, None)
    known = hints(type(row))
    return {name.lower(): to_json(getattr(row, name), known.get(name)) for name in shown_names(row)}


def to_json(value: Any, hint: Any) -> Any:
    """A value as JSON by its declared type: addresses and Hex as hex strings, other numbers as numbers."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, int):
        return f"0x{value:x}" if holds_addresses(hint) else value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        inner = _inner(hint, -1)
        return {str(key): to_json(each, inner) for key, each in value.items()}
    if is_dataclass(value):
        return row_json(value)
    inner = _inner(hint, 0)
    return [to_json(each, inner) for each in value] if isinstance(value, Iterable) else str(value)


def holds_addresses(hint: Any) -> bool:
    """True for a type whose numbers are shown in hex."""
    return hint in IN_HEX or any(each in IN_HEX for each in _alternatives(hint))


def _inner(hint: Any, place: int) -> Any:
    """The type of what a container's type holds."""
    for each in _alternatives(hint):
        arguments = [argument for argument in get_args(each) if argument is not Ellipsis]
        if arguments and get_origin(each) is not Union:
            return arguments[place]
    return None


def _alternatives(hint: Any) -> Sequence[Any]:
    """The members of a union; a type that is none is its only member."""
    import types

    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def dumped(value: Any) -> str:
    """A value as JSON."""
    import json

    return json.dumps(value)


def json_parts(entry: Dcmd, rows: Iterable[Row], errors: Callable[[], Sequence[str]]) -> Iterator[str]:
    """One line of JSON for a dcmd that ran, in pieces as its rows come."""
    stream = (dumped(row_json(row)) for row in rows)
    first = next(stream, "")  # before the head: what the dcmd itself runs is printed by then
    yield f'{{"dcmd": {dumped(entry.name)}, "rows": [{first}'
    try:
        for row in stream:
            yield f", {row}"
    except KeyboardInterrupt:
        yield _json_end([*errors(), "interrupted"])
        raise
    yield _json_end(errors())


def _json_end(errors: Sequence[str]) -> str:
    return f'], "errors": {dumped(list(errors))}}}\n'
