"""Which rows go on in a pipeline: ::where ::head ::tail ::sort ::uniq.

Each gives of the rows before it, as they are: with the table and the JSON of the dcmd that made them, and with the
addresses that they pass on.
"""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from formats.frames import Vaddr
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Dcmd, Flag, Row, Text, dcmd
from vmdebug.lang.conditions import parse_condition
from vmdebug.lang.flags import each_word
from vmdebug.lang.rowkeys import columns_of, is_hex, json_value, number, split_keys
from vmdebug.render import row_json

BUILT_IN = True
HEAD = 10
MAX_DIGITS = 18
VERBS = frozenset("/\\?@=")


@dcmd("where", synopsis="'condition'", raw=True, stream=True, passes=True)
def where(call: Call) -> Iterator[Row]:
    """pass on the rows that fulfil a condition

    The condition compares keys of the rows, those that ::help shows as the columns of the dcmd before, with ==, !=, <,
    <=, > and >=, and with =~, which searches for a regular expression; && || ! and ( ) join conditions. Text stands in
    double quotes, the whole in single quotes. Numbers are decimal or as 0x, 0t, 0o and 0i say; null, true and false are
    values; a key alone holds unless it is null, false, 0 or empty. A member of a key is key.member; a list fulfils what
    any of its elements does. In JSON the rows come under the name of the dcmd that made them.

    Example:
        ::thread | ::where 'state == "sleep" && pri >= 60' | ::findstack
        ::evtchns | ::where 'isr =~ "^xn" || channel < 3'
    """
    words = [str(word) for word in call.args]
    if not words:
        raise call.usage()
    condition = parse_condition(" ".join(words))
    for row in call.upstream:
        if condition.holds(partial(json_value, row)):
            yield row


@dataclass(frozen=True)
class Address:
    """One address, where what comes before gives nothing else.

    address: the address
    """

    address: Vaddr


ADDRESSES = Text("{address:x}")


@dcmd("head", synopsis="[-num | -n num]", raw=True, stream=True, passes=True, row=Address, text=ADDRESSES)
def head(call: Call) -> Iterator[Row]:
    """limit number of elements in pipe

    Passes on the first elements, 10 or as many as the number says (decimal, with or without -); the stages before it
    are stopped then. Rows stay rows; what are only addresses, of a walker, a format command or the shell, are printed
    as such.

    Example:
        ::walk thread | ::head -5
        ::thread | ::head 3
    """
    wanted = _wanted(call)
    if wanted:
        for row in call.upstream:
            yield from _elements(call, row)
            wanted -= 1
            if not wanted:
                return


@dcmd("tail", synopsis="[-num | -n num]", raw=True, stream=True, passes=True, row=Address, text=ADDRESSES)
def tail(call: Call) -> Iterator[Row]:
    """pass on the last elements of a pipe

    The last 10, or as many as the number says (decimal, with or without -). Only these are kept.

    Example:
        ::thread | ::tail -n 3
    """
    for row in deque(call.upstream, maxlen=_wanted(call)):
        yield from _elements(call, row)


def _elements(call: Call, row: Row) -> Iterator[Row]:
    """A row as it is, or the address that it is."""
    if not _is_address(row, call.origin):
        yield row
        return
    call.text = ADDRESSES
    for address in call.addresses_in([row]):
        yield Address(Vaddr(address))


def _is_address(row: Row, origin: Dcmd | None) -> bool:
    """True for what holds nothing but what goes down a pipe, or goes there as a value in mdb."""
    return origin is None or origin.name in VERBS or len(columns_of(row)) < 2


def _wanted(call: Call) -> int:
    """How many elements the words ask for."""
    words = list(each_word(call.args))
    if not words:
        return HEAD
    if len(words) == 2 and words[0] == "-n":
        words = [words[1]]
    text = words[0].removeprefix("-n").removeprefix("-")
    if len(words) != 1 or not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise call.usage()
    return int(text)


@dcmd("sort", synopsis="[-r] [key ...]", flags=(Flag("r", "from the greatest down"),), stream=True, passes=True)
def sort(call: Call) -> Iterator[Row]:
    """sort the rows of a pipe by keys

    By the first key, where that is the same by the second, and so on; without a key by what the rows begin with.
    Numbers and addresses go by value and before text, null before both. What is the same stays in its order.

    Example:
        ::thread | ::sort -r pri addr | ::head 5
    """
    keys = split_keys(each_word(call.args))
    yield from sorted(call.upstream, key=lambda row: _place(row, keys), reverse="r" in call.flags)


def _place(row: Row, keys: Sequence[str]) -> list[tuple[int, Any]]:
    return [_rank(json_value(row, key)) for key in keys or list(columns_of(row))[:1]]


def _rank(value: Any) -> tuple[int, Any]:
    """A place among all JSON values."""
    if value is None:
        return 0, 0
    if is_hex(value) or isinstance(value, (int, float)):
        return 1, number(value)
    return (2, value) if isinstance(value, str) else (3, json.dumps(value, sort_keys=True))


@dcmd("uniq", synopsis="[key ...]", stream=True, passes=True)
def uniq(call: Call) -> Iterator[Row]:
    """pass on each different row of a pipe once

    The first of those that are the same in the keys, or in everything where none is named; they need not be neighbours.

    Example:
        ::thread | ::uniq state
    """
    keys = split_keys(each_word(call.args))
    seen: set[str] = set()
    for row in call.upstream:
        value = json.dumps([json_value(row, key) for key in keys] or row_json(row), sort_keys=True)
        if value not in seen:
            seen.add(value)
            yield row
