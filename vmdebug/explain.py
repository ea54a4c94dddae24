"""What is told of a dcmd, in parts: for ::help, the man page and the reference.

A dcmd's docstring is prose but for two parts:

    Reads: the structures and variables of the guest's kernel that it rests on, in one paragraph:
           `Reads: struct cred (uid, gid), hidepid.` Members in parentheses behind a type are members of it.
    Example:    (or Examples:) alone on its line; below it, indented, commands that run on an image that the dcmd is for
"""

import re
from collections.abc import Sequence

from formats.lazy import dataclass
from vmdebug.entries import Dcmd, Walker, columns

EXAMPLES = re.compile(r"^Examples?:\n((?: +\S.*(?:\n|\Z)|\n(?= ))+)\n*", re.MULTILINE)
READS = re.compile(r"^Reads: (.+(?:\n.+)*)\n*", re.MULTILINE)
GUESTS = {"illumos": "illumos", "linux": "Linux", "xen": "Xen"}


@dataclass(frozen=True)
class Told:
    """The parts of a dcmd's help.

    `text` is the prose, `reads` says what is read of the guest's kernel, `examples` are command lines.
    """

    text: str
    reads: str
    examples: Sequence[str]


def told_of(entry: Dcmd) -> Told:
    """The parts of a dcmd's docstring behind its first line."""
    text = EXAMPLES.sub("", entry.help)
    lines = [line.strip() for block in EXAMPLES.findall(entry.help) for line in block.splitlines()]
    reads = " ".join(" ".join(READS.findall(text)).split())
    return Told(READS.sub("", text).strip(), reads, [line for line in lines if line])


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
