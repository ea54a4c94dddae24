"""What is shown of the rows of a pipeline: ::select ::group ::count, ::json ::csv.

The first three make rows of their own, whose keys the user chooses; the address that a row passes on goes with them.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import make_dataclass
from functools import cache
from typing import Any

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Lines, Row, Show, dcmd
from vmdebug.lang.flags import each_word
from vmdebug.lang.rowkeys import Column, column, columns_of, count_name, json_value, split_keys
from vmdebug.render import cell, first_field, hints, holds_addresses, row_json, shown_names

BUILT_IN = True
ADDRESS_WIDTH, NUMBER_WIDTH, TEXT_WIDTH = 18, 8, 16


def table_lines(rows: Iterable[Row], _: Show) -> Iterator[str]:
    """A column for each key, as wide as its kind of value asks for."""
    head: Sequence[str] = ()
    for row in rows:
        names, known = shown_names(row), hints(type(row))
        widths = [max(len(name), _width(known.get(name))) for name in names]
        if names != head:
            head = names
            yield _line([name.upper() for name in names], widths)
        yield _line([cell(row, name) for name in names], widths)


def _width(hint: Any) -> int:
    return ADDRESS_WIDTH if holds_addresses(hint) else NUMBER_WIDTH if hint in (int, bool) else TEXT_WIDTH


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    return " ".join(f"{text:<{width}}" for text, width in zip(cells, widths, strict=True)).rstrip()


@dcmd("select", synopsis="key[,key ...]", stream=True, text=table_lines)
def select(call: Call) -> Iterator[Row]:
    """show only some keys of the rows of a pipe

    The keys in the order in which they are named, in a table and in JSON under the name select; key.member takes a part
    of a key. What the rows pass on to the next stage stays: their address, whether it is among the keys or not.

    Example:
        ::thread | ::select addr,pri,state
        ::thread | ::select state,pri | ::findstack
    """
    keys = split_keys(each_word(call.args))
    if not keys:
        raise call.usage()
    for row in call.upstream:
        chosen = [_chosen(row, key) for key in keys]
        made = _kind("Selected", tuple((each.name, each.hint) for each in chosen))
        yield made(first_field(row), *(_value(row, each) for each in chosen))


def _chosen(row: Row, key: str) -> Column:
    """The column that a key, or a path into one, becomes."""
    if "." in key:
        json_value(row, key)
        return Column(key, key.replace(".", "_"), Any)
    return column(row, key)


def _value(row: Row, chosen: Column) -> Any:
    return json_value(row, chosen.key) if "." in chosen.key else chosen.value(row)


@cache
def _kind(name: str, columns: Sequence[tuple[str, Any]]) -> type[Any]:
    """The class of rows with these columns, which pass on what they are given first."""
    return make_dataclass(name, [("_passed", Any), *columns], frozen=True)


@dcmd("group", synopsis="key[,key ...]", stream=True, text=table_lines)
def group(call: Call) -> Iterator[Row]:
    """count the rows of a pipe that are the same in some keys

    A row for each different value, with how often it is there, the most frequent first; in JSON under the name group.
    The first row with a value passes its address on to the next stage.

    Example:
        ::thread | ::group state
        ::thread | ::group state,pri | ::findstack
    """
    keys = split_keys(each_word(call.args))
    if not keys:
        raise call.usage()
    found: dict[str, list[Any]] = {}
    for row in call.upstream:
        value = json.dumps([json_value(row, key) for key in keys], sort_keys=True)
        found.setdefault(value, [0, row])[0] += 1
    for count, row in sorted(found.values(), key=lambda each: -int(each[0])):
        chosen = [_chosen(row, key) for key in keys]
        title = count_name(each.name for each in chosen)
        made = _kind("Grouped", ((title, int), *((each.name, each.hint) for each in chosen)))
        yield made(first_field(row), count, *(_value(row, each) for each in chosen))


@dataclass(frozen=True)
class Count:
    """How many rows there were.

    count: the number
    """

    count: int


@dcmd("count", stream=True, row=Count, text=table_lines)
def count_rows(call: Call) -> Iterator[Count]:
    """count the rows of a pipe

    The number itself goes on to the next stage.

    Example:
        ::thread | ::where 'state == "sleep"' | ::count
    """
    if call.args:
        raise call.usage()
    yield Count(sum(1 for _ in call.upstream))


def json_lines(rows: Iterable[Row], _: Show) -> Iterator[str]:
    return (json.dumps(row_json(row)) for row in rows)


@dcmd("json", stream=True, passes=True, text=json_lines)
def as_json(call: Call) -> Iterator[Row]:
    """print the rows of a pipe as JSON

    Each row as an object on a line of its own. Later stages get the rows as they were. With --json everything is JSON
    already, and this changes nothing.

    Example:
        ::thread | ::head 2 | ::json
    """
    yield from _printed(call, json_lines)


def csv_lines(rows: Iterable[Row], _: Show) -> Iterator[str]:
    """The keys of the first row, then each row's values for them."""
    keys: list[str] = []
    for row in rows:
        if not keys:
            keys = list(columns_of(row))
            yield _csv(keys)
        found = row_json(row)
        values = found if isinstance(found, Mapping) else {keys[0]: found}
        yield _csv([_flat(values.get(key)) for key in keys])


def _flat(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _csv(values: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


@dcmd("csv", stream=True, passes=True, text=csv_lines)
def as_csv(call: Call) -> Iterator[Row]:
    """print the rows of a pipe as comma-separated values

    A line with the keys, then one for each row; null is nothing, lists and objects are JSON. Later stages get the rows
    as they were.

    Example:
        ::evtchns | ::csv
        ::thread | ::select addr,state | ::csv ! head -3
    """
    yield from _printed(call, csv_lines)


def _printed(call: Call, lines: Lines) -> Iterator[Row]:
    if call.args:
        raise call.usage()
    for row in call.upstream:
        call.text = lines
        yield row
