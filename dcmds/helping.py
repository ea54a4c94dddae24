"""::help and ::version."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import vmdebug
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Dcmd, Show, columns, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.lang.flags import each_word
from vmdebug.plugins import origin_of
from vmdebug.render import Trusted
from vmdebug.session import Session

BUILT_IN = True
INTRODUCTION = """
Each command in vmdebug has this structure:

      address-expr, count-expr ::command-name arguments...
           ^            ^         ^             ^
           |            |         |             + words and -options; $[ ] computes one
           |            |         + a dcmd, a format command ( / \\ ? @ = ), $x or >
           |            + how many times, or how much
           + where: it becomes dot, which is written .

Commands are joined by | (each address that one gives is the address of the next),
and handed to the shell by !. ::where ::sort ::select ::uniq ::group ::count ::head
::tail ::json and ::csv take whole rows: ::help where.

      ::dcmds [pattern]     what commands there are         ::help name     what one does
      ::walkers [pattern]   what can be walked              ::which name    where it comes from
      ::formats             the letters behind / \\ ? @ =    ::vars          the variables
      ::status              what is being debugged          ::quit          leave
"""


class UnknownCommand(DebuggerError):
    def __init__(self, name: str) -> None:
        super().__init__(f"unknown command: {name}")


@dataclass(frozen=True)
class Column:
    """A key of a row's JSON.

    name: the key
    meaning: what it is
    """

    name: str
    meaning: str


@dataclass(frozen=True)
class Help:
    """The help of a command.

    name: its name
    summary: what it does, in a line
    synopsis: how it is called
    description: the text
    options: the options, each with its help
    columns: the keys of its rows
    module: who defines it
    stability: Evolving for what is built in, else Unstable
    target: the kind of image that is open
    origin: of a plug-in's command, the file or the distribution that it comes from
    """

    name: str
    summary: str
    synopsis: str
    description: str
    options: Sequence[Column]
    columns: Sequence[Column]
    module: str
    stability: str
    target: str
    origin: str | None = None


@dataclass(frozen=True)
class Introduction:
    """What ::help says without a name.

    text: the text
    """

    text: str


def help_lines(rows: Iterable[Help | Introduction], _: Show) -> Iterator[str]:
    for row in rows:
        if isinstance(row, Introduction):
            yield from row.text.splitlines()
            continue
        yield from ("", "NAME", f"  {row.name} - {row.summary}", "", "SYNOPSIS", f"  {row.synopsis}", "")
        if row.description:
            yield "DESCRIPTION"
            yield from (f"  {line}".rstrip() for line in row.description.splitlines())
            yield ""
        yield from _table("OPTIONS", row.options)
        yield from _table("COLUMNS", row.columns)
        origin = f" (plug-in {row.origin})" if row.origin else ""
        yield from ("ATTRIBUTES", "", f"  Target: {row.target}", f"  Module: {row.module}{origin}")
        yield from (f"  Interface Stability: {row.stability}", "")


def _table(title: str, entries: Sequence[Column]) -> Iterator[str]:
    if entries:
        width = max(len(each.name) for each in entries)
        yield title
        yield from (f"  {each.name:<{width}}  {each.meaning}".rstrip() for each in entries)
        yield ""


@dcmd("help", synopsis="[command]", row=Help, text=help_lines)
def tell(call: Call) -> Iterator[Help | Introduction]:
    """list commands/command help

    Without a name how commands are built. With one its synopsis, options, and the keys of its rows, which --json and
    later stages of a pipeline use.

    Example:
        ::help status
    """
    words = list(each_word(call.args))
    if len(words) > 1:
        raise call.usage()
    if not words:
        yield Introduction(INTRODUCTION)
        return
    name = words[0].removeprefix("::")
    session = cast(Session, call.session)
    found = session.registry.dcmd(name, session.guest_kind)
    if found is None:
        raise UnknownCommand(name)
    target = session.target.image.about.format if session.has_target else "none"
    yield _help(found, target)


def _help(entry: Dcmd, target: str) -> Help:
    address = {"none": "", "optional": "[ addr ] ", "required": "addr "}[entry.address]
    name = entry.name if entry.name[0] in "$:>" else f"::{entry.name}"
    options = [Column(f"-{flag.letter} {flag.name}".rstrip(), flag.help) for flag in entry.flags]
    keys = [Column(key, meaning) for key, meaning in columns(entry.row)] if entry.row else []
    return Help(
        entry.name,
        entry.summary,
        f"{address}{name} {entry.synopsis}".rstrip(),
        entry.help,
        options,
        keys,
        entry.module,
        "Evolving" if entry.built_in else "Unstable",
        target,
        origin_of(entry) or None,
    )


@dataclass(frozen=True)
class Version:
    """The debugger's version.

    version: the version
    name: the program's name
    """

    version: str
    name: str


def version_lines(rows: Iterable[Version], _: Show) -> Iterator[str]:
    for row in rows:
        yield Trusted(f"\r{row.name} {row.version}")


@dcmd("version", row=Version, text=version_lines)
def version(call: Call) -> Iterator[Version]:
    """print debugger version string

    Example:
        ::version
    """
    yield Version(vmdebug.__version__, "vmdebug")
