"""The keys of the rows that stages of a pipeline yield: what ::where, ::sort, ::select, ::group and ::uniq name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin

from formats.lazy import dataclass
from vmdebug.dcmd import Dcmd, columns
from vmdebug.lang.rowkeys import columns_of_kind, count_name, split_keys

SHELL = "!"


@dataclass(frozen=True)
class Stage:
    """A dcmd and its words, or a shell command: `!`."""

    dcmd: str
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Key:
    """A key of rows, what its column is, and the type of what it holds."""

    name: str
    meaning: str
    hint: Any = None


LINE = Key("text", "a line that the shell command printed", str)


def keys_behind(stages: Sequence[Stage], find: Callable[[str], Dcmd | None]) -> Sequence[Key]:
    """The keys of the rows that the stages yield; none where that is not known."""
    keys: Sequence[Key] = ()
    for stage in stages:
        keys = [LINE] if stage.dcmd == SHELL else _keys_of(stage, find(stage.dcmd), keys)
    return keys


def matching(keys: Sequence[Key], partial: str) -> Iterator[Key]:
    """The keys that a text is the beginning of; behind a dot the members of what a key holds."""
    path, dot, _ = partial.rpartition(".")
    if dot:
        holder = next((key for key in matching(keys, path) if key.name.lower() == path.lower()), None)
        keys = [Key(f"{path}.{key.name}", key.meaning, key.hint) for key in _members(holder)]
    for key in keys:
        if key.name.lower().startswith(partial.lower()):
            yield key


def _keys_of(stage: Stage, entry: Dcmd | None, before: Sequence[Key]) -> Sequence[Key]:
    """The keys behind a dcmd that follows on rows with others."""
    if entry is None:
        return ()
    if entry.name in ("select", "group"):
        chosen = [_chosen(key, before) for key in split_keys(stage.words)]
        count = Key(count_name(key.name for key in chosen), "how many rows are the same in the keys", int)
        return chosen if entry.name == "select" else [count, *chosen]
    if entry.passes and (len(before) > 1 or entry.row is None):
        return before
    return _documented(entry.row) if entry.row else ()


def _chosen(path: str, before: Sequence[Key]) -> Key:
    """The key that a key, or a path into one, becomes in rows of its own."""
    known = next((key for key in matching(before, path) if key.name.lower() == path.lower()), Key(path, ""))
    return Key(path.lower().replace(".", "_"), known.meaning, known.hint)


def _documented(row: type[Any]) -> list[Key]:
    told = dict(columns(row))
    return [Key(each.key, told.get(each.key, ""), each.hint) for each in columns_of_kind(row).values()]


def _members(holder: Key | None) -> Sequence[Key]:
    inner = _row_in(holder.hint) if holder else None
    return _documented(inner) if inner else ()


def _row_in(hint: Any) -> type[Any] | None:
    """The dataclass that a type is, or that a list or an optional value is of."""
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    origin = get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return None
    return next((found for each in get_args(hint) if (found := _row_in(each))), None)
