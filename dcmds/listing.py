"""What there is: ::dcmds ::walkers ::dmods ::which ::formats ::disasms ::xdata $M."""

import re
from collections.abc import Iterable, Iterator
from typing import cast

from formats.lazy import dataclass
from vmdebug.dcmd import Call, Dcmd, Flag, Show, Text, Walker, dcmd
from vmdebug.disasm import MODES
from vmdebug.errors import DebuggerError
from vmdebug.explain import guests_of, synopsis_of
from vmdebug.lang.aliases import ALIASES
from vmdebug.lang.flags import each_word
from vmdebug.lang.letters import TABLE, each_format
from vmdebug.plugins import PLUGINS, Plugin, origin_of
from vmdebug.session import Session

BUILT_IN = True


class BadPattern(DebuggerError):
    def __init__(self, pattern: str, err: re.error) -> None:
        super().__init__(f"failed to compile pattern {pattern}: {err}")


class NotLoaded(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} module not loaded")


@dataclass(frozen=True)
class Entry:
    """A dcmd or a walker.

    name: its name
    description: what it does
    module: the module that defines it
    """

    name: str
    description: str
    module: str


@dataclass(frozen=True)
class LongEntry:
    """A dcmd, with how it is called.

    name: its name
    description: what it does
    module: the module that defines it
    synopsis: how it is called
    guests: the guests that it is for
    """

    name: str
    description: str
    module: str
    synopsis: str
    guests: str


LONG_LINES = Text("{synopsis}\n    {description} ({module}; {guests})")


def _fitting(call: Call, entries: Iterable[Dcmd | Walker]) -> Iterator[Dcmd | Walker]:
    """The entries that match the pattern in the call, by name or description; with -n by name only."""
    words = list(each_word(call.args))
    if len(words) > 1:
        raise call.usage()
    try:
        pattern = re.compile(words[0] if words else "")
    except re.error as err:
        raise BadPattern(words[0], err) from err
    for entry in entries:
        if pattern.search(entry.name) or ("n" not in call.flags and pattern.search(entry.summary)):
            yield entry


@dcmd(
    "dcmds",
    synopsis="[-l] [[-n] pattern]",
    flags=(
        Flag("n", "match the pattern with names only"),
        Flag("l", "with how each is called, its module, and which guests it is for"),
    ),
    row=Entry,
    text=Text("{name:<24} - {description}"),
)
def each_dcmd(call: Call) -> Iterator[Entry | LongEntry]:
    """list available debugger commands

    Those that fit the pattern, an extended regular expression over names and descriptions; without one all.

    Examples:
        ::dcmds -n cpu
        ::dcmds -l stack
    """
    if "l" in call.flags:
        call.text = LONG_LINES
    for each in _fitting(call, call.session.registry.dcmds(_kind(call))):
        if "l" in call.flags and isinstance(each, Dcmd):
            yield LongEntry(each.name, each.summary, each.module, synopsis_of(each), guests_of(each))
        else:
            yield Entry(each.name, each.summary, each.module)


@dcmd(
    "walkers",
    synopsis="[[-n] pattern]",
    flags=(Flag("n", "match the pattern with names only"),),
    row=Entry,
    text=Text("{name:<24} - {description}"),
)
def each_walker(call: Call) -> Iterator[Entry]:
    """list available walkers

    Like ::dcmds, for ::walk.

    Example:
        ::walkers
    """
    for each in _fitting(call, call.session.registry.walkers(_kind(call))):
        yield Entry(each.name, each.summary, each.module)


@dataclass(frozen=True)
class Part:
    """A module, or with -l something that it defines.

    module: the module's name
    kind: dcmd, walk, format or kernel, null for the module itself
    name: the name of the dcmd, walker, format or kernel
    description: what it does
    origin: of a plug-in, the file or the distribution that it comes from
    """

    module: str
    kind: str | None = None
    name: str | None = None
    description: str | None = None
    origin: str | None = None


def part_lines(rows: Iterable[Part], _: Show) -> Iterator[str]:
    current = None
    for row in rows:
        title = f"{row.module:<24} {row.origin}" if row.origin else row.module
        if row.kind is None:
            yield title
            continue
        if title != current:
            yield ""
            yield f"{title:<70}"
        current = title
        yield f"  {row.kind} {row.name:<20} - {row.description}"


@dcmd(
    "dmods",
    synopsis="[-l] [module]",
    flags=(Flag("l", "with the dcmds and walkers, formats and kernels of each"),),
    row=Part,
    text=part_lines,
)
def each_module(call: Call) -> Iterator[Part]:
    """list loaded debugger modules

    The modules of dcmds that fit the guest, and plug-ins, with the file or the distribution that each of these comes
    from; those of the language itself are built in and not among them.

    Example:
        ::dmods
    """
    wanted = list(each_word(call.args))[:1]
    parts = sorted(_parts(call), key=lambda part: (part.module, part.origin or ""))
    modules = dict.fromkeys(Part(part.module, origin=part.origin) for part in parts)
    if wanted and wanted[0] not in {part.module for part in parts}:
        raise NotLoaded(wanted[0])
    for part in parts if "l" in call.flags else modules:
        if not wanted or part.module == wanted[0]:
            yield part


