"""Which names may stand in which word of which dcmd.

Words that begin with `-` are the dcmd's flags, explained by their own help; a few dcmds take names of a known kind,
those that work on rows the keys of these; a word of any other is completed as a symbol.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from formats.lazy import dataclass
from vmdebug.dcmd import Flag
from vmdebug.lang.conditions import key_at_end
from vmdebug.lang.rowkeys import split_keys
from vmdebug.repl.columns import Stage
from vmdebug.repl.sources import Found, Sources

Finder = Callable[[Sources, "Words"], Iterator[Found]]
TAGS = ("struct", "union", "enum")


@dataclass(frozen=True)
class Words:
    """A dcmd and its words as far as they are typed: those before the cursor, and the piece that it stands behind.

    `stages` are those before the dcmd in its pipeline.
    """

    dcmd: str
    before: Sequence[str]
    partial: str
    flags: Sequence[Flag] = ()
    stages: Sequence[Stage] = ()

    @property
    def takes_keys(self) -> bool:
        """True if the words name keys of rows."""
        return self.dcmd in KEYED

    @property
    def key(self) -> str | None:
        """The piece of a key that the cursor stands behind; None where no key may stand."""
        if self.dcmd == "where":
            return key_at_end(" ".join([*self.before, self.partial]))
        return self.partial.rpartition(",")[2]

    @property
    def kept(self) -> int:
        """How much of the piece is before what is completed."""
        if not self.takes_keys or self.partial.startswith("-"):
            return 0
        return len(self.partial) - len(self.key or "")

    @property
    def takes_names(self) -> bool:
        """True if the words are names of a known kind."""
        return self.dcmd in FINDERS

    @property
    def in_options(self) -> bool:
        """True if the word may be an option: no argument came before it."""
        return self._after_options == len(self.before) and not self.awaited

    @property
    def awaited(self) -> Flag | None:
        """The flag whose value the word is."""
        last = self._option_at(len(self.before) - 1)
        return last if self._after_options > len(self.before) else None

    @property
    def arguments(self) -> Sequence[str]:
        """The words before the cursor that are neither options nor their values."""
        return self.before[self._after_options :]

    @property
    def _after_options(self) -> int:
        """Where the options end; past the end if the last one still wants its value."""
        at = 0
        while at < len(self.before) and len(self.before[at]) > 1 and self.before[at][0] == "-":
            at += 2 if self._option_at(at) else 1
        return at

    def _option_at(self, at: int) -> Flag | None:
        """The flag at the end of a word if its value is the next word."""
        word = self.before[at] if 0 <= at < len(self.before) else ""
        for place, letter in enumerate(word[1:], 2):
            flag = next((flag for flag in self.flags if flag.letter == letter), None)
            if flag and flag.value != "none":
                return flag if place == len(word) else None
        return None


def complete_word(sources: Sources, words: Words) -> Iterator[Found]:
    """What may stand in place of the word at the cursor."""
    if words.partial.startswith("-") and words.in_options:
        yield from _flags(words)
    elif words.dcmd == "set" and words.before[-1:] in (["-o"], ["+o"]):
        yield from sources.options(words.partial)
    elif words.awaited:
        return
    elif words.dcmd in FINDERS:
        yield from FINDERS[words.dcmd](sources, words)
    elif words.partial:
        yield from sources.symbols(words.partial)
    elif words.in_options:
        yield from _flags(words)


def _flags(words: Words) -> Iterator[Found]:
    """The flags, each with its help; those already in the word stay, as letters combine."""
    given = words.partial or "-"
    for flag in words.flags:
        if flag.letter not in given and (given == "-" or _combines(given, words.flags)):
            yield f"{given}{flag.letter}", flag.help
        elif given == f"-{flag.letter}":
            yield given, flag.help


def _combines(given: str, flags: Sequence[Flag]) -> bool:
    """True if more letters may follow: all so far are flags without a value."""
    plain = {flag.letter for flag in flags if flag.value == "none"}
    return set(given[1:]) <= plain


def _first(name: str) -> Finder:
    """A finder for the first argument only."""

    def find(sources: Sources, words: Words) -> Iterator[Found]:
        if not words.arguments:
            yield from getattr(sources, name)(words.partial)

    return find


def _every(name: str) -> Finder:
    """A finder for every argument."""
    return lambda sources, words: getattr(sources, name)(words.partial)


def _type_only(sources: Sources, words: Words) -> Iterator[Found]:
    """A type, in one word or more."""
    tag = " ".join(words.arguments)
    if not tag or tag in TAGS:
        yield from _type_names(sources, tag, words.partial)


def _typed(sources: Sources, words: Words) -> Iterator[Found]:
    """A type, then the members that a path into it may name."""
    yield from _type_and_members(sources, words.arguments, words.partial)


def _formatted(sources: Sources, words: Words) -> Iterator[Found]:
    """A format, then a type and members."""
    if words.arguments:
        yield from _type_and_members(sources, words.arguments[1:], words.partial)


def _type_and_members(sources: Sources, before: Sequence[str], partial: str) -> Iterator[Found]:
    if not before or (len(before) == 1 and before[0] in TAGS):
        yield from _type_names(sources, "".join(before), partial)
    else:
        words = 2 if before[0] in TAGS else 1
        yield from sources.members(" ".join(before[:words]), partial)


def _type_names(sources: Sources, tag: str, partial: str) -> Iterator[Found]:
    """Names of types; without the tag that is typed already."""
    typed = f"{tag} " if tag else ""
    for name, note in sources.types(typed + partial):
        yield name.removeprefix(typed), note


def _keys(sources: Sources, words: Words) -> Iterator[Found]:
    """Keys of the rows before the dcmd; in a list of keys those that it does not have yet."""
    if words.key is None:
        return
    listed = words.dcmd != "where"
    given = split_keys([*words.arguments, words.partial.rpartition(",")[0]]) if listed else ()
    for name, meaning in sources.keys(words.stages, words.key):
        if name not in given:
            yield name, meaning


KEYED = ("where", "sort", "select", "group", "uniq")
FINDERS: Mapping[str, Finder] = {
    **dict.fromkeys(KEYED, _keys),
    **dict.fromkeys(("help", "which", "whence"), _every("commands")),
    "walk": _first("walkers"),
    "unload": _first("plugins"),
    **dict.fromkeys(("print", "list", "offsetof", "sizeof"), _typed),
    **dict.fromkeys(("array", "type", "enum"), _type_only),
    "printf": _formatted,
    **dict.fromkeys(("unset", "typeset", ">"), _every("variables")),
    **dict.fromkeys(("load", "cat", "log", "$<", "$<<", "$>"), _every("files")),
}
