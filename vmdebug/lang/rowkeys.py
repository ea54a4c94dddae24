"""Rows by the keys of their JSON: what there is, and what a key or a path `key.member` holds."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

from formats.lazy import dataclass
from vmdebug.dcmd import Row
from vmdebug.errors import DebuggerError
from vmdebug.render import hints, shown_names, to_json

NUMBER = re.compile(r"-?(0x[0-9a-f]{1,32}|[0-9]{1,32}(\.[0-9]{1,32})?)", re.IGNORECASE)


class UnknownKey(DebuggerError):
    """A key that a row does not have."""

    def __init__(self, key: str, known: Iterable[str]) -> None:
        super().__init__(f"the rows have no key {key}: there are {', '.join(known) or 'none'} (text stands in quotes)")
        self.key = key


@dataclass(frozen=True)
class Column:
    """A key of a kind of row, the field behind it and the field's type. A row that is plain text has the key text."""

    key: str
    name: str
    hint: Any

    def value(self, row: Row) -> Any:
        return getattr(row, self.name) if is_dataclass(row) else row


COLUMNS: dict[type[Any], dict[str, Column]] = {}  # of the kinds of row that were met
COUNTS = ("count", "rows", "number_of_rows")  # what the count of a group is called: the first that is not a key already


def count_name(keys: Iterable[str]) -> str:
    """The key of the number of rows that are the same in some keys."""
    taken = {key.lower() for key in keys}
    return next(name for name in COUNTS if name not in taken)


def columns_of(row: Row) -> dict[str, Column]:
    """The columns of a row by their keys, in the order of its fields."""
    return columns_of_kind(type(row))


def columns_of_kind(kind: type[Any]) -> dict[str, Column]:
    """The columns of the rows of a class."""
    if kind not in COLUMNS:
        COLUMNS[kind] = _columns(kind)
    return COLUMNS[kind]


def _columns(kind: type[Any]) -> dict[str, Column]:
    if not is_dataclass(kind):
        name = "text" if issubclass(kind, str) else "value"
        return {name: Column(name, name, None)}
    known = hints(kind)
    return {name.lower(): Column(name.lower(), name, known.get(name)) for name in shown_names(kind)}


def column(row: Row, key: str) -> Column:
    """The column of a key; UnknownKey names those that there are."""
    known = columns_of(row)
    if key.lower() not in known:
        raise UnknownKey(key, known)
    return known[key.lower()]


def json_value(row: Row, path: str) -> Any:
    """What a key holds, as JSON; behind a dot a member of it, of a list that of each element."""
    key, *members = path.split(".")
    found = column(row, key)
    value = to_json(found.value(row), found.hint)
    for member in members:
        value = _member(value, member, path)
    return value


def _member(value: Any, member: str, path: str) -> Any:
    if isinstance(value, list):
        return [_member(each, member, path) for each in value]
    if isinstance(value, dict):
        if member not in value:
            raise UnknownKey(path, (f"{path.rpartition('.')[0]}.{key}" for key in value))
        return value[member]
    if value is None:
        return None
    raise UnknownKey(path, ())


def scalars(value: Any) -> Iterator[Any]:
    """The value, or what lists and objects hold at their ends."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(reversed(value.values()))
        elif isinstance(value, (list, tuple)):
            waiting.extend(reversed(value))
        else:
            yield value


def number(value: Any) -> float | int | None:
    """A JSON value as a number: text too, if it spells one, as addresses do."""
    if isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        return None
    return float(value) if "." in value else int(value, 16 if "x" in value.lower() else 10)


def is_hex(value: Any) -> bool:
    """True for an address as JSON has it."""
    return isinstance(value, str) and value[:2] == "0x" and number(value) is not None


def split_keys(words: Iterable[str]) -> Sequence[str]:
    """The keys in words, which commas may join; each once."""
    return list(dict.fromkeys(key for word in words for key in word.split(",") if key))
