"""::help and ::version."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import vmdebug
from formats.lazy import dataclass
from vmdebug.dcmd import Call, Dcmd, Flag, Show, Walker, columns, dcmd
from vmdebug.errors import DebuggerError
from vmdebug.explain import mentions, options_of, synopsis_of, told_of
from vmdebug.lang.flags import each_word
from vmdebug.plugins import origin_of
from vmdebug.render import Trusted
from vmdebug.session import Session

BUILT_IN = True
WIDTH = 100
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
      ::walkers [pattern]   what can be walked              ::help -k word  which mention a word
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
    reads: the structures and variables of the guest's kernel that it rests on
    examples: command lines that run on an image that it is for
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
    reads: str = ""
    examples: Sequence[str] = ()


@dataclass(frozen=True)
class Mention:
    """A command or walker that mentions a word.

    name: its name
    kind: dcmd or walker
    description: what it does
    module: who defines it
    """

    name: str
    kind: str
    description: str
    module: str


@dataclass(frozen=True)
class Introduction:
    """What ::help says without a name.

    text: the text
    """

    text: str


def help_lines(rows: Iterable[Help | Introduction | Mention], _: Show) -> Iterator[str]:
    for row in rows:
        if isinstance(row, Introduction):
            yield from row.text.splitlines()
            continue
        if isinstance(row, Mention):
            yield f"{'::walk ' * (row.kind == 'walker') + row.name:<24} - {row.description}"
            continue
        yield from ("", "NAME", f"  {row.name} - {row.summary}", "", "SYNOPSIS", f"  {row.synopsis}", "")
        if row.description:
            yield "DESCRIPTION"
            yield from (f"  {line}".rstrip() for line in row.description.splitlines())
            yield ""
        yield from _table("OPTIONS", row.options)
        yield from _table("COLUMNS", row.columns)
        yield from _list("READS", textwrap.wrap(row.reads, WIDTH, break_on_hyphens=False))
        yield from _list("EXAMPLES" if len(row.examples) > 1 else "EXAMPLE", row.examples)
        origin = f" (plug-in {row.origin})" if row.origin else ""
        yield from ("ATTRIBUTES", "", f"  Target: {row.target}", f"  Module: {row.module}{origin}")
        yield from (f"  Interface Stability: {row.stability}", "")


def _table(title: str, entries: Sequence[Column]) -> Iterator[str]:
    if entries:
        width = max(len(each.name) for each in entries)
        yield title
        yield from (f"  {each.name:<{width}}  {each.meaning}".rstrip() for each in entries)
        yield ""


def _list(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield title
        for entry in entries:
            yield from textwrap.wrap(
                entry, WIDTH, initial_indent="  ", subsequent_indent=" " * 6, break_on_hyphens=False
            )
        yield ""


@dcmd(
    "help",
    synopsis="[-k word | command]",
    flags=(Flag("k", "list what mentions the word, in upper or lower case, in its name or its help", "text", "word"),),
    row=Help,
    text=help_lines,
)
def tell(call: Call) -> Iterator[Help | Introduction | Mention]:
    """list commands/command help

    Without a name how commands are built. With one its synopsis, options, the keys of its rows, which --json and later
    stages of a pipeline use, the structures of the guest's kernel that it reads, and examples.

    Examples:
        ::help status
        ::help -k stack
    """
    words = list(each_word(call.args))
    if len(words) > 1 or (words and "k" in call.flags):
        raise call.usage()
    if "k" in call.flags:
        yield from _mentions(cast(Session, call.session), str(call.flags["k"]))
        return
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


def _mentions(session: Session, word: str) -> Iterator[Mention]:
    entries: list[Dcmd | Walker] = [
        *session.registry.dcmds(session.guest_kind), *session.registry.walkers(session.guest_kind)
    ]  # fmt: skip
    for entry in entries:
        if mentions(entry, word):
            kind = "walker" if isinstance(entry, Walker) else "dcmd"
            yield Mention(entry.name, kind, entry.summary, entry.module)


def _help(entry: Dcmd, target: str) -> Help:
    told = told_of(entry)
    return Help(
        name=entry.name,
        summary=entry.summary,
        synopsis=synopsis_of(entry),
        description=told.text,
        options=[Column(*option) for option in options_of(entry)],
        columns=[Column(key, meaning) for key, meaning in columns(entry.row)] if entry.row else [],
        module=entry.module,
        stability="Evolving" if entry.built_in else "Unstable",
        target=target,
        origin=origin_of(entry) or None,
        reads=told.reads,
        examples=told.examples,
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
