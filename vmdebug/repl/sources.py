"""Where the names come from that complete a word: each method gives the ones with a prefix, and what they are.

Large sets (a kernel's symbols, its types) are sorted at the first question and kept as long as their table is. They
come from the image, and what is inserted will be run: only those are given that can be nothing but names.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vmdebug.dcmd import Dcmd
from vmdebug.lang.letters import LETTERS, find_letter
from vmdebug.lang.lexer import NAME
from vmdebug.lang.settings import FLAGS, VALUED
from vmdebug.plugins import PLUGINS
from vmdebug.repl.columns import Stage, keys_behind, matching
from vmdebug.repl.members import members
from vmdebug.repl.names import LIMIT, Names
from vmdebug.types.spelling import base_name

if TYPE_CHECKING:
    from vmdebug.session import Session
    from vmdebug.symbols.table import Symbol, SymbolTable
    from vmdebug.types.source import TypeSource

Found = tuple[str, str]  # what may stand there, and what it is
SYMBOL = re.compile(NAME)
TYPE = re.compile(r"[A-Za-z_][0-9A-Za-z_.]*( [A-Za-z_][0-9A-Za-z_.]*)*")
WORD = re.compile(r"[^\s;!|\"'$]+")


class Sources:
    """The names that one session knows."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._table: SymbolTable | None = None
        self._symbols: dict[str | None, list[Names]] = {}
        self._types: TypeSource | None = None
        self._type_names = Names(())

    def dcmd(self, name: str) -> Dcmd | None:
        """The dcmd that a name would run."""
        return self._session.registry.dcmd(name, self._session.guest_kind)

    def dcmds(self, prefix: str) -> Iterator[Found]:
        """Dcmds that are called by `::`, and the user's aliases; dcmds of one module behind a backquote."""
        module, quote, bare = prefix.rpartition("`")
        found = {} if quote else dict(self._session.aliases)
        for entry in self._session.registry.dcmds(self._session.guest_kind):
            if entry.name[0].isalnum() and (not quote or entry.module == module):
                found[entry.name] = entry.summary
        yield from ((f"{module}{quote}{name}", found[name]) for name in sorted(found) if name.startswith(bare))

    def marked(self, prefix: str) -> Iterator[Found]:
        """Commands that begin with `$` or `:`."""
        for entry in self._session.registry.dcmds(self._session.guest_kind):
            if entry.name[0] in "$:" and entry.name.startswith(prefix):
                yield entry.name, entry.summary

    def walkers(self, prefix: str) -> Iterator[Found]:
        """Walkers; behind a letter also what the guest itself names."""
        yield from self.listed_walkers(prefix)
        for name in sorted(self._session.walks()) if prefix else ():
            if name.startswith(prefix) and WORD.fullmatch(name) and name.isprintable():
                yield name, ""

    def listed_walkers(self, prefix: str) -> Iterator[Found]:
        for entry in self._session.registry.walkers(self._session.guest_kind):
            if entry.name.startswith(prefix):
                yield entry.name, entry.summary

    def commands(self, prefix: str) -> Iterator[Found]:
        """What `::help` and `::which` explain: dcmds by either name, and walkers."""
        found = dict([*self.dcmds(prefix), *self.marked(prefix), *self.listed_walkers(prefix)])
        yield from sorted(found.items())

    def keys(self, stages: Sequence[Stage], prefix: str) -> Iterator[Found]:
        """The keys of the rows that some stages yield, and what each is."""
        for key in matching(keys_behind(stages, self.dcmd), prefix):
            yield key.name, " ".join(key.meaning.split())

    def plugins(self, prefix: str) -> Iterator[Found]:
        """Plug-ins, and where they come from."""
        for plugin in sorted(PLUGINS.values(), key=lambda each: each.name):
            if plugin.name.startswith(prefix):
                yield plugin.name, plugin.origin

    def variables(self, prefix: str) -> Iterator[Found]:
        for name, value in sorted(self._session.variables.each()):
            if name.startswith(prefix):
                yield name, f"{value:x}"

    def options(self, prefix: str) -> Iterator[Found]:
        """Words of `::set -o`; of several with commas, the last."""
        done, comma, word = prefix.rpartition(",")
        names = [*FLAGS, *(f"{name}=" for name in VALUED)]
        if word.startswith("no"):
            names += [f"no{name}" for name in FLAGS]
        for name in sorted(set(names)):
            if name.startswith(word):
                yield f"{done}{comma}{name}", ""

    def letters(self, verb: str) -> Iterator[Found]:
        """Format letters that a verb takes."""
        for char in sorted(LETTERS):
            if letter := find_letter(char, verb):
                yield char, letter.line().partition(" - ")[2].removeprefix("write ")

    def files(self, prefix: str) -> Iterator[Found]:
        """Files and folders whose names need no quotes; hidden ones only if the prefix names a dot."""
        folder, slash, start = prefix.rpartition("/")
        try:
            entries = sorted(Path(f"{folder}{slash}" or ".").expanduser().iterdir())
        except OSError:
            return
        shown = (e for e in entries if e.name.startswith(start) and (start or not e.name.startswith(".")))
        for entry in islice((entry for entry in shown if WORD.fullmatch(entry.name)), LIMIT):
            yield f"{folder}{slash}{entry.name}" + "/" * entry.is_dir(), ""

    def symbols(self, prefix: str) -> Iterator[Found]:
        """Global functions and objects, `module`name` those of one module; where none fits, any symbol."""
        table = self._session.symbols
        module, quote, bare = prefix.rpartition("`")
        if not quote:
            yield from ((name, "") for name in sorted(table.private) if name.startswith(prefix))
        for names in self._symbol_names(table, module if quote else None):
            if names.count(bare):
                yield from ((f"{module}{quote}{name}", note) for name, note in noted(names, bare))
                return

    def types(self, prefix: str) -> Iterator[Found]:
        """Names of types as C writes them, with their tags."""
        source = self._session.guest.types
        if source is not self._types:
            names = (base_name(found) for found in source.each())
            self._types, self._type_names = source, Names(name for name in names if TYPE.fullmatch(name))
        yield from noted(self._type_names, prefix)
        yield from ((name, "") for name in map(base_name, source.each_own()) if name.startswith(prefix))

    def members(self, type_name: str, path: str) -> Iterator[Found]:
        """How a path into a type may go on; nothing for what is no type."""
        source = self._session.guest.types
        if source.knows(type_name):
            yield from members(source.find(type_name), path)

    def _symbol_names(self, table: "SymbolTable", module: str | None) -> Iterator[Names]:
        """The global names of a part, then all of them."""
        if table is not self._table:
            self._table, self._symbols = table, {}
        held = self._symbols.setdefault(module, [])
        for at, keep in enumerate((_is_public, _is_named)):
            if at == len(held):
                held.append(Names(symbol.name for symbol in _symbols(table, module) if keep(symbol)))
            yield held[at]


def noted(names: Names, prefix: str) -> Iterator[Found]:
    """The names with a prefix; the last of a list that was cut says of how many."""
    found, total = names.starting(prefix), names.count(prefix)
    cut = f"the last of {total}" if total > len(found) else ""
    for name in found:
        yield name, cut if name == found[-1] else ""


def _symbols(table: "SymbolTable", module: str | None) -> Iterable["Symbol"]:
    """A module's symbols, or everything that a name without a module may mean."""
    if module is not None:
        yield from table.each(module)
        return
    yield from table.each()
    if not table.main.complete:
        for part in table.modules:
            yield from part.all


def _is_public(symbol: "Symbol") -> bool:
    return symbol.bind != "LOCL" and symbol.kind in ("FUNC", "OBJT") and _is_named(symbol)


def _is_named(symbol: "Symbol") -> bool:
    return symbol.kind not in ("SECT", "FILE") and SYMBOL.fullmatch(symbol.name) is not None
