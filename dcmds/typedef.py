"""Types of the user's own: ::typedef."""

from collections.abc import Callable, Iterator
from pathlib import Path

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Flag, Text, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.lang.flags import each_word
from vmdebug.lang.pipeline import Reported
from vmdebug.types.source import TypeSource
from vmdebug.types.typedefs import OwnTypes, UnknownModel

BUILT_IN = True
MAX_FILE = 1 << 20  # bytes of a file of declarations


@dataclass(frozen=True)
class Said:
    """What ::typedef says: the name of a type, or what is wrong with a definition.

    text: the line
    """

    text: str


@dcmd(
    "typedef",
    synopsis="[-c model | -d | -l | -r file | -w file | type name]",
    flags=(
        Flag("c", "make C's own types for a data model: LP64, LP32 or ILP32", "text", "model"),
        Flag("d", "delete all types that were made"),
        Flag("l", "list the types that were made"),
        Flag("r", "read types from a file of C declarations", "text", "file"),
        Flag("w", "write the types that were made to such a file", "text", "file"),
    ),
    row=Said,
    text=Text("{text}"),
)
def typedef(call: Call) -> Iterator[Said]:
    """create synthetic types

    Makes a type that ::print, ::sizeof and all others take like the guest's own: another name for a type, or a
    structure or union. Its members are written as in C, `type name;`, with any number of `*` and one `[N]` (decimal
    unless it has a prefix; `[]` is a flexible array); a definition stands in quotes. Bit-fields and pointers to
    functions are not known. The guest's own types come first where names are the same.

    Examples:
        ::typedef "struct pair { int p_low; int p_high; }" pair_t; ::sizeof pair_t; ::typedef -d
        ::typedef unsigned long word_t; ::typedef -l; ::typedef -d
    """
    chosen = [letter for letter in "cdlrw" if letter in call.flags]
    words = list(each_word(call.args))
    if len(chosen) > 1 or (words if chosen else len(words) < 2):
        raise call.usage()
    own = own_types(call.guest.types)
    try:
        if chosen:
            yield from ACTIONS[chosen[0]](call, own)
        elif len(words) == 2 and "{" in words[0]:
            own.define(*words)
        else:
            own.alias(" ".join(words[:-1]), words[-1])
    except UnknownModel as err:
        yield Said(str(err))
        raise call.usage() from err
    except DebuggerError as err:
        if isinstance(err, Unusable):
            raise
        yield Said(str(err))
        raise Reported(str(err)) from err


class Unusable(DebuggerError):
    """A file that cannot be read or written."""


def own_types(types: TypeSource) -> OwnTypes:
    """The types that the user made beside the guest's."""
    if types.own is None:
        types.own = OwnTypes(types.find, types.pointer)
    return types.own


def _create(call: Call, own: OwnTypes) -> Iterator[Said]:
    own.create(call.flags["c"])
    yield from ()


def _delete(call: Call, own: OwnTypes) -> Iterator[Said]:
    own.clear()
    yield from ()


def _list(call: Call, own: OwnTypes) -> Iterator[Said]:
    yield from (Said(found.spelled) for found in own.each())


def _read(call: Call, own: OwnTypes) -> Iterator[Said]:
    """The whole file is taken, or nothing of it."""
    path = Path(call.flags["r"])
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as err:
        raise Unusable(f"failed to open {path}: {err.strerror}") from err
    if len(data) > MAX_FILE:
        raise Unusable(f"failed to create synthetics from {path}: it has more than {MAX_FILE} bytes")
    try:
        own.read(data.decode("utf-8", "replace"))
    except DebuggerError:
        call.warn(f"failed to create synthetics from {path}")
        raise
    yield from ()


def _write(call: Call, own: OwnTypes) -> Iterator[Said]:
    path = Path(call.flags["w"])
    try:
        path.write_text(own.text(), encoding="utf-8")
    except OSError as err:
        raise Unusable(f"failed to write {path}: {err.strerror}") from err
    yield from ()


ACTIONS: dict[str, Callable[[Call, OwnTypes], Iterator[Said]]] = {
    "c": _create,
    "d": _delete,
    "l": _list,
    "r": _read,
    "w": _write,
}
