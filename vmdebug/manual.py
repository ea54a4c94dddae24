"""The man page, `vmdebug --man`, made of the text of --help, the formats, and the registry of dcmds.

    vmdebug --man > vmdebug.1; man -l vmdebug.1

Specified in: groff_man(7); only what mandoc knows, too.
"""

import re
from collections.abc import Iterable, Iterator

from vmdebug import __version__
from vmdebug.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from vmdebug.explain import guests_of, synopsis_of
from vmdebug.options import USAGE
from vmdebug.registry import Registry

COLUMNS = re.compile(r" {2,}")
KINDS = (None, "illumos", "linux", "xen")
DESCRIPTION = """\
vmdebug opens the file that a hypervisor left behind, such as a dump, a save file or a snapshot, and answers questions
about the kernel in it, with nothing but that file. It speaks the language of mdb.

On a terminal it opens a shell. With -e, or where the input is no terminal, it runs the commands and exits."""
LANGUAGE = """\
A statement is [address] [, count] command. Commands are ::name with options and words; / \\ ? @ = with format letters;
$x and :x, the short names of adb; and >name, which assigns. The address becomes dot, written . in expressions.

Numbers are hex; 0t is decimal. Commands are joined by |, which gives the addresses of one to the next, or whole rows to
::where, ::sort, ::select, ::group, ::count, ::head, ::tail, ::uniq, ::json and ::csv. ! gives the text to a shell
command. ::help name explains a command, ::help -k word finds one."""
STATUSES = {
    EXIT_OK: "a normal end",
    EXIT_FAILED: "an image could not be opened, or with -e the last command failed",
    EXIT_USAGE: "the command line could not be understood",
}
ENVIRONMENT = {
    "HISTSIZE": "how many lines the history keeps (128)",
    "NO_COLOR": "switches colours off",
    "SHELL": "the shell behind ! (/bin/sh)",
    "TERM": "the terminal; dumb is one that knows no escape sequences",
    "VMDEBUG_TRACEBACK": "shows where a bug happened",
    "XDG_CACHE_HOME": "the folder of the cache (~/.cache)",
    "XDG_STATE_HOME": "the folder of the history (~/.local/state)",
}
FILES = {
    "~/.vmdebugrc": "commands that run at the start of each session; without it ~/.mdbrc does",
    "~/.cache/vmdebug": "indexes of images that were opened; may be deleted at any time",
    "~/.local/state/vmdebug/history": "the history of the shell",
}
EXAMPLES = {
    "vmdebug core.domu": "opens a shell on a dump",
    "vmdebug -e '::status; ::cpuinfo' core.domu": "runs two commands",
    "vmdebug --json -e '::ps' guest.save": "gives the processes as JSON",
    "vmdebug info guest.img": "says what a file holds",
}


def page(registry: Registry) -> str:
    """The whole man page, in roff."""
    return "\n".join([f'.TH VMDEBUG 1 "" "vmdebug {__version__}" "User Commands"', *_lines(registry), ""])


def options() -> list[tuple[str, str]]:
    """What --help lists, as pairs of a term and what it means."""
    found: list[tuple[str, str]] = []
    for line in USAGE.partition("\n\n")[2].splitlines():
        words = COLUMNS.split(line.strip())
        found += zip(words[::2], [*words[1::2], ""], strict=False)
    return found


def subcommands() -> list[tuple[str, str]]:
    """What --help says the program does instead of opening a session."""
    lines = USAGE.partition("\n\n")[0].splitlines()
    pairs = [COLUMNS.split(line.strip()) for line in lines if line.startswith("       vmdebug")]
    return [(pair[0], pair[1]) for pair in pairs]


def formats() -> list[tuple[str, str]]:
    """Every format and container that can be opened."""
    from formats.candidates import candidates

    modules = [each.module() for each in candidates()]
    return [(module.NAME, module.DESCRIPTION) for module in modules]


def commands(registry: Registry) -> list[tuple[str, str]]:
    """Every dcmd, how it is called and what it does; once where several guests have one of that name."""
    entries = {(entry.name, entry.module): entry for kind in KINDS for entry in registry.dcmds(kind)}
    return [(synopsis_of(entry), f"{entry.summary} ({guests_of(entry)})") for _, entry in sorted(entries.items())]


def walkers(registry: Registry) -> list[tuple[str, str]]:
    """Every walker, with what it gives."""
    entries = {(entry.name, entry.module): entry for kind in KINDS for entry in registry.walkers(kind)}
    return [(entry.name, entry.summary) for _, entry in sorted(entries.items())]


def _lines(registry: Registry) -> Iterator[str]:
    yield from (".SH NAME", "vmdebug \\- a debugger for virtual\\-machine images that speaks mdb", ".SH SYNOPSIS")
    session = USAGE.removeprefix("Usage: ").partition("\n       vmdebug")[0]
    yield text(" ".join(session.split()))
    for command, _ in subcommands():
        yield from (".br", text(command))
    yield from _section("DESCRIPTION", DESCRIPTION)
    yield from _list("OPTIONS", options())
    yield from _list("BESIDE THE SESSION", subcommands())
    yield from _section("LANGUAGE", LANGUAGE)
    yield from _list("COMMANDS", commands(registry))
    yield from _list("WALKERS", walkers(registry))
    yield from _list("FORMATS", formats())
    yield from _list("EXIT STATUS", ((str(status), meaning) for status, meaning in STATUSES.items()))
    yield from _list("ENVIRONMENT", ENVIRONMENT.items())
    yield from _list("FILES", FILES.items())
    yield from _list("EXAMPLES", EXAMPLES.items())
    yield from (".SH SEE ALSO", ".BR mdb (1),", ".BR crash (8),", ".BR drgn (1)")


def _section(title: str, prose: str) -> Iterator[str]:
    yield f'.SH "{title}"'
    for number, paragraph in enumerate(prose.split("\n\n")):
        if number:
            yield ".PP"
        yield from map(text, paragraph.splitlines())


def _list(title: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f'.SH "{title}"'
    for term, meaning in pairs:
        yield from (".TP", f"\\fB{text(term)}\\fR", text(meaning) or "\\&")


def text(line: str) -> str:
    """A line in which nothing is a request or an escape."""
    line = (
        line.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    )
    line = line.replace("`", "\\(ga")
    return f"\\&{line}" if line.startswith(".") else line


def main(_: list[str]) -> int:
    """Print the page. A dcmd that cannot be loaded is left out of it; the session tells why."""
    from vmdebug.load import load_dcmds
    from vmdebug.registry import REGISTRY

    load_dcmds(lambda _: None)
    print(page(REGISTRY), end="")
    return EXIT_OK
