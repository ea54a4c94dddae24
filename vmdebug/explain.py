"""What is told of a dcmd, in parts: for ::help, the man page and the reference.

A dcmd's docstring is prose but for two sections, each a word alone on its line with indented lines below it:

    Reads:      the structures of the guest's kernel that it rests on, a line each: `struct cred (uid, gid)`;
                lines that are indented further continue the one above
    Example:    (or Examples:) commands that run on an image that the dcmd is for
"""

import re
import textwrap
from collections.abc import Sequence

from formats.lazy import dataclass
from vmdebug.entries import Dcmd, Walker, columns

SECTION = re.compile(r"^(Reads|Examples?):\n((?:[ ]+\S.*(?:\n|\Z)|\n(?=[ ]))+)\n*", re.MULTILINE)
CONTINUED = re.compile(r"\n +")
GUESTS = {"illumos": "illumos", "linux": "Linux", "xen": "Xen"}


@dataclass(frozen=True)
class Told:
    """The parts of a dcmd's help.

    `text` is the prose, `reads` says which structures are read, `examples` are command lines.
    """

    text: str
    reads: Sequence[str]
    examples: Sequence[str]


def told_of(entry: Dcmd) -> Told:
    """The parts of a dcmd's docstring behind its first line."""
    sections: dict[str, list[str]] = {"Reads": [], "Example": []}
    for name, lines in SECTION.findall(entry.help):
        sections[name.removesuffix("s") if name != "Reads" else name] += _entries(lines)
    return Told(SECTION.sub("", entry.help).strip(), sections["Reads"], sections["Example"])


def _entries(lines: str) -> list[str]:
    """The lines of a section, those that continue one joined to it."""
    return [line for line in CONTINUED.sub(" ", textwrap.dedent(lines)).splitlines() if line.strip()]


def spelled(entry: Dcmd) -> str:
    """The name as it is typed."""
    return entry.name if entry.name[0] in "$:>" else f"::{entry.name}"


def synopsis_of(entry: Dcmd) -> str:
    """How it is called: `[ addr ] ::name -flags words`."""
    address = {"none": "", "optional": "[ addr ] ", "required": "addr "}[entry.address]
    return f"{address}{spelled(entry)} {entry.synopsis}".rstrip()


def options_of(entry: Dcmd) -> list[tuple[str, str]]:
    """Its options, each with what it does: `("-c count", "show so many")`."""
    return [(f"-{flag.letter} {flag.name}".rstrip(), flag.help) for flag in entry.flags]


def guests_of(entry: Dcmd) -> str:
    """Which guests it is for, in words."""
    return "any guest" if entry.guests is None else ", ".join(GUESTS.get(name, name) for name in entry.guests)


def mentions(entry: Dcmd | Walker, word: str) -> bool:
    """Whether a word stands in the name or in anything that is told of it, in upper or lower case."""
    texts = [entry.name, entry.summary]
    if isinstance(entry, Dcmd):
        pairs = [*options_of(entry), *(columns(entry.row) if entry.row else ())]
        texts += [entry.help, *(text for pair in pairs for text in pair)]
    return any(word.casefold() in text.casefold() for text in texts)