def _parts(call: Call) -> Iterator[Part]:
    """Everything that is not built in, of each module first its dcmds."""
    registry, kind = call.session.registry, _kind(call)
    for what, entries in (("dcmd", registry.dcmds(kind)), ("walk", registry.walkers(kind))):
        for entry in entries:
            if not (isinstance(entry, Dcmd) and entry.built_in):
                yield Part(entry.module, what, entry.name, entry.summary, origin_of(entry) or None)
    for plugin in PLUGINS.values():
        yield from _unregistered(plugin)


def _unregistered(plugin: Plugin) -> Iterator[Part]:
    """What a plug-in adds that is no dcmd or walker."""
    for name in plugin.formats:
        yield Part(plugin.name, "format", name, plugin.held.DESCRIPTION, plugin.origin)
    for name in plugin.kernels:
        yield Part(plugin.name, "kernel", name, "looked for in the next image", plugin.origin)


@dataclass(frozen=True)
class Meaning:
    """What a name stands for.

    name: the name
    meaning: what it is and who defines it
    definitions: every definition, the one that is used first; only with -v
    """

    name: str
    meaning: str
    definitions: list[str]


def meaning_lines(rows: Iterable[Meaning], _: Show) -> Iterator[str]:
    for row in rows:
        yield f"{row.name} {row.meaning}"
        if row.definitions:
            yield "   >  definition list:"
        for number, definition in enumerate(row.definitions, 1):
            yield f"  [{number}] {definition}"


@dcmd(
    ("which", "whence"),
    synopsis="[-v] name ...",
    flags=(Flag("v", "with all definitions"),),
    row=Meaning,
    text=meaning_lines,
)
def which(call: Call) -> Iterator[Meaning]:
    """show source of walk or dcmd

    Tells for each name whether it is a dcmd, a walker or a macro alias, and which module defines it. A list that the
    guest itself names, such as an illumos cache, is a walker too.

    Example:
        ::which status
    """
    words = list(each_word(call.args))
    if not words:
        raise call.usage()
    for word in words:
        name = word.removeprefix("::")
        found = [entry for entry in call.session.registry.definitions(name) if _fits(entry, _kind(call))]
        if not found and (walker := cast(Session, call.session).find_walker(name)):
            found = [walker]
        for entry in reversed(found):
            listed = [_definition(each) for each in reversed(found)] if "v" in call.flags else []
            yield Meaning(name, _meaning(entry), listed)
            break
        aliases = {**ALIASES, **cast(Session, call.session).aliases}
        if name in aliases:
            yield Meaning(name, f"is a macro alias for '{aliases[name]}'", [])
        elif not found:
            call.warn(f"{name} not found")


def _definition(entry: Dcmd | Walker) -> str:
    origin = origin_of(entry)
    return f"{entry.module}`{entry.name}" + (f" from {origin}" if origin else "")


def _meaning(entry: Dcmd | Walker) -> str:
    if isinstance(entry, Walker):
        return f"is a walker from module {entry.module}"
    return "is a built-in dcmd" if entry.built_in else f"is a dcmd from module {entry.module}"


def _fits(entry: Dcmd | Walker, kind: str | None) -> bool:
    return entry.guests is None or kind in entry.guests


def _kind(call: Call) -> str | None:
    return cast(Session, call.session).guest_kind


@dataclass(frozen=True)
class FormatRow:
    """A format letter.

    letter: the letter
    size: how many bytes it takes, null where that varies or it takes none
    description: what it shows
    text: the line that says so
    """

    letter: str
    size: int | None
    description: str
    text: str


@dcmd("formats", row=FormatRow, text=Text("{text}"))
def each_letter(call: Call) -> Iterator[FormatRow]:
    """list format specifiers

    The letters of the format commands `/ \\ ? @ =`.

    Example:
        ::formats
    """
    word = call.session.word
    for letter, line in zip(TABLE, each_format(word), strict=True):
        yield FormatRow(letter.letter, letter.bytes(word) or None, letter.description, line)


@dcmd("disasms", row=Entry, text=Text("{name:<24} - {description}"))
def each_disassembler(call: Call) -> Iterator[Entry]:
    """list available disassemblers

    $V chooses one.

    Example:
        ::disasms
    """
    for name, description in MODES.items():
        yield Entry(name, description, "vmdebug")


@dataclass(frozen=True)
class External:
    """A piece of the image beside the memory.

    name: what it is called
    description: what it is
    size: its size in bytes
    """

    name: str
    description: str
    size: int


def external_lines(rows: Iterable[External], _: Show) -> Iterator[str]:
    for row in rows:
        yield f"{row.name:<24} - {row.description} ({row.size} byte{'s' * (row.size != 1)})"


@dcmd("xdata", row=External, text=external_lines)
def each_external(call: Call) -> Iterator[External]:
    """print list of external data buffers

    The notes that the image's file carries.

    Example:
        ::xdata
    """
    for note in call.target.image.notes:
        yield External(note.name or f"note-{note.type:x}", f"{note.owner} note", len(note.data))
